"""NIfTI affine <-> centre, size and orientation of the voxel, RAS+ scanner coordinates in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner_agent.records import ScanHeader, Vector3

NO_POSITION_MM = 10_000.0
"""Edge length by which NIfTI-MRS says that the voxel's place is not known (Clarke 2022, 10.1002/mrm.29418)."""


@dataclass(frozen=True)
class VoxelPlace:
    """Where a voxel lies."""

    position_mm: Vector3
    size_mm: Vector3
    orientation: tuple[Vector3, Vector3, Vector3]
    """Rotation matrix by rows; its columns are the voxel's axes."""

    def fields(self) -> dict[str, object]:
        """The same by the names of `records.ScanHeader`."""
        return {
            "voxel_position_mm": self.position_mm,
            "voxel_size_mm": self.size_mm,
            "voxel_orientation": self.orientation,
        }


def vector(values: NDArray[np.float64]) -> Vector3:
    """Three Python floats, none of them -0."""
    return float(values[0]) + 0.0, float(values[1]) + 0.0, float(values[2]) + 0.0


def place_of_affine(affine: NDArray[np.float64]) -> VoxelPlace | None:
    """Place of the one voxel of a (4, 4) affine; None if it is the placeholder, singular or sheared."""
    edges = np.asarray(affine, dtype=np.float64)[:3, :3]
    size = np.linalg.norm(edges, axis=0)
    if not np.isfinite(affine).all() or size.min() < 0.1 or size.max() > 1000.0:
        return None
    axes = edges / size
    if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-3):
        return None
    if np.linalg.det(axes) < 0:
        axes = axes * [1.0, 1.0, -1.0]  # a box has no handedness: turn one axis round to have a rotation
    place = np.asarray(affine, dtype=np.float64)[:3, 3]
    return VoxelPlace(vector(place), vector(size), (vector(axes[0]), vector(axes[1]), vector(axes[2])))


def affine_of_header(header: ScanHeader) -> NDArray[np.float64]:
    """(4, 4) affine of the header's voxel, or NIfTI-MRS's placeholder if the place is not known whole."""
    affine = np.diag([NO_POSITION_MM, NO_POSITION_MM, NO_POSITION_MM, 1.0])
    position, size, axes = header.voxel_position_mm, header.voxel_size_mm, header.voxel_orientation
    if position is not None and size is not None and axes is not None:
        affine[:3, :3] = np.asarray(axes) * np.asarray(size)
        affine[:3, 3] = position
    return affine


def angle_between_deg(first: tuple[Vector3, Vector3, Vector3], second: tuple[Vector3, Vector3, Vector3]) -> float:
    """Largest angle (degrees, 0-90) between like axes of two boxes; the sign of an axis does not matter."""
    cosines = np.abs(np.sum(np.asarray(first) * np.asarray(second), axis=0))
    return float(np.degrees(np.arccos(np.clip(cosines.min(), 0.0, 1.0))))
