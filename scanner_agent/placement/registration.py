"""How the head moved between planning and localiser: rigid registration, and how far it can be trusted.

Coarse by SimpleITK (Mattes mutual information, several resolutions and starts) on the stacks put into one volume, then
fine by `Similarity` on the localiser's own voxels. Its trust comes from the data: parts of the head are fitted again,
each by itself; in one rigid head they agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.optimize import minimize

from scanner_agent.placement.similarity import GRID_MM, HEAD_RADIUS_MM, Planning, Similarity, to_sitk
from scanner_agent.placement.volumes import Stack
from scanner_agent.placement.voxel import rotation_of

sitk: Any = SimpleITK  # its functions carry no types
Matrix = NDArray[np.float64]
_COARSE_MM = 4.0
_STARTS_DEG = ((0.0, 0.0, 0.0), (15.0, 0.0, 8.0), (-15.0, 0.0, -8.0))
"""Turns (R, A, S) that the coarse search starts from: heads nod and turn."""
_FINE_POINTS = 15_000
_PART_POINTS = 40_000


@dataclass(frozen=True)
class Registration:
    """What was found, and the signs by which it is trusted or not."""

    motion: Matrix
    """(4, 4), mm, RAS+: where a point of the head at planning lies in the localiser."""
    similarity: float
    """Normalised mutual information at the solution."""
    similarity_lost: float
    """By how much it falls, on average, 5 mm away."""
    part_spread_mm: float
    """RMS of the shifts that parts of the head would take by themselves."""
    n_parts: int
    """Parts that could be fitted."""
    scale_change: float
    """Largest relative change of size along an axis that would fit better: another head, or distorted images."""
    start_spread_mm: float
    """RMS distance, within the head, of the two best coarse results."""
    overlap: float
    """Share of the localiser's voxels within the head's sphere that lie in the planning volume's head."""


def rigid(parameters: NDArray[np.float64], centre_mm: Matrix) -> Matrix:
    """(4, 4) of a rotation vector (degrees) about `centre_mm` and a shift (mm)."""
    turned = np.eye(4)
    turned[:3, :3] = rotation_of(parameters[:3])
    turned[:3, 3] = centre_mm + parameters[3:6] - turned[:3, :3] @ centre_mm
    return turned


def register(planning: Planning, stacks: tuple[Stack, ...], seed: int = 1) -> Registration:
    """Register a localiser to the planning volume; never raises on any finite images. Random samples follow `seed`."""
    coarse = _coarse(planning, stacks, seed)
    fine = Similarity(planning, stacks, _FINE_POINTS, seed)
    best = max(coarse[:2], key=lambda found: fine(found))
    solution = _refined(lambda p: -fine(rigid(p, planning.centre_mm) @ best), 6, (1.0, 1.0))
    back = rigid(solution, planning.centre_mm) @ best
    similarity = fine(back)
    away = [fine(rigid(np.concatenate([np.zeros(3), shift]), planning.centre_mm) @ back) for shift in _around(5.0)]
    parts = Similarity(planning, stacks, _PART_POINTS, seed + 1)
    shifts = _part_shifts(parts, back)
    sizes = _refined(lambda p: -fine(_scaled(p, planning.centre_mm) @ back), 3, (0.02, 0.02))
    spread = float(np.sqrt(np.mean(np.sum(shifts**2, axis=1)))) if len(shifts) else float("inf")
    return Registration(
        motion=np.asarray(np.linalg.inv(back), dtype=np.float64),
        similarity=similarity,
        similarity_lost=similarity - float(np.mean(away)),
        part_spread_mm=spread,
        n_parts=len(shifts),
        scale_change=float(np.abs(sizes).max()),
        start_spread_mm=distance_in_head_mm(coarse[0], coarse[1], planning.centre_mm) if len(coarse) > 1 else 0.0,
        overlap=_overlap(planning, parts, back),
    )


def distance_in_head_mm(first: Matrix, second: Matrix, centre_mm: Matrix, radius_mm: float = 70.0) -> float:
    """RMS distance (mm) between where two motions put the points of a sphere (Jenkinson 1999, FMRIB TR99MJ1)."""
    difference = first @ np.linalg.inv(second) - np.eye(4)
    shift = difference[:3, 3] + difference[:3, :3] @ centre_mm
    turned = radius_mm**2 / 5.0 * np.trace(difference[:3, :3].T @ difference[:3, :3])
    return float(np.sqrt(turned + shift @ shift))


def _around(distance_mm: float) -> NDArray[np.float64]:
    return np.concatenate([np.eye(3), -np.eye(3)]) * distance_mm


def _scaled(parameters: NDArray[np.float64], centre_mm: Matrix) -> Matrix:
    scaled = np.diag([*(1.0 + parameters), 1.0])
    scaled[:3, 3] = -parameters * centre_mm
    return scaled


