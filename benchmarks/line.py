"""The whole line with a real daemon: shot-to-assessment time, memory, start-up, and live against offline.

    python benchmarks/line.py [--fast]

Times run from the moment a shot is handed to the sender until its assessment is received from the publish socket, one
shot at a time; a daemon of its own on free ports in a temporary folder. Start-up is measured with a cold and a warm
compile cache. NumPy is imported by the package, not here, so that linear
algebra has one thread as in the daemon. Writes out/line.json.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from common import machine, table, write_json

from scanner_agent.pipeline import start_pipeline
from scanner_agent.records import EndStatus, ScanEnd, ScanReport, ShotKind, Timing
from scanner_agent.simulate import SimulatedScan, simulate_scan
from scanner_agent.wire import ControlClient, ShotSender, Subscriber
from tests.support.live import free_port

SHOTS_SEEN = (16, 64, 320)


class Daemon:
    """A `scanner-agent run` of its own."""

    def __init__(self, folder: Path, cache: Path) -> None:
        port = free_port()
        self.url = f"tcp://127.0.0.1:{port}"
        config = folder / "agent.toml"
        config.write_text(f'state_directory = "{folder / "state"}"\n[listen]\nport = {port}\n')
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scanner_agent", "run", "--config", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=(folder / "daemon.log").open("wb"),
            # The package has set numba's folder for this process: the daemon shall choose its own.
            env={k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {"CACHE_DIRECTORY": str(cache)},
        )

    def wait_ready(self) -> tuple[float, float]:
        """Seconds from the start to the first answer, and to ready."""
        answered = None
        with ControlClient(self.url, timeout_s=120.0) as control:
            while True:
                health = control.health()
                answered = answered or time.perf_counter() - self.began
                if health.ready:
                    return answered, time.perf_counter() - self.began
                assert self.process.poll() is None, "the daemon ended"
                time.sleep(0.02)  # nothing announces `ready` but health itself

    def memory_mb(self) -> float:
        """Resident memory of the daemon and its worker together, MB."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        total = 0
        for pid in [str(self.process.pid), *children]:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
        return total / 1024

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(30)


@contextlib.contextmanager
def daemon(cache: Path) -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory() as folder:
        running = Daemon(Path(folder), cache)
        try:
            yield running
        finally:
            running.stop()


def _scan(n_coils: int, n_points: int, n_shots: int) -> SimulatedScan:
    return simulate_scan(
        "still",
        seed=100 + n_coils,
        n_coils=n_coils,
        n_points=n_points,
        n_shots=n_shots,
        scan_id=f"line-{n_coils}x{n_points}x{n_shots}",
    )


def latencies(running: Daemon, n_coils: int, n_points: int, n_shots: int) -> tuple[list[float], float, ScanReport]:
    """Milliseconds from shot to assessment of every metabolite shot, the daemon's memory, the report."""
    scan = _scan(n_coils, n_points, n_shots)
    times = []
    with (
        Subscriber(running.url, topics=["assessment", "report"]) as heard,
        ShotSender(scan.header, running.url) as sender,
    ):
        for shot in scan.shots():
            begin = time.perf_counter()
            sender.send(shot)
            if shot.shot_kind is not ShotKind.METABOLITE:
                sender.flush()
                continue
            _until(heard, sender, "assessment", scan.header.scan_id)
            times.append((time.perf_counter() - begin) * 1e3)
        memory = running.memory_mb()
        sender.end(n_shots=n_shots)
        report = _until(heard, sender, "report", scan.header.scan_id)
    assert isinstance(report, ScanReport)
    return times, memory, report


def _until(heard: Subscriber, sender: ShotSender, kind: str, scan_id: str) -> object:
    while True:
        sender.pump()
        publication = heard.receive(0.005)
        if publication is not None and publication.type == kind and publication.scan_id == scan_id:
            return publication.decoded()


def offline(n_coils: int, n_points: int, n_shots: int) -> ScanReport:
    scan = _scan(n_coils, n_points, n_shots)
    pipeline = start_pipeline(scan.header, scan.shots)
    for shot in scan.shots():
        pipeline.add(shot)
    return pipeline.finish(ScanEnd(scan_id=scan.header.scan_id, status=EndStatus.COMPLETE, n_shots=n_shots))


def comparable(report: ScanReport) -> ScanReport:
    """Without times and what only a daemon has."""
    provenance = msgspec.structs.replace(report.provenance, audit_head=None, audit_count=None)
    return msgspec.structs.replace(report, timing=Timing(total_ms=0.0), provenance=provenance)


def differences(one: ScanReport, other: ScanReport) -> list[str]:
    """Names of the report's fields that are not the same to the last bit."""
    a, b = comparable(one), comparable(other)
    return [field for field in a.__struct_fields__ if getattr(a, field) != getattr(b, field)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fast", action="store_true", help="one small case")
    arguments = parser.parse_args()
    sizes = [(8, 2048)] if arguments.fast else [(8, 2048), (8, 4096), (32, 2048), (32, 4096)]
    longest = 64 if arguments.fast else 320
    print(machine())
    result: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        starts = []
        for label in ("cold", "warm", "warm", "warm"):
            with daemon(cache) as running:
                starts.append([label, *running.wait_ready()])
        print(table(["compile cache", "first answer s", "ready s"], starts))
        result["start"] = starts
        rows = []
        with daemon(cache) as running:
            running.wait_ready()
            for n_coils, n_points in sizes:
                times, memory, report = latencies(running, n_coils, n_points, longest)
                for seen in (n for n in SHOTS_SEEN if n <= longest):
                    window = times[max(0, seen - 16) : seen]
                    rows.append([n_coils, n_points, seen, statistics.median(window), float(max(window)), memory])
                percentiles = statistics.quantiles(times, n=100)
                p50, p99 = percentiles[49], percentiles[98]
                rows.append([n_coils, n_points, "all", p50, p99, memory])
                differing = differences(report, offline(n_coils, n_points, longest))
                same = not differing
                result[f"same_{n_coils}x{n_points}"] = same
                print(
                    f"{n_coils} x {n_points} x {longest}: live and offline report equal: {same} {differing}", flush=True
                )
        print(table(["coils", "points", "at shot", "p50 ms", "p99 (or max of 16) ms", "memory MB"], rows))
        result["latency"] = rows
    print(write_json("line", result))


if __name__ == "__main__":
    main()
