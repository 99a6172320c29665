"""What the causes are told from, and what each of them is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from scanner_agent.judge.drift import Drift
from scanner_agent.judge.signs import FitSummary, ScanContext, ShotSigns
from scanner_agent.judge.track import Event
from scanner_agent.records import Advice, FindingKind, LimitCheck, ScanHeader, Severity
from scanner_agent.scan_protocol import ScanProtocol


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A finding in the making."""

    kind: FindingKind
    severity: Severity
    text: str
    advice: Advice
    blocking: bool = True
    """Whether it keeps the verdict from being good."""
    first_shot: int | None = None
    last_shot: int | None = None
    raised_at_shot: int | None = None
    """Where the cause itself knows it."""
    evidence: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """All that the causes are told from, of the pose that the scan is judged by."""

    header: ScanHeader
    protocol: ScanProtocol
    context: ScanContext
    signs: Sequence[ShotSigns]
    """Usable shots of the whole scan so far, in order."""
    fit: FitSummary | None
    """Of the pose that the scan is judged by."""
    first_signs: Sequence[ShotSigns]
    """Usable shots of the first pose: what was wrong from the start is seen there."""
    first_fit: FitSummary | None
    """Of the first pose."""
    limits: tuple[LimitCheck, ...]
    width_probability: float | None
    """Of meeting the limits on width at the end, in the first pose."""
    noise_probability: float | None
    """Of meeting those on S/N and %SD, in the pose that the scan is judged by."""
    noise_can_extend: bool | None
    """Whether more shots can help with those."""
    can_extend: bool | None
    """Whether more shots can help with all limits."""
    n_without_signal: int
    """Shots in which no signal could be recognised."""
    n_missing: int
    longest_gap: int
    n_unusable: int
    n_planned: int
    events: Sequence[Event]
    misedited: Sequence[int]
    """Shots whose NAA contradicts their edit condition, in order."""
    drift: Drift | None
    enough: bool
    """Whether enough excitations are in for a word on the spectrum."""
    enough_to_stop: bool


def median(values: Sequence[float | None]) -> float | None:
    """Median of what is known; None without any."""
    known = sorted(v for v in values if v is not None and math.isfinite(v))
    n = len(known)
    return 0.5 * (known[(n - 1) // 2] + known[n // 2]) if n else None


def excitations_back(signs: Sequence[ShotSigns], n: int) -> Sequence[ShotSigns]:
    """The last shots that hold at least n excitations."""
    total = 0
    for i in range(len(signs) - 1, -1, -1):
        total += signs[i].n_excitations
        if total >= n:
            return signs[i:]
    return signs
