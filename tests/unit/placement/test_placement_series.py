"""DICOM series in, classic and enhanced; what does not belong together is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from scanner_agent.errors import SourceError
from scanner_agent.placement import read_images
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


def some_stack(seed: int = 0, n: tuple[int, int, int] = (24, 20, 6)) -> Stack:
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    affine = np.eye(4)
    # DICOM's slice normal is rows x columns in LPS; a right-handed RAS matrix has the same handedness.
    affine[:3, :3] = turn * [1.5, 2.0, 6.0]
    affine[:3, 3] = rng.uniform(-50, 50, 3)
    return Stack(rng.integers(1, 4000, n).astype(np.float32), affine, 5.0)


def test_classic_series_is_read_as_it_lies(tmp_path: Path) -> None:
    stack = some_stack()
    write_classic(tmp_path / "s", stack)
    images = read_images([tmp_path / "s"])
    (read,) = images.stacks
    np.testing.assert_array_equal(read.data, stack.data)
    np.testing.assert_allclose(read.affine, stack.affine, atol=1e-6)
    assert read.thickness_mm == 5.0
    assert images.acquired_at is not None
    assert "Doe" not in repr(images)
    assert "ID1" not in repr(images)


def test_enhanced_object_is_read_as_it_lies(tmp_path: Path) -> None:
    stack = some_stack(3)
    write_enhanced(tmp_path / "e.dcm", stack)
    (read,) = read_images([tmp_path / "e.dcm"]).stacks
    np.testing.assert_array_equal(read.data, stack.data)
    np.testing.assert_allclose(read.affine, stack.affine, atol=1e-6)


def test_three_planes_of_one_series_are_three_stacks(tmp_path: Path) -> None:
    for seed in range(3):
        write_classic(tmp_path / "s", some_stack(seed))
    assert len(read_images([tmp_path / "s"]).stacks) == 3


def test_nifti_agrees_with_dicom(tmp_path: Path) -> None:
    stack = some_stack(5)
    nib.save(nib.Nifti1Image(stack.data, stack.affine), tmp_path / "x.nii.gz")
    (read,) = read_images([tmp_path / "x.nii.gz"]).stacks
    np.testing.assert_array_equal(read.data, stack.data)
    np.testing.assert_allclose(read.affine, stack.affine, atol=1e-4)


def test_missing_slices_mixed_series_and_people_are_refused(tmp_path: Path) -> None:
    write_classic(tmp_path / "s", some_stack())
    (tmp_path / "s/0002.dcm").unlink()
    with pytest.raises(SourceError, match=r"^s: slices are missing"):
        read_images([tmp_path / "s"])
    write_classic(tmp_path / "m", some_stack())
    write_classic(tmp_path / "m", some_stack(1), SeriesInstanceUID=SERIES["b"])
    with pytest.raises(SourceError, match=r"^m: holds images of 2 series"):
        read_images([tmp_path / "m"])
    write_classic(tmp_path / "p", some_stack())
    write_classic(tmp_path / "p", some_stack(1), PatientID="ID2")
    with pytest.raises(SourceError, match=r"^p: holds images of 2 people"):
        read_images([tmp_path / "p"])
    write_classic(tmp_path / "d", some_stack())
    write_classic(tmp_path / "d", some_stack())
    with pytest.raises(SourceError, match="two slices at one place"):
        read_images([tmp_path / "d"])


def test_what_is_no_image_is_refused(tmp_path: Path, shared_data: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        read_images([tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds no files"):
        read_images([tmp_path / "empty"])
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(SourceError, match="no DICOM or NIfTI"):
        read_images([tmp_path / "x.txt"])
    (tmp_path / "x.nii").write_bytes(b"hello")
    with pytest.raises(SourceError, match="no readable NIfTI"):
        read_images([tmp_path / "x.nii"])
    with pytest.raises(SourceError, match="no DICOM or NIfTI"):
        read_images([shared_data / "real/siemens_3t_invivo_press30/noecc.dcm"])
    with pytest.raises(SourceError, match="no NIfTI picture"):
        read_images([shared_data / "real/siemens_7t_steam_4ch_16shots/ecc.nii.gz"])
    dataset = pydicom.dcmread(_without_geometry(tmp_path))
    assert "ImagePositionPatient" not in dataset
    with pytest.raises(SourceError, match="where its slices lie"):
        read_images([tmp_path / "g"])


def _without_geometry(tmp_path: Path) -> Path:
    write_classic(tmp_path / "g", some_stack())
    for path in (tmp_path / "g").iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.ImagePositionPatient
        dataset.save_as(path)
    return path
