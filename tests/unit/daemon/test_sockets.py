"""The options of the daemon's sockets, as docs/operating.md and wire/sockets.py give reasons for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from scanner_agent.config import AgentConfig, Listen, Security
from scanner_agent.daemon.publisher import Publisher
from scanner_agent.daemon.sockets import Sockets
from scanner_agent.wire.sockets import client_socket
from tests.support.live import eventually, free_port


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[Sockets]:
    config = AgentConfig(state_directory=str(tmp_path), listen=Listen(port=free_port()), security=Security(curve=True))
    opened = Sockets(config)
    yield opened
    opened.close()


def test_every_socket_is_bounded_and_notices_dead_and_slow_peers(sockets: Sockets) -> None:
    limits = AgentConfig().wire
    for socket, most_bytes, queue in (
        (sockets.ingest, limits.max_payload_bytes, limits.max_queued_messages),
        (sockets.publish, 4096, 1000),
        (sockets.control, 65536, limits.max_queued_messages),
    ):
        assert socket.getsockopt(zmq.MAXMSGSIZE) == most_bytes
        assert socket.getsockopt(zmq.SNDHWM) == socket.getsockopt(zmq.RCVHWM) == queue
        assert socket.getsockopt(zmq.LINGER) == 0
        assert socket.getsockopt(zmq.HANDSHAKE_IVL) == 3000
        assert socket.getsockopt(zmq.HEARTBEAT_IVL) == 2000
        assert socket.getsockopt(zmq.HEARTBEAT_TIMEOUT) == socket.getsockopt(zmq.HEARTBEAT_TTL) == 6000


def test_every_socket_has_its_own_domain_and_enforces_it(sockets: Sockets) -> None:
    for name in ("ingest", "publish", "control"):
        socket = getattr(sockets, name)
        assert socket.getsockopt(zmq.MECHANISM) == zmq.CURVE
        assert socket.getsockopt(zmq.CURVE_SERVER) == 1
        assert socket.getsockopt(zmq.ZAP_DOMAIN).rstrip(b"\0") == name.encode()
        assert socket.getsockopt(zmq.ZAP_ENFORCE_DOMAIN) == 1
    eventually(sockets.rebind_publish)  # the port is free when libzmq has closed the old socket
    assert sockets.publish.getsockopt(zmq.ZAP_DOMAIN).rstrip(b"\0") == b"publish"


def test_a_subscriber_that_never_reads_holds_up_nobody(tmp_path: Path) -> None:
    config = AgentConfig(state_directory=str(tmp_path), listen=Listen(port=free_port()))
    sockets = Sockets(config)
    publisher = Publisher(sockets.publish, "instance")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    deaf, reader = (client_socket(context, zmq.SUB, config.urls[1], queue=n) for n in (1, 1000))
    try:
        for socket in (deaf, reader):
            socket.setsockopt(zmq.SUBSCRIBE, b"")

        def both_hear() -> bool:
            publisher.send("heartbeat", None, b"\x80")
            return bool(deaf.poll(10) and reader.poll(10))

        eventually(both_hear)
        publisher.drain_subscriptions()
        n_read, record = 0, bytes(msgspec.msgpack.encode({"text": "x" * 20_000}))
        for _ in range(3000):  # 60 MB: far more than the socket's queue and the kernel's buffers hold
            publisher.send("frame", "scan", record)
            while reader.poll(0):
                reader.recv_multipart()
                n_read += 1
        assert n_read > 0
        n_deaf = 0
        while deaf.poll(100):
            deaf.recv_multipart()
            n_deaf += 1
        assert 0 < n_deaf < 3000
    finally:
        context.destroy(linger=0)
        sockets.close()


def test_the_daemon_starts_with_no_science_and_nothing_else_that_takes_time(tmp_path: Path) -> None:
    """It has to acknowledge within a second of its start."""
    heavy = "numba llvmlite scipy sqlalchemy alembic rich textual typer pydantic nibabel pydicom matplotlib plotly"
    program = (
        "import sys; from scanner_agent.daemon import ingest; from scanner_agent.cli import main;"
        "ingest.run = lambda config, on_start: print(config.listen.port);"
        f"main(); print(*[name for name in {heavy.split()} if name in sys.modules])"
    )
    config = tmp_path / "agent.toml"
    config.write_text("[listen]\nport = 5999\n")
    command = [sys.executable, "-c", program, "run", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["5999"]


def test_a_wrong_start_is_explained_by_the_command_line(tmp_path: Path) -> None:
    for arguments, words in ((["--config", str(tmp_path / "none")], "none"), (["--konfig", "x"], "--konfig")):
        command = [sys.executable, "-m", "scanner_agent", "run", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr
