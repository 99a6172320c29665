"""What a view knows, as a pure function of the messages it has received: no sockets, no clock, no terminal.

`after(state, message, at)` gives the next state; `wanted(state)` names the scans of which a snapshot must be asked for,
because they were never seen whole or a message of theirs was missed.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from scanner_agent.records import (
    Assessment,
    AssessmentPoint,
    Finding,
    Health,
    LimitCheck,
    MetaboliteAmount,
    Placement,
    ScanEnd,
    ScanHeader,
    ScanReport,
    ScanSnapshot,
    ShotTrack,
    SpectrumFrame,
    SpectrumPart,
    Trigger,
    TriggerState,
    Verdict,
)
from scanner_agent.wire.published import AnyRecord

K = TypeVar("K")
V = TypeVar("V")
_KEPT_INTERVALS = 7
_OPEN = (TriggerState.PROPOSED, TriggerState.ACTIVE)


class Link(StrEnum):
    """How the view stands to the daemon."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"


@dataclass(frozen=True)
class LinkChanged:
    """The feed's own message: the connection to the daemon came or went."""

    link: Link
    text: str = ""


@dataclass(frozen=True)
class Update:
    """One published record with its place in the order."""

    record: AnyRecord
    scan_id: str | None = None
    topic: str = ""
    instance: str = ""
    sequence: int = 0


@dataclass(frozen=True)
class OpenTriggers:
    """All triggers that are open now, as the daemon answers when asked."""

    triggers: tuple[Trigger, ...]


Message = LinkChanged | Update | ScanSnapshot | Health | OpenTriggers | Placement


@dataclass(frozen=True)
class ScanView:
    """One scan as far as it is known here."""

    scan_id: str
    header: ScanHeader | None = None
    protocol: str | None = None
    limits: tuple[LimitCheck, ...] = ()
    tracks: Mapping[int, ShotTrack] = field(default_factory=lambda: MappingProxyType({}))
    history: Mapping[int, AssessmentPoint] = field(default_factory=lambda: MappingProxyType({}))
    assessment: Assessment | None = None
    parts: tuple[SpectrumPart, ...] = ()
    report: ScanReport | None = None
    end: ScanEnd | None = None
    triggers: Mapping[str, Trigger] = field(default_factory=lambda: MappingProxyType({}))
    placement: Placement | None = None
    """Latest result of a repeat localiser."""
    last_shot_at: float | None = None
    """On this view's clock."""
    intervals_s: tuple[float, ...] = ()
    """The latest times between shots, as they arrived here."""
    whole: bool = False
    """False: a snapshot is needed, because something was missed."""

    @property
    def ended(self) -> bool:
        """Whether no more shots are to come."""
        return self.report is not None or self.end is not None

    @property
    def verdict(self) -> Verdict:
        """The report's, else the latest assessment's."""
        if self.report is not None:
            return self.report.verdict
        return self.assessment.verdict if self.assessment is not None else Verdict.COLLECTING

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Most important first."""
        if self.report is not None:
            return self.report.findings
        return self.assessment.findings if self.assessment is not None else ()

    @property
    def amounts(self) -> tuple[MetaboliteAmount, ...]:
        """The report's, else the latest."""
        if self.report is not None:
            return self.report.metabolites
        return self.assessment.metabolites if self.assessment is not None else ()

    @property
    def n_used(self) -> int:
        """Shots in the average that counts."""
        if self.report is not None:
            return self.report.quality.n_shots_used
        return self.assessment.n_shots_used if self.assessment is not None else 0

    @property
    def n_left_out(self) -> int:
        """Shots seen that are not in the average that counts."""
        if self.report is not None:
            return len(self.report.shots) - self.report.quality.n_shots_used
        return self.assessment.n_shots_left_out if self.assessment is not None else 0

    @property
    def n_planned(self) -> int | None:
        """Shots planned, from whoever says so."""
        if self.assessment is not None and self.assessment.n_shots_planned is not None:
            return self.assessment.n_shots_planned
        return self.header.n_shots_planned if self.header is not None else None

    @property
    def shot_interval_s(self) -> float | None:
        """Time expected between shots: as lately observed, else the header's repetition time."""
        if len(self.intervals_s) >= 2:
            return statistics.median(self.intervals_s)
        return self.header.repetition_time_s if self.header is not None else None

    def silent_for_s(self, at: float) -> float | None:
        """Seconds since the last shot if more should have come by now, else None."""
        interval = self.shot_interval_s
        if self.ended or self.last_shot_at is None or interval is None:
            return None
        if self.n_planned is not None and self.n_used + self.n_left_out >= self.n_planned:
            return None  # all are here; only the word that it has ended is to come
        age = at - self.last_shot_at
        return age if age > interval + min(3.0, max(1.0, 0.5 * interval)) else None


