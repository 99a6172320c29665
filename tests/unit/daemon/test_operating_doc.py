"""docs/operating.md names every flag, state, advice and verdict that there is."""

from __future__ import annotations

from pathlib import Path

from scanner_agent.fit import REMEDIES
from scanner_agent.records import Advice, Verdict

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "operating.md").read_text()


def test_nothing_is_left_out() -> None:
    for flag, remedy in REMEDIES.items():
        assert f"| `{flag}` | {remedy} |" in TEXT
    for advice in Advice:
        assert f"`{advice.value}`" in TEXT
    for verdict in Verdict:
        assert f"| {verdict.value.upper().replace('_', ' ')} |" in TEXT
    for state in ("starting", "ok", "degraded", "refusing"):
        assert f"| `{state}` |" in TEXT
