"""Functional scans: a change of a metabolite is found, movement is not taken for one, noise seldom is."""

from __future__ import annotations

import numpy as np

from scanner_agent.judge.judgement import SegmentJudgement
from scanner_agent.judge.window import metabolite_changes
from scanner_agent.records import Finding, FindingKind, Severity, Verdict, WindowPoint
from scanner_agent.scan_protocol import load_protocol

LEAST_Z = load_protocol("mega_te68_3t_functional").judgement.window_change_z
N, WIDTH, STEP = 320, 64, 16


def segment(first: int, last: int, index: int = 0) -> SegmentJudgement:
    shots = tuple(range(first, last + 1))
    return SegmentJudgement(
        index=index, first_shot=first, last_shot=last, shots=shots, verdict=Verdict.GOOD, is_best=index == 0
    )


def course(rng: np.random.Generator, at: int | None = None, size: float = 0.0, edge: int = N) -> list[WindowPoint]:
    """Windows over shots whose values have SD 0.16, so that a window's has 0.02; none spans shot `edge`."""
    shots = 0.25 + 0.16 * rng.standard_normal(N)
    if at is not None:
        shots[at:] += size
    return [
        WindowPoint(
            first_shot=a,
            last_shot=a + WIDTH - 1,
            name="Glx",
            ratio_to_tCr=float(shots[a : a + WIDTH].mean()),
            ratio_to_tCr_sd=0.02,
        )
        for a in range(0, N - WIDTH + 1, STEP)
        if not a < edge < a + WIDTH
    ]


def test_noise_alone_is_seldom_a_change() -> None:
    """Threshold for 1 % per course and metabolite."""
    rng = np.random.default_rng(11)
    false = sum(bool(metabolite_changes(course(rng), [segment(0, N - 1)], [], LEAST_Z)) for _ in range(600))
    assert false <= 14  # 6 expected; P(more than 14) < 0.002


def test_a_change_is_found_and_no_movement_is_blamed() -> None:
    rng = np.random.default_rng(12)
    found = [metabolite_changes(course(rng, 160, 0.09), [segment(0, N - 1)], [], LEAST_Z) for _ in range(40)]
    assert sum(bool(f) for f in found) >= 36
    changes = [f[0] for f in found if f]
    assert np.median([abs(c.shot - 160) for c in changes]) <= 2 * STEP
    assert not any(c.near_movement for c in changes)
    assert "no movement was seen" in changes[0].text


def test_a_change_with_a_movement_is_not_called_a_metabolites() -> None:
    rng = np.random.default_rng(13)
    moved = Finding(
        kind=FindingKind.MOTION_DURING_SCAN, severity=Severity.WATCH, first_shot=160, last_shot=160, text="moved"
    )
    poses = [segment(0, 159), segment(160, N - 1, 1)]
    found = metabolite_changes(course(rng, 160, 0.2, edge=160), poses, [moved], LEAST_Z)
    assert found
    assert all(c.near_movement for c in found)
    assert "may be no metabolite's change" in found[0].text


def test_too_few_windows_say_nothing() -> None:
    rng = np.random.default_rng(14)
    assert metabolite_changes(course(rng, 160, 0.5)[:3], [segment(0, N - 1)], [], LEAST_Z) == ()
