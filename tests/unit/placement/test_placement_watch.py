"""Only settled series are handed out, once each."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from scanner_agent.placement.watch import SeriesWatcher


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def write_dicom(path: Path, series: str) -> Path:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID = (
        meta.MediaStorageSOPClassUID,
        "1.2.3",
        series,
    )
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_a_series_is_handed_out_when_nothing_changes_any_more(tmp_path: Path) -> None:
    clock = Clock()
    write_dicom(tmp_path / "old.dcm", "1.1")
    watcher = SeriesWatcher(tmp_path, settle_s=5.0, clock=clock)
    first = write_dicom(tmp_path / "a1.dcm", "1.2")
    assert watcher.settled() == []
    clock.now = 4.0
    second = write_dicom(tmp_path / "a2.dcm", "1.2")
    other = write_dicom(tmp_path / "b1.dcm", "1.3")
    (tmp_path / "notes.txt").write_text("no image")
    assert watcher.settled() == []
    clock.now = 8.0
    assert watcher.settled() == []
    clock.now = 9.5
    assert sorted(watcher.settled()) == [[first, second], [other]]
    clock.now = 20.0
    assert watcher.settled() == []
    third = write_dicom(tmp_path / "a3.dcm", "1.2")
    watcher.settled()
    clock.now = 26.0
    assert watcher.settled() == [[first, second, third]]


def test_nifti_planes_that_come_together_are_one_localiser_and_later_ones_another(tmp_path: Path) -> None:
    """Converters write a file for each plane."""
    clock = Clock()
    watcher = SeriesWatcher(tmp_path, settle_s=1.0, clock=clock)
    planes = [tmp_path / f"loc_{n}.nii.gz" for n in range(3)]
    for plane in planes:
        plane.write_bytes(b"x")
    assert watcher.settled() == []
    clock.now = 2.0
    assert watcher.settled() == [planes]
    assert watcher.settled() == []
    later = tmp_path / "later.nii"
    later.write_bytes(b"x")
    watcher.settled()
    clock.now = 4.0
    assert watcher.settled() == [[later]]
    planes[0].write_bytes(b"written again")
    watcher.settled()
    clock.now = 6.0
    assert watcher.settled() == [[planes[0]]]


def test_nifti_files_and_sub_folders(tmp_path: Path) -> None:
    clock = Clock()
    watcher = SeriesWatcher(tmp_path, settle_s=1.0, clock=clock)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/x.nii.gz").write_bytes(b"x")
    assert watcher.settled() == []
    clock.now = 2.0
    assert watcher.settled() == [[tmp_path / "sub/x.nii.gz"]]
