"""The view against a real daemon process: joining, following, missed messages, restarts, commands and output."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scanner_agent.records import Verdict
from scanner_agent.view.model import Link, ScanView
from scanner_agent.view.run import follow_lines, show_once
from scanner_agent.view.session import Session
from scanner_agent.wire import ControlError, ShotSender
from tests.support import live


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Daemon]:
    with live.running(tmp_path_factory.mktemp("watched")) as running:
        live.wait_ready(running)
        yield running


@pytest.fixture
def session(daemon: live.Daemon) -> Iterator[Session]:
    session = Session(daemon.url)
    session._control.timeout_s = 20.0  # a busy disk can hold up the daemon for seconds
    step_until(session, lambda: session.state.link is Link.CONNECTED)
    yield session
    session.close()


def step_until(session: Session, done: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, session.state
        session.step(0.1)


def send(daemon: live.Daemon, scan_id: str, n_shots: int = 8, *, first: int = 0, end: bool = True) -> None:
    scan = live.header(scan_id)
    with ShotSender(scan, daemon.url) as sender:
        for index in range(first, n_shots):
            sender.send(live.shot(scan, index))
        sender.flush()
        if end:
            sender.end(n_shots=n_shots)


def scan_of(session: Session, scan_id: str) -> ScanView:
    return session.state.scans.get(scan_id) or ScanView(scan_id)


def test_a_scan_is_followed_to_its_report(daemon: live.Daemon, session: Session) -> None:
    send(daemon, "watch-1")
    step_until(session, lambda: scan_of(session, "watch-1").report is not None and scan_of(session, "watch-1").whole)
    scan = scan_of(session, "watch-1")
    assert scan.verdict is Verdict.GOOD
    assert sorted(scan.tracks) == list(range(8))
    assert session.state.health is not None


def test_joining_in_the_middle_shows_all_shots(daemon: live.Daemon) -> None:
    send(daemon, "watch-2", 5, end=False)
    with daemon.control() as control:
        live.eventually(lambda: len(control.snapshot("watch-2").tracks) == 5)
    late = Session(daemon.url)
    step_until(late, lambda: len(scan_of(late, "watch-2").tracks) == 5)
    send(daemon, "watch-2", 8, first=5)
    step_until(late, lambda: scan_of(late, "watch-2").report is not None)
    assert sorted(scan_of(late, "watch-2").tracks) == list(range(8))
    late.close()


def test_missed_publications_are_made_good(daemon: live.Daemon, session: Session) -> None:
    send(daemon, "watch-3", 1, end=False)
    # The first one must have come as a publication: its track may be there already with the snapshot.
    step_until(session, lambda: "assessment/watch-3" in session.state.sequences and scan_of(session, "watch-3").whole)
    subscriber = session._subscriber
    receive, dropped = subscriber.receive, [0]

    def lossy(timeout_s: float = 1.0) -> object:
        """The next four assessments never arrive."""
        publication = receive(timeout_s)
        while publication is not None and publication.type == "assessment" and dropped[0] < 4:
            dropped[0] += 1
            publication = receive(timeout_s)
        return publication

    subscriber.receive = lossy  # type: ignore[method-assign,assignment]
    send(daemon, "watch-3", first=1, end=False)
    step_until(session, lambda: sorted(scan_of(session, "watch-3").tracks) == list(range(8)))
    assert dropped[0] == 4
    assert session.state.n_missed >= 3
    step_until(session, lambda: scan_of(session, "watch-3").whole)


def test_a_killed_daemon_is_seen_and_its_return_too(tmp_path: Path) -> None:
    with live.running(tmp_path) as daemon:
        live.wait_ready(daemon)
        session = Session(daemon.url)
        send(daemon, "watch-4", 4, end=False)
        step_until(session, lambda: len(scan_of(session, "watch-4").tracks) == 4)
        daemon.kill()
        step_until(session, lambda: session.state.link is Link.LOST)
        daemon.start()
        step_until(session, lambda: session.state.link is Link.CONNECTED)
        send(daemon, "watch-4", 8, first=4)
        step_until(session, lambda: scan_of(session, "watch-4").report is not None)
        assert sorted(scan_of(session, "watch-4").tracks) == list(range(8))
        session.close()


def test_a_view_that_comes_with_the_daemon_s_restart_gets_the_scans_before(tmp_path: Path) -> None:
    with live.running(tmp_path) as daemon:
        live.wait_ready(daemon)
        send(daemon, "watch-before", 4)
        with daemon.control() as control:
            live.eventually(lambda: control.snapshot("watch-before").report is not None)
        daemon.kill()
        daemon.start()
        session = Session(daemon.url)  # before the worker has told of anything
        step_until(session, lambda: scan_of(session, "watch-before").report is not None)
        session.close()


def test_requests_of_a_person_reach_the_record(daemon: live.Daemon, session: Session) -> None:
    send(daemon, "watch-5", 3, end=False)
    told: list[str | None] = []
    session.act(lambda control: control.note("watch-5", "jd", "coughed"), told.append)
    session.act(lambda control: control.note("no-such-scan", "jd", "coughed"), told.append)
    step_until(session, lambda: len(told) == 2)
    assert told[0] is None
    assert told[1] is not None
    assert "coughed" in (daemon.state / "audit.jsonl").read_text()


def test_lines_for_a_log(daemon: live.Daemon, session: Session) -> None:
    send(daemon, "watch-6")
    lines: list[str] = []
    follow_lines(
        session,
        lines.append,
        until=lambda state: any("report" in line and "watch-6" in line for line in lines),
        scan_id="watch-6",
    )
    assert lines[0] == "connected"
    assert any(line.startswith("watch-6: report: ✓ GOOD") for line in lines)
    assert all("watch-5" not in line for line in lines)


def test_once_prints_the_latest_and_refuses_the_unknown(daemon: live.Daemon) -> None:
    send(daemon, "watch-7")
    session = Session(daemon.url)
    text = show_once(session, "watch-7", 80)
    assert "watch-7" in text
    with pytest.raises(ControlError, match="nobody"):
        show_once(session, "nobody", 80)
    session.close()


def run_command(*arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scanner_agent", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def test_the_command_without_a_daemon_is_one_line_and_code_2() -> None:
    done = run_command("watch", "--once", "--connect", f"tcp://127.0.0.1:{live.free_port()}")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_the_command_prints_once_and_json_lines(daemon: live.Daemon) -> None:
    done = run_command("watch", "--once", "--connect", daemon.url)
    assert done.returncode == 0, done.stderr
    assert "shots used" in done.stdout
    with subprocess.Popen(
        [sys.executable, "-m", "scanner_agent", "watch", "--json", "--connect", daemon.url],
        stdout=subprocess.PIPE,
        text=True,
    ) as stream:
        assert stream.stdout is not None
        stream.stdout.readline()  # connected: something came
        send(daemon, "watch-8")
        kinds: list[str] = []
        while "report" not in kinds:
            record = json.loads(stream.stdout.readline())
            if record["scan_id"] == "watch-8":
                kinds.append(record["type"])
            if record["type"] == "assessment":
                assert record["record"]["scan_id"] == record["scan_id"]
        stream.terminate()
    assert kinds.count("assessment") == 8
