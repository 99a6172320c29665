"""Movement as findings: what was seen, what it costs, what is left."""

from __future__ import annotations

import math

from scanner_agent.judge.seen import Cause, Seen
from scanner_agent.judge.track import MOVEMENTS, Course, Event
from scanner_agent.records import Advice, FindingKind, Severity, counted

_UNITS = {
    "frequency": ("frequency_step_hz", 1.0),
    "log_amplitude": ("amplitude_step_log", 1.0),
    "broadening": ("broadening_step_hz", 1.0),
    "log_water": ("residual_water_step_log", 1.0),
    "lipid": ("lipid_step_ratio", 1.0),
    "water_phase": ("water_phase_step_deg", 180 / math.pi),
}
_OTHER_CHANGES = {
    "water": (
        FindingKind.WATER_SUPPRESSION,
        Advice.CONTINUE,
        "the residual water is another, nothing else changed: the water suppression has changed.",
    ),
    "lipid": (
        FindingKind.LIPID_CONTAMINATION,
        Advice.CONTINUE,
        "there is more fat: consistent with a small movement.",
    ),
}
_STRENGTH_CHANGE = (
    FindingKind.COIL_FAULT,
    Advice.CHECK_HARDWARE,
    "the signal's strength is another, its frequency and width are not: consistent with a change of gain or a fault of"
    " the receive coil.",
)


def motion_causes(course: Course, seen: Seen, pose: int, probability: float | None) -> list[Cause]:
    """One cause per sudden change. `pose` is the one that the scan is judged by, `probability` its chance to pass."""
    return [
        _movement(event, course, seen, pose, probability) if event.kind in MOVEMENTS else _other_change(event)
        for event in course.events
    ]


def _other_change(event: Event) -> Cause:
    """A sudden change of one kind of sign alone: something else than a movement that costs shots."""
    kind, advice, text = _OTHER_CHANGES.get(event.kind, _STRENGTH_CHANGE)
    return Cause(
        kind=kind,
        severity=Severity.WATCH,
        advice=advice,
        first_shot=event.first_shot,
        raised_at_shot=event.raised_at_shot,
        last_shot=event.last_shot,
        evidence=_evidence(event),
        text=f"From shot {event.first_shot + 1} on {text}",
    )


def _movement(event: Event, course: Course, seen: Seen, pose: int, probability: float | None) -> Cause:
    at = event.first_shot + 1
    kept = course.pose_shots(pose)
    used = course.pose_shots(pose, used_only=True)
    s = seen.protocol.judgement
    if event.kind == "burst":
        lost = [i for i in course.hit_shots() if event.first_shot <= i <= event.last_shot]
        much = len(course.hit_shots()) > s.burst_watch_fraction * max(len(kept), 1)
        return Cause(
            kind=FindingKind.MOTION_DURING_SCAN,
            severity=Severity.WATCH,
            advice=Advice.CONTINUE,
            blocking=much,
            first_shot=event.first_shot,
            raised_at_shot=event.raised_at_shot,
            last_shot=event.last_shot,
            evidence={"shots_left_out": float(len(lost))},
            text=f"The head moved for a moment (shots {at} to {event.last_shot + 1}) and lies as before:"
            f" {counted(len(lost))} {'is' if len(lost) == 1 else 'are'} left out. Ask the patient to lie still.",
        )
    if event.kind == "moving":
        return Cause(
            kind=FindingKind.MOTION_DURING_SCAN,
            severity=Severity.WATCH,
            advice=Advice.CONTINUE,
            first_shot=event.first_shot,
            raised_at_shot=event.raised_at_shot,
            last_shot=event.last_shot,
            evidence=_evidence(event),
            text=f"The head is moving since shot {at}: ask the patient to lie still, and watch the next shots.",
        )
    passes = probability is not None and probability >= s.extend_probability
    lost_cause = probability is not None and probability < s.stop_probability and seen.can_extend is False
    kept_text = f"only shots {kept[0] + 1} to {kept[-1] + 1} count ({len(used)} used)" if kept else "no shot counts"
    if lost_cause:
        text = (
            "Repeat the localiser, place the voxel again and start again:"
            f" the head moved at shot {at}, with too few shots before and too little time after it."
        )
    elif passes:
        text = f"The head moved at shot {at}: {kept_text}, and they are enough."
    else:
        text = (
            f"The head moved at shot {at}: {kept_text}. The voxel may lie elsewhere now: repeat the localiser to be"
            " sure."
        )
    return Cause(
        kind=FindingKind.MOTION_DURING_SCAN,
        severity=Severity.STOP if lost_cause else Severity.WATCH,
        advice=Advice.REPRESCRIBE if not passes else Advice.CONTINUE,
        blocking=not passes,
        first_shot=event.first_shot,
        raised_at_shot=event.raised_at_shot,
        last_shot=event.last_shot,
        evidence=_evidence(event),
        text=text,
    )


def _evidence(event: Event) -> dict[str, float]:
    found = {_UNITS[name][0]: value * _UNITS[name][1] for name, value in event.change if name in _UNITS}
    if event.statistic:
        found["step_statistic"] = event.statistic
    return found
