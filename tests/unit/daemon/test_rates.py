"""Token buckets."""

from __future__ import annotations

from scanner_agent.daemon.rates import Allowance


def test_a_burst_then_the_rate_and_peers_apart() -> None:
    now = [0.0]
    allowance = Allowance(10.0, 5, lambda: now[0])
    assert [allowance.take(b"a") for _ in range(7)] == [True] * 5 + [False] * 2
    assert allowance.take(b"b")
    now[0] = 0.25
    assert [allowance.take(b"a") for _ in range(4)] == [True, True, False, False]
    now[0] = 1000.0
    assert [allowance.take(b"a") for _ in range(7)].count(True) == 5


def test_memory_is_bounded() -> None:
    allowance = Allowance(1.0, 1, lambda: 0.0)
    for i in range(5000):
        allowance.take(str(i).encode())
    assert len(allowance._left) <= 1000
