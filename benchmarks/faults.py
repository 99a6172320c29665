"""The daemon under faults: kills, power cuts, bad networks, foreign bytes, long runs, load.

    python benchmarks/faults.py kill|real|restart|power|network|fuzz|soak|realsoak|load|realload [--fast]

All on 127.0.0.1, in a folder of its own; all campaigns if none is named. `real…`: with the real pipeline instead of
a small one. `--fast`: a tenth or less of each; COUNT=N in the environment: so many scans (kills) in `network`,
`realsoak` and `real`; SEED=N: other moments of the kills in `real`.

`network` on a loopback where the kernel drops packets (netem, or without it a queue that is too short):

    unshare -n sh -c "$(python -c 'from tests.support.shaped import SETUP; print(SETUP)') &&
        python benchmarks/faults.py network; tc -s qdisc show dev lo"
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, machine, table, write_json

sys.path.insert(0, str(ROOT))

from scanner_agent.errors import RemoteProtocolError
from scanner_agent.wire import ControlClient
from scanner_agent.wire.codec import decode_request
from tests.support import faults, live
from tests.support.fuzz import mutated
from tests.support.proxy import MessageProxy, TcpProxy
from tests.support.real import COMMAND, kill_real, load_real, restart_run
from tests.support.soak import load_run, soak_run
from tests.system.test_faults import power_cut
from tests.system.test_fuzz_live import throw


def upper_bound(n: int) -> float:
    """95 % upper bound of a rate of which no case was seen in n trials."""
    return 1.0 - 0.05 ** (1.0 / n)


def _count(usual: int) -> int:
    """Scans or kills of a campaign: `COUNT` in the environment, for a sample of another size."""
    return int(os.environ.get("COUNT", usual))


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


def real(folder: Path, fast: bool) -> dict[str, Any]:
    """Kills of the real daemon with the real pipeline; reports against an uninterrupted run in this process."""
    outcome = kill_real(folder, _count(6 if fast else 60), seed=int(os.environ.get("SEED", "5")))
    result = {
        "kills": dict(outcome.kills),
        "of these while the worker was ready": outcome.at_work,
        "scans, four at once": outcome.n_scans,
        "shots": outcome.n_shots,
        "messages sent again": outcome.resent,
        "reports missing": outcome.reports_missing,
        "reports different": outcome.reports_different,
        "journal entries doubled": outcome.entries_doubled,
        "assessments missing": outcome.entries_missing,
        "rate of a damaging kill, 95 % bound": upper_bound(sum(outcome.kills.values())),
    }
    bad = (outcome.reports_missing, outcome.reports_different, outcome.entries_doubled, outcome.entries_missing)
    assert not any(bad), result
    return result


def restart(folder: Path, fast: bool) -> dict[str, Any]:
    """From `exec` to the first acknowledgement after `kill -9`, with the real worker starting beside it."""
    n = 5 if fast else 20
    result: dict[str, Any] = {}
    for label, n_ended, open_mb in (("empty spool", 0, 0), ("300 finished scans, 64 MB under way", 300, 64)):
        place = folder / label.split()[0]
        place.mkdir()
        rows = restart_run(place, n, n_ended, open_mb)
        seconds, cpu = (np.array([row[name] for row in rows]) for name in ("seconds", "cpu_s"))
        result[label] = {
            "s: median, max": [float(np.median(seconds)), float(seconds.max())],
            "above 1 s": f"{int((seconds > 1.0).sum())} of {n}",
            "processor time of ingest, s: median, max": [float(np.median(cpu)), float(cpu.max())],
        }
    return result


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
    n_scans, n_shots = _count(5 if fast else 100), 40 if fast else 100
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


def realsoak(folder: Path, fast: bool) -> dict[str, Any]:
    """The same with the real pipeline."""
    result = soak_run(folder, _count(20 if fast else 500), 100, COMMAND)
    print(table(["shots", "ack p50 ms", "p99 ms", "ingest MB", "worker MB", "files", "threads"], result["tenths"]))
    return result


def load(folder: Path, fast: bool) -> dict[str, Any]:
    result = load_run(folder, fast)
    print(table(["coils x points", "senders", "shots/s", "MB/s", "ack p50 ms", "p99 ms"], result["rows"]))
    return result


def realload(folder: Path, fast: bool) -> dict[str, Any]:
    """More and more scans at once, a shot each TR of 2 s, until p99 of shot to assessment passes one TR."""
    rows: list[dict[str, float]] = []
    for n_scans in (8, 32) if fast else (4, 16, 32, 48, 64, 96, 128, 192, 256):
        place = folder / str(n_scans)
        place.mkdir()
        rows.append(load_real(place, n_scans, 8 if fast else 16, 2.0))
        print({name: round(value, 1) for name, value in rows[-1].items()}, flush=True)
        if rows[-1]["p99 ms"] > 2000.0:
            break
    print(table(list(rows[0]), [list(row.values()) for row in rows]))
    return {"rows": [list(row.values()) for row in rows]}


CAMPAIGNS: dict[str, Callable[[Path, bool], dict[str, Any]]] = {
    "kill": kill,
    "real": real,
    "restart": restart,
    "power": power,
    "network": network,
    "fuzz": fuzz,
    "soak": soak,
    "realsoak": realsoak,
    "load": load,
    "realload": realload,
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
