"""When a localiser is asked for, and what its result does: guard rails hold, nothing is done twice."""

from __future__ import annotations

import msgspec
import pytest

from scanner_agent.config import TriggerRules
from scanner_agent.daemon.localiser_rules import decide_localiser, decide_placement
from scanner_agent.daemon.trigger_rules import Decision, Occasion, decide
from scanner_agent.records import (
    Advice,
    Assessment,
    Finding,
    FindingKind,
    Placement,
    PlacementResult,
    Quality,
    Severity,
    Trigger,
    TriggerState,
    Verdict,
)

RULES = TriggerRules(max_per_scan=2, max_per_visit=2, cool_down_s=60.0, lifetime_s=600.0, max_age_s=120.0)
SUSPICION = Finding(
    kind=FindingKind.VOXEL_DISPLACED, severity=Severity.WATCH, text="maybe", evidence={"frequency_offset_hz": 20.0}
)


def seen(*findings: Finding, verdict: Verdict = Verdict.WATCH, advice: Advice = Advice.REPRESCRIBE) -> Assessment:
    return Assessment(
        scan_id="s", shot_index=3, n_shots_used=4, n_shots_left_out=0, n_shots_planned=64, verdict=verdict,
        advice=advice, advice_text="Do it.", quality=Quality(), findings=findings,
    )  # fmt: skip


def told(state: str, name: str = "p1") -> Placement:
    numbers = {} if state == "cannot_judge" else {"centre_displacement_mm": 6.5, "share_inside": 0.6}
    result = msgspec.convert({"state": state, "text": f"It is {state}.", "evidence": {"overlap": 0.4}, **numbers},
                             PlacementResult)  # fmt: skip
    return Placement(placement_id=name, scan_id="s", made_at=1.0, initials="AB", result=result)


class Book:
    """Carries decisions out as the book does."""

    def __init__(self, mode: str = "ask") -> None:
        self.triggers: dict[str, Trigger] = {}
        self.mode = mode

    def occasion(self, now: float = 1000.0, at: float | None = None) -> Occasion:
        return Occasion("s", "v", self.mode, at=now if at is None else at, now=now)

    def take(self, rule: object, record: object, **when: float) -> Decision:
        new_id = f"t{len(self.triggers)}"
        decision: Decision = rule(record, self.occasion(**when), list(self.triggers.values()), new_id, RULES)  # type: ignore[operator]
        for trigger in decision.withdrawn:
            self.triggers[trigger.trigger_id] = msgspec.structs.replace(trigger, state=TriggerState.WITHDRAWN)
        made = () if decision.made is None else (decision.made,)
        for trigger in (*decision.changed, *made):
            self.triggers[trigger.trigger_id] = trigger
        return decision

    def of(self, advice: Advice) -> list[Trigger]:
        return [t for t in self.triggers.values() if t.advice is advice]


def test_a_suspicion_asks_once_with_its_evidence() -> None:
    book = Book()
    for now in (1000.0, 1001.0, 1500.0):
        book.take(decide_localiser, seen(SUSPICION), now=now)
    (asked,) = book.of(Advice.LOCALISE)
    assert (asked.state, asked.evidence) == (TriggerState.PROPOSED, {"frequency_offset_hz": 20.0})


@pytest.mark.parametrize("mode", ["off", "ask", "auto"])
def test_the_mode_is_the_protocol_s(mode: str) -> None:
    book = Book(mode)
    book.take(decide_localiser, seen(SUSPICION))
    states = [t.state for t in book.of(Advice.LOCALISE)]
    assert states == {"off": [], "ask": [TriggerState.PROPOSED], "auto": [TriggerState.ACTIVE]}[mode]


def test_nothing_is_asked_without_ground_or_too_late() -> None:
    book = Book()
    note = msgspec.structs.replace(SUSPICION, severity=Severity.NOTE)
    for result in (seen(), seen(note), seen(SUSPICION, verdict=Verdict.CANNOT_JUDGE)):
        book.take(decide_localiser, result)
    book.take(decide_localiser, seen(SUSPICION), now=1000.0, at=800.0)
    assert book.triggers == {}


def test_it_is_taken_back_when_the_suspicion_goes() -> None:
    book = Book()
    book.take(decide_localiser, seen(SUSPICION))
    book.take(decide_localiser, seen(verdict=Verdict.GOOD))
    assert [t.state for t in book.of(Advice.LOCALISE)] == [TriggerState.WITHDRAWN]


def test_a_visit_s_limit_holds() -> None:
    earlier = {
        f"e{n}": msgspec.structs.replace(
            Book().take(decide_localiser, seen(SUSPICION)).made, trigger_id=f"e{n}", scan_id=f"earlier{n}"
        )
        for n in range(2)
    }
    book = Book()
    book.triggers = dict(earlier)
    book.take(decide_localiser, seen(SUSPICION))
    assert book.triggers == earlier


