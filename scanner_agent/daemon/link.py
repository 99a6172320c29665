"""The line between ingest and worker: framed messages over a pair of local sockets, inherited, with no name to find."""

from __future__ import annotations

import os
import queue
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

import msgspec

_LENGTH = struct.Struct("<I")
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(dict[str, Any])
Message = dict[str, Any]


def pack(message: Message) -> bytes:
    """One message with its length in front."""
    body = _ENCODER.encode(message)
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Bytes in, whole messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """All messages that are whole now."""
        self._buffer += data
        messages = []
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            end = start + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            messages.append(_DECODER.decode(memoryview(self._buffer)[start + _LENGTH.size : end]))
            start = end
        del self._buffer[:start]
        return messages


class ParentLink:
    """Ingest's end: never blocks. What cannot be sent now is kept: little, as ingest only says how far it is."""

    def __init__(self) -> None:
        self.socket, child = socket.socketpair()
        self.child = child
        self.socket.setblocking(False)
        self._out = bytearray()
        self._unpacker = Unpacker()
        self.closed = False

    def send(self, message: Message) -> None:
        """Queue a message and send what the socket takes."""
        self._out += pack(message)
        self.flush()

    @property
    def backlog(self) -> int:
        """Bytes not sent yet."""
        return len(self._out)

    def flush(self) -> None:
        """Send what the socket takes."""
        try:
            while self._out:
                del self._out[: self.socket.send(self._out)]
        except BlockingIOError:
            return
        except OSError:
            self.closed = True

    def receive(self) -> list[Message]:
        """All whole messages that are there; `closed` is True once the worker has gone."""
        messages: list[Message] = []
        try:
            while data := self.socket.recv(1 << 20):
                messages += self._unpacker.feed(data)
            self.closed = True
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True
        return messages

    def close(self) -> None:
        """Close both ends; the worker ends itself when it sees that."""
        self.closed = True
        self.socket.close()
        self.child.close()


class ChildLink:
    """The worker's end. A thread reads; when ingest is gone, the process ends at once, whatever it is doing."""

    def __init__(self, fd: int, on_parent_gone: Callable[[], None] = lambda: os._exit(0)) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(True)
        self._on_parent_gone = on_parent_gone
        self._lock = threading.Lock()
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="link", daemon=True).start()

    def _read(self) -> None:
        unpacker = Unpacker()
        try:
            while data := self._socket.recv(1 << 16):
                for message in unpacker.feed(data):
                    self.inbox.put(message)
        except OSError:
            pass
        self._on_parent_gone()

    def send(self, message: Message) -> None:
        """Send, waiting for room; ends the process if ingest is gone."""
        try:
            with self._lock:
                self._socket.sendall(pack(message))
        except OSError:
            self._on_parent_gone()
