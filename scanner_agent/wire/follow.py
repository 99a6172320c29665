"""The receiving side: a subscriber that knows when it missed something, and a client of the control socket."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType

import zmq

from scanner_agent.errors import RemoteProtocolError, ScannerAgentError
from scanner_agent.records import (
    Advice,
    FindingKind,
    Health,
    Placement,
    PlacementResult,
    ScanReport,
    ScanSnapshot,
    Trigger,
)
from scanner_agent.wire.control import (
    Acknowledge,
    AskAction,
    AskEntries,
    AskHealth,
    AskScans,
    AskSnapshot,
    AskTriggers,
    Confirm,
    ControlReply,
    ControlRequest,
    Note,
    ScanLine,
    TakePlacement,
    TriggerDone,
    decode_control_reply,
    encode_control,
)
from scanner_agent.wire.published import Publication, decode_publication, topic_of
from scanner_agent.wire.sockets import CONTROL, DEFAULT_URL, PUBLISH, ClientKeys, client_socket, endpoint


class ControlError(ScannerAgentError):
    """The daemon did not answer a control request, or said no; `.reason` is the code."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Subscriber:
    """Publications of one daemon; use as a context manager. `url` is that of the ingest socket.

    `missed` becomes True when a message of a followed topic was lost or the daemon restarted: ask for a snapshot,
    then set it back.
    """

    def __init__(
        self, url: str = DEFAULT_URL, topics: Sequence[str] = ("",), *, keys: ClientKeys | None = None
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = client_socket(self._context, zmq.SUB, endpoint(url, PUBLISH), queue=1000, keys=keys)
        for topic in topics:
            self._socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
        self.missed = False
        """Whether a message was lost since this was last set to False."""
        self.last_at = time.monotonic()
        """When anything came, monotonic seconds; the daemon sends a heartbeat every second."""
        self.instance = ""
        """The daemon's run."""
        self._sequence: dict[str, int] = {}

    def __enter__(self) -> Subscriber:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the socket."""
        self.close()

    def receive(self, timeout_s: float = 1.0) -> Publication | None:
        """The next publication, None if there was none in time; raises `RemoteProtocolError`."""
        if not self._socket.poll(int(timeout_s * 1000), zmq.POLLIN):
            return None
        publication = decode_publication(self._socket.recv_multipart())
        self.last_at = time.monotonic()
        if publication.instance != self.instance:
            self.missed = self.missed or bool(self.instance)
            self.instance = publication.instance
            self._sequence.clear()
        topic = topic_of(publication.type, publication.scan_id)
        before = self._sequence.get(topic)
        self.missed = self.missed or (before is not None and publication.sequence != before + 1)
        self._sequence[topic] = publication.sequence
        if publication.type == "report":  # nothing follows of this scan
            ended = f"/{publication.scan_id}"
            self._sequence = {topic: n for topic, n in self._sequence.items() if not topic.endswith(ended)}
        return publication

    def fileno(self) -> int:
        """File descriptor that becomes readable when there may be something (edge-triggered, as ZeroMQ's are)."""
        return int(self._socket.getsockopt(zmq.FD))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        self._context.term()


class ControlClient:
    """Requests to one daemon; use as a context manager. `url` is that of the ingest socket. Not thread-safe."""

    def __init__(self, url: str = DEFAULT_URL, *, timeout_s: float = 3.0, keys: ClientKeys | None = None) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = client_socket(self._context, zmq.DEALER, endpoint(url, CONTROL), queue=100, keys=keys)
        self._url, self.timeout_s = url, timeout_s
        self._unasked: deque[Trigger] = deque()

    def __enter__(self) -> ControlClient:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the socket."""
        self.close()

    def ask(self, request: ControlRequest) -> ControlReply:
        """Send a request, wait for its answer; raises `ControlError`."""
        self._socket.send(encode_control(request))
        deadline = time.monotonic() + self.timeout_s
        while (left := deadline - time.monotonic()) > 0:
            if not self._socket.poll(int(left * 1000) + 1, zmq.POLLIN):
                continue
            reply = decode_control_reply(self._socket.recv_multipart()[-1])
            if reply.type == "trigger":
                self._unasked.extend(reply.triggers)
            elif reply.request_id == request.request_id or (not reply.request_id and not reply.ok):
                if not reply.ok:
                    raise ControlError(reply.reason, reply.text)
                return reply
        raise ControlError("no_answer", f"no daemon answers at {self._url}")

    def snapshot(self, scan_id: str | None = None) -> ScanSnapshot:
        """Everything known of a scan (None: the one that had a shot last); `ControlError` `unknown_scan` if none."""
        snapshot = self.ask(AskSnapshot(request_id=_new_id(), scan_id=scan_id)).snapshot
        if snapshot is None:
            raise RemoteProtocolError("bad_field", "the answer holds no snapshot")
        return snapshot

    def scans(self) -> tuple[ScanLine, ...]:
        """The scans of late, newest first."""
        return self.ask(AskScans(request_id=_new_id())).scans

    def placement_before_scan(self) -> Placement | None:
        """The latest localiser's result that belongs to no scan."""
        return self.ask(AskScans(request_id=_new_id())).placement

    def health(self) -> Health:
        """How the daemon is."""
        health = self.ask(AskHealth(request_id=_new_id())).health
        if health is None:
            raise RemoteProtocolError("bad_field", "the answer holds no health")
        return health

    def entries(self, after: int, limit: int = 100) -> tuple[Publication, ...]:
        """Journalled records behind a cursor."""
        return self.ask(AskEntries(request_id=_new_id(), after=after, limit=limit)).entries

    def acknowledge(self, scan_id: str, initials: str, finding: FindingKind | None = None) -> None:
        """Put on record that a person has seen the verdict."""
        self.ask(Acknowledge(request_id=_new_id(), scan_id=scan_id, initials=initials, finding=finding))

    def note(
        self, scan_id: str, initials: str, text: str, first_shot: int | None = None, last_shot: int | None = None
    ) -> None:
        """Put a remark on record, if given with the shots it is about."""
        self.ask(
            Note(
                request_id=_new_id(),
                scan_id=scan_id,
                initials=initials,
                text=text,
                first_shot=first_shot,
                last_shot=last_shot,
            )
        )

    def request(self, scan_id: str, initials: str, advice: Advice, extend_shots: int | None = None) -> None:
        """Ask the scanner side for something in a person's name."""
        self.ask(
            AskAction(
                request_id=_new_id(), scan_id=scan_id, initials=initials, advice=advice, extend_shots=extend_shots
            )
        )

    def placement(
        self, scan_id: str | None, initials: str, result: PlacementResult, *, patience_s: float = 60.0
    ) -> None:
        """Put a localiser's result on record; returns when it is in the journal, which waits for the worker."""
        request = TakePlacement(
            request_id=_new_id(), placement_id=_new_id(), scan_id=scan_id, initials=initials, result=result
        )
        deadline = time.monotonic() + patience_s
        while True:
            try:
                self.ask(request)
            except ControlError as error:
                if error.reason != "no_answer" or time.monotonic() > deadline:
                    raise
            else:
                return

    def confirm(self, trigger_id: str, initials: str, accept: bool = True) -> None:
        """Confirm or turn down a proposed trigger."""
        self.ask(Confirm(request_id=_new_id(), trigger_id=trigger_id, initials=initials, accept=accept))

    def triggers(self) -> tuple[Trigger, ...]:
        """Triggers that are proposed or active; also signs up for new ones for the next 30 s."""
        return self.ask(AskTriggers(request_id=_new_id())).triggers

    def next_trigger(self, timeout_s: float) -> Trigger | None:
        """The next trigger that came unasked, None if there was none in time."""
        deadline = time.monotonic() + timeout_s
        while not self._unasked:
            left = deadline - time.monotonic()
            if left <= 0 or not self._socket.poll(int(left * 1000) + 1, zmq.POLLIN):
                return None
            reply = decode_control_reply(self._socket.recv_multipart()[-1])
            if reply.type == "trigger":
                self._unasked.extend(reply.triggers)
        return self._unasked.popleft()

    def trigger_done(self, trigger_id: str) -> None:
        """Say that an active trigger has been taken over."""
        self.ask(TriggerDone(request_id=_new_id(), trigger_id=trigger_id))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        self._context.term()


def wait_for_report(
    url: str, scan_id: str, timeout_s: float, *, keys: ClientKeys | None = None
) -> tuple[ScanReport | None, ScanSnapshot | None]:
    """The report of a scan as soon as it is there, and the last snapshot; None for what is not there in time."""
    deadline = time.monotonic() + timeout_s
    last: ScanSnapshot | None = None
    with Subscriber(url, [f"report/{scan_id}"], keys=keys) as subscriber, ControlClient(url, keys=keys) as control:
        while time.monotonic() < deadline:
            try:
                last = control.snapshot(scan_id)
            except ControlError:
                last = None  # the daemon restarts, or has not begun with this scan
            if last is not None and last.report is not None:
                return last.report, last
            publication = subscriber.receive(min(1.0, max(0.0, deadline - time.monotonic())))
            record = publication.decoded() if publication is not None else None
            if isinstance(record, ScanReport):
                return record, last
    return None, last


def _new_id() -> str:
    return secrets.token_hex(8)
