"""A spectroscopy voxel in scanner coordinates: where it lies, how it moves with the head, how much of it stays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanner_agent.errors import SourceError
from scanner_agent.records import ScanHeader
from scanner_agent.sources import open_scan

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Voxel:
    """A box: centre (mm, RAS+), edge lengths (mm) along its own axes, and these axes as columns of a rotation."""

    position_mm: Matrix
    size_mm: Matrix
    axes: Matrix

    def corners(self) -> Matrix:
        """(8, 3) corners, mm."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
        return self.position_mm + (signs * self.size_mm / 2.0) @ self.axes.T

    def moved(self, motion: Matrix) -> Voxel:
        """The voxel that holds the same tissue after the head made `motion` (4, 4)."""
        return Voxel(motion[:3, :3] @ self.position_mm + motion[:3, 3], self.size_mm, motion[:3, :3] @ self.axes)

    def share_of(self, other: Voxel, points_per_edge: int = 32) -> float:
        """Share (0-1) of this voxel's volume that lies inside `other`, on a regular grid of points (to 1 %)."""
        steps = (np.arange(points_per_edge) + 0.5) / points_per_edge - 0.5
        grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3) * self.size_mm
        inside = np.abs((self.position_mm + grid @ self.axes.T - other.position_mm) @ other.axes) <= other.size_mm / 2.0
        return float(inside.all(axis=1).mean())


def voxel_of_header(header: ScanHeader) -> Voxel:
    """The voxel of a scan's header.

    Raises:
        SourceError: The header does not say where it lies.
    """
    position, size, axes = header.voxel_position_mm, header.voxel_size_mm, header.voxel_orientation
    if position is None or size is None or axes is None:
        raise SourceError("the scan does not say where its voxel lies; give the voxel by its numbers")
    return Voxel(np.asarray(position), np.asarray(size), np.asarray(axes))


def voxel_of_file(path: Path) -> Voxel:
    """The voxel of a spectroscopy file of any format that `open_scan` reads.

    Raises:
        SourceError: Unreadable, or it does not say where the voxel lies.
    """
    try:
        return voxel_of_header(open_scan(path).header)
    except SourceError as error:
        raise SourceError(str(error) if path.name in str(error) else f"{path.name}: {error}") from None


def rotation_of(vector_deg: Matrix) -> Matrix:
    """(3, 3) rotation by the length of a vector (degrees) about its direction (Rodrigues)."""
    angle = float(np.radians(np.linalg.norm(vector_deg)))
    if angle == 0.0:
        return np.eye(3)
    x, y, z = np.radians(vector_deg) / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    turned: Matrix = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross
    return turned


def rotation_vector_deg(rotation: Matrix) -> Matrix:
    """Vector of `rotation_of` for a rotation of less than 180 degrees."""
    skew = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    sine, cosine = float(np.linalg.norm(skew)) / 2.0, (float(np.trace(rotation)) - 1.0) / 2.0
    angle = np.degrees(np.arctan2(sine, cosine))
    vector: Matrix = skew / (2.0 * sine) * angle if sine > 1e-12 else np.zeros(3)
    return vector
