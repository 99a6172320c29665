"""Triggers: lives with faults (exactly once to an idempotent client), and the time from a shot to its trigger.

    python benchmarks/triggers.py [--fast] [--only lives kills line whole]

`lives`: in one process, on a disk that loses what was not synced. `kills`: the daemon's and the client's processes are
killed. `line`: shot to trigger with a worker that judges by rule, so that the time is that of the line around the
science: spool, worker, journal, guard rails, trigger file, control socket. `whole`: the same with the real pipeline.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
from common import table, write_json

from scanner_agent.daemon.trigger_rules import is_call
from scanner_agent.records import Assessment, EndStatus, ScanHeader, Shot, ShotKind, TriggerState
from scanner_agent.simulate import simulate_scan
from scanner_agent.wire import ControlClient, ShotSender, Subscriber
from tests.support import kill_campaign, live
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


def kills(n: int) -> dict[str, int]:
    """Scans whose trigger came through a kill of the daemon; the client dies before and after its act."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = kill_campaign.run(Path(folder), n, seed=31)
    for fault in outcome.faults:
        print("FAULT:", fault)
    return {
        "scans": outcome.runs,
        "daemon killed": outcome.daemon_kills,
        "client killed": outcome.client_deaths,
        "triggers acted on": len(outcome.acts),
        "faults": len(outcome.faults),
    }


def whole_latencies(n: int) -> list[float]:
    """Seconds from sending the shot after which the verdict first calls, to its trigger at the client; real pipeline.

    A scan of 32 coils and 4096 points in which the head moves, again and again under other names, a shot as soon as
    the last one is judged (at the scanner's pace nothing waits either).
    """
    scan = simulate_scan("motion_step", seed=4, n_shots=48, n_points=4096, onset_shot=20, severity=0.7, snr_lcmodel=6.0)
    shots = list(scan.shots())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        extra = kill_campaign.own_protocols(folder / "protocols")
        command = (sys.executable, "-m", "scanner_agent", "run", "--config")
        daemon = live.Daemon(folder, extra, "[triggers]\ncool_down_s = 0\n", command=command).start()
        try:
            live.wait_ready(daemon, 300.0)
            with ControlClient(daemon.url) as client, Subscriber(daemon.url, ("assessment/",)) as subscriber:
                names = (f"whole-{number}" for number in range(n))
                return [_one_latency(scan.header, shots, name, daemon.url, client, subscriber) for name in names]
        finally:
            daemon.stop()


def _one_latency(
    header: ScanHeader,
    shots: list[Shot],
    scan_id: str,
    url: str,
    client: ControlClient,
    subscriber: Subscriber,
) -> float:
    client.triggers()
    header = msgspec.structs.replace(header, scan_id=scan_id)
    with ShotSender(header, url) as sender:
        for shot in shots:
            begin = time.perf_counter()
            sender.send(msgspec.structs.replace(shot, scan_id=scan_id))
            if shot.shot_kind is not ShotKind.METABOLITE:
                continue
            while (got := subscriber.receive(30.0)) is not None:
                record = got.decoded()
                if (
                    isinstance(record, Assessment)
                    and record.scan_id == scan_id
                    and record.shot_index == shot.shot_index
                ):
                    break
            else:
                raise SystemExit("no assessment came within 30 s")
            if is_call(record):
                while (trigger := client.next_trigger(10.0)) is not None and trigger.scan_id != scan_id:
                    pass
                if trigger is None:
                    raise SystemExit("no trigger came within 10 s")
                sender.end(EndStatus.ABORTED, "measured")
                return time.perf_counter() - begin
    raise SystemExit(f"{scan_id}: no verdict called")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="a twentieth of the runs")
    parser.add_argument("--only", nargs="+", choices=("lives", "kills", "line", "whole"), help="default: all")
    chosen = parser.parse_args()
    share = 20 if chosen.fast else 1
    made: dict[str, object] = {}
    for name, count, n in (("lives", lives, 1000), ("kills", kills, 60)):
        if name in (chosen.only or (name,)):
            sums = made[name] = count(n // share)
            print(table([name, "count"], [[what, number] for what, number in sums.items()]))
            write_json("triggers", made)
    for name, latency, n in (("line", latencies, 300), ("whole", whole_latencies, 100)):
        if name in (chosen.only or (name,)):
            milliseconds = 1e3 * np.array(latency(n // share))
            marks = {f"p{q}": float(np.quantile(milliseconds, q / 100)) for q in (50, 90, 99)}
            print(table([f"shot to trigger, {name}", "ms"], [[mark, value] for mark, value in marks.items()]))
            made[name] = {"ms": marks, "n": len(milliseconds)}
            write_json("triggers", made)


if __name__ == "__main__":
    main()
