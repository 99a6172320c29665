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
from scanner_agent.placement.voxel import rotation_of
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


ENHANCED = {
    "Siemens": {"shared": ("PlaneOrientationSequence", "PixelMeasuresSequence")},
    "Philips": {"slope": 4.0, "order": 1},
    "GE": {"shared": ("PixelMeasuresSequence",)},
}


@pytest.mark.parametrize("vendor", ENHANCED)
def test_each_vendor_s_multi_frame_object_is_read_as_it_lies(tmp_path: Path, vendor: str) -> None:
    stack = some_stack(3)
    stack = Stack(4.0 * np.floor(stack.data / 4.0), stack.affine, stack.thickness_mm)
    write_enhanced(tmp_path / "e.dcm", stack, **ENHANCED[vendor])
    (read,) = read_images([tmp_path / "e.dcm"]).stacks
    np.testing.assert_array_equal(read.data, stack.data)
    np.testing.assert_allclose(read.affine, stack.affine, atol=1e-6)
    assert read.thickness_mm == 5.0


def planes_about(seed: int) -> list[Stack]:
    """Three planes, nearly along the axes, of one shape."""
    tilt = rotation_of(np.random.default_rng(seed).normal(size=3) * 3.0)
    stacks = []
    for number, columns in enumerate(([0, 1, 2], [0, 2, 1], [1, 2, 0])):
        affine = np.eye(4)
        affine[:3, :3] = tilt @ np.eye(3)[:, columns]
        affine[:3, 2] *= np.sign(np.linalg.det(affine[:3, :3]))
        affine[:3, :3] *= [1.5, 1.5, 10.0]
        data = np.random.default_rng([seed, number]).integers(1, 4000, (32, 32, 3)).astype(np.float32)
        stacks.append(Stack(data, affine, 5.0))
    return stacks


@pytest.mark.parametrize("layout", ["classic", "one multi-frame object", "a multi-frame object for each plane"])
def test_three_planes_are_three_stacks(tmp_path: Path, layout: str) -> None:
    planes = planes_about(2)
    for number, plane in enumerate(planes):
        if layout == "classic":
            write_classic(tmp_path, plane)
        elif layout.startswith("a "):
            write_enhanced(tmp_path / f"{number}.dcm", plane)
    if layout.startswith("one"):
        write_enhanced(tmp_path / "all.dcm", *planes, order=3)
    read = read_images([tmp_path]).stacks
    assert len(read) == 3
    for plane in planes:
        (same,) = [r for r in read if np.allclose(r.affine, plane.affine, atol=1e-4)]
        np.testing.assert_array_equal(same.data, plane.data)


def test_orientations_that_differ_by_rounding_are_one_stack(tmp_path: Path) -> None:
    """Some scanners compute each frame's direction anew: the last digits differ."""
    stack = some_stack(4)
    write_classic(tmp_path / "s", stack)
    for number, path in enumerate(sorted((tmp_path / "s").iterdir())):
        dataset = pydicom.dcmread(path)
        told = [round(float(v), 3) + 0.0005 + 1e-6 * (-1) ** number for v in dataset.ImageOrientationPatient]
        dataset.ImageOrientationPatient = told
        dataset.save_as(path)
    assert len(read_images([tmp_path / "s"]).stacks) == 1


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
