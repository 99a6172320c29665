"""Normalised mutual information between localiser slices and planning volume.

Studholme 1999, Pattern Recognition 32:71, 10.1016/S0031-3203(98)00091-0. The localiser's voxels are taken as they are;
the planning volume is blurred by each stack's voxel (slice profile included) and interpolated at their places. Nothing
is assumed about contrast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from scanner_agent.placement.volumes import Stack

sitk: Any = SimpleITK  # its functions carry no types
Matrix = NDArray[np.float64]
N_BINS = 32
GRID_MM = 1.5
HEAD_RADIUS_MM = 100.0
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def to_sitk(data: NDArray[np.float32], affine: Matrix) -> Any:
    """Array (x, y, z) with RAS affine -> SimpleITK image (LPS)."""
    geometry = _LPS @ affine
    spacing = np.linalg.norm(geometry[:3, :3], axis=0)
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.transpose(2, 1, 0)))
    image.SetSpacing(spacing.tolist())
    image.SetDirection((geometry[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(geometry[:3, 3].tolist())
    return image


def head_centre(stack: Stack) -> Matrix:
    """Centre of the head (mm, RAS+): centroid of what is bright in the upper 160 mm. No neck, whatever the coverage."""
    step = np.maximum(np.rint(4.0 / stack.spacing_mm).astype(int), 1)
    coarse = stack.data[:: step[0], :: step[1], :: step[2]]
    image = sitk.GetImageFromArray(np.ascontiguousarray(coarse))
    bright = np.argwhere(sitk.GetArrayFromImage(sitk.OtsuThreshold(image, 0, 1)) > 0) * step
    places = bright @ stack.affine[:3, :3].T + stack.affine[:3, 3]
    top = np.percentile(places[:, 2], 99.0)
    centre: Matrix = places[places[:, 2] > top - 160.0].mean(axis=0)
    return centre


@dataclass(frozen=True)
class Planning:
    """The planning volume on a regular grid (RAS, `GRID_MM`) around the head's centre."""

    data: NDArray[np.float32]
    origin_mm: Matrix
    centre_mm: Matrix
    range: tuple[float, float]
    """Values that the histogram spans."""


def planning_of(stack: Stack) -> Planning:
    """Resample a planning volume for registration."""
    centre = head_centre(stack)
    n = round(240.0 / GRID_MM)
    origin = centre - (n - 1) / 2.0 * GRID_MM
    image = to_sitk(stack.data, stack.affine)
    blur = np.sqrt(np.maximum(GRID_MM**2 - stack.spacing_mm**2, 0.0) / 12.0)
    image = sitk.DiscreteGaussian(image, np.maximum(blur, 1e-3).tolist()) if blur.max() > 0.2 else image
    grid = sitk.ResampleImageFilter()
    grid.SetSize([n] * 3)
    grid.SetOutputSpacing([GRID_MM] * 3)
    grid.SetOutputDirection([-1, 0, 0, 0, -1, 0, 0, 0, 1])
    grid.SetOutputOrigin([-origin[0], -origin[1], origin[2]])
    grid.SetInterpolator(sitk.sitkLinear)
    data = sitk.GetArrayFromImage(grid.Execute(image)).transpose(2, 1, 0)
    low, high = (float(v) for v in np.percentile(data, [0.5, 99.7]))
    return Planning(np.ascontiguousarray(data), origin, centre, (low, max(high, low + 1e-6)))


class Similarity:
    """The measure for one choice of localiser voxels, as a function of where the head was at planning."""

    def __init__(self, planning: Planning, stacks: tuple[Stack, ...], n_points: int, seed: int) -> None:
        """Choose up to `n_points` voxels, alike many of each stack, within the head's sphere."""
        rng = np.random.default_rng(seed)
        self.centre_mm = planning.centre_mm
        self._planning = planning
        points, values, volumes = [], [], []
        for stack in stacks:
            sizes = np.append(stack.spacing_mm[:2], stack.thickness_mm)
            axis_order = np.argmax(np.abs(stack.affine[:3, :3] / stack.spacing_mm), axis=0)
            blur = np.zeros(3)
            blur[axis_order] = np.sqrt(np.maximum(sizes**2 - GRID_MM**2, 0.0) / 12.0) / GRID_MM
            index = np.argwhere(np.ones(stack.data.shape, dtype=bool))
            places = index @ stack.affine[:3, :3].T + stack.affine[:3, 3]
            near = np.flatnonzero(np.linalg.norm(places - planning.centre_mm, axis=1) < HEAD_RADIUS_MM)
            chosen = rng.choice(near, min(n_points // len(stacks), near.size), replace=False)
            points.append(places[chosen])
            values.append(stack.data[tuple(index[chosen].T)])
            volumes.append(gaussian_filter(planning.data, blur))
        self.points = points
        everything = np.concatenate(values) if values else np.zeros(0)
        self.n_points = everything.size
        low, high = np.percentile(everything, [0.5, 99.5]) if everything.size else (0.0, 1.0)
        scale = (N_BINS - 1) / max(float(high - low), 1e-9)
        self._fixed = [np.clip(np.rint((v - low) * scale), 0, N_BINS - 1).astype(np.int64) * N_BINS for v in values]
        self._volumes = volumes

    def within(self, chosen: list[NDArray[np.bool_]]) -> Similarity:
        """The same for some of the points of each stack."""
        part = object.__new__(Similarity)
        part.centre_mm, part._planning, part._volumes = self.centre_mm, self._planning, self._volumes
        part.points = [points[keep] for points, keep in zip(self.points, chosen, strict=True)]
        part._fixed = [fixed[keep] for fixed, keep in zip(self._fixed, chosen, strict=True)]
        part.n_points = sum(int(keep.sum()) for keep in chosen)
        return part

    def __call__(self, back: Matrix) -> float:
        """Normalised mutual information (1: none, 2: all) for `back`: (4, 4), localiser place -> planning place."""
        low, high = self._planning.range
        scale = (N_BINS - 1) / (high - low)
        joint = np.zeros(N_BINS * N_BINS)
        for points, fixed, volume in zip(self.points, self._fixed, self._volumes, strict=True):
            places = (points @ back[:3, :3].T + back[:3, 3] - self._planning.origin_mm) / GRID_MM
            moving = map_coordinates(volume, places.T, order=1, mode="constant", prefilter=False)
            level = np.clip((moving - low) * scale, 0.0, N_BINS - 1.001)
            lower = level.astype(np.int64)
            share = level - lower
            joint += np.bincount(fixed + lower, 1.0 - share, N_BINS * N_BINS)
            joint += np.bincount(fixed + lower + 1, share, N_BINS * N_BINS)
        total = joint.sum()
        if total == 0.0:
            return 1.0
        table = joint.reshape(N_BINS, N_BINS) / total
        together = _entropy(table.ravel())
        return (_entropy(table.sum(axis=0)) + _entropy(table.sum(axis=1))) / together if together > 0 else 1.0


def _entropy(shares: NDArray[np.float64]) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())
