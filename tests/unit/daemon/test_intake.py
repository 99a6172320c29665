"""What is taken and what is refused: issue by issue, the bad input that a scanner side can send."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import msgpack
import msgspec
import numpy as np
import pytest

from scanner_agent.config import AgentConfig, SpoolRules, WireLimits
from scanner_agent.daemon.intake import Intake
from scanner_agent.durable import Files
from scanner_agent.records import EndStatus, ScanEnd, Shot, ShotKind
from scanner_agent.spool import Spool
from scanner_agent.wire.codec import Ack, Ping, Pong, Refusal, Reply, Request, ScanStatus, StatusQuery, encode_request
from tests.support.live import header, shot

SCAN = header("scan")


class BadDisk(Files):
    def __init__(self) -> None:
        self.broken = False
        self.free = 10**12

    def sync(self, fd: int) -> None:
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync(fd)

    def sync_directory(self, path: Path) -> None:
        if self.broken:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        super().sync_directory(path)

    def free_bytes(self, path: Path) -> int:
        return self.free


@pytest.fixture
def disk() -> BadDisk:
    return BadDisk()


@pytest.fixture
def intake(tmp_path: Path, disk: BadDisk) -> Iterator[Intake]:
    config = AgentConfig(wire=WireLimits(max_payload_bytes=65536, max_open_scans=2), spool=SpoolRules())
    spool = Spool(tmp_path, disk)
    yield Intake(config, spool, instance="i", version="v")
    spool.close()


def _one(intake: Intake, request: Request) -> Reply:
    return intake.handle([encode_request(request)])[0]


def _refused(intake: Intake, request: Request) -> str:
    reply = _one(intake, request)
    assert isinstance(reply, Refusal)
    assert "\n" not in reply.text
    return reply.reason


def _begin(intake: Intake, scan_id: str = "scan") -> None:
    assert _one(intake, header(scan_id)) == Ack(of="header", scan_id=scan_id)


def test_a_scan_is_acknowledged_step_by_step(intake: Intake) -> None:
    _begin(intake)
    assert _one(intake, shot(SCAN, 0)) == Ack(of="shot", scan_id="scan", shot_kind="metabolite", shot_index=0)
    reply = _one(intake, shot(SCAN, 3))
    assert isinstance(reply, Ack)
    assert reply.missing == ((1, 2),)
    assert _one(intake, StatusQuery(scan_id="scan")) == ScanStatus(
        scan_id="scan", known=True, ended=False, have={"metabolite": ((0, 0), (3, 3))}
    )
    reply = _one(intake, ScanEnd(scan_id="scan", status=EndStatus.COMPLETE, n_shots=6))
    assert isinstance(reply, Ack)
    assert reply.missing == ((1, 2), (4, 5))
    assert intake.acknowledged == 2


def test_duplicates_are_acknowledged_again_and_other_content_is_refused(intake: Intake) -> None:
    _begin(intake)
    both = intake.handle([encode_request(shot(SCAN, 0)), encode_request(shot(SCAN, 0))])
    assert [isinstance(r, Ack) and r.duplicate for r in both] == [False, True]
    assert _refused(intake, shot(SCAN, 0, seed=1)) == "conflict"
    assert _refused(intake, header("scan", n_coils=4)) == "conflict"
    end = ScanEnd(scan_id="scan", status=EndStatus.COMPLETE)
    assert isinstance(_one(intake, end), Ack)
    again = _one(intake, end)
    assert isinstance(again, Ack)
    assert again.duplicate
    assert _refused(intake, ScanEnd(scan_id="scan", status=EndStatus.ABORTED)) == "conflict"
    late = _one(intake, shot(SCAN, 0))
    assert isinstance(late, Ack)
    assert late.duplicate
    assert _refused(intake, shot(SCAN, 1)) == "scan_ended"


def test_wrong_shape_and_unknown_scan(intake: Intake) -> None:
    assert _refused(intake, shot(SCAN, 0)) == "unknown_scan"
    assert _refused(intake, ScanEnd(scan_id="scan", status=EndStatus.COMPLETE)) == "unknown_scan"
    _begin(intake)
    for changes in ({"n_coils": 3}, {"n_points": 64}):
        assert _refused(intake, shot(header("scan", **changes), 0)) == "wrong_shape"


def test_nan_is_refused_and_zeros_are_kept(intake: Intake) -> None:
    _begin(intake)
    for value in (np.nan, np.inf, complex(0.0, -np.inf)):
        data = shot(SCAN, 0).data.copy()
        data[1, 77] = value
        bad = Shot(scan_id="scan", shot_kind=ShotKind.METABOLITE, shot_index=0, data=data)
        assert _refused(intake, bad) == "not_finite"
    zeros = Shot(scan_id="scan", shot_kind=ShotKind.METABOLITE, shot_index=0, data=np.zeros((2, 128), np.complex64))
    assert isinstance(_one(intake, zeros), Ack)


def test_other_nuclei_and_scans_too_large_are_refused(intake: Intake) -> None:
    assert _refused(intake, header("p", nucleus="31P")) == "unsupported_nucleus"
    assert _refused(intake, header("big", n_coils=256, n_points=65536)) == "too_large"


def test_only_so_many_scans_at_once(intake: Intake) -> None:
    _begin(intake, "a")
    _begin(intake, "b")
    reply = _one(intake, header("c"))
    assert isinstance(reply, Refusal)
    assert (reply.reason, reply.retry) == ("too_many_scans", True)
    _one(intake, ScanEnd(scan_id="a", status=EndStatus.COMPLETE))
    _begin(intake, "c")


def test_garbage_gets_an_answer_and_the_rest_of_the_batch_goes_on(intake: Intake) -> None:
    _begin(intake)
    good = encode_request(shot(SCAN, 0))
    bad_meta = msgpack.packb({**msgpack.unpackb(good[0]), "n_coils": "two"})
    replies = intake.handle([[b"\xc1"], [], [b"", b"", b""], [bad_meta, good[1]], good])
    assert [type(r) for r in replies] == [Refusal] * 4 + [Ack]
    refusal = replies[3]
    assert isinstance(refusal, Refusal)
    assert (refusal.of, refusal.scan_id, refusal.shot_kind, refusal.shot_index) == ("shot", "scan", "metabolite", 0)
    assert intake.refused == 4


def test_below_the_floor_shots_are_refused_to_be_sent_again(intake: Intake, disk: BadDisk) -> None:
    _begin(intake)
    disk.free = 1000
    reply = _one(intake, shot(SCAN, 0))
    assert isinstance(reply, Refusal)
    assert (reply.reason, reply.retry) == ("disk_full", True)
    assert intake.problem is not None
    assert isinstance(_one(intake, ScanEnd(scan_id="scan", status=EndStatus.ABORTED)), Ack)  # an end needs no room
    disk.free = 10**12
    _begin(intake, "b")
    assert intake.problem is None


def test_nothing_is_acknowledged_that_could_not_be_synced(intake: Intake, disk: BadDisk) -> None:
    _begin(intake)
    disk.broken = True
    replies = intake.handle([encode_request(shot(SCAN, 0)), encode_request(shot(SCAN, 0))])
    assert all(isinstance(r, Refusal) and r.reason == "spool_failed" and r.retry for r in replies)
    assert intake.problem is not None
    assert _refused(intake, header("other")) == "spool_failed"
    disk.broken = False
    intake.check_disk()
    assert intake.problem is None
    reply = _one(intake, shot(SCAN, 0))
    assert isinstance(reply, Ack)
    assert not reply.duplicate
    assert isinstance(_one(intake, header("other")), Ack)


def test_a_silent_scan_is_closed_as_aborted(intake: Intake) -> None:
    _begin(intake)
    assert intake.close_silent() == []
    intake._config = msgspec.structs.replace(intake._config, spool=SpoolRules(silence_limit_s=1e-9))
    assert intake.close_silent() == ["scan"]
    scan = intake.spool.find("scan")
    assert scan is not None
    assert scan.end is not None
    assert scan.end.status is EndStatus.ABORTED
    assert _refused(intake, shot(SCAN, 0)) == "scan_ended"


def test_ping(intake: Intake) -> None:
    assert _one(intake, Ping(token="x")) == Pong(token="x", instance="i", version="v")
    status = _one(intake, StatusQuery(scan_id="never"))
    assert status == ScanStatus(scan_id="never", known=False, ended=False, have={})
