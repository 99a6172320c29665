"""Looks at this machine with the daemon's eyes."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import zmq

from scanner_agent.config import AgentConfig, is_loopback
from scanner_agent.durable import private_directory
from scanner_agent.errors import ScannerAgentError
from scanner_agent.wire import ControlClient

Check = tuple[str, bool, str]


def checks(config: AgentConfig) -> Iterator[Check]:
    """Name, whether it is well, and what was found or what to do; one after the other."""
    for name, check in (
        ("state directory", _state),
        ("disk", _disk),
        ("fsync", _sync),
        ("sockets", _sockets),
        ("encryption", _curve),
        ("protocols", _protocols),
        ("processing", _processing),
        ("results database", _store),
    ):
        try:
            ok, text = check(config)
        except (ScannerAgentError, OSError) as error:
            ok, text = False, str(error)
        yield name, ok, text


def _state(config: AgentConfig) -> tuple[bool, str]:
    path = private_directory(config.state)
    mode = path.stat().st_mode & 0o777
    return mode == 0o700 and os.access(path, os.W_OK), f"{path}, mode {mode:o}"


def _disk(config: AgentConfig) -> tuple[bool, str]:
    free, floor = shutil.disk_usage(config.state).free, config.spool.free_space_floor_bytes
    return free > floor, f"{free / 1e9:.1f} GB free; shots are refused below {floor / 1e9:.1f} GB"


def _sync(config: AgentConfig) -> tuple[bool, str]:
    path = config.state / "doctor.tmp"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        slowest = 0.0
        for _ in range(10):
            os.write(fd, bytes(1 << 20))
            began = time.perf_counter()
            os.fdatasync(fd)
            slowest = max(slowest, time.perf_counter() - began)
    finally:
        os.close(fd)
        path.unlink()
    return slowest < 1.0, f"1 MB is safe on disk within {slowest * 1000:.1f} ms (slowest of 10)"


def _sockets(config: AgentConfig) -> tuple[bool, str]:
    busy = []
    for port in range(config.listen.port, config.listen.port + 3):
        family = socket.AF_INET6 if ":" in config.listen.address else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((config.listen.address, port))
            except OSError:
                busy.append(port)
    if not busy:
        return True, f"{config.listen.address}, ports {config.listen.port} to {config.listen.port + 2} are free"
    if config.curve:
        return True, f"port {busy[0]} is taken, by a daemon it seems; ask it with `watch --once`"
    with ControlClient(config.urls[0], timeout_s=2.0) as control:
        health = control.health()
    return True, f"a daemon runs there: {health.state}, {'; '.join(health.problems) or 'no problems'}"


def _curve(config: AgentConfig) -> tuple[bool, str]:
    if not config.curve:
        return is_loopback(config.listen.address), "off: only this machine can connect"
    if not zmq.has("curve"):
        return False, "this build of ZeroMQ has no CURVE: install pyzmq from its wheel"
    return True, f"CURVE, keys in {config.keys}"


def _protocols(_config: AgentConfig) -> tuple[bool, str]:
    from scanner_agent.scan_protocol import shipped_protocols

    return True, f"{len(shipped_protocols())} protocols are sound"


def _processing(_config: AgentConfig) -> tuple[bool, str]:
    from scanner_agent.pipeline import ScanPipelines

    began = time.perf_counter()
    ScanPipelines().warm_up(lambda _text: None)
    return True, f"compiled and run on a test scan in {time.perf_counter() - began:.1f} s"


def _store(config: AgentConfig) -> tuple[bool, str]:
    from scanner_agent.store import Store

    if config.store_url is None:
        return True, "off"
    store = Store.open(config.store_url)
    cursor = store.cursor()
    store.close()
    return True, f"{Path(config.store_url).name}: up to journal entry {max(cursor, 0)}"
