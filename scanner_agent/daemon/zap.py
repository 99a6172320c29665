"""ZeroMQ's authentication requests (RFC 27), answered in ingest's own loop: only CURVE, only keys on the list."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

import zmq
from zmq.utils import z85

from scanner_agent.daemon.keys import AllowLists

log = logging.getLogger(__name__)
ZAP_ADDRESS = "inproc://zeromq.zap.01"


class ZapHandler:
    """Must be bound before any socket that it guards. The domain of a socket is the name of its allow-list."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], lists: AllowLists) -> None:
        self.socket = context.socket(zmq.REP)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(ZAP_ADDRESS)
        self._lists = lists
        self.before_refusal: Callable[[], None] = lambda: None
        """Called before an unknown key is refused: it may have been allowed a moment ago."""
        self.refused: Counter[str] = Counter()
        """Handshakes refused, per socket."""

    def answer_all(self) -> None:
        """Answer every request that waits."""
        while self.socket.poll(0, zmq.POLLIN):
            self.socket.send_multipart(self.answer(self.socket.recv_multipart()))

    def answer(self, request: list[bytes]) -> list[bytes]:
        """The answer to one request."""
        if len(request) < 6 or request[0] != b"1.0":
            return [b"1.0", request[1] if len(request) > 1 else b"", b"500", b"bad request", b"", b""]
        version, request_id, domain, address, _, mechanism = request[:6]
        endpoint = domain.decode("ascii", "replace")
        name = None
        if mechanism == b"CURVE" and len(request) == 7 and len(request[6]) == 32:
            public = z85.encode(request[6]).decode("ascii")
            name = self._lists.name_of(endpoint, public)
            if name is None:
                self.before_refusal()
                name = self._lists.name_of(endpoint, public)
        if name is None:
            self.refused[endpoint] += 1
            if self.refused[endpoint] <= 20 or self.refused[endpoint] % 1000 == 0:
                log.warning("a key was refused at %s, from %s", endpoint, address.decode("ascii", "replace"))
            return [version, request_id, b"400", b"not allowed", b"", b""]
        # The user id comes with every message of this peer: the key itself, so that revoking is seen at once.
        return [version, request_id, b"200", b"", public.encode("ascii"), b""]
