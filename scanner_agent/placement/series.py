"""DICOM image series -> stacks: classic and enhanced multi-frame objects of any vendor."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError

from scanner_agent.errors import SourceError
from scanner_agent.placement.volumes import Images, Stack, checked_stack, read_nifti_images
from scanner_agent.sources import started_at

_TO_RAS = np.array([-1.0, -1.0, 1.0])
_MOST_FILES = 5000
_SPECTRA = ("1.2.840.10008.5.1.4.1.1.4.2", "1.3.12.2.1107.5.9.1")


@dataclass(frozen=True)
class _Slice:
    """One frame with its geometry (LPS, DICOM's own)."""

    pixels: NDArray[np.float32]
    row_axis: NDArray[np.float64]
    column_axis: NDArray[np.float64]
    position: NDArray[np.float64]
    spacing: tuple[float, float]
    thickness: float

    @property
    def normal(self) -> NDArray[np.float64]:
        return np.asarray(np.cross(self.row_axis, self.column_axis), dtype=np.float64)

    def is_like(self, other: _Slice) -> bool:
        """Whether both can be of one stack; scanners that compute each frame's direction differ in the last digits."""
        mine, its = ([*one.row_axis, *one.column_axis, *one.spacing] for one in (self, other))
        return self.pixels.shape == other.pixels.shape and bool(np.allclose(mine, its, rtol=0.0, atol=1e-3))


def read_images(paths: list[Path]) -> Images:
    """A planning volume or localiser: NIfTI files, DICOM files, or folders of DICOM files.

    Raises:
        SourceError: Nothing readable, several series, several people, missing slices, or no geometry. One line.
    """
    for path in paths:
        if not path.exists():
            raise SourceError(f"{path.name}: does not exist; check the name")
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    files = [
        file for file in files if file.is_file() and file.name.upper() != "DICOMDIR" and not file.name.startswith(".")
    ]
    if not files:
        raise SourceError(f"{paths[0].name}: holds no files; name the folder of one series")
    if len(files) > _MOST_FILES:
        raise SourceError(f"{paths[0].name}: holds {len(files)} files; name the folder of one series")
    nifti = [file for file in files if file.name.lower().endswith((".nii", ".nii.gz"))]
    if nifti and len(nifti) == len(files):
        return read_nifti_images(nifti)
    return _read_dicom(paths[0].name, [file for file in files if file not in nifti])


def _read_dicom(name: str, files: list[Path]) -> Images:
    datasets = []
    for file in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset: Any = pydicom.dcmread(file)
        except (InvalidDicomError, OSError, EOFError, ValueError, KeyError):
            continue
        if "PixelData" in dataset and str(dataset.get("SOPClassUID")) not in _SPECTRA:
            datasets.append(dataset)
    if not datasets:
        raise SourceError(f"{name}: holds no DICOM or NIfTI image; name the folder of one series")
    for keyword, what in (
        ("SeriesInstanceUID", "series"),
        ("PatientID", "people"),
        ("FrameOfReferenceUID", "frames of reference"),
    ):
        found = {str(dataset.get(keyword) or "") for dataset in datasets}
        if len(found) > 1:
            raise SourceError(f"{name}: holds images of {len(found)} {what}; name the folder of one series")
    slices = [one for dataset in datasets for one in _slices(name, dataset)]
    stacks = _stacks(name, slices)
    first = datasets[0]
    times = [time for dataset in datasets if (time := started_at(dataset)) is not None]
    return Images(
        name, stacks, min(times, default=None), _hash(first.get("PatientID")), _hash(first.get("FrameOfReferenceUID"))
    )


def _hash(value: Any) -> str | None:
    return hashlib.sha256(str(value).encode()).hexdigest() if value else None


def _slices(name: str, dataset: Any) -> list[_Slice]:
    """Frames of one object, whichever way it stores them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = np.asarray(dataset.pixel_array, dtype=np.float32)
    except (ValueError, RuntimeError, AttributeError, NotImplementedError, KeyError, TypeError):
        raise SourceError(f"{name}: its pixels cannot be decoded; export the series uncompressed") from None
    if pixels.ndim == 2:
        pixels = pixels[None]
    if pixels.ndim != 3:
        raise SourceError(f"{name}: holds colour pictures; give the original series")
    groups = list(dataset.get("PerFrameFunctionalGroupsSequence") or [None] * pixels.shape[0])
    if len(groups) != pixels.shape[0]:
        raise SourceError(f"{name}: tells the place of {len(groups)} of its {pixels.shape[0]} frames; export it again")
    shared = next(iter(dataset.get("SharedFunctionalGroupsSequence") or []), None)
    try:
        return [_slice(dataset, shared, group, frame) for group, frame in zip(groups, pixels, strict=True)]
    except (TypeError, ValueError, IndexError):
        raise SourceError(f"{name}: does not say where its slices lie; give the original series") from None


def _slice(dataset: Any, shared: Any, group: Any, frame: NDArray[np.float32]) -> _Slice:
    def told(sequence: str, attribute: str) -> Any:
        for holder in (group, shared):
            for item in list((holder.get(sequence) if holder is not None else None) or [])[:1]:
                if item.get(attribute) is not None:
                    return item.get(attribute)
        return dataset.get(attribute)

    orientation = [float(v) for v in told("PlaneOrientationSequence", "ImageOrientationPatient")]
    position = [float(v) for v in told("PlanePositionSequence", "ImagePositionPatient")]
    down, across = (float(v) for v in told("PixelMeasuresSequence", "PixelSpacing"))
    thickness = float(told("PixelMeasuresSequence", "SliceThickness") or 0.0)
    slope = told("PixelValueTransformationSequence", "RescaleSlope")
    offset = told("PixelValueTransformationSequence", "RescaleIntercept")
    if len(orientation) != 6 or len(position) != 3:
        raise ValueError("geometry")
    values = frame * np.float32(1.0 if slope is None else slope) + np.float32(0.0 if offset is None else offset)
    return _Slice(
        values, np.array(orientation[:3]), np.array(orientation[3:]), np.array(position), (across, down), thickness
    )


def _stacks(name: str, slices: list[_Slice]) -> tuple[Stack, ...]:
    """Slices of like geometry put in order; each stack must be evenly spaced."""
    groups: list[list[_Slice]] = []
    for one in slices:
        group = next((group for group in groups if one.is_like(group[0])), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    stacks = []
    for group in groups:
        normal = group[0].normal
        ordered = sorted(group, key=lambda one: float(one.position @ normal))
        along = np.array([float(one.position @ normal) for one in ordered])
        steps = np.diff(along)
        if steps.size and steps.min() < 1e-3:
            raise SourceError(f"{name}: has two slices at one place (several echoes or repeats); give one of them")
        if steps.size and steps.max() > 1.05 * steps.min() + 0.01:
            raise SourceError(
                f"{name}: slices are missing (distances {steps.min():.1f} to {steps.max():.1f} mm); give all of them"
            )
        first = ordered[0]
        distance = float(steps.mean()) if steps.size else max(first.thickness, 1.0)
        affine = np.eye(4)
        affine[:3, 0] = first.row_axis * first.spacing[0] * _TO_RAS
        affine[:3, 1] = first.column_axis * first.spacing[1] * _TO_RAS
        affine[:3, 2] = first.normal * distance * _TO_RAS
        affine[:3, 3] = first.position * _TO_RAS
        data = np.stack([one.pixels.T for one in ordered], axis=-1)
        stacks.append(checked_stack(name, data, affine, first.thickness or None))
    return tuple(stacks)
