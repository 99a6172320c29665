"""What can happen beside a scanner, one thing at a time: told in health, costs no shot, is over afterwards."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest
import zmq

from scanner_agent.config import load_config
from scanner_agent.daemon.audit import AuditLog, Head, verify
from scanner_agent.daemon.clock import ClockWatch
from scanner_agent.daemon.ingest import Ingest
from scanner_agent.daemon.tries import TryBook
from scanner_agent.errors import SpoolError
from scanner_agent.records import EndStatus, Verdict
from scanner_agent.spool import DONE
from scanner_agent.wire import ShotSender, wait_for_report
from scanner_agent.wire.codec import WIRE_VERSION
from scanner_agent.wire.sockets import INGEST, PUBLISH, client_socket, endpoint
from tests.support import faults, live
from tests.support.faults import worker_pid

FAKE_WORKER = (sys.executable, str(live.DAEMON.with_name("fake_worker.py")))
_NO_STORE = "[store]\nurl = 'off'"


def test_a_deleted_database_is_told_and_made_again_from_the_journal(tmp_path: Path) -> None:
    with live.running(tmp_path) as daemon:
        database = daemon.state / "results.sqlite"
        faults.send_scan(daemon.url, live.header("before"), 3)
        live.eventually(lambda: "before" in live.stored_reports(database))
        for path in daemon.state.glob("results.sqlite*"):
            path.unlink()
        with daemon.control() as control:
            told: set[str] = set()
            faults.send_scan(daemon.url, live.header("after"), 3)

            def both_again() -> bool:
                told.update(control.health().problems)
                return live.stored_reports(database) == {"before", "after"}

            live.eventually(both_again)
            assert any("removed or replaced" in text for text in told)
            live.eventually(lambda: control.health().state == "ok")


def test_sigterm_in_mid_scan_ends_in_order_and_the_next_daemon_goes_on(tmp_path: Path) -> None:
    scan = live.header("interrupted", n_points=512)
    shots = faults.scan_shots(scan, 8)
    daemon = live.Daemon(tmp_path, tables=_NO_STORE).start()
    try:
        with ShotSender(scan, daemon.url) as sender:
            for shot in shots[:5]:
                sender.send(shot)
            live.wait_ready(daemon)
            worker = worker_pid(daemon)
            assert worker is not None
            assert daemon.stop() == 0
            assert not Path(f"/proc/{worker}").exists()
            daemon.start()
            for shot in shots[5:]:
                sender.send(shot)
            sender.end(n_shots=8)
        report, _ = wait_for_report(daemon.url, "interrupted", 20.0)
        assert report is not None
        assert (report.quality, report.shots) == (
            faults.uninterrupted(scan, 8).quality,
            faults.uninterrupted(scan, 8).shots,
        )
        with daemon.control() as control:
            health = control.health()
            assert (health.state, health.worker_restarts) == ("ok", 0)
        daemon.stop()
    finally:
        if daemon.process is not None:
            daemon.stop()
    events = (daemon.state / "audit.jsonl").read_text()
    assert events.count('"event":"start"') == events.count('"event":"stop"') == 2


def test_a_silent_scan_is_closed_as_aborted_and_reported(tmp_path: Path) -> None:
    tables = f"[spool]\nsilence_limit_s = 2.0\n{_NO_STORE}"
    with live.running(tmp_path, tables=tables) as daemon:
        scan = live.header("silent")
        with ShotSender(scan, daemon.url) as sender:
            for index in range(3):
                sender.send(live.shot(scan, index))
            sender.flush()
        report, _ = wait_for_report(daemon.url, "silent", 20.0)
        assert report is not None
        assert report.end.status is EndStatus.ABORTED
        assert "no message for 2 s" in report.end.reason
        assert len(report.shots) == 3


def test_a_try_counted_by_an_earlier_daemon_still_counts(tmp_path: Path) -> None:
    """One failure on disk from before and one now make two; that report, too, has its place in the audit record."""
    tries = TryBook(tmp_path / "state" / "work")
    tries.add("twice", 4, "ended by SIGSEGV", from_outside=False)
    with live.running(tmp_path, tables=_NO_STORE) as daemon:
        faults.send_scan(daemon.url, live.header("twice", scanner="segfault 3"), 5)
        report, _ = wait_for_report(daemon.url, "twice", 20.0)
        assert report is not None
        assert report.verdict is Verdict.CANNOT_JUDGE
        assert "2 times" in report.notes[0]
        assert report.provenance.audit_head is not None
        assert report.provenance.audit_count is not None
        with daemon.control() as control:
            assert control.health().worker_restarts == 1


def test_overload_waits_on_disk_and_is_worked_off(tmp_path: Path) -> None:
    with live.running(tmp_path, tables=_NO_STORE) as daemon, daemon.control() as control:
        live.wait_ready(daemon)
        worker = worker_pid(daemon)
        assert worker is not None
        os.kill(worker, signal.SIGSTOP)  # as slow as can be
        try:
            scan = live.header("waiting", n_points=512)
            faults.send_scan(daemon.url, scan, 60)  # all acknowledged meanwhile
            assert control.health().shots_waiting >= 60
        finally:
            os.kill(worker, signal.SIGCONT)
        report, _ = wait_for_report(daemon.url, "waiting", 20.0)
        assert report is not None
        assert report.shots == faults.uninterrupted(scan, 60).shots
        live.eventually(lambda: control.health().shots_waiting == 0)


def test_an_audit_record_that_cannot_be_written_at_start_keeps_no_shot_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, add = threading.Event(), AuditLog.add

    def failing(self: AuditLog, event: str, **details: object) -> Head:
        if full.is_set():
            raise SpoolError("cannot write the audit record: No space left on device")
        return add(self, event, **details)

    monkeypatch.setattr(AuditLog, "add", failing)
    full.set()
    daemon = live.Daemon(tmp_path, tables=_NO_STORE)
    ingest = Ingest(load_config(daemon.config), FAKE_WORKER)
    thread = threading.Thread(target=ingest.run)
    thread.start()
    try:
        scan = live.header("unaudited")
        with ShotSender(scan, daemon.url) as sender, daemon.control() as control:
            sender.send(live.shot(scan, 0))
            sender.flush()
            assert any("audit record: No space" in text for text in control.health().problems)
            sender.end()
            full.clear()
            live.eventually(lambda: control.health().state == "ok")
            live.eventually(lambda: '"event":"verdict"' in (daemon.state / "audit.jsonl").read_text())
    finally:
        ingest.stop()
        thread.join(20.0)
    assert '"event":"start"' in (daemon.state / "audit.jsonl").read_text()
    assert verify(daemon.state / "audit.jsonl") is None


class _Clock:
    def __init__(self) -> None:
        self.wall, self.steady = time.time(), 0.0


@pytest.fixture
def clocked(tmp_path: Path) -> Iterator[tuple[live.Daemon, _Clock]]:
    """A daemon in this process whose clocks the test sets."""
    daemon = live.Daemon(tmp_path, tables=f"[spool]\nmax_age_days = 1.0\n{_NO_STORE}")
    clock = _Clock()
    ingest = Ingest(load_config(daemon.config), FAKE_WORKER)
    ingest._clock = ClockWatch(wall=lambda: clock.wall, steady=lambda: clock.steady)
    thread = threading.Thread(target=ingest.run)
    thread.start()
    yield daemon, clock
    ingest.stop()
    thread.join(20.0)


def test_a_clock_that_jumps_is_told_and_removes_no_scan(clocked: tuple[live.Daemon, _Clock]) -> None:
    daemon, clock = clocked
    spool = daemon.state / "spool"
    with daemon.control() as control:
        faults.send_scan(daemon.url, live.header("old"), 2)
        live.eventually(lambda: bool(list(spool.glob(f"*{DONE}"))))
        clock.wall += 40 * 86_400.0
        live.eventually(lambda: any("clock was set by" in text for text in control.health().problems))
        assert control.health().state == "degraded"
        (old,) = spool.glob(f"*{DONE}")
        os.utime(old, (0, 0))  # very old, by a clock that is now in doubt
        faults.send_scan(daemon.url, live.header("new"), 2)  # its end has the rules applied
        live.eventually(lambda: len(list(spool.glob(f"*{DONE}"))) == 2)
        assert old.exists()
        clock.steady, clock.wall = clock.steady + 90_000.0, clock.wall + 90_000.0
        live.eventually(lambda: control.health().state == "ok")
        faults.send_scan(daemon.url, live.header("newer"), 2)
        live.eventually(lambda: not old.exists())


def test_what_a_patient_is_called_goes_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A sender that puts a name where none belongs is refused; nothing of it is logged, kept or published."""
    name = "Mustermann^Erika"
    with live.running(tmp_path) as daemon:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        heard = client_socket(context, zmq.SUB, endpoint(daemon.url, PUBLISH))
        heard.setsockopt(zmq.SUBSCRIBE, b"")
        live.eventually(lambda: bool(heard.poll(100)))
        peer = client_socket(context, zmq.DEALER, endpoint(daemon.url, INGEST))
        header = {
            "wire": WIRE_VERSION,
            "type": "header",
            "scan_id": "s1",
            "spectrometer_frequency_mhz": 123.25,
            "dwell_time_s": 2.5e-4,
            "n_coils": 2,
            "n_points": 128,
        }
        shot = {"wire": WIRE_VERSION, "type": "shot", "scan_id": "s1", "shot_kind": "metabolite", "shot_index": 0}
        messages: list[list[bytes]] = [
            [msgpack.packb({**header, "patient_name": name})],
            [msgpack.packb({**header, "scan_id": name})],
            [msgpack.packb({**header, "visit_id": name})],
            [msgpack.packb({**header, "type": name})],
            [msgpack.packb({"wire": WIRE_VERSION, "type": "end", "scan_id": "s1", "patient": {"name": name}})],
            [msgpack.packb({**shot, "n_coils": 2, "n_points": 128, "patient_name": name}), bytes(2048)],
            [name.encode()],
        ]
        for message in messages:
            peer.send_multipart(message)
            assert peer.poll(20_000)
            answer = msgpack.unpackb(peer.recv_multipart()[-1])
            assert answer["type"] == "refused", message
        faults.send_scan(daemon.url, live.header("someone"), 2)
        report, _ = wait_for_report(daemon.url, "someone", 20.0)
        assert report is not None
        published = b""
        while b"report/someone" not in published:
            assert heard.poll(20_000)
            published += b"".join(heard.recv_multipart())
        context.destroy(linger=0)
        daemon.stop()
    kept = b"".join(path.read_bytes() for path in daemon.state.rglob("*") if path.is_file())
    assert b"someone" in kept
    logged = "".join(capfd.readouterr())
    for text in (published, kept, logged.encode()):
        assert b"mustermann" not in text.lower()


def test_a_second_daemon_says_why_it_does_not_start(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with live.running(tmp_path, tables=_NO_STORE) as daemon:
        (tmp_path / "second").mkdir()
        second = live.Daemon(tmp_path / "second")
        second.config.write_text(f"state_directory = {str(daemon.state)!r}\n[listen]\nport = {second.port}\n")
        with pytest.raises(AssertionError):
            second.start()
        assert second.process is not None
        assert second.process.wait(60) != 0
        assert second.process.stdout is not None
        second.process.stdout.close()
        assert "another daemon uses" in capfd.readouterr().err
        faults.send_scan(daemon.url, live.header("undisturbed"), 2)
