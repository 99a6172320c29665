"""The ingest process: all sockets, the spool, the audit record; it starts and watches the worker. No science in here.

One thread, one loop. It acknowledges as soon as its sockets are bound, whatever the worker does.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import math
import os
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import msgspec
import zmq

from scanner_agent import __version__
from scanner_agent.config import AgentConfig
from scanner_agent.daemon.audit import AuditLog
from scanner_agent.daemon.board import Board
from scanner_agent.daemon.clock import ClockWatch
from scanner_agent.daemon.control import Control
from scanner_agent.daemon.delivery import Attempt, Delivery
from scanner_agent.daemon.desk import Desk
from scanner_agent.daemon.intake import Intake
from scanner_agent.daemon.keys import ENDPOINTS, allowed
from scanner_agent.daemon.notify import Notifier
from scanner_agent.daemon.outcome import Outcome
from scanner_agent.daemon.problems import Problems
from scanner_agent.daemon.publisher import Publisher
from scanner_agent.daemon.rates import Allowance
from scanner_agent.daemon.sockets import Sockets
from scanner_agent.daemon.supervisor import WORKER_COMMAND
from scanner_agent.daemon.tries import TryBook
from scanner_agent.daemon.triggers import TriggerBook
from scanner_agent.durable import private_directory, spool_errors
from scanner_agent.errors import SpoolError
from scanner_agent.records import Health, Placement, Trigger
from scanner_agent.scan_protocol import load_protocols, shipped_protocols
from scanner_agent.spool import Spool
from scanner_agent.wire.codec import encode_reply
from scanner_agent.wire.control import ControlReply, encode_control_reply
from scanner_agent.wire.published import encode_record

if TYPE_CHECKING:
    from scanner_agent.daemon.metrics import Metrics

log = logging.getLogger(__name__)
_BATCH_MESSAGES = 64
_BATCH_BYTES = 64 * 1024 * 1024
_TICK_S = 0.25
_RETAIN_S = 600.0


class Ingest:
    """The daemon's front. `run` returns after `stop`."""

    def __init__(self, config: AgentConfig, worker_command: Sequence[str] = WORKER_COMMAND) -> None:
        """Take the state directory, recover the spool, bind the sockets. Raises `ConfigError`, `SpoolError`."""
        self._config = config
        self.instance = secrets.token_hex(8)
        own = load_protocols(config.protocol_directories)
        shipped_protocols()  # read and kept now: files that change under a running daemon must not end it later
        self._state = private_directory(config.state)
        self._lock = _lock(self._state)
        self.spool = Spool(self._state / "spool")
        self._audit = AuditLog(self._state / "audit.jsonl")
        self._board = Board()
        self._triggers = TriggerBook(self._state / "triggers.log", self._audit, config.triggers)
        self._triggers.tell = self._tell_trigger
        self._delivery = Delivery(config.triggers.sinks)
        self._attempt: Attempt | None = None
        self._outcome = Outcome(self._state, self._triggers, self._audit, own)
        self._intake = Intake(config, self.spool, instance=self.instance, version=__version__)
        self._rates = Allowance(config.wire.max_messages_per_s, 2 * _BATCH_MESSAGES)
        self._notifier = Notifier()
        self._metrics = _metrics(config)
        self._clock = ClockWatch()
        self._problems = Problems()
        self._stopping = False
        self._looked_at = self._retained_at = time.monotonic()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._sockets = Sockets(config)
        self._publisher = Publisher(self._sockets.publish, self.instance)
        self._publish_due = False
        self._desk = Desk(
            config,
            worker_command,
            spool=self.spool,
            tries=TryBook(self._state / "work"),
            board=self._board,
            publisher=self._publisher,
            problems=self._problems,
        )
        self._desk.finished = self._retain
        if self._sockets.zap is not None:
            self._sockets.zap.before_refusal = self._refresh_keys
        self._control = Control(
            self._board,
            self._triggers,
            self._audit,
            self._state / "journal",
            health=self.health,
            cursor=lambda: self._publisher.cursor,
            keep=self._desk.keep,
            rates=Allowance(config.wire.max_messages_per_s, 2 * _BATCH_MESSAGES),
        )
        self._desk.kept = self._answer_kept
        self._start_noted = False
        self._note_start()

    def _note_start(self) -> None:
        """On the audit record, as soon as its disk takes it: shots are not kept waiting for that."""
        config = self._config
        try:
            self._audit.add(
                "start",
                version=__version__,
                instance=self.instance,
                config=msgspec.to_builtins(config),
                keys={name: [key.name for key in allowed(config.keys, name)] for name in ENDPOINTS},
            )
        except SpoolError as error:
            self._problems.set("start", str(error))
        else:
            self._start_noted = True
            self._problems.set("start", None)

    def run(self) -> None:
        """Work until `stop` is called or a signal comes."""
        for trigger in self._triggers.open_triggers():
            self._delivery.changed(trigger)
        self._delivery.start()
        poller = zmq.Poller()
        poller.register(self._wake_read, zmq.POLLIN)
        for socket in (self._sockets.ingest, self._sockets.control, self._sockets.publish):
            poller.register(socket, zmq.POLLIN)
        if self._sockets.zap is not None:
            poller.register(self._sockets.zap.socket, zmq.POLLIN)
        link_fd: int | None = None
        self._notifier.ready()
        try:
            while not self._stopping:
                poller.poll(int(_TICK_S * 1000))
                if self._sockets.zap is not None:
                    self._sockets.zap.answer_all()
                self._take_requests()
                self._take_control()
                self._publisher.drain_subscriptions()
                self._desk.take_results()
                self._follow_outcome()
                self._tick()
                if self._publish_due:
                    self._rebind_publish(poller)
                link_fd = self._follow_link(poller, link_fd)
        finally:
            self.close()

    def _rebind_publish(self, poller: zmq.Poller) -> None:
        """A key was revoked: a subscriber shows its key only when it connects, so all have to connect again."""
        if not self._sockets.publish.closed:
            poller.unregister(self._sockets.publish)
        if self._sockets.rebind_publish():
            self._publisher.socket = self._sockets.publish
            poller.register(self._sockets.publish, zmq.POLLIN)
            self._publish_due = False

    def _follow_link(self, poller: zmq.Poller, old: int | None) -> int | None:
        """Keep the poller looking at the present worker's link."""
        link = self._desk.supervisor.link
        new = link.socket.fileno() if link is not None else None
        if old is not None and old != new:
            poller.unregister(old)
        if new is not None and link is not None:
            poller.register(new, zmq.POLLIN | (zmq.POLLOUT if link.backlog else 0))
        return new

    def _take_requests(self) -> None:
        """One group: everything that waits, up to a bound, then one sync, then the answers."""
        peers: list[bytes] = []
        batch: list[list[bytes]] = []
        size = 0
        for _ in range(2 * _BATCH_MESSAGES):  # also bounds refusals: a flood of them must not hold up the rest
            if len(batch) >= _BATCH_MESSAGES or size >= _BATCH_BYTES:
                break
            received = self._sockets.receive("ingest")
            if received is None:
                break
            if not received.allowed:
                self._sockets.send("ingest", received.peer, encode_reply(self._intake.not_allowed(received.frames)))
                continue
            if not self._rates.take(received.who):
                self._sockets.send("ingest", received.peer, encode_reply(self._intake.too_fast(received.frames)))
                continue
            peers.append(received.peer)
            batch.append(received.frames)
            size += sum(map(len, received.frames))
        if not batch:
            return
        for peer, reply in zip(peers, self._intake.handle(batch), strict=True):
            self._sockets.send("ingest", peer, encode_reply(reply))
        self._tell_desk()

    def _tell_desk(self) -> None:
        """Pass on which scans have grown."""
        self._desk.tell(sorted(self._intake.touched), now=True)
        self._intake.touched.clear()

    def _take_control(self) -> None:
        for _ in range(_BATCH_MESSAGES):
            received = self._sockets.receive("control")
            if received is None:
                return
            answer = self._control.handle(received)
            if answer is not None:
                self._sockets.send("control", received.peer, answer)

    def _answer_kept(self, placement: Placement) -> None:
        for peer, answer in self._control.kept(placement.placement_id):
            self._sockets.send("control", peer, answer)

    def _tell_trigger(self, trigger: Trigger) -> None:
        self._delivery.changed(trigger)
        self._publisher.send("trigger", trigger.scan_id, encode_record(trigger))
        answer = encode_control_reply(ControlReply(type="trigger", triggers=(trigger,)))
        for peer in self._triggers.listeners():
            self._sockets.send("control", peer, answer)

    def _take_attempts(self) -> None:
        """What came of bringing triggers to the sinks. Raises `SpoolError`: the attempt is then taken up again."""
        while (attempt := self._attempt or self._delivery.next_attempt()) is not None:
            self._attempt = attempt
            self._problems.set(f"sink {attempt.sink}", attempt.problem)
            if attempt.dry_run:
                self._audit.add("trigger_dry_run", trigger_id=attempt.trigger_id, sink=attempt.sink)
            elif attempt.problem is None:
                self._triggers.delivered(attempt.trigger_id, attempt.sink, self._delivery.required)
            else:
                self._audit.add(
                    "trigger_not_delivered", trigger_id=attempt.trigger_id, sink=attempt.sink, problem=attempt.problem
                )
            self._attempt = None

    def _follow_outcome(self) -> None:
        """Triggers and audit lines, by cursor, as far as the journal is synced."""
        if self._publisher.cursor == 0:
            return
        try:
            self._outcome.follow(self._publisher.cursor)
            self._problems.set("audit", None)
        except SpoolError as error:
            self._problems.set("audit", str(error))

    def _retain(self) -> None:
        """Remove finished scans that the rules do not keep."""
        self._retained_at = time.monotonic()
        rules = self._config.spool
        max_age_s = rules.max_age_days * 86_400.0 if self._clock.trusted else math.inf
        try:
            self.spool.retain(max_age_s, rules.max_bytes, time.time())
            self._problems.set("retention", None)
        except (SpoolError, OSError) as error:
            self._problems.set("retention", f"old scans cannot be removed: {error}")

    def _tick(self) -> None:
        """What is to be done without anyone asking."""
        self._desk.look_after()
        if time.monotonic() - self._looked_at >= 1.0:
            self._looked_at = time.monotonic()
            self._intake.check_disk()
            self._problems.set("clock", self._clock.look())
            self._refresh_keys()
            if not self._start_noted:
                self._note_start()
            if self._intake.close_silent():
                self._tell_desk()
        if time.monotonic() - self._retained_at >= _RETAIN_S:
            self._retain()
        try:
            self._triggers.expire()
            self._take_attempts()
        except SpoolError as error:
            self._problems.set("audit", str(error))
        health = self.health()
        self._publisher.tick(health)
        if self._metrics is not None:
            self._metrics.update(health)
        self._notifier.tick(health, alive=self._desk.supervisor.step_age_s <= self._config.worker.hang_limit_s)

    def _refresh_keys(self) -> None:
        """Follow changes of the allow-lists."""
        lists = self._sockets.lists
        if lists is None:
            return
        try:
            for endpoint, (added, removed) in lists.refresh().items():
                self._audit.add("keys", endpoint=endpoint, added=sorted(added), removed=sorted(removed))
                self._publish_due = self._publish_due or (endpoint == "publish" and bool(removed))
        except SpoolError as error:
            self._problems.set("audit", str(error))
        self._problems.set("keys", lists.problem)

    def health(self) -> Health:
        """How the daemon is."""
        problems = [*self._problems.texts(), *self.spool.problems.values()]
        refusing = self._intake.problem
        if refusing is not None:
            problems.insert(0, refusing)
        if not self._desk.supervisor.ready:
            problems.append(self._desk.supervisor.trouble or self._desk.supervisor.status)
        if refusing is not None:
            state = "refusing"
        elif not self._desk.supervisor.ready and self._desk.supervisor.restarts == 0:
            state = "starting"
        else:
            state = "degraded" if problems else "ok"
        return msgspec.convert(
            {
                "ready": self._desk.supervisor.ready,
                "state": state,
                "problems": problems,
                "scans_open": sum(scan.end is None for scan in self.spool.scans.values()),
                "shots_acknowledged": self._intake.acknowledged,
                "shots_waiting": self._desk.n_waiting,
                "messages_refused": self._intake.refused + self._control.refused + self._sockets.n_refused,
                "worker_restarts": self._desk.supervisor.restarts,
                "version": __version__,
                "at": time.time(),
            },
            Health,
        )

    def stop(self) -> None:
        """End `run` soon; may be called from a signal handler or another thread."""
        self._stopping = True
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"x")

    def close(self) -> None:
        """Close everything; the spool holds what there is."""
        self._notifier.stopping()
        self._delivery.close()
        self._desk.supervisor.stop()
        with contextlib.suppress(SpoolError):
            self._outcome.note()
            self._audit.add("stop", instance=self.instance)
        self._sockets.close()
        if self._metrics is not None:
            self._metrics.close()
        self.spool.close()
        self._outcome.close()
        self._triggers.close()
        self._audit.close()
        for fd in (self._wake_read, self._wake_write, self._lock):
            os.close(fd)


def _metrics(config: AgentConfig) -> Metrics | None:
    """The server of metrics; its library is loaded only where it is wanted."""
    if config.metrics.port is None:
        return None
    from scanner_agent.daemon.metrics import Metrics

    return Metrics(config.metrics.port, config.phantom_metrics)


def _lock(state: Path) -> int:
    """Hold the state directory for this process alone; raises `SpoolError`."""
    with spool_errors(f"cannot use {state}"):
        fd = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise SpoolError(f"another daemon uses {state}") from None
    return fd


def run(
    config: AgentConfig,
    worker_command: Sequence[str] = WORKER_COMMAND,
    on_start: Callable[[Ingest], None] = lambda _ingest: None,
) -> None:
    """The daemon in this process, until SIGTERM or SIGINT; logs to standard error. Raises `ScannerAgentError`."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    ingest = Ingest(config, worker_command)

    def end(_signal: int, _frame: FrameType | None) -> None:
        ingest.stop()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    on_start(ingest)
    ingest.run()
