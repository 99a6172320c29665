"""DICOM series in, classic and enhanced; what does not belong together is refused."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from scanner_agent.errors import SourceError
from scanner_agent.placement import read_images
from scanner_agent.placement.volumes import Stack
from tests.support.dicom_series import SERIES, write_classic, write_enhanced


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
