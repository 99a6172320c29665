"""Guard rails of triggers: no sequence of results gets round them; what may be asked for is asked for."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner_agent.config import TriggerRules
from scanner_agent.daemon.trigger_rules import OPEN, Occasion, decide
from scanner_agent.records import (
    Advice,
    Assessment,
    Finding,
    FindingKind,
    Quality,
    Severity,
    Trigger,
    TriggerState,
    Verdict,
)

RULES = TriggerRules(max_per_scan=2, max_per_visit=3, cool_down_s=60.0, lifetime_s=600.0)


def result(
    verdict: Verdict = Verdict.STOP,
    advice: Advice = Advice.REPEAT,
    kind: FindingKind | None = FindingKind.MOTION_DURING_SCAN,
    severity: Severity = Severity.STOP,
) -> Assessment:
    findings = (
        () if kind is None else (Finding(kind=kind, severity=severity, text="so it is", evidence={"step_hz": 5.0}),)
    )
    return Assessment(
        scan_id="s",
        shot_index=3,
        n_shots_used=4,
        n_shots_left_out=0,
        n_shots_planned=64,
        verdict=verdict,
        advice=advice,
        advice_text="Do it.",
        extend_shots=16 if advice is Advice.EXTEND else None,
        quality=Quality(),
        findings=findings,
    )


def occasion(now: float = 1000.0, **changes: object) -> Occasion:
    values: dict[str, object] = {"scan_id": "s", "visit_id": "v", "mode": "ask", "at": now, "now": now}
    return Occasion(**(values | changes))  # type: ignore[arg-type]


class History:
    """Applies decisions as the book does."""

    def __init__(self) -> None:
        self.triggers: dict[str, Trigger] = {}
        self.ids = itertools.count()

    def feed(self, assessment: Assessment, when: Occasion) -> Trigger | None:
        decision = decide(assessment, when, list(self.triggers.values()), f"t{next(self.ids)}", RULES)
        for trigger in decision.withdrawn:
            assert trigger.state in OPEN
            assert trigger.reason is not None
            self.set(trigger, TriggerState.WITHDRAWN)
        if decision.made is not None:
            self.triggers[decision.made.trigger_id] = decision.made
        return decision.made

    def set(self, trigger: Trigger, state: TriggerState) -> None:
        self.triggers[trigger.trigger_id] = msgspec.structs.replace(trigger, state=state)


@pytest.mark.parametrize(
    ("mode", "state"), [("ask", TriggerState.PROPOSED), ("auto", TriggerState.ACTIVE), ("off", None)]
)
def test_the_protocol_s_mode_decides_what_becomes_of_a_stop(mode: str, state: TriggerState | None) -> None:
    made = History().feed(result(), occasion(mode=mode))
    assert (made.state if made else None) is state
    if made:
        assert made.reason is FindingKind.MOTION_DURING_SCAN
        assert made.evidence == {"step_hz": 5.0}
        assert made.expires_at == 1600.0


@pytest.mark.parametrize(
    ("verdict", "advice", "asks"),
    [
        (Verdict.STOP, Advice.REPRESCRIBE, True),
        (Verdict.STOP, Advice.EXTEND, True),
        (Verdict.WATCH, Advice.EXTEND, True),
        (Verdict.WATCH, Advice.RESHIM, False),
        (Verdict.STOP, Advice.CONTINUE, False),
        (Verdict.STOP, Advice.WAIT_FOR_DRIFT, False),
        (Verdict.GOOD, Advice.EXTEND, False),
        (Verdict.COLLECTING, Advice.EXTEND, False),
        (Verdict.CANNOT_JUDGE, Advice.REPEAT, False),
    ],
)
def test_what_asks(verdict: Verdict, advice: Advice, asks: bool) -> None:
    assert (History().feed(result(verdict, advice), occasion()) is not None) is asks


def test_notes_are_no_cause() -> None:
    made = History().feed(result(severity=Severity.NOTE), occasion())
    assert made is not None
    assert made.reason is FindingKind.LOW_SNR
    assert made.evidence == {}


def test_recovery_takes_an_open_request_back() -> None:
    history = History()
    made = history.feed(result(), occasion())
    assert made is not None
    history.feed(result(Verdict.GOOD, Advice.CONTINUE), occasion(1001.0))
    assert history.triggers[made.trigger_id].state is TriggerState.WITHDRAWN


def test_other_advice_takes_the_old_request_back() -> None:
    history = History()
    first = history.feed(result(Verdict.WATCH, Advice.EXTEND), occasion())
    second = history.feed(result(Verdict.STOP, Advice.REPRESCRIBE, FindingKind.VOXEL_DISPLACED), occasion(1100.0))
    assert first is not None
    assert second is not None
    assert history.triggers[first.trigger_id].state is TriggerState.WITHDRAWN


def test_a_request_that_was_done_stays_done() -> None:
    history = History()
    made = history.feed(result(), occasion())
    assert made is not None
    history.set(made, TriggerState.ACKNOWLEDGED)
    history.feed(result(Verdict.GOOD, Advice.CONTINUE), occasion(1100.0))
    assert history.triggers[made.trigger_id].state is TriggerState.ACKNOWLEDGED


def test_a_person_s_request_is_left_alone() -> None:
    history = History()
    made = history.feed(result(), occasion())
    assert made is not None
    asked = msgspec.structs.replace(made, trigger_id="p", reason=None, state=TriggerState.ACTIVE)
    history.triggers = {"p": asked}
    history.feed(result(Verdict.GOOD, Advice.CONTINUE), occasion(1100.0))
    assert history.triggers["p"].state is TriggerState.ACTIVE


def test_an_old_result_makes_no_request_but_may_take_one_back() -> None:
    history = History()
    assert history.feed(result(), occasion(1000.0, at=1000.0 - RULES.max_age_s - 1)) is None
    made = history.feed(result(), occasion())
    assert made is not None
    history.feed(result(Verdict.GOOD, Advice.CONTINUE), occasion(9000.0, at=1.0))
    assert history.triggers[made.trigger_id].state is TriggerState.WITHDRAWN


RESULTS = st.builds(
    result,
    st.sampled_from(Verdict),
    st.sampled_from(Advice),
    st.none() | st.sampled_from(list(FindingKind)[:5]),
    st.sampled_from(Severity),
)
STEPS = st.lists(
    st.tuples(
        RESULTS,
        st.sampled_from(["s1", "s2", "s3"]),
        st.sampled_from(["off", "ask", "auto"]),
        st.floats(-90.0, 200.0),
        st.sampled_from([None, *TriggerState]),
    ),
    max_size=60,
)


@settings(max_examples=400, deadline=None)
@given(STEPS, st.booleans())
def test_no_sequence_of_results_breaks_a_limit(
    steps: list[tuple[Assessment, str, str, float, TriggerState | None]], same_visit: bool
) -> None:
    """Also with the clock set back, and whatever people and the scanner do with the requests in between."""
    history, now = History(), 100_000.0
    made: list[Trigger] = []
    for assessment, scan_id, mode, wait_s, fate in steps:
        now += wait_s
        when = Occasion(scan_id, "v" if same_visit else None, mode, at=now, now=now)
        trigger = history.feed(assessment, when)
        if trigger is not None:
            assert mode != "off"
            assert assessment.verdict in (Verdict.STOP, Verdict.WATCH)
            assert all(
                abs(trigger.created_at - t.created_at) >= RULES.cool_down_s
                for t in made
                if t.scan_id == scan_id or same_visit
            )
            made.append(trigger)
        if not (assessment.verdict in (Verdict.STOP, Verdict.WATCH) and mode != "off"):
            mine = [t for t in history.triggers.values() if t.scan_id == scan_id]
            assert not any(t.state in OPEN for t in mine), "nothing stays open without a cause"
        if fate is not None and made:
            history.set(history.triggers[made[-1].trigger_id], fate)
    for scan_id in ("s1", "s2", "s3"):
        causes = [t.reason for t in made if t.scan_id == scan_id]
        assert len(causes) <= RULES.max_per_scan
        assert len(causes) == len(set(causes)), "never twice for one cause"
    if same_visit:
        assert len(made) <= RULES.max_per_visit
