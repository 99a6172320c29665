"""Keeps a view's state up to date over the daemon's publish and control sockets.

Losing a publication is harmless: the gap shows in the sequence numbers, and a snapshot makes it good.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from scanner_agent.errors import RemoteProtocolError
from scanner_agent.records import Health
from scanner_agent.view.model import Link, LinkChanged, Message, OpenTriggers, Update, ViewState, after, wanted
from scanner_agent.wire.follow import ControlClient, ControlError, Subscriber
from scanner_agent.wire.published import Heartbeat, Publication, topic_of
from scanner_agent.wire.sockets import DEFAULT_URL, ClientKeys

_HEARTBEATS_MISSED_S = 3.5
_ASK_AGAIN_S = 1.0
_KNOWN_SCANS = 8
_CONTROL_TIMEOUT_S = 2.0


class Session:
    """One view's connection. `step` in one thread; `state` may be read in any, as it is immutable."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        keys: ClientKeys | None = None,
        on_publication: Callable[[Publication], None] | None = None,
    ) -> None:
        self.state = ViewState()
        """The latest state."""
        self._url, self._on_publication = url, on_publication
        self._subscriber = Subscriber(url, keys=keys)
        self._control = ControlClient(url, timeout_s=_CONTROL_TIMEOUT_S, keys=keys)
        self._actions: list[tuple[Callable[[ControlClient], None], Callable[[str | None], None]]] = []
        self._lock = threading.Lock()
        self._asked_at: dict[str, float] = {}
        self._began = time.monotonic()
        self._heard = False
        self._take(LinkChanged(Link.CONNECTING, url))

    def close(self) -> None:
        """Close the sockets."""
        self._subscriber.close()
        self._control.close()

    def step(self, timeout_s: float = 0.2) -> bool:
        """Take in what has come within `timeout_s`, ask for what is missing; whether the state changed."""
        before = self.state
        publication = self._receive(timeout_s)
        while publication is not None:
            self._take_publication(publication)
            publication = self._receive(0.0)
        self._watch_link()
        if self.state.link is Link.CONNECTED:
            self._act()
            for scan_id in wanted(self.state):
                self._ask_snapshot(scan_id)
        return self.state is not before

    def act(self, action: Callable[[ControlClient], None], told: Callable[[str | None], None]) -> None:
        """Have the session's thread make a control request; `told` gets None, or why it was not done."""
        with self._lock:
            self._actions.append((action, told))

    def _receive(self, timeout_s: float) -> Publication | None:
        try:
            publication = self._subscriber.receive(timeout_s)
        except RemoteProtocolError as error:
            self._take(LinkChanged(Link.LOST, str(error)))
            return None
        self._heard = self._heard or publication is not None
        return publication

    def _take_publication(self, publication: Publication) -> None:
        if self._on_publication is not None:
            self._on_publication(publication)
        record = publication.decoded()
        if isinstance(record, Heartbeat):
            return
        health = self.state.health
        if isinstance(record, Health) and record.ready and health is not None and not health.ready:
            self._ask_all()  # a worker that has just started has told the daemon of the scans before
        topic = topic_of(publication.type, publication.scan_id)
        self._take(Update(record, publication.scan_id, topic, publication.instance, publication.sequence))

    def _watch_link(self) -> None:
        silent = time.monotonic() - (self._subscriber.last_at if self._heard else self._began)
        if silent > _HEARTBEATS_MISSED_S:
            if self.state.link is not Link.LOST:
                self._take(LinkChanged(Link.LOST, f"nothing heard from {self._url}"))
        elif self._heard and self.state.link is not Link.CONNECTED and self._ask_all():
            self._take(LinkChanged(Link.CONNECTED))

    def _ask_all(self) -> bool:
        """Everything there is to know, when the connection is made; whether the daemon answered."""
        try:
            health = self._control.health()  # first: what it does not know yet, it knows when it becomes ready
            lines, before = self._control.scans()[:_KNOWN_SCANS], self._control.placement_before_scan()
            for line in reversed(lines):
                self._take(self._control.snapshot(line.scan_id))
            self._take(OpenTriggers(self._control.triggers()))
            if before is not None:
                self._take(before)
        except (ControlError, RemoteProtocolError) as error:
            self._take(LinkChanged(Link.CONNECTING, str(error)))
            return False
        self._take(health)
        return True

    def _ask_snapshot(self, scan_id: str) -> None:
        now = time.monotonic()
        if now - self._asked_at.get(scan_id, -_ASK_AGAIN_S) < _ASK_AGAIN_S:
            return
        self._asked_at[scan_id] = now
        try:
            self._take(self._control.snapshot(scan_id))
            self._take(OpenTriggers(self._control.triggers()))
        except (ControlError, RemoteProtocolError):
            return  # asked again in a second

    def _act(self) -> None:
        with self._lock:
            actions, self._actions = self._actions, []
        for action, told in actions:
            try:
                action(self._control)
            except (ControlError, RemoteProtocolError, msgspec.ValidationError) as error:
                told(str(error))
            else:
                told(None)

    def _take(self, message: Message) -> None:
        self.state = after(self.state, message, time.time())
