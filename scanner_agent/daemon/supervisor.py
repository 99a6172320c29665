"""Starts the worker, watches it, replaces it, and keeps count of what it died on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import msgspec

from scanner_agent.config import AgentConfig
from scanner_agent.daemon.link import Message, ParentLink
from scanner_agent.daemon.tries import MAX_KILLS_AT_ONE_PLACE, TryBook
from scanner_agent.errors import SpoolError

WORKER_COMMAND = (sys.executable, "-m", "scanner_agent.daemon.worker")
_START_LIMIT_S = 600.0  # the first start compiles everything
_BACK_OFF_S = (0.0, 0.2, 1.0, 5.0, 15.0)
_FAULTS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGSYS})


class Supervisor:
    """One worker at a time."""

    def __init__(self, config: AgentConfig, tries: TryBook, command: Sequence[str] = WORKER_COMMAND) -> None:
        self._config, self._tries, self._command = config, tries, tuple(command)
        self.link: ParentLink | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._step: tuple[str, int] | None = None
        self._step_at = self._alive_at = time.monotonic()
        self._hung = False
        self._deaths = 0
        self._start_at = 0.0
        self.ready = False
        """Compiled and following the spool."""
        self.status = "the worker has not started yet"
        """What it does while it is not ready, for a person."""
        self.restarts = 0
        """Workers that were replaced."""
        self.trouble: str | None = None
        """What the last death was, until the worker is ready again."""

    @property
    def pid(self) -> int | None:
        """Process id of the worker."""
        return self._process.pid if self._process is not None else None

    @property
    def step_age_s(self) -> float:
        """For how long the worker has been at its present step (0 if it waits)."""
        return time.monotonic() - self._step_at if self._step is not None else 0.0

    def start_if_due(self) -> bool:
        """Start a worker if there is none and the pause after the last death is over; True if one was started."""
        if self._process is not None or time.monotonic() < self._start_at:
            return False
        self.link = ParentLink()
        child = self.link.child.fileno()
        try:
            self._process = subprocess.Popen(
                [*self._command, str(child)], pass_fds=(child,), stdin=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            self.link.close()
            self.link = None
            self.trouble = f"the worker cannot be started: {error.strerror}"
            self._start_at = time.monotonic() + _BACK_OFF_S[-1]
            return False
        self.link.child.close()
        self.link.send({"type": "config", "config": msgspec.json.encode(self._config).decode()})
        self._step, self._hung, self.ready = None, False, False
        self._alive_at = time.monotonic()
        self.status = "the worker starts"
        return True

    def take(self, message: Message) -> None:
        """Note what the worker says of itself."""
        self._alive_at = time.monotonic()
        kind = message["type"]
        if kind == "begin":
            self._step = message["scan_id"], message["position"]
            self._step_at = self._alive_at
        elif kind == "alive":
            self._step_at = self._alive_at
        elif kind == "idle":
            self._step = None
            self._deaths = 0
        elif kind == "progress":
            self.status = message["text"]
        elif kind == "ready":
            self.ready, self.status, self.trouble = True, "ready", None

    def is_dead(self) -> bool:
        """Look after the worker: kill it if it hangs; True if it has ended and is to be buried."""
        if self._process is None:
            return False
        if self._process.poll() is None:
            now = time.monotonic()
            hung = self._step is not None and now - self._step_at > self._config.worker.hang_limit_s
            late = not self.ready and now - self._alive_at > _START_LIMIT_S
            if (hung or late) and not self._hung:
                self._hung = True
                self._process.kill()
            return False
        return True

    def bury(self) -> None:
        """Count what a dead worker died on, make room for the next; what it said last must have been taken in."""
        assert self.link is not None
        assert self._process is not None
        code = self._process.returncode
        self.link.close()
        self.link = self._process = None
        if self._hung:
            text = f"no progress for {self._config.worker.hang_limit_s:g} s"
        elif code < 0:
            text = f"ended by {signal.Signals(-code).name}"
        else:
            text = f"ended with code {code}"
        self.trouble = f"the worker was replaced: {text}"
        self.ready = False
        self.restarts += 1
        self._start_at = time.monotonic() + _BACK_OFF_S[min(self._deaths, len(_BACK_OFF_S) - 1)]
        self._deaths += 1
        if self._step is not None:
            outside = code < 0 and -code not in _FAULTS and not self._hung
            self.blame(*self._step, text, from_outside=outside)
            self._step = None

    def blame(self, scan_id: str, position: int, text: str, *, from_outside: bool = False) -> None:
        """Count a failure against a scan."""
        try:
            self._tries.add(scan_id, position, text, from_outside=from_outside)
        except SpoolError as error:
            self.trouble = str(error)

    def give_up_reason(self, scan_id: str) -> str | None:
        """Why a scan is not to be worked on any more, None if it is."""
        tries = self._tries.get(scan_id)
        if tries.count >= self._config.worker.max_tries:
            return f"processing failed {tries.count} times; the last time: {tries.text}"
        if tries.kills >= MAX_KILLS_AT_ONE_PLACE:
            return f"the worker was killed {tries.kills} times at the same shot; the last time: {tries.text}"
        return None

    def stop(self) -> None:
        """End the worker: its work is on disk, the next one goes on from there."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(2.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5.0)
        if self.link is not None:
            self.link.close()
