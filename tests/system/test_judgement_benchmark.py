"""The judgement's benchmark in small: what it measures, with generous bounds."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def runs() -> Iterator[Any]:
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("judgement_runs")
    sys.path.remove(str(BENCHMARKS))


def test_movement_is_found_and_still_scans_are_not_stopped(runs: Any) -> None:
    found = stopped = 0
    for number in range(6):
        seed = 7_900_000 + number
        moved = runs.make_scan("motion_step", seed, "PRESS", 8, 1024, severity=0.6)
        found += runs.by_signs(moved, "motion_step", seed).finding("motion_during_scan") is not None
        still = runs.make_scan("still", seed, "PRESS", 8, 1024)
        stopped += runs.by_signs(still, "still", seed).stopped
    assert found >= 4
    assert stopped <= 1


def test_sign_model_and_whole_line_agree_on_a_hopeless_scan(runs: Any) -> None:
    scan = runs.make_scan("poor_shim", 7_900_100, "PRESS", 4, 1024, severity=0.9, n_shots=32)
    by_signs, by_line = (judged(scan, "poor_shim", 7_900_100) for judged in (runs.by_signs, runs.whole_line))
    assert by_signs.stopped
    assert by_line.stopped
    assert by_signs.numbers["fwhm_hz"] == pytest.approx(by_line.numbers["fwhm_hz"], rel=0.3)
