"""Localisers of a moved head, made from a volume or from a mathematical head, with known motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from scanner_agent.placement.volumes import Stack
from scanner_agent.placement.voxel import rotation_of

Matrix = NDArray[np.float64]
CONTRASTS = ("same", "inverted", "gamma_half", "gamma_two", "t2_like")


def motion_of(rng: np.random.Generator, centre_mm: Matrix, shift_mm: float, turn_deg: float) -> Matrix:
    """(4, 4) shift and turn of given sizes about the head's centre, in random directions."""
    shift, axis = rng.normal(size=3), rng.normal(size=3)
    motion = np.eye(4)
    motion[:3, :3] = rotation_of(axis / np.linalg.norm(axis) * turn_deg)
    motion[:3, 3] = centre_mm + shift / np.linalg.norm(shift) * shift_mm - motion[:3, :3] @ centre_mm
    return motion


def head(seed: int = 0, voxel_mm: float = 1.5) -> Stack:
    """A mathematical head: ellipsoids of brain, ventricles and nuclei, and a folded cortex. No person's."""
    rng = np.random.default_rng(seed)
    n = (int(180 / voxel_mm), int(210 / voxel_mm), int(180 / voxel_mm))
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = -np.array(n) * voxel_mm / 2.0
    grid = np.stack(np.meshgrid(*(np.arange(k) for k in n), indexing="ij"), axis=-1) * voxel_mm + affine[:3, 3]
    folds = gaussian_filter(rng.normal(size=n), 4.0 / voxel_mm)
    folds /= folds.std()
    radius = np.sqrt(((grid / [68.0, 86.0, 64.0]) ** 2).sum(axis=-1)) + 0.03 * folds
    values = np.where(radius < 1.0, 700.0, 0.0)
    values = np.where((radius < 0.95) & (folds < 0.8), 1000.0, values)
    for centre, half, value in (
        ((-12, 5, 5), (7, 30, 10), 250.0), ((14, 3, 6), (8, 28, 11), 250.0), ((0, -30, -25), (35, 20, 18), 800.0),
        ((-24, 12, 0), (8, 12, 9), 600.0), ((25, 10, 1), (9, 13, 8), 600.0), ((30, -55, 15), (12, 9, 7), 450.0),
    ):  # fmt: skip
        inside = (((grid - np.array(centre)) / np.array(half)) ** 2).sum(axis=-1) < 1.0
        values = np.where(inside, value, values)
    return Stack(gaussian_filter(values, 0.6).astype(np.float32), affine, voxel_mm)


@dataclass(frozen=True)
class Recipe:
    """How a localiser is made."""

    planes: bool = True
    """Three planes of 5 slices of 5 mm (gap 5 mm) at 1.5 mm; else one 3D volume at 3 mm."""
    contrast: str = "same"
    noise: float = 0.03
    bias: float = 0.3
    field_mm: float = 250.0
    n_slices: int = 5
    crop: float = 0.0
    """Share of the field cut off at one side (rows)."""
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Sizes along the axes: another head."""
    warp_mm: float = 0.0
    """RMS of a smooth deformation: another head."""


def _contrast(values: Matrix, kind: str, white: float) -> Matrix:
    level, tissue = values / white, values > 0.02 * white
    if kind == "inverted":
        return np.where(tissue, 1.2 - level, 0.0)
    if kind == "gamma_half":
        return np.sqrt(np.maximum(level, 0.0))
    if kind == "gamma_two":
        return np.asarray(level**2)
    if kind == "t2_like":
        return np.where(tissue, np.interp(level, [0, 0.15, 0.35, 0.6, 0.8, 1.0], [0.6, 1.2, 1.0, 0.6, 0.5, 0.35]), 0.0)
    return level


def localiser(volume: Stack, motion: Matrix, recipe: Recipe, seed: int, centre_mm: Matrix) -> tuple[Stack, ...]:
    """Stacks that a scanner would see of `volume`'s head after `motion`: slice profile, bias field, Rician noise."""
    rng = np.random.default_rng(seed)
    white = float(np.percentile(volume.data[volume.data > 0.05 * volume.data.max()], 99.0))
    back = np.linalg.inv(volume.affine) @ np.linalg.inv(motion)
    slope = rng.normal(size=3)
    warps = [gaussian_filter(rng.normal(size=(32, 32, 32)), 3.0) for _ in range(3)] if recipe.warp_mm else []
    warps = [w / w.std() * recipe.warp_mm / np.sqrt(3.0) for w in warps]

    def seen(places: Matrix) -> Matrix:
        own = (places - centre_mm) / np.array(recipe.stretch) + centre_mm
        if warps:
            at = ((own - centre_mm) / 8.0 + 15.5).reshape(-1, 3).T
            own = own + np.stack([map_coordinates(w, at, order=1, mode="nearest") for w in warps], axis=-1).reshape(
                own.shape
            )
        index = own @ back[:3, :3].T + back[:3, 3]
        values = map_coordinates(volume.data, np.moveaxis(index, -1, 0), order=1, mode="constant")
        return _contrast(values, recipe.contrast, white)

    # Nobody puts a localiser on the planning volume's grid.
    tilt, middle = rotation_of(rng.normal(size=3) * 2.0), centre_mm + rng.uniform(-4.0, 4.0, 3)
    stacks = []
    in_plane, thick, distance = (1.5, 5.0, 10.0) if recipe.planes else (3.0, 3.0, 3.0)
    for normal in range(3) if recipe.planes else (2,):
        first, second = (axis for axis in range(3) if axis != normal)
        n = (
            int(recipe.field_mm / in_plane),
            int(recipe.field_mm / in_plane),
            recipe.n_slices if recipe.planes else int(recipe.field_mm / 3),
        )
        n = (n[0], int(n[1] * (1.0 - recipe.crop)), n[2])
        affine = np.eye(4)
        affine[:3, :3] = 0.0
        affine[first, 0], affine[second, 1], affine[normal, 2] = in_plane, in_plane, distance
        affine[:3, :3] = tilt @ affine[:3, :3]
        affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(n) - 1) / 2.0)
        index = np.stack(np.meshgrid(*(np.arange(k) for k in n), indexing="ij"), axis=-1).astype(np.float64)
        total = np.zeros(n)
        depths = (-0.4, -0.2, 0.0, 0.2, 0.4) if recipe.planes else (-0.25, 0.25)
        for depth in depths:
            places = (index + np.array([0.0, 0.0, depth * thick / distance])) @ affine[:3, :3].T + affine[:3, 3]
            total += seen(places)
        places = index @ affine[:3, :3].T + affine[:3, 3]
        shading = 1.0 + recipe.bias * np.tanh((places - centre_mm) @ slope / 80.0)
        signal = total / len(depths) * shading
        noisy = np.hypot(signal + recipe.noise * rng.normal(size=n), recipe.noise * rng.normal(size=n))
        stacks.append(Stack(noisy.astype(np.float32), affine, thick))
    return tuple(stacks)
