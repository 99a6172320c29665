"""A receive array of loops about a head: what each channel hears of a point, and the noise that the channels share.

Quasi-static fields of current loops (Biot-Savart). Receive sensitivity is Bx - i By of a loop's field; noise from the
head is the power that two loops' electric fields (their vector potentials) dissipate in it together (Roemer et al.
1990, 10.1002/mrm.1910160203). Reactive coupling between neighbours makes both complex.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HEAD_SEMI_AXES_MM = (75.0, 95.0, 88.0)
"""Head as an ellipsoid, left-right, front-back, up-down, mm (RAS+, origin in its middle)."""
_CLEARANCE_MM = 28.0
_SEGMENTS = 16
# Small loops dissipate about as much in themselves as in the head (Q unloaded over loaded near 2).
_COIL_LOSS = 0.45
_COUPLING = 0.12
_LOADING_SPACING_MM = 12.0


@dataclass(frozen=True, eq=False)
class CoilArray:
    """Loops fixed in the scanner, with the gain and phase of each channel's receiver."""

    segments_mm: NDArray[np.float64]
    """(n_coils, n_segments, 3) middles of the wire's pieces."""
    elements_mm: NDArray[np.float64]
    """(n_coils, n_segments, 3) the pieces as vectors."""
    receiver: NDArray[np.complex128]
    """(n_coils, n_coils) mixing of the channels by coupling, times each receiver's complex gain."""

    @property
    def n_coils(self) -> int:
        """Channels."""
        return int(self.segments_mm.shape[0])


def head_array(n_coils: int, rng: np.random.Generator) -> CoilArray:
    """Array of `n_coils` overlapping loops over the upper two thirds of the head, receiver gains drawn from `rng`."""
    index = np.arange(n_coils) + 0.5
    height = 1.0 - 1.45 * index / n_coils
    azimuth = np.pi * (1.0 + np.sqrt(5.0)) * index + rng.uniform(0.0, 2.0 * np.pi)
    ring = np.sqrt(np.clip(1.0 - height**2, 0.0, None))
    normals = np.stack([ring * np.cos(azimuth), ring * np.sin(azimuth), height], axis=1)
    axes = np.asarray(HEAD_SEMI_AXES_MM) + _CLEARANCE_MM
    centres = normals * axes
    outward = centres / axes**2
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    area = 1.45 / 2.0 * 4.0 * np.pi * float(np.mean(axes)) ** 2
    radius = min(1.2 * np.sqrt(area / (n_coils * np.pi)), 110.0)
    helper = np.where(np.abs(outward[:, 2:3]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    first = np.cross(outward, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(outward, first)
    angle = (np.arange(_SEGMENTS) + 0.5) * 2.0 * np.pi / _SEGMENTS
    around = np.cos(angle)[None, :, None] * first[:, None, :] + np.sin(angle)[None, :, None] * second[:, None, :]
    along = -np.sin(angle)[None, :, None] * first[:, None, :] + np.cos(angle)[None, :, None] * second[:, None, :]
    segments = centres[:, None, :] + radius * around
    elements = along * (radius * 2.0 * np.pi / _SEGMENTS)
    distance = np.linalg.norm(centres[:, None, :] - centres[None, :, :], axis=2)
    coupling = 1j * _COUPLING * np.exp(-((distance / (2.0 * radius)) ** 2)) * (1.0 - np.eye(n_coils))
    gain = rng.lognormal(0.0, 0.2, n_coils) * np.exp(2j * np.pi * rng.random(n_coils))
    return CoilArray(segments, elements, gain[:, None] * (np.eye(n_coils) + coupling))


def sensitivity(array: CoilArray, points_mm: NDArray[np.float64]) -> NDArray[np.complex128]:
    """What each channel receives of unit transverse magnetisation at points (n, 3), mm: (n_coils, n)."""
    distance = points_mm[None, :, None, :] - array.segments_mm[:, None, :, :]
    field = np.sum(
        np.cross(array.elements_mm[:, None, :, :], distance) / np.linalg.norm(distance, axis=3, keepdims=True) ** 3,
        axis=2,
    )
    return np.asarray(array.receiver @ (field[..., 0] - 1j * field[..., 1]), dtype=np.complex128)


def region_sensitivity(
    array: CoilArray, centre_mm: NDArray[np.float64], size_mm: tuple[float, float, float]
) -> NDArray[np.complex128]:
    """Mean sensitivity (n_coils,) over a box, as one number per channel for all signal that comes from it."""
    steps = np.array([-1.0, 0.0, 1.0]) / 3.0
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(sensitivity(array, centre_mm + grid * np.asarray(size_mm)).mean(axis=1), dtype=np.complex128)


def noise_covariances(
    array: CoilArray, shift_mm: NDArray[np.float64], nod_deg: float
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Noise covariances (n_coils, n_coils), Hermitian, of an array loaded by a head at rest and by the head moved.

    `shift_mm` (3,) and `nod_deg` (about the left-right axis) are the pose of the moved one: it loads the channels
    otherwise. Scaled so that for the head at rest the channels' mean thermal variance before the receivers is 1.
    """
    rest = _loading(array, np.zeros(3), 0.0)
    still = nod_deg == 0.0 and not np.any(shift_mm)
    moved = rest if still else _loading(array, shift_mm, nod_deg)
    scale = float(np.mean(np.diag(rest)))

    def received(loading: NDArray[np.float64]) -> NDArray[np.complex128]:
        thermal = (1.0 - _COIL_LOSS) * loading / scale + _COIL_LOSS * np.eye(array.n_coils)
        mixed = array.receiver @ thermal @ array.receiver.conj().T
        return np.asarray((mixed + mixed.conj().T) / 2.0, dtype=np.complex128)

    return received(rest), received(moved)


def _loading(array: CoilArray, shift_mm: NDArray[np.float64], nod_deg: float) -> NDArray[np.float64]:
    """Overlap of the loops' electric fields within the head (n_coils, n_coils)."""
    axes = np.asarray(HEAD_SEMI_AXES_MM)
    lines = [np.arange(-a + 3.0, a, _LOADING_SPACING_MM) for a in axes]
    grid = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = grid[np.sum((grid / axes) ** 2, axis=1) <= 1.0]
    angle = np.deg2rad(nod_deg)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    # A head that nods turns about the neck, not about its middle.
    pivot = np.array([0.0, -20.0, -100.0])
    points = (inside - pivot) @ turn.T + pivot + shift_mm
    # |p - s|^2 = |p|^2 + |s|^2 - 2 p.s, one coil at a time: the loops' wires never touch the head.
    squares = np.sum(points**2, axis=1)
    potential = np.empty((array.n_coils, points.shape[0], 3))
    for coil in range(array.n_coils):
        wire = array.segments_mm[coil]
        distance = np.sqrt(squares[:, None] + np.sum(wire**2, axis=1) - 2.0 * points @ wire.T)
        potential[coil] = (1.0 / distance) @ array.elements_mm[coil]
    flat = potential.reshape(array.n_coils, -1)
    return np.asarray(flat @ flat.T, dtype=np.float64)
