"""The spool: identities, recovery, sealing, retention, reading while it grows."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import numpy as np
import pytest

from scanner_agent.errors import RemoteProtocolError, SpoolError
from scanner_agent.records import EndStatus, ScanEnd, ScanHeader, Shot, ShotKind
from scanner_agent.spool import DONE, OPEN, SEALED, Spool, SpoolReader, damaged_at, list_scans, scan_key, summary
from tests.support.live import header, shot


def _filled(folder: Path, n_shots: int = 3, *, end: bool = False, scan_id: str = "scan") -> Spool:
    spool = Spool(folder)
    scan = header(scan_id)
    spool.put(scan)
    for index in range(n_shots):
        spool.put(shot(scan, index))
    if end:
        spool.put(ScanEnd(scan_id=scan_id, status=EndStatus.COMPLETE))
    assert spool.sync() == {}
    return spool


def test_the_folder_is_private_and_no_name_comes_from_the_wire(tmp_path: Path) -> None:
    _filled(tmp_path / "spool").close()
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
    for path in (tmp_path / "spool").iterdir():
        assert "scan" not in path.name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_same_shot_again_is_a_duplicate_and_other_content_a_conflict(tmp_path: Path) -> None:
    spool = _filled(tmp_path)
    scan = header("scan")
    assert spool.put(shot(scan, 1))
    with pytest.raises(RemoteProtocolError) as caught:
        spool.put(shot(scan, 1, seed=9))
    assert caught.value.reason == "conflict"
    with pytest.raises(RemoteProtocolError):
        spool.put(header("scan", n_coils=5))
    assert not spool.put(shot(scan, 1, ShotKind.NOISE))
    spool.close()


def test_recovery_finds_what_was_synced_and_knows_the_duplicates(tmp_path: Path) -> None:
    _filled(tmp_path, 5).close()
    path = tmp_path / f"{scan_key('scan')}{OPEN}"
    with path.open("ab") as file:
        file.write(b"REC1 a torn tail")
    spool = Spool(tmp_path)
    scan = spool.find("scan")
    assert scan is not None
    assert scan.have() == {"metabolite": ((0, 4),)}
    assert spool.put(shot(header("scan"), 4))
    assert not spool.put(shot(header("scan"), 7))
    assert scan.gaps() == ((5, 6),)
    assert scan.gaps(10) == ((5, 6), (8, 9))
    spool.sync()
    spool.close()
    assert damaged_at(path) is None


def test_a_scan_goes_from_open_to_sealed_to_done_to_forgotten(tmp_path: Path) -> None:
    spool = _filled(tmp_path, end=True)
    key = scan_key("scan")
    assert (tmp_path / f"{key}{SEALED}").exists()
    assert [(s.header.scan_id, s.ended) for s in spool.unfinished()] == [("scan", True)]
    spool.mark_done("scan")
    assert (tmp_path / f"{key}{DONE}").exists()
    assert spool.unfinished() == []
    again = spool.find("scan")  # read back for duplicates that come late
    assert again is not None
    assert spool.put(shot(header("scan"), 0))
    spool.close()
    spool = Spool(tmp_path)
    assert spool.retain(max_age_s=3600.0, max_bytes=10**9, now=time.time()) == 0
    assert spool.retain(max_age_s=3600.0, max_bytes=10**9, now=time.time() + 7200.0) == 1
    assert list_scans(tmp_path) == []
    assert spool.was_forgotten("scan")
    spool.close()
    spool = Spool(tmp_path)
    assert spool.was_forgotten("scan")
    spool.close()


def test_retention_by_size_takes_the_oldest_finished_scans_only(tmp_path: Path) -> None:
    for i in range(3):
        spool = _filled(tmp_path, end=i < 2, scan_id=f"scan-{i}")
        if i < 2:
            spool.mark_done(f"scan-{i}")
        spool.close()
    spool = Spool(tmp_path)
    assert spool.retain(max_age_s=1e9, max_bytes=1, now=time.time()) == 2
    assert [path.suffix for path in list_scans(tmp_path)] == [OPEN]
    spool.close()


def test_a_reader_follows_up_to_what_is_synced_and_replays_in_canonical_order(tmp_path: Path) -> None:
    spool = _filled(tmp_path, 0)
    scan = header("scan")
    for kind, index in (
        (ShotKind.METABOLITE, 1),
        (ShotKind.WATER_REFERENCE, 0),
        (ShotKind.METABOLITE, 0),
        (ShotKind.NOISE, 0),
    ):
        spool.put(shot(scan, index, kind))
    reader = SpoolReader(tmp_path, "scan")
    file = spool.find("scan")
    assert file is not None
    size = file.file.synced_size
    assert isinstance(reader.next(size), ScanHeader)
    assert reader.next(size) is None
    spool.sync()
    records = [reader.next(file.file.synced_size) for _ in range(5)]
    assert records[4] is None
    assert reader.position == 5
    got = [(s.shot_kind.value, s.shot_index) for s in reader.replay()]
    assert got == [("noise", 0), ("water_reference", 0), ("metabolite", 0), ("metabolite", 1)]
    first = next(s for s in reader.replay() if s.shot_kind is ShotKind.METABOLITE)
    np.testing.assert_array_equal(first.data, shot(scan, 0).data)
    spool.put(ScanEnd(scan_id="scan", status=EndStatus.ABORTED, reason="x"))
    spool.sync()  # renames the file under the reader
    assert isinstance(reader.next(), ScanEnd)
    assert len(list(reader.replay())) == 4
    reader.close()
    line = summary(next(iter(list_scans(tmp_path))))
    assert (line.scan_id, line.state, line.n_shots["metabolite"]) == ("scan", "sealed", 2)
    spool.close()


def test_a_damaged_file_is_told_apart_and_does_not_stop_the_others(tmp_path: Path) -> None:
    _filled(tmp_path, 2, scan_id="good").close()
    _filled(tmp_path, 2, scan_id="bad").close()
    path = tmp_path / f"{scan_key('bad')}{OPEN}"
    path.write_bytes(b"x" * 16 + path.read_bytes()[16:])
    spool = Spool(tmp_path)
    assert spool.find("good") is not None
    assert len(spool.problems) == 1
    with pytest.raises(SpoolError):
        spool.find("bad")
    spool.close()


def test_a_file_without_a_header_was_never_acknowledged_and_goes(tmp_path: Path) -> None:
    _filled(tmp_path, 0).close()
    path = tmp_path / f"{scan_key('scan')}{OPEN}"
    path.write_bytes(path.read_bytes()[:20])
    spool = Spool(tmp_path)
    assert spool.find("scan") is None
    assert not path.exists()
    assert spool.problems == {}
    spool.close()


def test_a_shot_keeps_every_field(tmp_path: Path) -> None:
    scan = header("scan")
    full = Shot(
        scan_id="scan",
        shot_kind=ShotKind.METABOLITE,
        shot_index=3,
        data=shot(scan, 3).data,
        edit_condition="off",
        n_excitations=8,
        phase_cycle_index=2,
        is_dummy=True,
        acquired_at=1e9,
        frequency_update_hz=-3.5,
    )
    spool = Spool(tmp_path)
    spool.put(scan)
    spool.put(full)
    spool.sync()
    reader = SpoolReader(tmp_path, "scan")
    assert reader.next() == scan
    back = reader.next()
    assert isinstance(back, Shot)
    for field in Shot.__struct_fields__:
        if field != "data":
            assert getattr(back, field) == getattr(full, field)
    reader.close()
    spool.close()
