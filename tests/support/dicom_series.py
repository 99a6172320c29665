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


def write_enhanced(path: Path, stack: Stack) -> None:
    dataset = _base(path, SOPClassUID="1.2.840.10008.5.1.4.1.1.4.1")
    dataset.NumberOfFrames = stack.data.shape[2]
    dataset.Columns, dataset.Rows = stack.data.shape[:2]
    frames = []
    for index in range(stack.data.shape[2]):
        told, frame = _geometry(stack, index), Dataset()
        for sequence, names in (
            ("PlaneOrientationSequence", ["ImageOrientationPatient"]),
            ("PlanePositionSequence", ["ImagePositionPatient"]),
            ("PixelMeasuresSequence", ["PixelSpacing", "SliceThickness"]),
        ):
            item = Dataset()
            for name in names:
                setattr(item, name, told[name])
            setattr(frame, sequence, [item])
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.PixelData = np.moveaxis(stack.data, (0, 1, 2), (2, 1, 0)).astype("<u2").tobytes()
    dataset.save_as(path, enforce_file_format=True)
