"""What the view says of a repeat localiser: first where it is proof, beside the verdict where it is not."""

from __future__ import annotations

import msgspec
import pytest

from scanner_agent.errors import RemoteProtocolError
from scanner_agent.records import Placement, PlacementResult, Verdict
from scanner_agent.view.model import Update, ViewState, after, wanted
from scanner_agent.view.present import panel
from scanner_agent.view.text import changes, once
from scanner_agent.wire.control import TakePlacement, decode_control, encode_control
from tests.support import results
from tests.support.views import NOW, connected, states

TEXTS = {
    "moved": "The head has moved: the voxel's tissue lies 6.5 mm away; 60 % of it is still inside.",
    "not_moved": "The head has not moved (0.2 mm at the voxel, 98 % still inside): look elsewhere.",
    "cannot_judge": "Cannot judge whether the head has moved: noise. Repeat the localiser.",
}


def told(state: str, scan_id: str | None = "scan-1", made_at: float = NOW) -> Placement:
    consoles = {"Siemens": "Position L1.0", "Philips": "Offc. AP 1.00"} if state == "moved" else {}
    result = msgspec.convert({"state": state, "text": TEXTS[state], "consoles": consoles}, PlacementResult)
    return Placement(placement_id="p1", scan_id=scan_id, made_at=made_at, initials="AB", result=result)


def seen(name: str, placement: Placement) -> ViewState:
    topic = "placement" if placement.scan_id is None else f"placement/{placement.scan_id}"
    return after(states()[name], Update(placement, placement.scan_id, topic, "", 1), NOW)


def test_a_head_that_moved_is_the_advice_and_no_carefree_word_stands_over_it() -> None:
    words = panel(seen("good", told("moved")), "scan-1", NOW)
    assert (words.word, words.style) == ("WATCH", "watch")
    assert words.advice == f"Localiser: {TEXTS['moved']}"
    assert words.reasons[0].startswith("New prescription, ")
    assert "Keep going." in words.reasons
    assert panel(seen("stop", told("moved")), "scan-1", NOW).word == "STOP"


def test_the_prescription_is_the_scanner_s_own_where_it_is_known() -> None:
    for scanner, vendors in (("SIEMENS Prisma", ["Siemens"]), ("Made-up 3 T", ["Siemens", "Philips"])):
        header = results.scan_header(scanner=scanner)
        state = after(seen("good", told("moved")), Update(header, "scan-1", "header/scan-1", "", 1), NOW)
        reasons = panel(state, "scan-1", NOW).reasons
        shown = [
            vendor for vendor in ("Siemens", "Philips") if any(f"New prescription, {vendor}" in r for r in reasons)
        ]
        assert shown == vendors


@pytest.mark.parametrize("state", ["not_moved", "cannot_judge"])
def test_otherwise_it_stands_beside_the_verdict(state: str) -> None:
    words = panel(seen("stop", told(state)), "scan-1", NOW)
    assert words.word == "STOP"
    assert not words.advice.startswith("Localiser")
    assert words.reasons[0] == f"Localiser: {TEXTS[state]}"


def test_before_the_spectroscopy_it_is_shown_while_no_scan_runs() -> None:
    state = after(connected(), told("moved", None), NOW)
    text = " ".join(once(state, None, NOW).split())
    assert TEXTS["moved"] in text
    assert "New prescription, Siemens: Position L1.0" in text


def test_one_of_no_scan_goes_with_the_scan_before_it_only() -> None:
    assert panel(seen("ended", told("moved", None, NOW + 1)), "scan-1", NOW + 1).advice.startswith("Localiser")
    assert not panel(seen("good", told("moved", None, NOW - 3600)), "scan-1", NOW).advice.startswith("Localiser")


def test_it_comes_with_the_snapshot_and_after_the_report() -> None:
    state = after(connected(), results.snapshot(ended=True, placement=told("moved")), NOW)
    assert state.scans["scan-1"].placement == told("moved")
    later = after(state, Update(told("not_moved"), "scan-1", "placement/scan-1", "", 1), NOW)
    assert later.scans["scan-1"].placement == told("not_moved")
    assert wanted(later) == ()
    assert later.scans["scan-1"].verdict is state.scans["scan-1"].verdict is not Verdict.COLLECTING


def test_lines_tell_it_once() -> None:
    before = states()["good"].scans["scan-1"]
    scan = seen("good", told("moved")).scans["scan-1"]
    assert f"scan-1: localiser: {TEXTS['moved']}" in changes(before, scan)
    assert changes(scan, scan) == []


def test_what_a_terminal_would_obey_is_refused() -> None:
    good = TakePlacement(request_id="r", placement_id="p", initials="AB", result=told("moved").result)
    assert decode_control([encode_control(good)]) == good
    bad = msgspec.structs.replace(good, result=msgspec.structs.replace(good.result, text="\x1b[2J"))
    with pytest.raises(RemoteProtocolError):
        decode_control([encode_control(bad)])