def test_it_neither_uses_up_nor_delays_other_requests() -> None:
    book = Book()
    book.take(decide_localiser, seen(SUSPICION), now=1000.0)
    stop = seen(SUSPICION, verdict=Verdict.STOP)
    assert book.take(decide, stop, now=1001.0).made is not None


def test_what_a_person_has_asked_for_is_not_asked_again_and_stays_theirs() -> None:
    book = Book()
    book.take(decide_localiser, seen(SUSPICION))
    (mine,) = book.of(Advice.LOCALISE)
    book.triggers = {"p": msgspec.structs.replace(mine, trigger_id="p", reason=None, state=TriggerState.ACTIVE)}
    assert book.take(decide_localiser, seen(SUSPICION)) == Decision()
    assert book.take(decide_localiser, seen(verdict=Verdict.GOOD, advice=Advice.CONTINUE)) == Decision()
    book.take(decide_placement, told("not_moved"))
    (asked,) = book.of(Advice.LOCALISE)
    assert (asked.state, asked.placement_id) == (TriggerState.ACKNOWLEDGED, "p1")


def test_moved_answers_the_request_and_asks_for_the_voxel() -> None:
    book = Book()
    book.take(decide_localiser, seen(SUSPICION))
    book.take(decide_placement, told("moved"))
    (asked,), (again,) = book.of(Advice.LOCALISE), book.of(Advice.REPRESCRIBE)
    assert asked.state is TriggerState.ACKNOWLEDGED
    assert asked.evidence == {
        "frequency_offset_hz": 20.0, "centre_displacement_mm": 6.5, "share_inside": 0.6, "localiser_overlap": 0.4,
    }  # fmt: skip
    assert (again.state, again.placement_id, again.text) == (TriggerState.PROPOSED, "p1", "It is moved.")
    before = dict(book.triggers)
    book.take(decide_placement, told("moved"))
    assert book.triggers == before, "the same result again"
    book.take(decide, seen(verdict=Verdict.GOOD, advice=Advice.CONTINUE), now=1100.0)
    assert book.of(Advice.REPRESCRIBE) == [again], "what an image has proved, no shot takes back"


def test_moved_confirms_a_request_that_is_open() -> None:
    book = Book()
    book.take(decide, seen(SUSPICION, verdict=Verdict.STOP))
    book.take(decide_placement, told("moved"))
    (only,) = book.of(Advice.REPRESCRIBE)
    assert only.state is TriggerState.PROPOSED
    assert only.evidence["centre_displacement_mm"] == 6.5


def test_not_moved_takes_the_judgement_s_request_back_but_no_person_s() -> None:
    book = Book()
    book.take(decide, seen(SUSPICION, verdict=Verdict.STOP))
    (mine,) = book.of(Advice.REPRESCRIBE)
    book.triggers["person"] = msgspec.structs.replace(mine, trigger_id="person", reason=None, state=TriggerState.ACTIVE)
    book.take(decide_placement, told("not_moved"))
    states = {t.trigger_id: t.state for t in book.of(Advice.REPRESCRIBE)}
    assert states == {mine.trigger_id: TriggerState.WITHDRAWN, "person": TriggerState.ACTIVE}
    assert book.take(decide, seen(SUSPICION, verdict=Verdict.STOP), now=5000.0).made is None


def test_cannot_judge_leaves_everything_open() -> None:
    book = Book()
    book.take(decide_localiser, seen(SUSPICION))
    book.take(decide_placement, told("cannot_judge"))
    (asked,) = book.of(Advice.LOCALISE)
    assert (asked.state, asked.placement_id) == (TriggerState.PROPOSED, "p1")
    book.take(decide_placement, told("moved", "p2"))
    assert book.of(Advice.LOCALISE)[0].state is TriggerState.ACKNOWLEDGED
    assert [t.placement_id for t in book.of(Advice.REPRESCRIBE)] == ["p2"]


def test_guard_rails_hold_for_localisers_too() -> None:
    book = Book("off")
    book.take(decide_placement, told("moved"))
    assert book.triggers == {}
    book = Book()
    book.take(decide_placement, told("moved"), now=1000.0, at=800.0)
    assert book.triggers == {}
    for number in range(4):
        book.take(decide_placement, told("moved", f"p{number}"))
        book.triggers = {k: msgspec.structs.replace(t, state=TriggerState.EXPIRED) for k, t in book.triggers.items()}
    assert len(book.triggers) == RULES.max_per_scan
