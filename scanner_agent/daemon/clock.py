"""Watches the wall clock against the steady one: what hangs on dates must not happen because the clock was set."""

from __future__ import annotations

import time
from collections.abc import Callable

_NOTABLE_S = 60.0
_TOLD_FOR_S = 600.0
_NO_REMOVAL_S = 86_400.0


class ClockWatch:
    """Call `look` now and then."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._steady = wall, steady
        self._offset = wall() - steady()
        self._jump_s = 0.0
        self._at: float | None = None

    def look(self) -> str | None:
        """What is to be said of a jump of late, None if there was none."""
        offset = self._wall() - self._steady()
        if abs(offset - self._offset) > _NOTABLE_S:
            self._jump_s, self._at = offset - self._offset, self._steady()
        self._offset = offset
        if self._at is None or self._steady() - self._at > _TOLD_FOR_S:
            return None
        return f"the clock was set by {self._jump_s:+.0f} s: no scan is removed for its age during the next day"

    @property
    def trusted(self) -> bool:
        """Whether dates may decide on removing anything."""
        return self._at is None or self._steady() - self._at > _NO_REMOVAL_S
