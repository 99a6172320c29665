"""Planning volumes and localisers as stacks of parallel slices, from NIfTI files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from scanner_agent.errors import SourceError

_LARGEST_SHEAR = 0.02


@dataclass(frozen=True)
class Stack:
    """Parallel slices of one geometry."""

    data: NDArray[np.float32]
    """(columns, rows, slices), arbitrary units."""
    affine: NDArray[np.float64]
    """(4, 4): indices to mm, RAS+; centres of voxels."""
    thickness_mm: float
    """Thickness of a slice; less than the distance of slices if there are gaps."""

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """Distance of voxel centres along columns, rows, slices."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0), dtype=np.float64)

    def centre_mm(self) -> NDArray[np.float64]:
        """Middle of the stack."""
        return self.affine[:3, :3] @ ((np.asarray(self.data.shape) - 1) / 2.0) + self.affine[:3, 3]


@dataclass(frozen=True)
class Images:
    """One series: a 3D volume, or the stacks of a localiser."""

    name: str
    """File or folder, for messages."""
    stacks: tuple[Stack, ...]
    acquired_at: float | None = None
    """Start, seconds on the scanner's clock."""
    subject: str | None = None
    """Hash that tells whether two series are of one person; never passed on."""
    frame_of_reference: str | None = None
    """Hash of DICOM's frame of reference: another one means that the coordinates were set anew."""


def checked_stack(name: str, data: NDArray[Any], affine: NDArray[Any], thickness_mm: float | None = None) -> Stack:
    """A stack whose geometry makes sense.

    Raises:
        SourceError: Not finite, empty, sheared, or of absurd size.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if data.ndim != 3 or min(data.shape) < 1 or max(data.shape) < 16:
        raise SourceError(f"{name}: has {' x '.join(map(str, data.shape))} voxels; give a volume or a localiser")
    if not np.isfinite(affine).all() or spacing.min() < 0.1 or spacing.max() > 60.0:
        raise SourceError(f"{name}: its geometry is missing or absurd; export it again")
    axes = affine[:3, :3] / spacing
    if np.abs(axes.T @ axes - np.eye(3)).max() > _LARGEST_SHEAR:
        raise SourceError(f"{name}: its slices are sheared; give the series as acquired")
    values = np.nan_to_num(np.asarray(data, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if float(values.max()) <= float(values.min()):
        raise SourceError(f"{name}: holds no picture (all values alike); export it again")
    return Stack(values, np.asarray(affine, dtype=np.float64), thickness_mm or float(spacing[2]))


def read_nifti_images(paths: list[Path]) -> Images:
    """One series from NIfTI files, one for each stack.

    Raises:
        SourceError: Unreadable, or no picture in scanner coordinates.
    """
    stacks = []
    for path in paths:
        try:
            image: Any = nib.load(path)
            data = np.asanyarray(image.dataobj)
            header = image.header
        except (ImageFileError, EOFError, OSError, ValueError, TypeError):
            raise SourceError(f"{path.name}: is no readable NIfTI image; copy or convert it again") from None
        if np.iscomplexobj(data) or not isinstance(image, nib.Nifti1Pair):
            raise SourceError(f"{path.name}: is no NIfTI picture; give the magnitude image")
        if int(header["qform_code"]) == 0 and int(header["sform_code"]) == 0:
            raise SourceError(f"{path.name}: does not say where its voxels lie (no qform, no sform); convert it again")
        data = data[..., 0] if data.ndim == 4 and data.shape[3] == 1 else data
        stacks.append(checked_stack(path.name, data, image.affine))
    return Images(paths[0].name, tuple(stacks))
