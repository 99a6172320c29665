"""The daemon under faults: kills, power cuts, bad networks, foreign bytes, long runs, load.

    python benchmarks/faults.py kill|real|power|network|fuzz|soak|load|all [--fast]

All on 127.0.0.1, in a folder of its own. `--fast`: a tenth or less of each.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from common import ROOT, machine, table, write_json

sys.path.insert(0, str(ROOT))

from scanner_agent.errors import RemoteProtocolError
from scanner_agent.pipeline import start_pipeline
from scanner_agent.records import EndStatus, ScanEnd, ScanReport
from scanner_agent.simulate import simulate_scan
from scanner_agent.wire import ControlClient, ShotSender, wait_for_report
from scanner_agent.wire.codec import decode_request
from tests.support import faults, live
from tests.support.fuzz import mutated
from tests.support.proxy import MessageProxy, TcpProxy
from tests.support.soak import load_run, soak_run
from tests.system.test_faults import power_cut
from tests.system.test_fuzz_live import throw


def upper_bound(n: int) -> float:
    """95 % upper bound of a rate of which no case was seen in n trials."""
    return 1.0 - 0.05 ** (1.0 / n)


def kill(folder: Path, fast: bool) -> dict[str, Any]:
    outcome = faults.kill_campaign(folder, 20 if fast else 200, seed=2026)
    restart = np.array(outcome.restart_s)
    result = {
        "kills": dict(outcome.kills),
        "scans": outcome.n_scans,
        "shots acknowledged": outcome.n_shots,
        "lost": outcome.lost,
        "doubled in the spool": outcome.doubled,
        "changed": outcome.changed,
        "reports missing, doubled or different": outcome.wrong_reports,
        "journal entries doubled": outcome.doubled_entries,
        "messages sent again": outcome.resent,
        "restart to first acknowledgement, s": {
            "median": float(np.median(restart)),
            "p95": float(np.percentile(restart, 95)),
            "max": float(restart.max()),
            "above 1 s": int((restart > 1.0).sum()),
            "of": len(restart),
        },
        "rate of a damaging kill, 95 % bound": upper_bound(sum(outcome.kills.values())),
    }
    assert outcome.sound, result
    return result


def _same_numbers(report: ScanReport) -> dict[str, Any]:
    """A report without its times and its place in the audit record."""
    numbers: dict[str, Any] = msgspec.to_builtins(report)
    del numbers["timing"], numbers["provenance"]["audit_head"], numbers["provenance"]["audit_count"]
    return numbers


def real(folder: Path, fast: bool) -> dict[str, Any]:
    """Kills of the real daemon with the real pipeline; reports against an uninterrupted run in this process."""
    rng = random.Random(5)
    n_scans, kills_each = (1, 3) if fast else (4, 5)
    command = (sys.executable, "-m", "scanner_agent", "run", "--config")
    daemon = live.Daemon(folder, command=command).start()
    same = 0
    kills: Counter[str] = Counter()
    try:
        for number in range(n_scans):
            scan = simulate_scan("motion_step", seed=number, n_coils=4, n_points=1024, n_shots=16)
            shots = list(scan.shots())
            pipeline = start_pipeline(scan.header, lambda shots=shots: iter(shots))
            for shot in shots:
                pipeline.add(shot)
            end = ScanEnd(scan_id=scan.header.scan_id, status=EndStatus.COMPLETE, n_shots=16)
            expected = _same_numbers(pipeline.finish(end))
            with ShotSender(scan.header, daemon.url) as sender:
                for i, shot in enumerate(shots):
                    sender.send(shot)
                    if i % (len(shots) // kills_each) != 1:
                        continue
                    sender.pump(rng.uniform(0.5, 6.0))
                    target = rng.choice(("ingest", "worker"))
                    kills[target] += 1
                    worker = faults.worker_pid(daemon)
                    if target == "worker" and worker is not None:
                        os.kill(worker, signal.SIGKILL)
                    elif target == "ingest":
                        daemon.kill()
                        daemon.start()
                sender.end(n_shots=16)
            report, _ = wait_for_report(daemon.url, scan.header.scan_id, 600.0)
            same += report is not None and _same_numbers(report) == expected
    finally:
        if daemon.process is not None:
            daemon.stop()
    assert same == n_scans
    return {"scans": n_scans, "kills": dict(kills), "reports equal to the uninterrupted ones": same}


def power(folder: Path, fast: bool) -> dict[str, Any]:
    n = 100 if fast else 2000
    acknowledged = kept = 0
    for seed in range(n):
        new, still = power_cut(folder / str(seed), 10_000 + seed)
        acknowledged, kept = acknowledged + new, kept + still
    return {
        "power cuts": n,
        "messages acknowledged": acknowledged,
        "still there": kept,
        "rate of a damaging cut, 95 % bound": upper_bound(n) if kept == acknowledged else None,
    }


def network(folder: Path, fast: bool) -> dict[str, Any]:
    n_scans, n_shots = (5, 40) if fast else (100, 100)
    scans = [(live.header(f"net-{i}", n_points=512), n_shots) for i in range(n_scans)]
    resent = 0
    counts: Counter[str] = Counter()
    with live.running(folder, tables="[store]\nurl = 'off'") as daemon:
        tcp = TcpProxy(daemon.port, cut_probability=0.002, delay_s=0.01, stall_probability=0.03, seed=1)
        chaos = MessageProxy(f"tcp://127.0.0.1:{tcp.port}", loss=0.002, repeat=0.05, reorder=0.05, seed=2)
        cut = TcpProxy(chaos.port, cut_probability=0.02, seed=3)
        for i, (scan, n) in enumerate(scans):
            resent += faults.send_scan(f"tcp://127.0.0.1:{cut.port}", scan, n, seed=i)
        counts.update(
            connections=tcp.n_connections + cut.n_connections,
            cut=tcp.n_cut + cut.n_cut,
            thrown_away=chaos.n_lost,
            repeated=chaos.n_repeated,
            reordered=chaos.n_reordered,
        )
        for proxy in (cut, chaos, tcp):
            proxy.close()
        faults.wait_worked_off(daemon)
        daemon.stop()
    outcome = faults.inspect(daemon.state, scans, faults.Outcome())
    assert outcome.sound, outcome
    return {"shots": outcome.n_shots, "lost": outcome.lost, "doubled": outcome.doubled, "sent again": resent, **counts}


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fuzz(folder: Path, fast: bool) -> dict[str, Any]:
    n_codec, n_live = (100_000, 10_000) if fast else (1_000_000, 100_000)
    reasons: Counter[str] = Counter()
    began = time.monotonic()
    first = 0.0
    for i, frames in enumerate(mutated(77, n_codec)):
        if i == n_codec // 10:
            first = _memory_mb()
        try:
            decode_request(frames)
        except RemoteProtocolError as error:
            reasons[error.reason] += 1
        else:
            reasons["(a record)"] += 1
    seconds = time.monotonic() - began
    with live.running(folder, tables="[store]\nurl = 'off'") as daemon:
        throw(daemon, n_live // 10, 1)
        before = live.memory_mb(daemon)
        answered = throw(daemon, n_live, 2)
        after = live.memory_mb(daemon)
        with ControlClient(daemon.url) as control:
            health = control.health()
    return {
        "frames into the codec": n_codec,
        "per second": round(n_codec / seconds),
        "outcomes": dict(reasons.most_common()),
        "codec memory growth after the first tenth, MB": _memory_mb() - first,
        "messages onto the live sockets": n_live,
        "answered": answered,
        "ingest memory before and after, MB": [before, after],
        "worker restarts": health.worker_restarts,
    }


def soak(folder: Path, fast: bool) -> dict[str, Any]:
    n_scans, n_shots = (60, 20) if fast else (500, 100)
    result = soak_run(folder, n_scans, n_shots)
    print(table(["shots", "ack p50 ms", "p99 ms", "ingest MB", "worker MB", "files", "threads"], result["tenths"]))
    return result


def load(folder: Path, fast: bool) -> dict[str, Any]:
    result = load_run(folder, fast)
    print(table(["coils x points", "senders", "shots/s", "MB/s", "ack p50 ms", "p99 ms"], result["rows"]))
    return result


CAMPAIGNS: dict[str, Callable[[Path, bool], dict[str, Any]]] = {
    "kill": kill,
    "real": real,
    "power": power,
    "network": network,
    "fuzz": fuzz,
    "soak": soak,
    "load": load,
}


def main(arguments: list[str]) -> None:
    fast = "--fast" in arguments
    chosen = [name for name in arguments if name in CAMPAIGNS] or list(CAMPAIGNS)
    print(machine())
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix=f"scanner-agent-{name}-") as folder:
            began = time.monotonic()
            result = CAMPAIGNS[name](Path(folder), fast)
            print(f"\n{name} ({time.monotonic() - began:.0f} s)")
            for key, value in result.items():
                if key not in ("tenths", "rows"):
                    print(f"  {key}: {value}")
            write_json(f"faults-{name}", result)


if __name__ == "__main__":
    main(sys.argv[1:])
