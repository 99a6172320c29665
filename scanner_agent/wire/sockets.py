"""Addresses and socket options that both sides share, each option with its reason."""

from __future__ import annotations

import contextlib
from typing import Any
from urllib.parse import urlsplit

import zmq
from msgspec import Struct

from scanner_agent.errors import ConfigError

DEFAULT_URL = "tcp://127.0.0.1:5570"
INGEST, PUBLISH, CONTROL = 0, 1, 2


class ClientKeys(Struct, frozen=True, kw_only=True):
    """What a client needs for CURVE; keys in Z85 (40 characters)."""

    server_public: bytes
    """The daemon's public key."""
    public: bytes
    """The client's own."""
    secret: bytes
    """The client's own, not shown to anyone."""

    def __repr__(self) -> str:
        """Without the secret."""
        return f"ClientKeys(public={self.public.decode()!r})"


def endpoint(url: str, which: int) -> str:
    """The address of the ingest (0), publish (1) or control (2) socket, from that of ingest; raises `ConfigError`."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme == "tcp" and parts.hostname and parts.port and not parts.path:
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            return f"tcp://{host}:{parts.port + which}"
    raise ConfigError(f"{url!r} is not an address like {DEFAULT_URL}")


def set_common_options(socket: zmq.Socket[Any], *, max_message_bytes: int, queue: int) -> None:
    """Options of every socket, on both sides."""
    # Never hold up the end of a process for a peer that is gone: what matters was acknowledged or is sent again.
    socket.setsockopt(zmq.LINGER, 0)
    # A bounded queue each way: beyond it the peer waits (or a subscriber misses messages), memory does not grow.
    socket.setsockopt(zmq.SNDHWM, queue)
    socket.setsockopt(zmq.RCVHWM, queue)
    # libzmq cuts the connection of a peer that announces a larger frame, before any of it is stored.
    socket.setsockopt(zmq.MAXMSGSIZE, max_message_bytes)
    # A half-open peer (cable pulled, laptop asleep) is noticed within 6 s in both directions.
    socket.setsockopt(zmq.HEARTBEAT_IVL, 2_000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 6_000)
    socket.setsockopt(zmq.HEARTBEAT_TTL, 6_000)
    # A peer that drips its handshake byte by byte is dropped after 3 s.
    socket.setsockopt(zmq.HANDSHAKE_IVL, 3_000)
    socket.setsockopt(zmq.IPV6, 1)


def client_socket(
    context: zmq.Context[zmq.Socket[bytes]], kind: int, url: str, *, queue: int = 1000, keys: ClientKeys | None = None
) -> zmq.Socket[bytes]:
    """A connected socket of a client."""
    socket = context.socket(kind)
    set_common_options(socket, max_message_bytes=64 * 1024 * 1024, queue=queue)
    # Back within a second after the daemon restarts, but without hammering it when it is away for long.
    socket.setsockopt(zmq.RECONNECT_IVL, 100)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1_000)
    if keys is not None:
        socket.curve_serverkey = keys.server_public
        socket.curve_publickey = keys.public
        socket.curve_secretkey = keys.secret
    try:
        socket.connect(url)
    except zmq.ZMQError as error:
        socket.close()
        raise ConfigError(f"cannot connect to {url}: {error}") from None
    return socket
