"""The unit file, and the notify protocol that it relies on."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scanner_agent.wire import ShotSender, wait_for_report
from tests.support import live

UNIT = Path(__file__).resolve().parents[2] / "systemd" / "scanner-agent.service"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze (Debian package systemd)")
    path = tmp_path / UNIT.name  # with a program that is there
    path.write_text(UNIT.read_text().replace("/usr/bin/scanner-agent run", "/bin/true"))
    return path


def test_the_unit_is_sound(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    if "Failed to" in done.stderr and done.returncode:
        pytest.skip(f"systemd-analyze does not work here: {done.stderr.splitlines()[0]}")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_is_shut_off_as_far_as_numba_allows(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=yes", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd-analyze cannot judge offline: {done.stderr.strip()[:100]}")
    assert float(found.group(1)) <= 2.0
    assert "MemoryDenyWriteExecute=yes" not in UNIT.read_text()


class _Manager:
    """What systemd does: hears the notifications, and kills and restarts when the watchdog is not fed in time."""

    def __init__(self, folder: Path, watchdog_s: float) -> None:
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self.watchdog_s = watchdog_s

    def hear(self, timeout_s: float) -> str | None:
        self._socket.settimeout(timeout_s)
        try:
            return self._socket.recv(4096).decode()
        except TimeoutError:
            return None

    def wait_for(self, text: str, timeout_s: float = 20.0) -> None:
        deadline = time.monotonic() + timeout_s
        while (heard := self.hear(max(0.01, deadline - time.monotonic()))) is None or not heard.startswith(text):
            assert time.monotonic() < deadline

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Manager]:
    manager = _Manager(tmp_path, 2.0)
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    monkeypatch.setenv("WATCHDOG_USEC", str(int(manager.watchdog_s * 1e6)))
    yield manager
    manager.close()


def test_ready_is_told_and_the_watchdog_is_fed_while_all_is_well(tmp_path: Path, manager: _Manager) -> None:
    with live.running(tmp_path) as daemon:
        manager.wait_for("READY=1")
        for _ in range(2):
            manager.wait_for("WATCHDOG=1")
        daemon.stop()
        manager.wait_for("STOPPING=1")


def test_a_hung_worker_is_replaced_and_the_scan_gets_its_report(tmp_path: Path, manager: _Manager) -> None:
    with live.running(tmp_path, tables="[worker]\nhang_limit_s = 1.5") as daemon:
        scan = live.header("hung", scanner="hang 2")
        with ShotSender(scan, daemon.url) as sender:
            for index in range(4):
                sender.send(live.shot(scan, index))
            sender.end()
        report, _ = wait_for_report(daemon.url, "hung", 30.0)
        assert report is not None
        with daemon.control() as control:
            assert control.health().worker_restarts == 2
        for _ in range(30):  # what had piled up
            manager.hear(0.01)
        manager.wait_for("WATCHDOG=1")


def test_a_hung_daemon_starves_the_watchdog_and_after_the_restart_all_goes_on(
    tmp_path: Path, manager: _Manager
) -> None:
    daemon = live.Daemon(tmp_path).start()
    try:
        scan = live.header("stopped")
        with ShotSender(scan, daemon.url) as sender:
            sender.send(live.shot(scan, 0))
            sender.flush()
            assert daemon.process is not None
            os.kill(daemon.process.pid, signal.SIGSTOP)
            sender.send(live.shot(scan, 1))
            deadline = time.monotonic() + 30.0
            while manager.hear(manager.watchdog_s) is not None:
                assert time.monotonic() < deadline
            daemon.kill()
            daemon.start()
            sender.flush()
            assert sender.acknowledged == 2
    finally:
        if daemon.process is not None:
            daemon.stop()
