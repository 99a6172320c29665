"""A clock that is set: told, and nothing is removed for its age."""

from __future__ import annotations

import pytest

from scanner_agent.daemon.clock import ClockWatch


@pytest.mark.parametrize("jump", [-7200.0, 90.0, 40 * 86_400.0])
def test_a_jump_is_told_for_a_while_and_dates_are_not_trusted_for_a_day(jump: float) -> None:
    wall, steady = [1e9], [5.0]
    watch = ClockWatch(lambda: wall[0], lambda: steady[0])
    for _ in range(10):  # slow drift and NTP's slewing are no jump
        wall[0] += 1.02
        steady[0] += 1.0
        assert watch.look() is None
    assert watch.trusted
    wall[0] += jump
    said = watch.look()
    assert said is not None
    assert f"{jump:+.0f} s" in said
    assert not watch.trusted
    wall[0] += 700.0
    steady[0] += 700.0
    assert watch.look() is None
    assert not watch.trusted
    wall[0] += 90_000.0
    steady[0] += 90_000.0
    assert watch.look() is None
    assert watch.trusted
