"""What the view says: golden plain texts of every state, and the single phrases."""

from __future__ import annotations

import msgspec
import pytest

from scanner_agent.records import Quality, Verdict
from scanner_agent.view.banner import draw
from scanner_agent.view.model import after
from scanner_agent.view.present import STATES, panel
from scanner_agent.view.tables import limit_lines, metabolite_rows
from scanner_agent.view.text import changes, ended_scan, once, ranges, report_lines
from tests.support import results
from tests.support.views import GOLDEN, NOW, connected, golden_texts, states


@pytest.mark.parametrize("name", list(states()))
def test_plain_text_is_as_committed(name: str) -> None:
    text = golden_texts()[name]
    assert text == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 80
    assert not any(ord(c) < 32 and c != "\n" for c in text)


def test_every_state_has_a_word_and_a_symbol_of_its_own_and_fits_80_columns() -> None:
    assert set(STATES) == set(Verdict)
    assert len({symbol for _, symbol in STATES.values()}) == len(Verdict)
    for word, symbol in STATES.values():
        rows = draw(symbol, word, 80)
        assert len(rows) == 5
        assert len({len(row) for row in rows}) == 1
        assert draw(symbol, word, 20) == [f"{symbol} {word}"]


def test_a_lost_daemon_takes_the_verdict_away() -> None:
    words = panel(states()["lost"], "scan-1", NOW)
    assert (words.word, words.style, words.alarmed) == ("NO LINK", "lost", True)
    assert "Last known: WATCH" in words.advice


def test_a_lost_daemon_leaves_a_final_verdict_standing() -> None:
    from scanner_agent.view.model import Link, LinkChanged

    state = after(states()["ended"], LinkChanged(Link.LOST), NOW)
    assert panel(state, "scan-1", NOW).word == "WATCH"


def test_silence_is_an_alarm_unless_shots_wait_in_the_daemon() -> None:
    state = states()["good"]
    words = panel(state, "scan-1", NOW + 10)
    assert words.alarmed
    assert words.alive == "no data for 12 s"
    busy = after(state, results.health(shots_waiting=30, at=NOW), NOW)
    assert not panel(busy, "scan-1", NOW + 10).alarmed


def test_a_daemon_that_cannot_keep_shots_is_an_alarm() -> None:
    state = after(states()["good"], results.health(state="refusing", problems=("the disk is full",)), NOW)
    words = panel(state, "scan-1", NOW)
    assert words.alarmed
    assert "the disk is full" in words.alive


def test_the_other_scans_of_the_visit_are_told() -> None:
    state = after(states()["good"], results.snapshot(5, header=results.scan_header(scan_id="second")), NOW)
    assert panel(state, "second", NOW).visit == "Visit: scan-1 ✓ GOOD"
    stranger = results.scan_header(scan_id="third", visit_id="other")
    state = after(state, results.snapshot(5, header=stranger), NOW)
    assert panel(state, "third", NOW).visit == ""


def test_limits_follow_the_latest_numbers_before_the_end() -> None:
    scan = after(connected(), results.snapshot(2), NOW).scans["scan-1"]
    assert limit_lines(scan)[0].startswith("✗ S/N 4.1 (at least 8)")


def test_missing_values_are_a_dash_never_a_number() -> None:
    assessment = results.assessments()[0]
    bare = msgspec.structs.replace(
        assessment,
        quality=results.quality(1, snr_lcmodel=None),
        metabolites=(
            msgspec.structs.replace(results.amounts()[3], crlb_sd=None, percent_sd_lcmodel=None, ratio_to_tCr=None),
        ),
    )
    scan = after(connected(), results.snapshot(1, assessment=bare), NOW).scans["scan-1"]
    assert limit_lines(scan)[0] == "? S/N – (at least 8)"
    (row,) = metabolite_rows(scan)
    assert (row.ratio, row.percent_sd, row.mark) == ("–", "–", "?")


def test_what_decides_comes_first_in_the_table() -> None:
    scan = after(connected(), results.snapshot(20), NOW).scans["scan-1"]
    assert [row.name for row in metabolite_rows(scan)] == ["Glu", "tNAA", "tCr", "tCho", "Ins", "GABA"]


def test_changes_tell_each_thing_once() -> None:
    state = after(connected(), results.snapshot(0), NOW)
    before, said = None, []
    for n in range(1, 33):
        state = after(state, results.snapshot(n), NOW + n)
        said += changes(before, state.scans["scan-1"])
        before = state.scans["scan-1"]
    state = after(state, results.snapshot(32, ended=True), NOW + 40)
    said += changes(before, state.scans["scan-1"])
    assert sum("motion_during_scan (watch)" in line and "report" not in line for line in said) == 1
    assert sum("GOOD after shot 9" in line for line in said) == 1
    assert sum("WATCH after shot 19" in line for line in said) == 1
    assert any("shots 17–18 lost (2 of 32)" in line for line in said)


def test_report_lines_begin_with_the_verdict() -> None:
    lines = report_lines(results.report())
    assert lines[0].startswith("! WATCH: ")
    assert "motion_during_scan" in lines[1]
    assert report_lines(results.report(shots=results.tracks(5, None)))[-9:]


def test_a_report_without_anything_is_still_told() -> None:
    nothing = dict.fromkeys(("shots", "spectra", "metabolites", "limits", "findings", "segments", "assessments"), ())
    quality = Quality(missing={"snr_lcmodel": "no spectrum"})
    empty = results.report(verdict=Verdict.CANNOT_JUDGE, quality=quality, forecast=None, **nothing)
    assert report_lines(empty)[0].startswith("? CANNOT JUDGE")
    scan = ended_scan(empty)
    state = after(connected(), results.snapshot(0, report=empty), NOW)
    assert "CANNOT JUDGE" in once(state, scan.scan_id, NOW)


@pytest.mark.parametrize(
    ("numbers", "text"), [([], ""), ([4], "4"), ([3, 4, 5, 9], "3–5, 9"), ([1, 3, 2, 8, 9], "1–3, 8–9")]
)
def test_ranges(numbers: list[int], text: str) -> None:
    assert ranges(numbers) == text
