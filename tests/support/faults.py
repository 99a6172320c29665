"""Campaigns of faults against a live daemon; tests run them small, benchmarks/faults.py runs them large."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from scanner_agent.journal import JournalReader, last_cursor
from scanner_agent.records import EndStatus, ScanEnd, ScanHeader, ScanReport, Shot, ShotKind
from scanner_agent.spool import OPEN, SEALED, SpoolReader, damaged_at, list_scans
from scanner_agent.wire import ShotSender
from tests.support import live
from tests.support.fake_worker import FakePipeline


def scan_shots(scan: ScanHeader, n_shots: int) -> list[Shot]:
    water = [live.shot(scan, index, ShotKind.WATER_REFERENCE) for index in range(2)]
    return water + [live.shot(scan, index) for index in range(n_shots)]


def send_scan(url: str, scan: ScanHeader, n_shots: int, *, seed: int = 0, patience_s: float = 60.0) -> int:
    """Send a scan with its shots slightly out of order; how many messages had to be sent again."""
    shots = scan_shots(scan, n_shots)
    order = sorted(range(len(shots)), key=lambda i: i + random.Random(f"{seed} {i}").random() * 3)
    with ShotSender(scan, url, patience_s=patience_s) as sender:
        for i in order:
            sender.send(shots[i])
        sender.end(n_shots=n_shots)
        assert sender.refused == []
        return sender.resent


def uninterrupted(scan: ScanHeader, n_shots: int) -> ScanReport:
    """The report that this scan gives when nothing goes wrong."""
    shots = scan_shots(scan, n_shots)
    pipeline = FakePipeline(scan, lambda: iter(shots))
    return pipeline.finish(ScanEnd(scan_id=scan.scan_id, status=EndStatus.COMPLETE, n_shots=n_shots))


@dataclass
class Outcome:
    """What a campaign left behind."""

    n_scans: int = 0
    n_shots: int = 0
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    wrong_reports: int = 0
    doubled_entries: int = 0
    damaged_files: int = 0
    resent: int = 0
    restart_s: list[float] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)

    @property
    def sound(self) -> bool:
        bad = (self.lost, self.doubled, self.changed, self.wrong_reports, self.doubled_entries, self.damaged_files)
        return not any(bad)


def inspect(state: Path, scans: list[tuple[ScanHeader, int]], outcome: Outcome) -> Outcome:
    """Compare spool and journal with what was sent."""
    reports = _journalled(state, outcome)
    for scan, n_shots in scans:
        expected = {(shot.shot_kind, shot.shot_index): shot for shot in scan_shots(scan, n_shots)}
        found: Counter[tuple[ShotKind, int]] = Counter()
        reader = SpoolReader(state / "spool", scan.scan_id)
        while (record := reader.next()) is not None:
            if not isinstance(record, Shot):
                continue
            key = (record.shot_kind, record.shot_index)
            found[key] += 1
            outcome.changed += record.data.tobytes() != expected[key].data.tobytes()
        reader.close()
        outcome.n_scans += 1
        outcome.n_shots += len(expected)
        outcome.lost += len(expected.keys() - found.keys())
        outcome.doubled += sum(n - 1 for n in found.values())
        mine = reports.get(scan.scan_id, [])
        want = uninterrupted(scan, n_shots)
        outcome.wrong_reports += len(mine) != 1 or (mine[0].quality, mine[0].shots, mine[0].verdict) != (
            want.quality,
            want.shots,
            want.verdict,
        )
    outcome.damaged_files += sum(damaged_at(path) is not None for path in list_scans(state / "spool"))
    return outcome


def _journalled(state: Path, outcome: Outcome) -> dict[str, list[ScanReport]]:
    reader = JournalReader(state / "journal")
    steps: Counter[tuple[str, tuple[int, int]]] = Counter()
    reports: dict[str, list[ScanReport]] = {}
    for entry in reader.read(last_cursor(state / "journal"), 1 << 60):
        steps[entry.scan_id, entry.step] += 1
        if entry.type == "report":
            record = entry.decoded()
            assert isinstance(record, ScanReport)
            reports.setdefault(entry.scan_id, []).append(record)
    reader.close()
    outcome.doubled_entries += sum(n - 1 for n in steps.values())
    return reports


def worker_pid(daemon: live.Daemon) -> int | None:
    assert daemon.process is not None
    pid = daemon.process.pid
    with contextlib.suppress(FileNotFoundError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None
    return None


def kill_some(daemon: live.Daemon, rng: random.Random, kills: Counter[str]) -> bool:
    """`kill -9` of ingest, worker or both, counted by its name; whether the daemon has to be started again."""
    target = rng.choice(("ingest", "worker", "both"))
    worker = worker_pid(daemon)
    kills[target] += 1
    if target != "ingest" and worker is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    if target != "worker":
        daemon.kill()
    return target != "worker"


def first_answer_s(daemon: live.Daemon) -> float:
    """Start the daemon; seconds until it acknowledges a scan, which is then ended."""
    began = time.monotonic()
    daemon.start()
    with ShotSender(live.header(f"ping-{time.monotonic_ns()}"), daemon.url, patience_s=20.0) as sender:
        seconds = time.monotonic() - began
        sender.end()
    return seconds


def wait_worked_off(daemon: live.Daemon, timeout_s: float = 300.0) -> None:
    """Until every scan has its report."""
    spool = daemon.state / "spool"
    live.eventually(lambda: all(path.suffix not in (OPEN, SEALED) for path in spool.iterdir()), timeout_s)


def kill_campaign(folder: Path, n_kills: int, *, n_senders: int = 3, seed: int = 0) -> Outcome:
    """`kill -9` of ingest, worker or both at random moments while several senders send."""
    rng = random.Random(seed)
    tables = "[spool]\nfree_space_floor_bytes = 1000000\n[store]\nurl = 'off'"
    daemon = live.Daemon(folder, tables=tables).start()
    outcome, done = Outcome(), threading.Event()
    scans: list[tuple[ScanHeader, int]] = []
    failures: list[BaseException] = []

    def sender_loop(number: int) -> None:
        count = 0
        try:
            while not done.is_set():
                scan = live.header(f"kill-{number}-{count}", n_coils=4, n_points=512)
                outcome.resent += send_scan(daemon.url, scan, 24, seed=number)
                scans.append((scan, 24))
                count += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=sender_loop, args=(i,)) for i in range(n_senders)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(n_kills):
            done.wait(rng.uniform(0.02, 0.6))
            if kill_some(daemon, rng, outcome.kills):
                outcome.restart_s.append(first_answer_s(daemon))
        done.set()
        for thread in threads:
            thread.join(120.0)
        assert not failures, failures
        wait_worked_off(daemon)
    finally:
        done.set()
        if daemon.process is not None:
            daemon.stop()
    return inspect(daemon.state, scans, outcome)
