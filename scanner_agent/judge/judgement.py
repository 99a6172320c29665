"""What the judgement says after each shot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scanner_agent.records import Advice, Finding, Forecast, LimitCheck, Verdict


@dataclass(frozen=True, kw_only=True)
class SegmentJudgement:
    """The shots of one pose."""

    index: int
    """From 0, in order of time."""
    first_shot: int
    last_shot: int
    shots: tuple[int, ...]
    """Those that belong into its average."""
    verdict: Verdict
    """Of this segment alone."""
    is_best: bool
    """True for the segment that the scan is judged by."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The verdict, what to do, and why."""

    verdict: Verdict
    advice: Advice
    advice_text: str
    """For a person; counts shots from 1."""
    extend_shots: int | None = None
    """With `extend`."""
    forecast: Forecast | None = None
    findings: tuple[Finding, ...] = ()
    """Most important first."""
    limits: tuple[LimitCheck, ...] = ()
    """Each limit of the protocol against the best segment's fit."""
    segments: tuple[SegmentJudgement, ...] = ()
    used_shots: tuple[int, ...] = ()
    """Shots of the best segment that belong into the average."""
    left_out: Mapping[int, str] = field(default_factory=dict)
    """Shots that the judgement leaves out of every average, and why."""
    shot_segments: Mapping[int, int] = field(default_factory=dict)
    """Segment of each shot."""
    notes: tuple[str, ...] = ()
    """What a reader should know."""
