"""What systemd is told: ready, state, and a watchdog that is fed only while the work really goes on."""

from __future__ import annotations

import os
import time

from sdnotify import SystemdNotifier

from scanner_agent.records import Health


class Notifier:
    """Talks to `$NOTIFY_SOCKET`; does nothing where there is none."""

    def __init__(self) -> None:
        self._systemd = SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None
        if self._systemd is not None:
            self._systemd.socket.setblocking(False)  # a manager that does not listen must not hold up the shots
        self._interval_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 2e6
        self._fed_at = 0.0
        self._status = ""

    def _say(self, text: str) -> None:
        if self._systemd is not None:
            self._systemd.notify(text)

    def ready(self) -> None:
        """Shots are acknowledged from now on."""
        self._say("READY=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._say("STOPPING=1")

    def tick(self, health: Health, *, alive: bool) -> None:
        """Feed the watchdog while the work goes on; say how things are when that changes."""
        status = f"{health.state}, {health.scans_open} scans open"
        if health.problems:
            status += f": {health.problems[0]}"
        if status != self._status:
            self._status = status
            self._say(f"STATUS={status}")
        now = time.monotonic()
        if alive and self._interval_s and now - self._fed_at >= self._interval_s:
            self._fed_at = now
            self._say("WATCHDOG=1")
