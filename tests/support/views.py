"""States of the view built from made-up records, and the plain texts they must give (`tests/golden/views`).

Write the golden files again with `python -m tests.support.views`, and look at the difference before committing it.
"""

from __future__ import annotations

from pathlib import Path

from scanner_agent.records import Advice, FindingKind, Severity, Verdict
from scanner_agent.view.model import Link, LinkChanged, ViewState, after
from scanner_agent.view.text import once
from tests.support import results

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "views"
NOW = 1_000_102.0


def connected() -> ViewState:
    """Connected, no scan yet."""
    return after(after(ViewState(), LinkChanged(Link.CONNECTED), NOW - 60), results.health(at=NOW), NOW)


def _with(verdict: Verdict, advice: Advice, text: str, n: int, **changes: object) -> ViewState:
    latest = results.assessments(results.N_SHOTS)[n - 1]
    values = {name: getattr(latest, name) for name in latest.__struct_fields__}
    values |= {"verdict": verdict, "advice": advice, "advice_text": text, "findings": (), "extend_shots": None}
    assessment = type(latest)(**(values | changes))  # type: ignore[arg-type]
    return after(connected(), results.snapshot(n, assessment=assessment), NOW)


def states() -> dict[str, ViewState]:
    """One state of each kind, by name."""
    displaced = results.msgspec.structs.replace(
        results.motion(),
        kind=FindingKind.VOXEL_DISPLACED,
        severity=Severity.STOP,
        first_shot=0,
        last_shot=11,
        text="Signs that the head lay elsewhere when the voxel was placed: consistent with a displaced voxel; "
        "repeat the localiser to be sure.",
    )
    watch = after(connected(), results.snapshot(28), NOW)
    return {
        "waiting": connected(),
        "collecting": _with(Verdict.COLLECTING, Advice.CONTINUE, "Keep going.", 4, forecast=None),
        "good": _with(Verdict.GOOD, Advice.CONTINUE, "Keep going.", 14),
        "watch": watch,
        "stop": _with(
            Verdict.STOP,
            Advice.REPRESCRIBE,
            "Stop: repeat the localiser and place the voxel again.",
            12,
            findings=(displaced,),
            forecast=results.forecast(probability_pass=0.02, shots_needed=None, can_extend=False),
        ),
        "cannot_judge": _with(
            Verdict.CANNOT_JUDGE,
            Advice.CONTINUE,
            "Cannot judge: GSH editing is not supported yet.",
            10,
            forecast=None,
            metabolites=(),
        ),
        "lost": after(watch, LinkChanged(Link.LOST, "nothing heard from the daemon"), NOW),
        "silent": after(connected(), results.snapshot(14, last_shot_at=NOW - 40), NOW),
        "ended": after(connected(), results.snapshot(32, ended=True), NOW),
    }


def golden_texts() -> dict[str, str]:
    """What `watch --once` prints of each."""
    return {name: once(state, next(iter(state.scans), None), NOW) + "\n" for name, state in states().items()}


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, text in golden_texts().items():
        (GOLDEN / f"{name}.txt").write_text(text, encoding="utf-8")
