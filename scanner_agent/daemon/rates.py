"""How fast one peer, and how many new scans: a sound scanner never comes near, a broken or hostile one is held back."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

_PEERS = 1000


class Allowance:
    """A token bucket for each name: `per_s` on average, `burst` at once."""

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        self._left: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def take(self, name: bytes) -> bool:
        """Use up one; False if there is none left now."""
        now = self._clock()
        left, at = self._left.pop(name, (float(self._burst), now))
        left = min(self._burst, left + (now - at) * self._per_s)
        granted = left >= 1.0
        self._left[name] = (left - granted, now)
        while len(self._left) > _PEERS:
            self._left.popitem(last=False)
        return granted
