"""The daemon's three sockets: options, keys, and who sent a message."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import zmq

from scanner_agent.config import AgentConfig
from scanner_agent.daemon.keys import ENDPOINTS, AllowLists, ServerKeys, server_keys
from scanner_agent.daemon.zap import ZapHandler
from scanner_agent.errors import ConfigError
from scanner_agent.wire.sockets import set_common_options

_CONTROL_BYTES = 64 * 1024
_SUBSCRIPTION_BYTES = 4096


class Received(NamedTuple):
    """One message."""

    peer: bytes
    """Where the answer goes."""
    frames: list[bytes]
    """What was sent."""
    key: str | None
    """Name of the sender's key; None where keys are not used."""
    allowed: bool
    """Whether that key may use this socket now."""

    @property
    def who(self) -> bytes:
        """Whose share of messages this uses up: the key's, which is the same after connecting again."""
        return self.peer if self.key is None else self.key.encode()


class Sockets:
    """Bound at construction. Raises `ConfigError`, `SpoolError`."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.lists: AllowLists | None = None
        self.zap: ZapHandler | None = None
        self._keys: ServerKeys | None = None
        if config.curve:
            self._keys = server_keys(config.keys)
            self.lists = AllowLists(config.keys)
            self.zap = ZapHandler(self._context, self.lists)
        try:
            self.ingest = self._bound("ingest")
            self.publish = self._bound("publish")
            self.control = self._bound("control")
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise ConfigError(f"cannot listen on {config.urls[0]}: {error} (does another daemon run?)") from None

    def _bound(self, name: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.XPUB if name == "publish" else zmq.ROUTER)
        try:
            self._prepare(socket, name)
            socket.bind(self._config.urls[ENDPOINTS.index(name)])
        except zmq.ZMQError:
            socket.close()
            raise
        return socket

    def _prepare(self, socket: zmq.Socket[bytes], name: str) -> None:
        limits = {
            "ingest": self._config.wire.max_payload_bytes,
            "publish": _SUBSCRIPTION_BYTES,
            "control": _CONTROL_BYTES,
        }
        # Publishing keeps some seconds of messages for a subscriber that is slow for a moment.
        queue = 1000 if name == "publish" else self._config.wire.max_queued_messages
        set_common_options(socket, max_message_bytes=limits[name], queue=queue)
        if self._keys is not None:
            socket.setsockopt(zmq.CURVE_SERVER, 1)
            socket.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret)
            socket.setsockopt(zmq.ZAP_DOMAIN, name.encode())
            # Without this a missing handler would let everyone in.
            socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def receive(self, name: str) -> Received | None:
        """The next message at `ingest` or `control`, None if none waits."""
        socket = self.ingest if name == "ingest" else self.control
        try:
            parts = socket.recv_multipart(zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return None
        frames = [part.bytes for part in parts]
        if self.lists is None:
            return Received(frames[0], frames[1:], None, True)
        key = None
        with contextlib.suppress(zmq.ZMQError):  # a message without an authenticated sender
            key = self.lists.name_of(name, str(parts[-1].get("User-Id")))
        return Received(frames[0], frames[1:], key, key is not None)

    def send(self, name: str, peer: bytes, answer: bytes) -> None:
        """Answer a peer; one that is gone, or does not read its answers, will ask again."""
        socket = self.ingest if name == "ingest" else self.control
        with contextlib.suppress(zmq.Again):
            socket.send_multipart([peer, answer], zmq.DONTWAIT)

    def rebind_publish(self) -> bool:
        """Cut all subscribers off, so that each has to show its key again; False: the port is not free yet."""
        self.publish.close()
        try:
            self.publish = self._bound("publish")
        except zmq.ZMQError:
            return False
        return True

    @property
    def n_refused(self) -> int:
        """Handshakes refused since start."""
        return sum(self.zap.refused.values()) if self.zap is not None else 0

    def close(self) -> None:
        """Close everything; what waits to be sent has a moment."""
        self._context.destroy(linger=200)