@dataclass(frozen=True)
class ViewState:
    """Everything a face shows. `scans` is in the order of arrival."""

    scans: Mapping[str, ScanView] = field(default_factory=lambda: MappingProxyType({}))
    health: Health | None = None
    health_at: float | None = None
    placement: Placement | None = None
    """Latest localiser's result that belongs to no scan: made before the spectroscopy."""
    link: Link = Link.CONNECTING
    link_text: str = ""
    link_since: float | None = None
    instance: str = ""
    sequences: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    n_missed: int = 0
    """Messages known to have been missed since the view began."""

    def visit(self, scan_id: str) -> tuple[ScanView, ...]:
        """The other scans of that scan's visit, in the order of arrival."""
        scan = self.scans.get(scan_id)
        visit_id = scan.header.visit_id if scan is not None and scan.header is not None else None
        if visit_id is None:
            return ()
        return tuple(
            s for s in self.scans.values() if s.scan_id != scan_id and s.header and s.header.visit_id == visit_id
        )


def wanted(state: ViewState) -> tuple[str, ...]:
    """Scans of which a snapshot is needed."""
    return tuple(scan.scan_id for scan in state.scans.values() if not scan.whole)


def after(state: ViewState, message: Message, at: float) -> ViewState:
    """The state after one message that arrived at `at` (Unix time, seconds, on the view's own clock)."""
    if isinstance(message, LinkChanged):
        return _after_link(state, message, at)
    if isinstance(message, Health):
        return replace(state, health=message, health_at=at)
    if isinstance(message, Placement):
        return replace(state, placement=message)
    if isinstance(message, OpenTriggers):
        return _with_open_triggers(state, message.triggers)
    if isinstance(message, ScanSnapshot):
        return _with_scan(state, _from_snapshot(state, message, at))
    return _after_update(state, message, at)


def _after_link(state: ViewState, message: LinkChanged, at: float) -> ViewState:
    since = state.link_since if message.link is state.link else at
    state = replace(state, link=message.link, link_text=message.text, link_since=since)
    return _all_incomplete(state) if message.link is Link.LOST else state


def _with_open_triggers(state: ViewState, triggers: tuple[Trigger, ...]) -> ViewState:
    """Those that were open and are no longer have come to an end that was missed: they are not shown any more."""
    for scan in state.scans.values():
        known = {t.trigger_id: t for t in scan.triggers.values() if t.state not in _OPEN}
        known |= {trigger.trigger_id: trigger for trigger in triggers if trigger.scan_id == scan.scan_id}
        if known != scan.triggers:
            state = _with_scan(state, replace(scan, triggers=MappingProxyType(known)))
    return state


def _after_update(state: ViewState, update: Update, at: float) -> ViewState:
    if update.instance != state.instance:
        # Another start of the daemon: sequences begin again, and what it said in between is not known here.
        if state.instance:
            state = _all_incomplete(state)
        state = replace(state, instance=update.instance, sequences=MappingProxyType({}))
    previous = state.sequences.get(update.topic)
    if previous is not None and update.sequence <= previous:
        return state
    missed = 0 if previous is None else update.sequence - previous - 1
    state = replace(
        state, sequences=_with(state.sequences, update.topic, update.sequence), n_missed=state.n_missed + missed
    )
    if isinstance(update.record, Health):
        return replace(state, health=update.record, health_at=at)
    if update.scan_id is None:
        return replace(state, placement=update.record) if isinstance(update.record, Placement) else state
    if isinstance(update.record, ScanReport):
        # The daemon forgets a scan's counters with its report.
        ended = f"/{update.scan_id}"
        left = {topic: n for topic, n in state.sequences.items() if not topic.endswith(ended)}
        state = replace(state, sequences=MappingProxyType(left))
    scan = state.scans.get(update.scan_id) or ScanView(update.scan_id)
    # A frame that was missed is made good by the next.
    whole = scan.whole and (missed == 0 or isinstance(update.record, SpectrumFrame))
    return _with_scan(state, _after_record(replace(scan, whole=whole), update.record, at))


