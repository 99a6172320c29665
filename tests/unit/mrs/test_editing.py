"""Which shots are ON: the decision alone, from each shot's log-odds."""

from __future__ import annotations

import pytest

from scanner_agent.mrs.editing import detect_order, edit_log_odds, off_ratio_of

ON, OFF = -6.0, 9.0


def _decided(odds):
    return detect_order(odds, [None] * len(odds), range(len(odds)))


@pytest.mark.parametrize("first", [ON, OFF])
def test_blocks_are_found_once_the_change_is_sure(first):
    other = OFF if first == ON else ON
    order, decided = _decided([first] * 8 + [other] * 8)
    assert order.decided_from == "data"
    assert order.pattern == ("blocked, on first" if first == ON else "blocked, off first")
    assert decided == [("on" if first == ON else "off")] * 8 + [("off" if first == ON else "on")] * 8


def test_a_shot_that_does_not_tell_leaves_the_change_open():
    # 6 or 7 shots in the first block? The seventh says nothing, and blocks of equal length are not possible here.
    order, decided = _decided([ON] * 6 + [-0.5] + [OFF] * 6)
    assert order.decided_from == "nothing"
    assert decided == [None] * 13


def test_a_contrary_shot_does_not_move_the_change():
    _, decided = _decided([ON] * 7 + [3.0] + [OFF] * 8)
    assert decided in ([None] * 16, ["on"] * 8 + ["off"] * 8)


@pytest.mark.parametrize("level", [ON, OFF])
def test_one_block_alone_is_not_split(level):
    order, decided = _decided([level] * 9)
    assert order.decided_from == "nothing"
    assert decided == [None] * 9


def test_what_an_editing_pulse_leaves_of_strong_naa_is_still_saturated():
    """Narrow lines: 2.2 over creatine in OFF, 0.45 in ON, which is half of what broad ones have in OFF."""
    off_ratio = off_ratio_of([2.1, 2.2, 2.6])
    assert off_ratio == 2.2
    assert edit_log_odds(0.45, 0.08) > -1.0
    assert edit_log_odds(0.45, 0.08, off_ratio) < -3.0
    assert edit_log_odds(2.0, 0.08, off_ratio) > 10.0


def test_weak_naa_is_no_yardstick():
    assert off_ratio_of([0.7, 0.8]) == off_ratio_of([]) > 1.0
