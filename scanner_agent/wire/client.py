"""The sending side: shots are sent again until they are acknowledged, through any restart of either end."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType

import zmq

from scanner_agent.errors import RemoteProtocolError, ScannerAgentError
from scanner_agent.records import EndStatus, ScanEnd, ScanHeader, Shot
from scanner_agent.wire.codec import (
    Ack,
    Ping,
    Pong,
    Range,
    Refusal,
    Request,
    ScanStatus,
    StatusQuery,
    decode_reply,
    encode_request,
)
from scanner_agent.wire.sockets import DEFAULT_URL, INGEST, ClientKeys, client_socket, endpoint

_Key = tuple[str, str | None, int | None]
_Condition = Callable[[], bool]


class DeliveryError(ScannerAgentError):
    """The daemon did not acknowledge in time."""


class RefusedError(ScannerAgentError):
    """The daemon refused the scan itself; `.refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"the daemon refused the {refusal.of or 'message'}: {refusal.text} ({refusal.reason})")
        self.refusal = refusal


class _Pending:
    """A message on its way."""

    def __init__(self, frames: list[bytes], now: float) -> None:
        self.frames = frames
        self.wait_s = 1.0
        self.again_at = now


class ShotSender:
    """Sends one scan. Not thread-safe; use as a context manager.

    At most `window` messages are under way; `send` blocks while the window is full, and no longer than `patience_s`.
    """

    def __init__(
        self,
        header: ScanHeader,
        url: str = DEFAULT_URL,
        *,
        window: int = 16,
        patience_s: float = 60.0,
        keys: ClientKeys | None = None,
    ) -> None:
        self.header = header
        self.window, self.patience_s = window, patience_s
        self.refused: list[Refusal] = []
        """Shots that the daemon will not take, and why."""
        self.missing: tuple[Range, ...] = ()
        """Metabolite shots that the daemon has not got, as of the last acknowledgement."""
        self.acknowledged = 0
        """Shots on the daemon's disk."""
        self.resent = 0
        """Messages sent more than once."""
        self._url, self._keys = endpoint(url, INGEST), keys
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._pending: OrderedDict[_Key, _Pending] = OrderedDict()
        self._answers: dict[_Key, Ack | ScanStatus | Pong] = {}
        self._last_answer = time.monotonic()
        self._socket = client_socket(self._context, zmq.DEALER, self._url, queue=4 * window, keys=keys)

    def __enter__(self) -> ShotSender:
        """Announce the scan; raises `RefusedError`, `DeliveryError`."""
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the socket; the scan stays open on the daemon until `end`."""
        self.close()

    def open(self) -> Ack:
        """Announce the scan and wait for the acknowledgement."""
        return self._request(self.header, ("header", None, None))

    def status(self) -> ScanStatus:
        """What the daemon has of this scan."""
        answer = self._exchange(StatusQuery(scan_id=self.header.scan_id), ("status", None, None))
        assert isinstance(answer, ScanStatus)
        return answer

    def ping(self, token: str = "") -> Pong:
        """Whether the daemon answers at all."""
        answer = self._exchange(Ping(token=token), ("pong", None, None))
        assert isinstance(answer, Pong)
        return answer

    def send(self, shot: Shot) -> None:
        """Send a shot; returns when there is room in the window, not when it is acknowledged (see `flush`)."""
        self._enqueue(("shot", shot.shot_kind.value, shot.shot_index), shot)
        self._pump_until(lambda: len(self._pending) < self.window)

    def flush(self) -> None:
        """Return when every shot sent is acknowledged or refused for good; raises `DeliveryError`."""
        self._pump_until(lambda: not self._pending)

    def end(self, status: EndStatus = EndStatus.COMPLETE, reason: str = "", n_shots: int | None = None) -> Ack:
        """Flush, then end the scan."""
        self.flush()
        record = ScanEnd(scan_id=self.header.scan_id, status=status, reason=reason, n_shots=n_shots)
        return self._request(record, ("end", None, None))

    def pump(self, timeout_s: float = 0.0) -> None:
        """Take in answers and send again what is overdue, for at most `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while self._step(deadline) and time.monotonic() < deadline:
            pass

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        self._context.term()

    def _request(self, record: ScanHeader | ScanEnd, key: _Key) -> Ack:
        answer = self._exchange(record, key)
        assert isinstance(answer, Ack)
        return answer

    def _exchange(self, record: Request, key: _Key) -> Ack | ScanStatus | Pong:
        self._enqueue(key, record)
        self._pump_until(lambda: key not in self._pending)
        answer = self._answers.pop(key, None)
        if answer is None:
            raise RefusedError(self.refused.pop())
        return answer

    def _enqueue(self, key: _Key, record: Request) -> None:
        if not self._pending:
            self._last_answer = time.monotonic()
        self._pending[key] = _Pending(encode_request(record), time.monotonic())

    def _pump_until(self, done: _Condition) -> None:
        deadline = time.monotonic() + self.patience_s
        while not done():
            before = len(self._pending)
            self._step(deadline)
            if len(self._pending) < before:
                deadline = time.monotonic() + self.patience_s
            if time.monotonic() > deadline:
                raise DeliveryError(f"no acknowledgement from {self._url} for {self.patience_s:g} s")
        self._step(0.0)

    def _step(self, deadline: float) -> bool:
        """Send what is due, take in one round of answers; whether there was any."""
        now = time.monotonic()
        self._replace_dead_socket(now)
        due = min((entry.again_at for entry in self._pending.values()), default=now + 0.1)
        for entry in self._pending.values():
            if entry.again_at > now:
                continue
            try:
                self._socket.send_multipart(entry.frames, zmq.DONTWAIT)
            except zmq.Again:  # the socket's queue is full: the daemon is away
                due = now + 0.1
                break
            self.resent += entry.wait_s > 1.0
            entry.again_at = now + entry.wait_s
            entry.wait_s = min(2 * entry.wait_s, 8.0)
            due = min(max(due, now), entry.again_at)
        wait_s = max(0.0, min(due, deadline, now + 1.0) - now) if deadline > now else 0.0
        if not self._socket.poll(max(int(wait_s * 1000), int(deadline > now)), zmq.POLLIN):
            return deadline > now
        while self._socket.poll(0, zmq.POLLIN):
            self._take(self._socket.recv_multipart())
        return True

    def _replace_dead_socket(self, now: float) -> None:
        """After 5 s without any answer a fresh connection is tried: old ones can be dead without knowing it."""
        if not self._pending or now - self._last_answer < 5.0:
            return
        self._socket.close()
        self._socket = client_socket(self._context, zmq.DEALER, self._url, queue=4 * self.window, keys=self._keys)
        self._last_answer = now
        for entry in self._pending.values():
            entry.again_at = now

    def _take(self, frames: list[bytes]) -> None:
        self._last_answer = time.monotonic()
        reply = decode_reply(frames[-1])
        if isinstance(reply, Pong | ScanStatus):
            key: _Key = ("pong" if isinstance(reply, Pong) else "status", None, None)
        else:
            key = (reply.of, reply.shot_kind, reply.shot_index)
        entry = self._pending.get(key)
        if entry is None:  # an answer to something sent twice
            if isinstance(reply, Refusal) and not reply.of:
                raise RemoteProtocolError(reply.reason, reply.text)
            return
        if isinstance(reply, Refusal):
            if reply.retry:
                return  # sent again when its time comes
            self.refused.append(reply)
        else:
            if isinstance(reply, Ack):
                self.missing = reply.missing
            if key[0] == "shot":
                self.acknowledged += 1
            else:
                self._answers[key] = reply
        del self._pending[key]
