"""When a result asks for a trigger, and when it takes one back: pure, so that no order of results can get round it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from scanner_agent.config import TriggerRules
from scanner_agent.records import (
    Advice,
    Assessment,
    FindingKind,
    ScanReport,
    Severity,
    Trigger,
    TriggerState,
    Verdict,
)

OPEN = (TriggerState.PROPOSED, TriggerState.ACTIVE)
_STOPPING = (Advice.EXTEND, Advice.RESHIM, Advice.REPRESCRIBE, Advice.REPEAT, Advice.CHECK_HARDWARE)


@dataclass(frozen=True)
class Occasion:
    """A result and where it stands."""

    scan_id: str
    visit_id: str | None
    mode: str
    """The protocol's: off, ask or auto."""
    at: float
    """When the result was made, Unix time in seconds."""
    now: float
    """Unix time, seconds."""


@dataclass(frozen=True)
class Decision:
    """What is to be done: triggers to take back, and one to make."""

    withdrawn: tuple[Trigger, ...] = ()
    made: Trigger | None = None
    changed: tuple[Trigger, ...] = ()
    """Triggers that go on with other evidence, or are answered."""


def is_call(result: Assessment | ScanReport) -> bool:
    """Whether a result asks the scanner side for something: to stop and do something, or to go on for longer."""
    if result.verdict is Verdict.STOP:
        return result.advice in _STOPPING
    return result.verdict is Verdict.WATCH and result.advice is Advice.EXTEND


def is_proved(trigger: Trigger) -> bool:
    """Whether a localiser has measured what a trigger is about; what the shots show then no longer matters."""
    return trigger.placement_id is not None and "centre_displacement_mm" in trigger.evidence


def decide(
    result: Assessment | ScanReport, occasion: Occasion, triggers: Sequence[Trigger], new_id: str, rules: TriggerRules
) -> Decision:
    """What a result leads to, given all triggers so far (of any scan).

    Guard rails: none while the mode is off or the verdict is `cannot_judge`; at most `max_per_scan` and
    `max_per_visit`; none within the cool-down; never a second one for the same cause in a scan, whatever became of the
    first; none from a result that is old. Open triggers that no longer fit the result are withdrawn. Triggers that a
    person asked for (`reason` is None) are neither counted nor taken back; those that a localiser has
    proved are counted, and not taken back; requests for a localiser have rules of their own (`localiser_rules`).
    """
    automatic = [t for t in triggers if t.reason is not None and t.advice is not Advice.LOCALISE]
    mine = [trigger for trigger in automatic if trigger.scan_id == occasion.scan_id]
    calling = is_call(result) and occasion.mode in ("ask", "auto")
    withdrawn = tuple(
        t for t in mine if t.state in OPEN and not is_proved(t) and not (calling and t.advice is result.advice)
    )
    if not calling or occasion.now - occasion.at > rules.max_age_s:
        return Decision(withdrawn)
    finding = next((f for f in result.findings if f.severity is not Severity.NOTE), None)
    cause = FindingKind.LOW_SNR if finding is None else finding.kind
    visit = [t for t in automatic if t.visit_id == occasion.visit_id is not None]
    if (
        len(mine) >= rules.max_per_scan
        or (occasion.visit_id is not None and len(visit) >= rules.max_per_visit)
        or any(trigger.reason is cause for trigger in mine)
        or any(abs(occasion.now - trigger.created_at) < rules.cool_down_s for trigger in [*mine, *visit])
    ):
        return Decision(withdrawn)
    evidence = finding.evidence if finding is not None else {}
    made = new_trigger(occasion, new_id, rules, result.advice, cause, result.advice_text, evidence)
    return Decision(withdrawn, msgspec.structs.replace(made, extend_shots=result.extend_shots))


def new_trigger(
    occasion: Occasion,
    new_id: str,
    rules: TriggerRules,
    advice: Advice,
    reason: FindingKind,
    text: str,
    evidence: dict[str, float],
) -> Trigger:
    """A trigger as the mode has it: active at once, or waiting for a person."""
    return Trigger(
        trigger_id=new_id,
        scan_id=occasion.scan_id,
        visit_id=occasion.visit_id,
        advice=advice,
        reason=reason,
        text=text,
        evidence=evidence,
        state=TriggerState.ACTIVE if occasion.mode == "auto" else TriggerState.PROPOSED,
        created_at=occasion.now,
        expires_at=occasion.now + rules.lifetime_s,
    )
