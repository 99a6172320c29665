"""The publish socket: numbers messages per topic, sends heartbeats and health."""

from __future__ import annotations

import time

import msgspec
import zmq

from scanner_agent.records import Health
from scanner_agent.wire.published import (
    Heartbeat,
    Publication,
    encode_publication,
    encode_record,
    topic_of,
)

HEARTBEAT_S = 1.0
HEALTH_S = 5.0


class Publisher:
    """Sends on an XPUB socket; a slow subscriber misses messages, nobody waits for it."""

    def __init__(self, socket: zmq.Socket[bytes], instance: str) -> None:
        self.socket = socket
        self._instance = instance
        self._sequence: dict[str, int] = {}
        self.cursor = 0
        """Cursor of the last journalled record that was published."""
        self._heartbeat_at = self._health_at = 0.0
        self._health: Health | None = None

    def send(self, name: str, scan_id: str | None, record: bytes, cursor: int | None = None) -> None:
        """Publish one encoded record."""
        topic = topic_of(name, scan_id)
        sequence = self._sequence[topic] = self._sequence.get(topic, 0) + 1
        publication = Publication(
            type=name,
            scan_id=scan_id,
            instance=self._instance,
            sequence=sequence,
            cursor=cursor,
            at=time.time(),
            record=msgspec.Raw(record),
        )
        if cursor is not None:
            self.cursor = cursor
        if not self.socket.closed:  # it is, for a moment, after a key was revoked: missed like any lost message
            self.socket.send_multipart(encode_publication(publication), zmq.DONTWAIT)
        if name == "report":  # nothing follows of this scan
            ended = f"/{scan_id}"
            self._sequence = {key: n for key, n in self._sequence.items() if not key.endswith(ended)}

    def tick(self, health: Health) -> None:
        """Heartbeat each second; health every few seconds, and at once when it changes."""
        now = time.monotonic()
        if now - self._heartbeat_at >= HEARTBEAT_S:
            self._heartbeat_at = now
            beat = Heartbeat(at=time.time(), interval_s=HEARTBEAT_S, journal_cursor=self.cursor)
            self.send("heartbeat", None, encode_record(beat))
        old = self._health
        changed = old is None or (health.state, health.problems, health.ready) != (old.state, old.problems, old.ready)
        if changed or now - self._health_at >= HEALTH_S:
            self._health_at, self._health = now, health
            self.send("health", None, encode_record(health))

    def drain_subscriptions(self) -> None:
        """Take in what subscribers ask for; libzmq does the filtering."""
        while not self.socket.closed and self.socket.poll(0, zmq.POLLIN):
            self.socket.recv_multipart()
