"""Brings active triggers to the sinks: a thread for each, so that one that hangs holds up nobody."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scanner_agent.config import Sink
from scanner_agent.errors import ScannerAgentError
from scanner_agent.records import Trigger, TriggerState

_LONGEST_WAIT_S = 60.0


class SinkError(ScannerAgentError):
    """A trigger could not be delivered this time."""


class Deliverer(Protocol):
    """One way to deliver. Called in a thread of its own; returns or raises `SinkError` within about `timeout_s`."""

    def deliver(self, trigger: Trigger, timeout_s: float) -> None:
        """Hand the trigger over."""


@dataclass(frozen=True)
class Attempt:
    """What came of one attempt."""

    sink: str
    trigger_id: str
    problem: str | None
    """None: delivered."""
    dry_run: bool = False


class Delivery:
    """All sinks. `changed` and `next_attempt` belong to one thread; the sinks work in theirs."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        """Raises ConfigError."""
        self._attempts: queue.SimpleQueue[Attempt] = queue.SimpleQueue()
        self._couriers: list[_Courier] = []
        if sinks:  # HTTP and TLS are not loaded for nothing: the daemon is to answer at once when it starts
            from scanner_agent.daemon.sinks import make_deliverer

            self._couriers = [
                _Courier(f"{number}-{sink.kind}", sink, make_deliverer(sink), self._attempts)
                for number, sink in enumerate(sinks, start=1)
            ]

    @property
    def required(self) -> frozenset[str]:
        """Sinks that must have taken a trigger before it counts as acknowledged by them."""
        return frozenset(courier.name for courier in self._couriers if not courier.sink.dry_run)

    def start(self) -> None:
        """Begin to work."""
        for courier in self._couriers:
            courier.start()

    def changed(self, trigger: Trigger) -> None:
        """A trigger is new or has another state: deliver it, or no longer."""
        for courier in self._couriers:
            courier.changed(trigger)

    def next_attempt(self) -> Attempt | None:
        """What has been tried, one attempt after the other; None if there is no further one."""
        try:
            return self._attempts.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        """Begin no further attempt; the last ones end by their own time limits."""
        for courier in self._couriers:
            courier.close()


class _Courier(threading.Thread):
    """One sink."""

    def __init__(self, name: str, sink: Sink, deliverer: Deliverer, attempts: queue.SimpleQueue[Attempt]) -> None:
        super().__init__(name=f"sink-{name}", daemon=True)
        self.name, self.sink = name, sink
        self._deliverer, self._attempts = deliverer, attempts
        self._condition = threading.Condition()
        self._active: dict[str, Trigger] = {}
        self._due: list[tuple[float, str, float]] = []
        self._closed = False

    def changed(self, trigger: Trigger) -> None:
        with self._condition:
            if trigger.state is not TriggerState.ACTIVE:
                self._active.pop(trigger.trigger_id, None)
            elif trigger.trigger_id not in self._active:
                self._active[trigger.trigger_id] = trigger
                heapq.heappush(self._due, (time.monotonic(), trigger.trigger_id, self.sink.retry_s))
                self._condition.notify()

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify()

    def run(self) -> None:
        """Deliver what is due until closed."""
        while (due := self._next()) is not None:
            trigger, wait_s = due
            problem = None
            if not self.sink.dry_run:
                try:
                    self._deliverer.deliver(trigger, self.sink.timeout_s)
                except SinkError as error:
                    problem = str(error)
                except Exception as error:  # a plugin's own bug must not end the deliveries
                    problem = f"{type(error).__name__}: {error}"
            self._attempts.put(Attempt(self.name, trigger.trigger_id, problem, self.sink.dry_run))
            if problem is not None:
                with self._condition:
                    again = (time.monotonic() + wait_s, trigger.trigger_id, min(2 * wait_s, _LONGEST_WAIT_S))
                    heapq.heappush(self._due, again)

    def _next(self) -> tuple[Trigger, float] | None:
        """The next trigger to try, as soon as its time has come; None once closed."""
        with self._condition:
            while not self._closed:
                if not self._due:
                    self._condition.wait()
                    continue
                at, trigger_id, wait_s = self._due[0]
                left = at - time.monotonic()
                if left > 0:
                    self._condition.wait(left)
                    continue
                heapq.heappop(self._due)
                trigger = self._active.get(trigger_id)
                if trigger is not None and trigger.expires_at > time.time():
                    return trigger, wait_s
        return None
