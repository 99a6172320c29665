"""Campaigns against the daemon with its real pipeline; benchmarks/faults.py runs them."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from scanner_agent.journal import JournalReader, last_cursor
from scanner_agent.pipeline import start_pipeline
from scanner_agent.records import Assessment, EndStatus, ScanEnd, ScanHeader, ScanReport, Shot, ShotKind
from scanner_agent.simulate import simulate_scan
from scanner_agent.wire import ControlClient, ShotSender, Subscriber, wait_for_report
from tests.support import live
from tests.support.faults import first_answer_s, kill_some, send_scan, worker_pid

COMMAND = (sys.executable, "-m", "scanner_agent", "run", "--config")
_SCENARIOS = ("motion_step", "still", "drift", "coil_dead")


def cpu_s(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Example:
    """A simulated scan that is sent under many names, and what its report is when nothing goes wrong."""

    header: ScanHeader
    shots: tuple[Shot, ...]
    expected: dict[str, Any]

    @property
    def n_metabolite(self) -> int:
        return sum(shot.shot_kind is ShotKind.METABOLITE for shot in self.shots)

    def named(self, scan_id: str) -> tuple[ScanHeader, list[Shot]]:
        replace = msgspec.structs.replace
        return replace(self.header, scan_id=scan_id), [replace(shot, scan_id=scan_id) for shot in self.shots]


def numbers(report: ScanReport) -> dict[str, Any]:
    """A report without its name, its times and its place in the audit record."""
    values: dict[str, Any] = msgspec.to_builtins(report)
    for record, name in (("scan", "scan_id"), ("end", "scan_id"), ("provenance", "audit_head")):
        del values[record][name]
    del values["timing"], values["provenance"]["audit_count"]
    return values


def example(scenario: str, seed: int, n_coils: int, n_points: int, n_shots: int) -> Example:
    scan = simulate_scan(scenario, seed=seed, n_coils=n_coils, n_points=n_points, n_shots=n_shots)
    shots = tuple(scan.shots())
    pipeline = start_pipeline(scan.header, lambda: iter(shots))
    for shot in shots:
        pipeline.add(shot)
    end = ScanEnd(scan_id=scan.header.scan_id, status=EndStatus.COMPLETE, n_shots=n_shots)
    return Example(scan.header, shots, numbers(pipeline.finish(end)))


@dataclass
class RealOutcome:
    """What the kills left behind."""

    kills: Counter[str] = field(default_factory=Counter)
    at_work: int = 0
    """Kills that struck a worker which had said that it was ready."""
    n_scans: int = 0
    n_shots: int = 0
    resent: int = 0
    reports_missing: int = 0
    reports_different: list[str] = field(default_factory=list)
    entries_doubled: int = 0
    entries_missing: int = 0


def kill_real(folder: Path, n_kills: int, *, n_senders: int = 4, seed: int = 0, n_shots: int = 16) -> RealOutcome:
    """`kill -9` of ingest, worker or both while several scans are under way, each sent out of order."""
    rng = random.Random(seed)
    examples = [example(name, seed + i, 4, 1024, n_shots) for i, name in enumerate(_SCENARIOS)]
    daemon = live.Daemon(folder, tables="[spool]\nfree_space_floor_bytes = 1000000", command=COMMAND).start()
    outcome, done, lock = RealOutcome(), threading.Event(), threading.Lock()
    sent: dict[str, Example] = {}
    failures: list[BaseException] = []

    def sender_loop(number: int) -> None:
        mine = random.Random(f"{seed} {number}")
        count = 0
        try:
            while not done.is_set():
                chosen, scan_id = mine.choice(examples), f"real-{number}-{count}"
                header, shots = chosen.named(scan_id)
                order = sorted(range(len(shots)), key=lambda i: i + mine.random() * 3)
                with ShotSender(header, daemon.url, patience_s=120.0) as sender:
                    for i in order:
                        sender.send(shots[i])
                        sender.pump(mine.uniform(0.0, 0.3))
                    sender.end(n_shots=n_shots)
                    with lock:
                        outcome.resent += sender.resent
                        sent[scan_id] = chosen
                wait_for_report(daemon.url, scan_id, 300.0)
                count += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=sender_loop, args=(i,)) for i in range(n_senders)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(n_kills):
            if rng.random() < 0.7:
                live.wait_ready(daemon, 120.0)
                outcome.at_work += 1
                done.wait(rng.uniform(0.0, 2.0))
            else:  # while it starts, loads or catches up
                done.wait(rng.uniform(0.05, 2.0))
            assert not failures, failures
            if kill_some(daemon, rng, outcome.kills):
                daemon.start()
        done.set()
        for thread in threads:
            thread.join(300.0)
        assert not failures, failures
        for scan_id, chosen in sent.items():
            report, _ = wait_for_report(daemon.url, scan_id, 300.0)
            outcome.n_scans += 1
            outcome.n_shots += len(chosen.shots)
            if report is None:
                outcome.reports_missing += 1
            elif (got := numbers(report)) != chosen.expected:
                fields = [name for name in got if got[name] != chosen.expected.get(name)]
                outcome.reports_different.append(f"{scan_id}: {', '.join(fields)}")
    finally:
        done.set()
        if daemon.process is not None:
            daemon.stop()
    _count_entries(daemon.state, sent, outcome)
    return outcome


def _count_entries(state: Path, sent: dict[str, Example], outcome: RealOutcome) -> None:
    steps: Counter[tuple[str, tuple[int, int]]] = Counter()
    judged: dict[str, set[int | None]] = {}
    reader = JournalReader(state / "journal")
    for entry in reader.read(last_cursor(state / "journal"), 1 << 60):
        steps[entry.scan_id, entry.step] += 1
        record = entry.decoded() if entry.type == "assessment" else None
        if isinstance(record, Assessment):
            judged.setdefault(entry.scan_id, set()).add(record.shot_index)
    reader.close()
    outcome.entries_doubled = sum(n - 1 for n in steps.values())
    for scan_id, chosen in sent.items():
        outcome.entries_missing += chosen.n_metabolite - len(judged.get(scan_id, ()))


def restart_run(folder: Path, n: int, n_ended: int, open_mb: int) -> list[dict[str, float]]:
    """`kill -9` of the whole daemon, then the time and the processor time until it acknowledges again."""
    tables = "[spool]\nfree_space_floor_bytes = 1000000"
    daemon = live.Daemon(folder, tables=tables, command=COMMAND)
    rows: list[dict[str, float]] = []
    filler = live.Daemon(folder, tables=tables, port=daemon.port).start()  # the small worker ends scans at once
    try:
        for i in range(n_ended):
            send_scan(daemon.url, live.header(f"ended-{i}", n_coils=1, n_points=128), 4)
    finally:
        filler.stop()
    n_shots = open_mb * 1_000_000 // (32 * 4096 * 8)
    scan = live.header("under-way", n_coils=32, n_points=4096, n_shots_planned=n_shots)
    daemon.start()
    try:
        if n_shots:
            with ShotSender(scan, daemon.url) as sender:
                for i in range(n_shots):
                    sender.send(live.shot(scan, i))
                sender.flush()
        for _ in range(n):
            daemon.kill()
            seconds = first_answer_s(daemon)
            assert daemon.process is not None
            rows.append({"seconds": seconds, "cpu_s": cpu_s(daemon.process.pid)})
    finally:
        if daemon.process is not None:
            daemon.stop()
    return rows


def load_real(folder: Path, n_scans: int, n_shots: int, tr_s: float) -> dict[str, float]:
    """`n_scans` at once, a shot of each every TR: time from sending a shot to having its assessment."""
    scans = [
        simulate_scan("still", seed=i, n_coils=8, n_points=2048, n_shots=n_shots, scan_id=f"load-{i}")
        for i in range(min(n_scans, 4))
    ]
    headers, queues = [], []
    for i in range(n_scans):
        base, scan_id = scans[i % len(scans)], f"load-{i}"
        headers.append(msgspec.structs.replace(base.header, scan_id=scan_id))
        queues.append([msgspec.structs.replace(shot, scan_id=scan_id) for shot in base.shots()])
    sent: dict[tuple[str, int | None], float] = {}
    times: list[float] = []
    tables = "[spool]\nfree_space_floor_bytes = 1000000\nmax_bytes = 2000000000\n[wire]\nmax_open_scans = 512"
    daemon = live.Daemon(folder, tables=tables, command=COMMAND).start()
    try:
        live.wait_ready(daemon, 120.0)
        pid = worker_pid(daemon)
        assert pid is not None
        used = cpu_s(pid)
        with Subscriber(daemon.url, topics=["assessment"]) as heard, contextlib.ExitStack() as stack:
            senders = [stack.enter_context(ShotSender(header, daemon.url, patience_s=300.0)) for header in headers]

            def listen(until: float) -> None:
                while True:
                    publication = heard.receive(max(0.0, min(0.01, until - time.monotonic())))
                    if publication is not None:
                        record = publication.decoded()
                        assert isinstance(record, Assessment)
                        at = sent.pop((record.scan_id, record.shot_index), None)
                        if at is not None:
                            times.append(time.monotonic() - at)
                    elif time.monotonic() >= until:
                        return
                    for sender in senders:
                        sender.pump(0.0)

            for queue, sender in zip(queues, senders, strict=True):
                while queue[0].shot_kind is not ShotKind.METABOLITE:
                    sender.send(queue.pop(0))
                sender.flush()
            began = time.monotonic()
            for turn in range(n_shots):
                for i, (queue, sender) in enumerate(zip(queues, senders, strict=True)):
                    listen(began + (turn + i / n_scans) * tr_s)  # scanners do not keep step with one another
                    shot = queue.pop(0)
                    sent[shot.scan_id, shot.shot_index] = time.monotonic()
                    sender.send(shot)
            deadline = time.monotonic() + 300.0
            while sent and time.monotonic() < deadline:
                listen(time.monotonic() + 0.05)
            seconds = time.monotonic() - began
            used = cpu_s(pid) - used
        with ControlClient(daemon.url, timeout_s=20.0) as control:
            restarts = control.health().worker_restarts
    finally:
        if daemon.process is not None:
            daemon.stop()
    ms = np.array(times) * 1e3
    return {
        "scans": n_scans,
        "shots": len(ms),
        "not assessed": len(sent),
        "shots/s": len(ms) / seconds,
        "p50 ms": float(np.percentile(ms, 50)),
        "p99 ms": float(np.percentile(ms, 99)),
        "worker CPU ms/shot": 1e3 * used / len(ms),
        "worker restarts": restarts,
    }
