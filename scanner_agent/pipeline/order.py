"""Puts shots back in order: a missing shot is waited for briefly, then the line goes on without it."""

from __future__ import annotations

from scanner_agent.records import Shot, ShotKind

HOLD_SHOTS = 3
"""Metabolite shots held back while an earlier one is missing; counted in shots, so that a replay does the same."""

_CANONICAL = {ShotKind.NOISE: 0, ShotKind.WATER_REFERENCE: 1, ShotKind.METABOLITE: 2}


def canonical_key(shot: Shot) -> tuple[int, int]:
    """Sort key of the canonical order: noise, water reference, metabolite, each by index."""
    return _CANONICAL[shot.shot_kind], shot.shot_index


class ShotOrder:
    """Takes shots as they arrive, gives metabolite shots in index order and remembers whether a replay is needed."""

    def __init__(self) -> None:
        self._held: dict[int, Shot] = {}
        self._next = 0
        self._last_key: tuple[int, int] = (-1, -1)
        self.canonical = True
        """Whether everything so far came in canonical order (and so the history is what a replay would give)."""
        self.gaps: list[int] = []
        """Metabolite shots that did not come in time."""

    def push(self, shot: Shot) -> list[Shot]:
        """Take one shot; the shots that are now to be processed, in order."""
        key = canonical_key(shot)
        if key <= self._last_key:
            self.canonical = False
        self._last_key = max(key, self._last_key)
        if shot.shot_kind is not ShotKind.METABOLITE:
            return [shot]
        if shot.shot_index < self._next:
            return []  # came after its turn was given up: enters at the end
        self._held[shot.shot_index] = shot
        ready = self._take_consecutive()
        if not ready and len(self._held) > HOLD_SHOTS:
            ready = self._skip_gap()
        return ready

    def flush(self) -> list[Shot]:
        """Everything still held, in order; what is missing in between becomes a gap."""
        ready: list[Shot] = []
        while self._held:
            ready += self._skip_gap()
        return ready

    def _take_consecutive(self) -> list[Shot]:
        ready = []
        while self._next in self._held:
            ready.append(self._held.pop(self._next))
            self._next += 1
        return ready

    def _skip_gap(self) -> list[Shot]:
        first = min(self._held)
        self.gaps += range(self._next, first)
        self._next = first
        return self._take_consecutive()
