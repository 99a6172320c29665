"""The view's model: what it knows after messages, gaps, restarts and late snapshots."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner_agent.records import Assessment, TriggerState, Verdict
from scanner_agent.view.model import Link, LinkChanged, Update, ViewState, after, wanted
from tests.support import results
from tests.support.views import NOW, connected


def update(record: object, sequence: int, *, kind: str = "assessment", instance: str = "run-1") -> Update:
    return Update(record, "scan-1", f"{kind}/scan-1", instance, sequence)  # type: ignore[arg-type]


def follow(state: ViewState, history: tuple[Assessment, ...], start: int = 0) -> ViewState:
    for i, assessment in enumerate(history):
        state = after(state, update(assessment, start + i), NOW + 3 * i)
    return state


def test_following_from_the_start_knows_what_a_snapshot_tells() -> None:
    history = results.assessments()
    live = follow(after(connected(), results.snapshot(0), NOW), history).scans["scan-1"]
    joined = after(connected(), results.snapshot(32), NOW).scans["scan-1"]
    assert dict(live.tracks) == dict(joined.tracks)
    assert live.assessment == joined.assessment
    assert dict(live.history) == dict(joined.history)
    assert live.verdict is Verdict.WATCH


def test_an_unknown_scan_is_asked_for() -> None:
    state = after(connected(), update(results.assessments()[3], 3), NOW)
    assert wanted(state) == ("scan-1",)
    assert wanted(after(state, results.snapshot(4), NOW)) == ()


def test_a_gap_asks_for_a_snapshot_which_makes_it_good() -> None:
    history = results.assessments()
    state = follow(after(connected(), results.snapshot(0), NOW), history[:5])
    state = after(state, update(history[8], 8), NOW)
    assert state.n_missed == 3
    assert wanted(state) == ("scan-1",)
    state = after(state, results.snapshot(9), NOW)
    assert wanted(state) == ()
    assert sorted(state.scans["scan-1"].tracks) == list(range(9))


def test_a_missed_frame_asks_for_nothing() -> None:
    state = after(connected(), results.snapshot(4), NOW)
    for sequence in (1, 9):
        state = after(state, update(results.frame(), sequence, kind="frame"), NOW)
    assert state.n_missed == 7
    assert wanted(state) == ()


def test_a_restarted_daemon_begins_to_count_again_and_is_asked() -> None:
    history = results.assessments()
    state = follow(after(connected(), results.snapshot(0), NOW), history[:5])
    state = after(state, update(history[5], 0, instance="run-2"), NOW)
    assert state.scans["scan-1"].assessment == history[5]
    assert wanted(state) == ("scan-1",)


def test_a_worker_that_catches_up_does_not_turn_the_view_back() -> None:
    history = results.assessments()
    state = follow(after(connected(), results.snapshot(0), NOW), history[:20])
    state = after(state, update(history[2], 20), NOW)
    assert state.scans["scan-1"].assessment == history[19]


def test_a_snapshot_that_comes_late_does_not_turn_the_view_back() -> None:
    history = results.assessments()
    state = follow(after(connected(), results.snapshot(0), NOW), history[:10])
    state = after(state, results.snapshot(7), NOW)
    scan = state.scans["scan-1"]
    assert scan.assessment == history[9]
    assert sorted(scan.tracks) == list(range(10))


def test_a_new_finding_asks_which_shots_it_changed() -> None:
    history = results.assessments()
    state = follow(after(connected(), results.snapshot(0), NOW), history[: results.MOVED_AT + 2])
    state = after(state, results.snapshot(results.MOVED_AT + 2), NOW)
    assert wanted(state) == ()
    state = after(state, update(history[results.MOVED_AT + 2], 40), NOW)
    assert wanted(state) == ("scan-1",)


def test_losing_the_daemon_asks_for_all_running_scans() -> None:
    state = after(connected(), results.snapshot(9), NOW)
    ended = results.snapshot(ended=True, header=results.scan_header(scan_id="old"))
    ended = msgspec.structs.replace(ended, report=results.report(scan=results.scan_header(scan_id="old")))
    state = after(state, ended, NOW)
    state = after(state, LinkChanged(Link.LOST, "gone"), NOW + 5)
    assert wanted(state) == ("scan-1",)
    assert state.link_since == NOW + 5


def test_the_report_is_the_last_word() -> None:
    state = follow(after(connected(), results.snapshot(0), NOW), results.assessments())
    state = after(state, update(results.report(verdict=Verdict.GOOD), 0, kind="report"), NOW)
    state = after(state, update(results.assessments()[-1], 99), NOW)
    scan = state.scans["scan-1"]
    assert scan.verdict is Verdict.GOOD
    assert scan.ended
    assert scan.silent_for_s(NOW + 1000) is None


def test_silence_is_told_within_three_seconds_of_when_a_shot_was_due() -> None:
    state = follow(after(connected(), results.snapshot(0), NOW), results.assessments()[:6])
    scan = state.scans["scan-1"]
    assert scan.last_shot_at is not None
    assert scan.shot_interval_s == pytest.approx(3.0)
    assert scan.silent_for_s(scan.last_shot_at + 4.0) is None
    whole = after(ViewState(), results.snapshot(results.N_SHOTS), NOW).scans["scan-1"]
    assert whole.silent_for_s(NOW + 1000) is None, "no shot is due any more"
    assert scan.silent_for_s(scan.last_shot_at + 6.0) == pytest.approx(6.0)


def test_the_daemon_clock_may_differ() -> None:
    state = after(ViewState(), LinkChanged(Link.CONNECTED), NOW)
    state = after(state, results.health(at=NOW - 5000), NOW)
    state = after(state, results.snapshot(5, last_shot_at=NOW - 5002), NOW)
    assert state.scans["scan-1"].last_shot_at == pytest.approx(NOW - 2)


def test_triggers_are_kept_by_id() -> None:
    trigger = results.trigger()
    state = after(connected(), update(trigger, 0, kind="trigger"), NOW)
    done = msgspec.structs.replace(trigger, state=TriggerState.ACKNOWLEDGED)
    state = after(state, update(done, 1, kind="trigger"), NOW)
    assert [t.state for t in state.scans["scan-1"].triggers.values()] == [TriggerState.ACKNOWLEDGED]


@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=4))
def test_any_order_and_repetition_ends_with_the_latest_and_all_tracks(order: list[int], again: list[int]) -> None:
    history = results.assessments(12)
    state = after(connected(), results.snapshot(0), NOW)
    for sequence, i in enumerate([*order, *again]):
        state = after(state, update(history[i], sequence), NOW)
    scan = state.scans["scan-1"]
    assert scan.assessment == history[11]
    assert dict(scan.tracks) == {t.index: t for t in results.tracks(12)}


def test_states_are_immutable() -> None:
    state = after(connected(), results.snapshot(5), NOW)
    with pytest.raises(TypeError):
        state.scans["other"] = state.scans["scan-1"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.link = Link.LOST  # type: ignore[misc]