def _refined(cost: Callable[[NDArray[np.float64]], float], n: int, steps: tuple[float, float]) -> NDArray[np.float64]:
    """Minimum of `cost` near zero by Powell's method; `steps`: of the first three and of the other parameters."""
    unit = np.array([steps[0]] * 3 + [steps[1]] * (n - 3))[:n]
    options = {"xtol": 0.02, "ftol": 1e-6, "maxiter": 10}
    untyped: Any = minimize
    found = untyped(lambda x: cost(x * unit), np.zeros(n), method="Powell", options=options)
    result: NDArray[np.float64] = found.x * unit
    return result


def _composite(planning: Planning, stacks: tuple[Stack, ...]) -> tuple[Any, Any]:
    """All stacks in one volume around the head's centre, and the mask of where they have data."""
    n = round(2.2 * HEAD_RADIUS_MM / _COARSE_MM)
    affine = np.diag([_COARSE_MM] * 3 + [1.0])
    affine[:3, 3] = planning.centre_mm - (n - 1) / 2.0 * _COARSE_MM
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1) * _COARSE_MM + affine[:3, 3]
    total, count = np.zeros((n, n, n), np.float32), np.zeros((n, n, n), np.float32)
    for stack in stacks:
        back = np.linalg.inv(stack.affine)
        index = grid @ back[:3, :3].T + back[:3, 3]
        slice_index = np.rint(index[..., 2])
        within = np.abs(index[..., 2] - slice_index) * stack.spacing_mm[2] <= max(stack.thickness_mm, _COARSE_MM) / 2.0
        for axis in range(3):
            within &= (index[..., axis] >= -0.5) & (index[..., axis] <= stack.data.shape[axis] - 0.5)
        smooth = gaussian_filter(stack.data, [*(_COARSE_MM / stack.spacing_mm[:2] / 2.4), 0.0])
        places = [index[..., 0][within], index[..., 1][within], slice_index[within]]
        total[within] += map_coordinates(smooth, places, order=1, mode="nearest")
        count[within] += 1.0
    values = np.where(count > 0, total / np.maximum(count, 1.0), 0.0).astype(np.float32)
    return to_sitk(values, affine), to_sitk((count > 0).astype(np.uint8), affine)


def _coarse(planning: Planning, stacks: tuple[Stack, ...], seed: int) -> list[Matrix]:
    """Motions back to the planning place from several starts, the most similar first."""
    fixed, mask = _composite(planning, stacks)
    affine = np.diag([2 * GRID_MM] * 3 + [1.0])
    affine[:3, 3] = planning.origin_mm
    moving = to_sitk(gaussian_filter(planning.data, 1.0)[::2, ::2, ::2], affine)
    flip = np.diag([-1.0, -1.0, 1.0])
    centre = flip @ planning.centre_mm
    found = []
    for start in _STARTS_DEG:
        transform = sitk.Euler3DTransform()
        transform.SetCenter(centre.tolist())
        transform.SetMatrix((flip @ rotation_of(np.asarray(start)) @ flip).ravel().tolist())
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(32)
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(0.5, seed)
        method.SetMetricFixedMask(mask)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetOptimizerAsRegularStepGradientDescent(4.0, 0.05, 60, relaxationFactor=0.6)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetShrinkFactorsPerLevel([2, 1])
        method.SetSmoothingSigmasPerLevel([4.0, 2.0])
        method.SetInitialTransform(transform, True)
        method.SetNumberOfThreads(1)
        try:
            method.Execute(fixed, moving)
        except RuntimeError:  # no overlap from this start
            continue
        back = np.eye(4)
        back[:3, :3] = flip @ np.asarray(transform.GetMatrix()).reshape(3, 3) @ flip
        back[:3, 3] = flip @ np.asarray(transform.TransformPoint((0.0, 0.0, 0.0)))
        found.append((method.GetMetricValue(), back))
    return [back for _, back in sorted(found, key=lambda one: one[0])] or [np.eye(4)]


def _part_shifts(parts: Similarity, back: Matrix) -> NDArray[np.float64]:
    """(n, 3) shifts (mm) by which the eighths of the head would fit better by themselves."""
    shifts = []
    for eighth in range(8):
        sides = np.array([(eighth >> axis) & 1 for axis in range(3)], dtype=bool)
        chosen = [((points - parts.centre_mm >= 0) == sides).all(axis=1) for points in parts.points]
        part = parts.within(chosen)
        if part.n_points < 1000:
            continue

        def cost(shift: NDArray[np.float64], part: Similarity = part) -> float:
            moved = back.copy()
            moved[:3, 3] += shift
            return -part(moved)

        shifts.append(_refined(cost, 3, (1.0, 1.0)))
    return np.array(shifts).reshape(-1, 3)


def _overlap(planning: Planning, parts: Similarity, back: Matrix) -> float:
    """Share of the localiser's points in the head's sphere that find signal of the planning volume there."""
    low, high = planning.range
    bright = 0
    for points in parts.points:
        places = (points @ back[:3, :3].T + back[:3, 3] - planning.origin_mm) / GRID_MM
        bright += int((map_coordinates(planning.data, places.T, order=1) > low + 0.1 * (high - low)).sum())
    return bright / max(parts.n_points, 1)
