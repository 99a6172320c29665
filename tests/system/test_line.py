"""Real sockets, real processes: shots in, spool, worker, journal, report out."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from scanner_agent.records import Verdict
from scanner_agent.wire import ControlError, RefusedError, ShotSender, Subscriber, wait_for_report
from tests.support import live


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Daemon]:
    with live.running(tmp_path_factory.mktemp("daemon"), tables="[worker]\nhang_limit_s = 2.0") as running:
        live.wait_ready(running)
        yield running


def _send(daemon: live.Daemon, scan_id: str, n_shots: int = 8, **changes: object) -> None:
    scan = live.header(scan_id, **changes)
    with ShotSender(scan, daemon.url) as sender:
        for index in range(n_shots):
            sender.send(live.shot(scan, index))
        ack = sender.end(n_shots=n_shots)
        assert ack.missing == ()
        assert sender.acknowledged == n_shots
        assert sender.refused == []


def test_a_scan_gives_a_report_and_every_step_is_published_once(daemon: live.Daemon) -> None:
    seen: list[tuple[str, int | None]] = []
    topics = ["assessment/line", "report/line", "heartbeat"]
    with Subscriber(daemon.url, topics) as subscriber, daemon.control() as control:
        assert subscriber.receive(20.0) is not None  # the subscriptions are known before the first shot
        _send(daemon, "line-1")
        while not seen or seen[-1][0] != "report":
            publication = subscriber.receive(20.0)
            assert publication is not None
            if publication.type != "heartbeat":
                seen.append((publication.type, publication.cursor))
        assert not subscriber.missed
        assert [kind for kind, _ in seen] == ["assessment"] * 8 + ["report"]
        snapshot = control.snapshot("line-1")
        assert snapshot.report is not None
        assert len(snapshot.tracks) == 8
        cursors = [cursor for _, cursor in seen]
        entries = control.entries(cursors[0] - 1 if cursors[0] else 0)
        assert [e.cursor for e in entries if e.type in ("assessment", "report")] == cursors


def test_several_scans_at_once_stay_apart(daemon: live.Daemon) -> None:
    scans = [live.header(f"many-{i}") for i in range(4)]
    senders = [ShotSender(scan, daemon.url) for scan in scans]
    try:
        for sender in senders:
            sender.open()
        for index in (0, 2, 1, 3):
            for scan, sender in zip(scans, senders, strict=True):
                sender.send(live.shot(scan, index))
        for sender in senders:
            sender.end(n_shots=4)
    finally:
        for sender in senders:
            sender.close()
    for scan in scans:
        report, _ = wait_for_report(daemon.url, scan.scan_id, 20.0)
        assert report is not None
        assert [track.index for track in report.shots] == [0, 1, 2, 3]


def test_a_segfault_and_a_hang_give_cannot_judge_and_others_go_on(daemon: live.Daemon) -> None:
    for trouble in ("segfault 3", "hang 3", "raise 3"):
        _send(daemon, "bad-" + trouble.split()[0], scanner=trouble)
    _send(daemon, "bystander")
    report, _ = wait_for_report(daemon.url, "bystander", 60.0)
    assert report is not None
    assert report.verdict is Verdict.GOOD
    for name, words in (("segfault", "SIGSEGV"), ("hang", "no progress"), ("raise", "asked to fail")):
        report, _ = wait_for_report(daemon.url, f"bad-{name}", 30.0)
        assert report is not None
        assert report.verdict is Verdict.CANNOT_JUDGE
        assert words in report.notes[0]
        assert "2 times" in report.notes[0]


def test_a_long_last_pass_is_no_hang(daemon: live.Daemon) -> None:
    with daemon.control() as control:
        before = control.health().worker_restarts
        _send(daemon, "slow-end", scanner="slow 0.4")  # 3.2 s in all, the limit for one step is 2 s
        report, _ = wait_for_report(daemon.url, "slow-end", 30.0)
        assert report is not None
        assert report.verdict is Verdict.GOOD
        assert control.health().worker_restarts == before


def test_a_killed_daemon_goes_on_where_it_was(tmp_path: Path) -> None:
    scan = live.header("resume")
    daemon = live.Daemon(tmp_path).start()
    try:
        with ShotSender(scan, daemon.url) as sender:
            for index in range(5):
                sender.send(live.shot(scan, index))
            sender.flush()
            daemon.kill()
            for index in range(5, 8):
                sender.send(live.shot(scan, index))
            daemon.start()
            sender.end(n_shots=8)
        report, _ = wait_for_report(daemon.url, "resume", 20.0)
        assert report is not None
        assert [track.index for track in report.shots] == list(range(8))
        with daemon.control() as control:
            steps = [e.record for e in control.entries(0, 200) if e.type == "assessment"]
        assert len(steps) == len({bytes(step) for step in steps}) == 8
    finally:
        if daemon.process is not None:
            daemon.stop()


def test_a_killed_worker_is_replaced(daemon: live.Daemon) -> None:
    assert daemon.process is not None
    with daemon.control() as control:
        before = control.health().worker_restarts
        children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        live.eventually(lambda: control.health().worker_restarts > before and control.health().ready)
    _send(daemon, "after-kill")
    report, _ = wait_for_report(daemon.url, "after-kill", 20.0)
    assert report is not None


def test_an_unknown_scan_has_no_snapshot(daemon: live.Daemon) -> None:
    with daemon.control() as control, pytest.raises(ControlError) as caught:
        control.snapshot("never-heard-of")
    assert caught.value.reason == "unknown_scan"


def test_a_header_with_another_nucleus_is_refused(daemon: live.Daemon) -> None:
    with pytest.raises(RefusedError) as caught, ShotSender(live.header("carbon", nucleus="13C"), daemon.url):
        pass
    assert caught.value.refusal.reason == "unsupported_nucleus"
