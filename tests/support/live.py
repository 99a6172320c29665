"""Starts and ends daemons for tests, and makes plain scans to send to them."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from scanner_agent.records import ScanHeader, Shot, ShotKind
from scanner_agent.wire import ClientKeys, ControlClient

DAEMON = Path(__file__).with_name("fake_daemon.py")


def free_port() -> int:
    """A port with two free ones after it.

    Below those that the system gives to outgoing connections: a client that looks for its daemon must not take the
    daemon's own port while that is restarted.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with contextlib.suppress(OSError), contextlib.ExitStack() as sockets:
            for one in (port, port + 1, port + 2):
                sockets.enter_context(socket.socket()).bind(("127.0.0.1", one))
            return port


class Daemon:
    """One daemon process that can be killed and started again on the same state."""

    def __init__(
        self,
        folder: Path,
        extra: str = "",
        tables: str = "",
        port: int | None = None,
        command: Sequence[str] = (sys.executable, str(DAEMON)),
    ) -> None:
        self._command = tuple(command)
        self.port = port or free_port()
        self.url = f"tcp://127.0.0.1:{self.port}"
        self.state = folder / "state"
        self.config = folder / "agent.toml"
        self.config.write_text(
            f"state_directory = {str(self.state)!r}\n{extra}\n[listen]\nport = {self.port}\n{tables}\n"
        )
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Daemon:
        self.process = subprocess.Popen(
            [*self._command, str(self.config)], stdout=subprocess.PIPE, text=True, cwd=DAEMON.parents[2]
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith(("listening", "ingest"))
        return self

    def control(self, keys: ClientKeys | None = None) -> ControlClient:
        """A client with more patience than a person has: a busy disk can hold up the daemon for seconds."""
        return ControlClient(self.url, timeout_s=20.0, keys=keys)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def _reap(self) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        code = self.process.wait(20)
        self.process.stdout.close()
        self.process = None
        return code


@contextmanager
def running(folder: Path, extra: str = "", tables: str = "") -> Iterator[Daemon]:
    daemon = Daemon(folder, extra, tables).start()
    try:
        yield daemon
    finally:
        if daemon.process is not None:
            daemon.stop()


def eventually(check: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for something that no event announces."""
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; where nobody collects orphans, one that is dead stays in the list."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rsplit(")", 1)[1].split()[0] in "ZX"


def wait_ready(daemon: Daemon, timeout_s: float = 60.0) -> None:
    with daemon.control() as control:
        eventually(lambda: control.health().ready, timeout_s)


def stored_reports(database: Path) -> set[str]:
    """Scans with a report in the results; read without the store's own code, which would make the file."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return {str(row[0]) for row in connection.execute("SELECT scan_id FROM reports")}
    except sqlite3.OperationalError:
        return set()


def header(scan_id: str, **changes: object) -> ScanHeader:
    values: dict[str, object] = {
        "scan_id": scan_id,
        "spectrometer_frequency_mhz": 123.25,
        "dwell_time_s": 2.5e-4,
        "n_coils": 2,
        "n_points": 128,
        "sequence": "PRESS",
        "n_shots_planned": 8,
    }
    return ScanHeader(**{**values, **changes})  # type: ignore[arg-type]


def shot(scan: ScanHeader, index: int, kind: ShotKind = ShotKind.METABOLITE, seed: int = 0) -> Shot:
    rng = np.random.default_rng([seed, index, len(scan.scan_id), *scan.scan_id.encode()])
    data = rng.normal(size=(scan.n_coils, scan.n_points, 2)).astype(np.float32).view(np.complex64)[..., 0]
    return Shot(scan_id=scan.scan_id, shot_kind=kind, shot_index=index, data=data)


def memory_mb(daemon: Daemon) -> float:
    """Resident memory of the ingest process."""
    assert daemon.process is not None
    for line in Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")
