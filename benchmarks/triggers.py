"""Triggers: lives with faults (exactly once to an idempotent client), and the time from a shot to its trigger.

    python benchmarks/triggers.py [--fast]

The daemon is the real one with a worker that judges by rule, so that the time is that of the line around the science:
spool, worker, journal, guard rails, trigger file, control socket. The time for the science is in `benchmarks/line.py`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from common import table, write_json

from scanner_agent.records import TriggerState
from scanner_agent.wire import ControlClient, ShotSender
from tests.support import live
from tests.support.trigger_campaign import Campaign, faults


def lives(n: int) -> dict[str, int]:
    """Sums over n lives of 60 steps."""
    total: Counter[str] = Counter(runs=n)
    for seed in range(n):
        with tempfile.TemporaryDirectory() as folder:
            life = Campaign(10_000 + seed, Path(folder)).run(60)
        total["runs with a fault"] += bool(faults(life))
        total["triggers told active"] += len(life.told_active)
        total["acted on"] += sum(life.acted.values())
        total["acted on twice"] += sum(count - 1 for count in life.acted.values())
        total["acknowledged"] += sum(state is TriggerState.ACKNOWLEDGED for state in life.final.values())
        total["power cuts"] += life.restarts
        total["client crashes"] += life.crashes
        total["messages lost"] += life.lost
        total["messages doubled"] += life.doubled
    return dict(total)


def latencies(n: int) -> list[float]:
    """Seconds from sending a shot to the trigger it causes, as a client of the control socket sees it."""
    found = []
    with tempfile.TemporaryDirectory() as folder, live.running(Path(folder)) as daemon:
        live.wait_ready(daemon)
        with ControlClient(daemon.url) as client:
            for number in range(n):
                client.triggers()
                scan = live.header(f"late-{number}", scanner="stop 1", n_coils=8, n_points=2048)
                with ShotSender(scan, daemon.url) as sender:
                    sender.send(live.shot(scan, 0))
                    sender.flush()
                    shot = live.shot(scan, 1)
                    begin = time.perf_counter()
                    sender.send(shot)
                    while (trigger := client.next_trigger(10.0)) is not None and trigger.scan_id != scan.scan_id:
                        pass
                    found.append(time.perf_counter() - begin)
                    if trigger is None:
                        raise SystemExit("no trigger came within 10 s")
                    sender.end()
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="a twentieth of the runs")
    fast = parser.parse_args().fast
    sums = lives(50 if fast else 1000)
    print(table(["lives with faults", "count"], [[name, count] for name, count in sums.items()]))
    milliseconds = 1e3 * np.array(latencies(20 if fast else 300))
    marks = {name: float(np.quantile(milliseconds, q)) for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))}
    print(table(["shot to trigger", "ms"], [[name, value] for name, value in marks.items()]))
    write_json("triggers", {"lives": sums, "shot_to_trigger_ms": marks, "n": len(milliseconds)})


if __name__ == "__main__":
    main()
