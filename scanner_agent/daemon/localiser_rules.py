"""When a repeat localiser is asked for, and what its result does to the requests of its scan: pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from scanner_agent.config import TriggerRules
from scanner_agent.daemon.trigger_rules import OPEN, Decision, Occasion, new_trigger
from scanner_agent.records import (
    Advice,
    Assessment,
    FindingKind,
    Placement,
    ScanReport,
    Severity,
    Trigger,
    TriggerState,
    Verdict,
)

_REQUEST = "The voxel may be out of place: repeat the localiser (15 s) and export it."


def decide_localiser(
    result: Assessment | ScanReport, occasion: Occasion, triggers: Sequence[Trigger], new_id: str, rules: TriggerRules
) -> Decision:
    """Whether a suspicion of a displaced voxel asks for a repeat localiser: 15 seconds that tell whether it is so.

    Guard rails: none while the mode is off or the verdict is `cannot_judge`; one for a scan, whatever became of it, and
    none beside a person's that is open; at most `max_per_visit`; none from a result that is old. Taken back while it is
    open and the suspicion is gone.
    """
    localisers = [t for t in triggers if t.advice is Advice.LOCALISE]
    requests = [t for t in localisers if t.reason is not None]
    asked = any(t.scan_id == occasion.scan_id and t.state in OPEN for t in localisers)
    mine = [trigger for trigger in requests if trigger.scan_id == occasion.scan_id]
    suspicion = next(
        (f for f in result.findings if f.kind is FindingKind.VOXEL_DISPLACED and f.severity is not Severity.NOTE), None
    )
    if suspicion is None or occasion.mode not in ("ask", "auto") or result.verdict is Verdict.CANNOT_JUDGE:
        return Decision(tuple(trigger for trigger in mine if trigger.state in OPEN))
    visit = [t for t in requests if t.visit_id == occasion.visit_id is not None]
    if mine or asked or len(visit) >= rules.max_per_visit or occasion.now - occasion.at > rules.max_age_s:
        return Decision()
    cause = FindingKind.VOXEL_DISPLACED
    return Decision(made=new_trigger(occasion, new_id, rules, Advice.LOCALISE, cause, _REQUEST, suspicion.evidence))


def decide_placement(
    placement: Placement, occasion: Occasion, triggers: Sequence[Trigger], new_id: str, rules: TriggerRules
) -> Decision:
    """What a repeat localiser's result leads to for the scan that it is about; one that comes again changes nothing.

    Its numbers go into the evidence of the scan's open triggers about the voxel's place. A request for a localiser is
    thereby answered, if the localiser could be judged. A head that has moved asks for re-prescription, within the guard
    rails of triggers by verdict (but the cool-down: this is what was waited for), unless that is asked for already. A
    head that has not takes such a request of the judgement back.
    """
    result = placement.result
    mine = [trigger for trigger in triggers if trigger.scan_id == occasion.scan_id]
    evidence = _evidence(placement)
    told = [
        msgspec.structs.replace(t, placement_id=placement.placement_id, evidence=t.evidence | evidence)
        for t in mine
        if t.state in OPEN
        and t.placement_id != placement.placement_id
        and (t.advice is Advice.LOCALISE or t.advice is Advice.REPRESCRIBE)
    ]
    changed, refuted, asked = [], [], False
    for trigger in told:
        if trigger.advice is Advice.LOCALISE:
            answered = result.state != "cannot_judge"
            changed.append(msgspec.structs.replace(trigger, state=TriggerState.ACKNOWLEDGED) if answered else trigger)
        elif result.state == "not_moved" and trigger.reason is not None:
            refuted.append(trigger)
        else:
            changed.append(trigger)
            asked = True
    automatic = [t for t in triggers if t.reason is not None and t.advice is not Advice.LOCALISE]
    visit = [t for t in automatic if t.visit_id == occasion.visit_id is not None]
    if (
        result.state != "moved"
        or asked
        or any(t.placement_id == placement.placement_id and t.advice is Advice.REPRESCRIBE for t in mine)
        or occasion.mode not in ("ask", "auto")
        or occasion.now - occasion.at > rules.max_age_s
        or sum(t.scan_id == occasion.scan_id for t in automatic) >= rules.max_per_scan
        or len(visit) >= rules.max_per_visit
    ):
        return Decision(tuple(refuted), changed=tuple(changed))
    cause = FindingKind.VOXEL_DISPLACED
    made = new_trigger(occasion, new_id, rules, Advice.REPRESCRIBE, cause, result.text, evidence)
    return Decision(tuple(refuted), msgspec.structs.replace(made, placement_id=placement.placement_id), tuple(changed))


def _evidence(placement: Placement) -> dict[str, float]:
    """A localiser's numbers, named so that they can stand beside a finding's."""
    result = placement.result
    measured = {
        "centre_displacement_mm": result.centre_displacement_mm,
        "share_inside": result.share_inside,
        "placement_uncertainty_mm": result.uncertainty_mm,
    }
    signs = {f"localiser_{name}": value for name, value in result.evidence.items()}
    return {name: value for name, value in measured.items() if value is not None} | signs
