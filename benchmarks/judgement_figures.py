"""The judgement's confusion matrix and ROC curves as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from judgement_runs import Outcome
from judgement_score import confusion
from matplotlib import pyplot as plt
from matplotlib.axes import Axes


def write_confusion(path: Path, panels: Mapping[str, Sequence[Outcome]]) -> None:
    """One matrix a panel: scenario against the first finding at the end, per cent of the scans."""
    shown = {name: outcomes for name, outcomes in panels.items() if outcomes}
    figure, axes = plt.subplots(len(shown), 1, figsize=(11, 6.6 * len(shown)), squeeze=False, layout="constrained")
    for axis, (name, outcomes) in zip(axes[:, 0], shown.items(), strict=True):
        rows, columns, share = confusion(outcomes)
        axis.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
        axis.set_xticks(range(len(columns)), [c.replace("_", " ") for c in columns], rotation=35, ha="right")
        counts = {row: sum(o.scenario == row for o in outcomes) for row in rows}
        axis.set_yticks(range(len(rows)), [f"{row.replace('_', ' ')} (n={counts[row]})" for row in rows])
        for (i, j), value in np.ndenumerate(share):
            if value > 0:
                axis.text(
                    j, i, f"{100 * value:.0f}", ha="center", va="center", color="white" if value > 0.5 else "black"
                )
        axis.set_title(f"{name}: first finding above a note at the end, % of scans")
        axis.set_xlabel("said")
        axis.set_ylabel("happened")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def write_roc(
    path: Path, curves: Mapping[str, Sequence[tuple[float, float, float]]], marks: Mapping[str, float]
) -> None:
    """One panel a detector: (threshold, false alarms, detections); `marks`: the threshold in force."""
    figure, axes = plt.subplots(1, len(curves), figsize=(4.6 * len(curves), 4.4), squeeze=False, layout="constrained")
    for axis, (name, points) in zip(axes[0], curves.items(), strict=True):
        _roc_panel(axis, name, points, marks.get(name))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _roc_panel(axis: Axes, name: str, points: Sequence[tuple[float, float, float]], mark: float | None) -> None:
    ordered = sorted(points)
    axis.plot([p[1] for p in ordered], [p[2] for p in ordered], "o-", color="tab:blue", markersize=3)
    if mark is not None and ordered:
        nearest = min(ordered, key=lambda p: abs(p[0] - mark))
        axis.plot(nearest[1], nearest[2], "s", color="tab:red", label=f"in force: {mark:g}")
        axis.legend(loc="lower right")
    axis.set_xlim(-0.02, 0.52)
    axis.set_ylim(0.0, 1.02)
    axis.grid(alpha=0.3)
    axis.set_xlabel("still scans flagged")
    axis.set_ylabel("scans of the scenario flagged")
    axis.set_title(name)
