"""Control charts of one series as a picture."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from scanner_agent.errors import SourceError
from scanner_agent.phantom.chart_html import limits, shown
from scanner_agent.phantom.evaluate import Evaluation
from scanner_agent.phantom.values import is_of_channel, kind_of


def write_picture(path: Path | str, evaluation: Evaluation) -> None:
    """Write the picture; the suffix of `path` chooses PNG, PDF or SVG. Raises SourceError if it cannot be written."""
    try:
        draw(evaluation).savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot write the picture {path}: {error}") from error


def draw(evaluation: Evaluation) -> Figure:
    """All measured values but those of single channels, two columns, without touching Matplotlib's global state."""
    charts = [c for n, c in evaluation.charts.items() if np.isfinite(shown(c)).any() and not is_of_channel(n)]
    rows = max(1, -(-len(charts) // 2))
    figure = Figure(figsize=(13.0, 0.8 + 1.9 * rows), layout="constrained")
    figure.suptitle(f"{evaluation.series}: {len(evaluation.runs)} runs, {len(evaluation.alarms)} alarms", fontsize=11)
    axes = figure.subplots(rows, 2, squeeze=False, sharex=True).ravel()
    x = np.array([run.measured_at for run in evaluation.runs]).astype("datetime64[s]")
    for axis, chart in zip(axes, charts, strict=False):
        kind, y = kind_of(chart.name), shown(chart)
        centre, low, high = limits(chart, 3.0)
        axis.plot(x, centre, color="0.5", lw=0.9)
        axis.plot(x, low, color="0.6", lw=0.8, ls=":")
        axis.plot(x, high, color="0.6", lw=0.8, ls=":")
        sds = [run.values[chart.name].sd if chart.name in run.values else None for run in evaluation.runs]
        axis.errorbar(x, y, yerr=[sd or 0.0 for sd in sds], fmt=".-", ms=4, lw=0.7, elinewidth=0.7, color="#2166ac")
        if kind.alarms:
            axis.plot(x[chart.alarmed], y[chart.alarmed], "o", ms=5, color="#b2182b")
        for event in evaluation.events:
            axis.axvline(datetime.fromtimestamp(event.happened_at, UTC), color="#762a83", lw=1, ls="--")
        state = chart.state if kind.alarms else "charted only"
        axis.set_title(f"{'change of ' if kind.scale == 'step' else ''}{kind.label}: {state}", fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
        axis.ticklabel_format(axis="y", useOffset=False)
        axis.tick_params(axis="x", rotation=20)
    for axis in axes[len(charts) :]:
        axis.set_axis_off()
    return figure
