"""The month's report for the physicist's file: Markdown, readable as it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from scanner_agent.errors import ConfigError
from scanner_agent.phantom.chart_html import alarm_text, day
from scanner_agent.phantom.evaluate import Evaluation
from scanner_agent.phantom.monitor import BASELINE_RUNS
from scanner_agent.phantom.values import is_of_channel, kind_of


def month_bounds(month: str) -> tuple[float, float]:
    """First and last moment of `YYYY-MM`, Unix time UTC. Raises ConfigError."""
    try:
        begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise ConfigError(f"{month!r} is not a month: write it as 2026-11") from None
    later = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    return begin.timestamp(), later.timestamp()


def month_report(evaluations: Sequence[Evaluation], month: str) -> str:
    """Markdown: for each series its runs, what every value did against its baseline, events, alarms."""
    begin, end = month_bounds(month)
    lines = [f"# Phantom report {month}", ""]
    for evaluation in evaluations:
        lines += _series(evaluation, begin, end)
    return "\n".join(lines) + "\n"


def _series(evaluation: Evaluation, begin: float, end: float) -> list[str]:
    inside = np.array([begin <= run.measured_at < end for run in evaluation.runs], dtype=bool)
    lines = [f"## {evaluation.series}", "", f"Runs this month: {int(inside.sum())} (of {inside.size} in all).", ""]
    events = [event for event in evaluation.events if begin <= event.happened_at < end]
    lines += [f"* Event {day(event.happened_at)}: {event.text}" for event in events]
    alarms = [a for a in evaluation.alarms if inside[a.since : a.last + 1].any()]
    lines += [f"* ALARM {alarm_text(evaluation, alarm)}" for alarm in alarms]
    if not alarms:
        lines.append("* No alarm touches this month.")
    corrected = [run for run, here in zip(evaluation.runs, inside, strict=True) if here and run.corrects]
    lines += [f"* Corrected run {run.run_id[:8]} ({day(run.measured_at)}): {run.note}" for run in corrected]
    if not inside.any():
        return [*lines, ""]
    last = int(np.flatnonzero(inside)[-1])
    lines += ["", "| value | this month: median (n) | baseline ± SD (runs) | state at its end |", "|---|---|---|---|"]
    for name, chart in evaluation.charts.items():
        kind = kind_of(name)
        known = chart.values[inside][np.isfinite(chart.values[inside])]
        if known.size == 0 or is_of_channel(name):
            continue
        middle = f"{float(np.median(known)):.5g}"
        if kind.scale == "step":
            steps = chart.charted[inside][np.isfinite(chart.charted[inside])]
            middle = f"{float(np.median(known)):.0f}" + (
                f", change {float(np.median(steps)):.4g}" if steps.size else ""
            )
        n_building = int(chart.n_baseline[last]) + int(np.isfinite(chart.charted[last]))
        baseline, state = "building", f"baseline building ({n_building} of {BASELINE_RUNS})"
        if np.isfinite(chart.centre[last]):
            centre, sd = float(chart.centre[last]), float(chart.sd[last])
            shown = f"{np.exp(centre):.5g} ± {100 * sd:.2g} %" if kind.scale == "log" else f"{centre:.5g} ± {sd:.2g}"
            baseline = f"{shown} ({chart.n_baseline[last]})"
            state = "charted only" if not kind.alarms else "alarm" if chart.alarmed[last] else "in control"
        lines.append(f"| {kind.label} | {middle} ({known.size}) | {baseline} | {state} |")
    return [*lines, ""]
