"""Long and fast runs against a daemon, with a look at memory, files, threads and the time to the acknowledgement."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from scanner_agent.records import ScanHeader, Shot, ShotKind
from scanner_agent.simulate import simulate_scan
from scanner_agent.wire import ControlClient, ShotSender, wait_for_report
from tests.support import live
from tests.support.faults import wait_worked_off, worker_pid


def _state(pid: int) -> tuple[float, int, int]:
    """Resident memory (MB), open files, threads."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    n_files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return int(status["VmRSS"].split()[0]) / 1024, n_files, int(status["Threads"])


def _shots(scan: ScanHeader, n: int, block: np.ndarray[Any, Any]) -> list[Shot]:
    """Shots that differ, at no cost."""
    return [
        Shot(
            scan_id=scan.scan_id,
            shot_kind=ShotKind.METABOLITE,
            shot_index=i,
            data=np.roll(block, i, axis=1),
        )
        for i in range(n)
    ]


def _block(n_coils: int, n_points: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n_coils, n_points, 2)).astype(np.float32).view(np.complex64)[..., 0]


def send_timed(url: str, scan: ScanHeader, shots: list[Shot], window: int = 8) -> list[float]:
    """Send a scan; seconds from each shot's sending to its acknowledgement (to within the pump's step)."""
    times: list[float] = []
    sent: deque[float] = deque()  # they are acknowledged in the order in which they were sent
    with ShotSender(scan, url, window=window) as sender:
        before = 0
        for shot in shots:
            sent.append(time.monotonic())
            sender.send(shot)
            while before < sender.acknowledged:
                times.append(time.monotonic() - sent.popleft())
                before += 1
        while before < len(shots):
            sender.pump(0.01)
            while before < sender.acknowledged:
                times.append(time.monotonic() - sent.popleft())
                before += 1
        sender.end(n_shots=sum(shot.shot_kind is ShotKind.METABOLITE for shot in shots))
    return times


def soak_run(folder: Path, n_scans: int, n_shots: int, command: Sequence[str] | None = None) -> dict[str, Any]:
    """Scans one after the other as fast as they are acknowledged, retention on, results stored.

    `command`: the real daemon, which is sent a simulated scan instead of noise.
    """
    block = _block(8, 2048)
    simulated = None
    if command is not None:
        simulated = simulate_scan("still", seed=1, n_coils=8, n_points=2048, n_shots=n_shots)
    tables = "[spool]\nmax_bytes = 400000000\nfree_space_floor_bytes = 1000000\njournal_max_bytes = 40000000"
    rows: list[list[object]] = []
    memory: list[float] = []
    daemon = live.Daemon(folder, tables=tables) if command is None else live.Daemon(folder, "", tables, command=command)
    daemon.start()
    try:
        live.wait_ready(daemon, 120.0)
        assert daemon.process is not None
        times: list[float] = []
        for i in range(n_scans):
            if simulated is None:
                scan = live.header(f"soak-{i:04d}", n_coils=8, n_points=2048, n_shots_planned=n_shots)
                shots = _shots(scan, n_shots, block)
            else:
                scan = msgspec.structs.replace(simulated.header, scan_id=f"soak-{i:04d}")
                shots = [msgspec.structs.replace(shot, scan_id=scan.scan_id) for shot in simulated.shots()]
            times += send_timed(daemon.url, scan, shots)
            if (i + 1) % max(1, n_scans // 10) == 0:
                report, _ = wait_for_report(daemon.url, scan.scan_id, 3600.0)
                assert report is not None
                wait_worked_off(daemon, 3600.0)
                ingest, worker = _state(daemon.process.pid), _state(worker_pid(daemon) or 0)
                ms = np.array(times) * 1000
                p50, p99 = float(np.percentile(ms, 50)), float(np.percentile(ms, 99))
                files, threads = ingest[1] + worker[1], ingest[2] + worker[2]
                rows.append([(i + 1) * n_shots, p50, p99, ingest[0], worker[0], files, threads])
                memory.append(ingest[0] + worker[0])
                times = []
                print(rows[-1], flush=True)
        with ControlClient(daemon.url) as control:
            restarts = control.health().worker_restarts
        spool_mb = sum(path.stat().st_size for path in (daemon.state / "spool").iterdir()) / 1e6
        journal_mb = sum(path.stat().st_size for path in (daemon.state / "journal").iterdir()) / 1e6
    finally:
        if daemon.process is not None:
            daemon.stop()
    return {
        "tenths": rows,
        "scans": n_scans,
        "memory growth after the first tenth, %": 100.0 * (memory[-1] / memory[0] - 1.0),
        "spool at the end, MB": spool_mb,
        "journal at the end, MB": journal_mb,
        "worker restarts": restarts,
    }


def load_run(folder: Path, fast: bool) -> dict[str, Any]:
    """How many shots a second are acknowledged, by size and by number of senders."""
    rows: list[list[object]] = []
    n_shots = 50 if fast else 200
    for number, (n_coils, n_points, n_senders) in enumerate(
        ((8, 2048, 1), (8, 2048, 4), (8, 2048, 12), (32, 4096, 1), (32, 4096, 4), (32, 4096, 12))
    ):
        block = _block(n_coils, n_points)
        count = n_shots if n_coils == 8 else n_shots // 4
        with live.running(folder, tables="[store]\nurl = 'off'\n[spool]\nmax_bytes = 100000000") as daemon:
            live.wait_ready(daemon)
            times: list[float] = []
            lock = threading.Lock()

            def one(
                i: int,
                number: int = number,
                shape: tuple[int, int] = (n_coils, n_points),
                block: np.ndarray[Any, Any] = block,
                count: int = count,
                url: str = daemon.url,
                lock: threading.Lock = lock,
                times: list[float] = times,
            ) -> None:
                scan = live.header(f"load-{number}-{i}", n_coils=shape[0], n_points=shape[1])
                mine = send_timed(url, scan, _shots(scan, count, block), window=4)
                with lock:
                    times.extend(mine)

            began = time.monotonic()
            threads = [threading.Thread(target=one, args=(i,)) for i in range(n_senders)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            seconds = time.monotonic() - began
        rate = n_senders * count / seconds
        ms = np.array(times) * 1000
        rows.append(
            [
                f"{n_coils} x {n_points}",
                n_senders,
                rate,
                rate * n_coils * n_points * 8 / 1e6,
                float(np.percentile(ms, 50)),
                float(np.percentile(ms, 99)),
            ]
        )
    return {"rows": rows}