def _after_record(scan: ScanView, record: AnyRecord, at: float) -> ScanView:
    if isinstance(record, ScanHeader):
        return replace(scan, header=record)
    if isinstance(record, Assessment):
        return _after_assessment(scan, record, at)
    if isinstance(record, SpectrumFrame):
        return replace(scan, parts=record.parts)
    if isinstance(record, ScanReport):
        return _after_report(scan, record)
    if isinstance(record, ScanEnd):
        return replace(scan, end=record)
    if isinstance(record, Placement):
        return replace(scan, placement=record)
    if isinstance(record, Trigger):
        return replace(scan, triggers=_with(scan.triggers, record.trigger_id, record))
    return scan


def _after_assessment(scan: ScanView, assessment: Assessment, at: float) -> ScanView:
    tracks, history = scan.tracks, scan.history
    if assessment.track is not None:
        tracks = _with(tracks, assessment.track.index, assessment.track)
    if assessment.shot_index is not None:
        history = _with(
            history,
            assessment.shot_index,
            AssessmentPoint(
                shot_index=assessment.shot_index,
                verdict=assessment.verdict,
                advice=assessment.advice,
                forecast=assessment.forecast,
                snr_lcmodel=assessment.quality.snr_lcmodel,
                fwhm_hz=assessment.quality.fwhm_hz,
            ),
        )
    if scan.assessment is not None and _n_seen(assessment) < _n_seen(scan.assessment):
        # Older than what is known: said before the snapshot, or again by a worker that catches up after a restart.
        return replace(scan, tracks=tracks, history=history)
    # A new finding, or a pose that now counts, changes which of the earlier shots are used.
    whole = scan.whole and (
        scan.assessment is None
        or (scan.assessment.verdict, _causes(scan.assessment)) == (assessment.verdict, _causes(assessment))
    )
    whole = whole and sum(track.used for track in tracks.values()) == assessment.n_shots_used
    intervals = scan.intervals_s
    if scan.last_shot_at is not None:
        intervals = (*intervals, at - scan.last_shot_at)[-_KEPT_INTERVALS:]
    return replace(
        scan,
        assessment=assessment,
        tracks=tracks,
        history=history,
        last_shot_at=at,
        intervals_s=intervals,
        whole=whole,
    )


def _after_report(scan: ScanView, report: ScanReport) -> ScanView:
    return replace(
        scan,
        header=report.scan,
        protocol=report.provenance.protocol,
        report=report,
        end=report.end,
        limits=report.limits or scan.limits,
        tracks=MappingProxyType({track.index: track for track in report.shots}),
        history=_points(report.assessments) or scan.history,
        parts=report.spectra or scan.parts,
    )


def _from_snapshot(state: ViewState, snapshot: ScanSnapshot, at: float) -> ScanView:
    old = state.scans.get(snapshot.header.scan_id) or ScanView(snapshot.header.scan_id)
    behind = (
        old.assessment is not None
        and snapshot.assessment is not None
        and _n_seen(snapshot.assessment) < _n_seen(old.assessment)
    )
    last = snapshot.last_shot_at
    if last is not None and state.health is not None and state.health_at is not None:
        last += state.health_at - state.health.at  # the daemon's clock may not be ours
    tracks = {track.index: track for track in snapshot.tracks}
    history = _points(snapshot.assessments)
    scan = replace(
        old,
        header=snapshot.header,
        protocol=snapshot.protocol,
        limits=snapshot.limits,
        tracks=MappingProxyType({**old.tracks, **tracks} if behind else tracks),
        history=MappingProxyType({**old.history, **history}),
        assessment=old.assessment if behind else snapshot.assessment,
        parts=old.parts if snapshot.frame is None else snapshot.frame.parts,
        last_shot_at=old.last_shot_at if old.last_shot_at is not None else last if last is None else min(last, at),
        placement=snapshot.placement or old.placement,
        whole=True,
    )
    return scan if snapshot.report is None else _after_report(scan, snapshot.report)


def _causes(assessment: Assessment) -> set[tuple[str, int | None]]:
    return {(str(finding.kind), finding.first_shot) for finding in assessment.findings}


def _n_seen(assessment: Assessment) -> int:
    return assessment.n_shots_used + assessment.n_shots_left_out


def _points(points: tuple[AssessmentPoint, ...]) -> Mapping[int, AssessmentPoint]:
    return MappingProxyType({p.shot_index: p for p in points if p.shot_index is not None})


def _all_incomplete(state: ViewState) -> ViewState:
    scans = {
        name: scan if scan.report is not None else replace(scan, whole=False) for name, scan in state.scans.items()
    }
    return replace(state, scans=MappingProxyType(scans))


def _with_scan(state: ViewState, scan: ScanView) -> ViewState:
    return replace(state, scans=_with(state.scans, scan.scan_id, scan))


def _with(mapping: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    return MappingProxyType({**mapping, key: value})
