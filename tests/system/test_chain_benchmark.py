"""The signal chain's benchmark in small: its targets, with generous bounds."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def chain() -> Iterator[Any]:
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("chain")
    sys.path.remove(str(BENCHMARKS))


def test_alignment_is_near_its_bound(chain: Any) -> None:
    for row in chain.alignment(fast=True):
        assert row["f/fair"] < 1.4
        assert row["p/fair"] < 1.4
        assert 0.7 < row["f/se"] < 1.4
        assert 0.7 < row["p/se"] < 1.4
        assert row["beyond 3 Hz"] == 0
        assert row["snr_kept"] > 0.97
        assert row["wider_hz"] < 0.1


def test_water_removal_leaves_metabolites(chain: Any) -> None:
    assert all(row["worst_change"] < 0.01 for row in chain.water(fast=True))


def test_difference_of_an_edited_scan(chain: Any) -> None:
    (row,) = chain.mega(fast=True)
    assert row["gaba_worst"] < 0.25
    assert row["choline_worst"] < 0.04


def test_order_of_on_and_off_is_never_wrong(chain: Any) -> None:
    for row in chain.order(fast=True):
        # All that were told are right, and water alone tells nothing.
        assert row["right"] == row["told"]
        assert row["told"] == 0 or row["pattern"] != "water only"
