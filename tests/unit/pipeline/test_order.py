"""Shots are put back in order, waited for briefly, and given up without the clock having a say."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scanner_agent.pipeline.order import HOLD_SHOTS, ShotOrder
from scanner_agent.records import Shot, ShotKind


def shot(index: int, kind: ShotKind = ShotKind.METABOLITE) -> Shot:
    return Shot(scan_id="s", shot_kind=kind, shot_index=index, data=np.zeros((1, 64), np.complex64))


def indices(shots: list[Shot]) -> list[int]:
    return [s.shot_index for s in shots]


def test_in_order_passes_at_once_and_is_canonical() -> None:
    order = ShotOrder()
    assert indices(order.push(shot(0, ShotKind.NOISE))) == [0]
    assert indices(order.push(shot(0, ShotKind.WATER_REFERENCE))) == [0]
    assert [indices(order.push(shot(i))) for i in range(3)] == [[0], [1], [2]]
    assert order.canonical
    assert order.gaps == []


def test_missing_shot_is_waited_for_then_given_up() -> None:
    order = ShotOrder()
    order.push(shot(0))
    for late in range(2, 2 + HOLD_SHOTS):
        assert order.push(shot(late)) == []
    released = order.push(shot(2 + HOLD_SHOTS))
    assert indices(released) == list(range(2, 3 + HOLD_SHOTS))
    assert order.gaps == [1]
    assert order.push(shot(1)) == []
    assert not order.canonical


def test_flush_gives_what_is_held() -> None:
    order = ShotOrder()
    order.push(shot(2))
    order.push(shot(5))
    assert indices(order.flush()) == [2, 5]
    assert order.gaps == [0, 1, 3, 4]


def test_water_after_the_first_metabolite_shot_is_not_canonical() -> None:
    order = ShotOrder()
    order.push(shot(0))
    order.push(shot(0, ShotKind.WATER_REFERENCE))
    assert not order.canonical


@given(st.permutations(list(range(12))))
def test_any_order_gives_each_shot_at_most_once_and_ascending(arrival: list[int]) -> None:
    order = ShotOrder()
    seen = [s.shot_index for i in arrival for s in order.push(shot(i))] + indices(order.flush())
    assert seen == sorted(set(seen))
    assert order.canonical == (arrival == sorted(arrival))
    assert set(seen) | set(order.gaps) == set(range(12))
