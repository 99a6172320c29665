"""DICOM series of stacks, classic and enhanced multi-frame, as the vendors' scanners export them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from scanner_agent.placement.volumes import Stack

SERIES = {name: generate_uid() for name in ("a", "b", "frame")}


def _base(path: Path, **more: Any) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = SERIES["a"], SERIES["frame"]
    dataset.PatientID, dataset.PatientName, dataset.Modality = "ID1", "Doe^Jane", "MR"
    dataset.AcquisitionDate, dataset.AcquisitionTime = "20260101", "120000"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    for name, value in more.items():
        setattr(dataset, name, value)
    return dataset


def _geometry(stack: Stack, index: int) -> dict[str, list[float] | float]:
    lps = np.diag([-1.0, -1.0, 1.0])
    columns = lps @ stack.affine[:3, :3]
    position = lps @ (stack.affine[:3, :3] @ [0, 0, index] + stack.affine[:3, 3])
    spacing = stack.spacing_mm
    return {
        "ImageOrientationPatient": [*(columns[:, 0] / spacing[0]), *(columns[:, 1] / spacing[1])],
        "ImagePositionPatient": list(position), "PixelSpacing": [spacing[1], spacing[0]],
        "SliceThickness": stack.thickness_mm,
    }  # fmt: skip


def write_classic(folder: Path, stack: Stack, **more: Any) -> None:
    folder.mkdir(exist_ok=True)
    start = len(list(folder.iterdir()))
    for index in range(stack.data.shape[2]):
        path = folder / f"{start + index:04d}.dcm"
        dataset = _base(path, **{**{k: v for k, v in _geometry(stack, index).items()}, **more})  # noqa: C416
        dataset.Columns, dataset.Rows = stack.data.shape[:2]
        dataset.PixelData = stack.data[:, :, index].T.astype("<u2").tobytes()
        dataset.save_as(path, enforce_file_format=True)


def write_enhanced(
    path: Path, *stacks: Stack, shared: tuple[str, ...] = (), slope: float | None = None, order: int | None = None
) -> None:
    """One multi-frame object. `shared`: sequences told once for all frames; `slope`: values are stored divided by it;
    `order`: seed of the order of frames.
    """
    dataset = _base(path, SOPClassUID="1.2.840.10008.5.1.4.1.1.4.1")
    dataset.Columns, dataset.Rows = stacks[0].data.shape[:2]
    frames = [_frame(stack, index, slope) for stack in stacks for index in range(stack.data.shape[2])]
    if order is not None:
        frames = [frames[i] for i in np.random.default_rng(order).permutation(len(frames))]
    dataset.NumberOfFrames = len(frames)
    common = Dataset()
    for name in shared:
        setattr(common, name, frames[0][0][name].value)
        for frame, _ in frames:
            delattr(frame, name)
    dataset.SharedFunctionalGroupsSequence = [common]
    dataset.PerFrameFunctionalGroupsSequence = [frame for frame, _ in frames]
    dataset.PixelData = np.stack([pixels for _, pixels in frames]).astype("<u2").tobytes()
    dataset.save_as(path, enforce_file_format=True)


def _frame(stack: Stack, index: int, slope: float | None) -> tuple[Dataset, np.ndarray]:
    told, frame = _geometry(stack, index), Dataset()
    parts = [
        ("PlaneOrientationSequence", ["ImageOrientationPatient"]),
        ("PlanePositionSequence", ["ImagePositionPatient"]),
        ("PixelMeasuresSequence", ["PixelSpacing", "SliceThickness"]),
    ]
    if slope is not None:
        told |= {"RescaleSlope": slope, "RescaleIntercept": 0.0}
        parts.append(("PixelValueTransformationSequence", ["RescaleSlope", "RescaleIntercept"]))
    for sequence, names in parts:
        item = Dataset()
        for name in names:
            setattr(item, name, told[name])
        setattr(frame, sequence, [item])
    return frame, stack.data[:, :, index].T / (slope or 1.0)
