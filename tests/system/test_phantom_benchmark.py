"""The phantom log's benchmark in small: what it measures, with generous bounds."""

from __future__ import annotations

import pytest

from benchmarks import phantom


def test_changes_are_found_and_false_alarms_are_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {(row[0], row[1]): row for row in phantom.detection(True)}
    assert rows[104, "1 SD"][2] <= 12.0  # type: ignore[operator]
    assert rows[104, "2 SD"][2] <= 4.0  # type: ignore[operator]
    assert rows[52, "2 % a month at CV 1 %"][2] <= 8.0  # type: ignore[operator]
    building, *years = phantom.false_alarms(True)
    assert building[1] == 0
    assert sum(float(str(row[2])) for row in years) / len(years) < 1.4
