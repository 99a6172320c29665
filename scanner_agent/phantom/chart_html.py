"""Control charts as one interactive HTML page that needs nothing else and connects to nothing."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from scanner_agent.errors import SourceError
from scanner_agent.phantom.causes import TEXTS
from scanner_agent.phantom.evaluate import Alarm, Chart, Evaluation
from scanner_agent.phantom.rules import RULES
from scanner_agent.phantom.values import is_of_channel, kind_of

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "form-action 'none'; base-uri 'none'"
)
_STYLE = """
body { margin: 0; font: 15px/1.45 system-ui, sans-serif; color: #222; background: #fff; }
main { max-width: 1200px; margin: 0 auto; padding: 0 16px 48px; }
h1 { font-size: 24px; } h2 { font-size: 18px; margin: 28px 0 4px; border-bottom: 1px solid #d8d8d8; }
h3 { font-size: 15px; margin: 14px 0 0; } p { margin: 4px 0; }
table { border-collapse: collapse; width: 100%; font-size: 14px; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: 4px 12px 4px 0; border-bottom: 1px solid #d8d8d8; vertical-align: top; }
.alarm { color: #a31621; font-weight: 600; } .building { color: #8a5a00; } nav a { margin-right: 12px; }
"""
_SCRIPT = Path(__file__).with_name("chart.js")
_RULES = tuple(name for name in RULES if name != "westgard_1_2s")  # a warning of one run in twenty: not marked
_COLOURS = ("#2166ac", "#b2182b", "#1b7837", "#762a83", "#c77700", "#35978f", "#8c510a", "#4d4d4d")
_ERRORS_UP_TO = 500  # runs: beyond, error bars hide the runs


def day(moment: float) -> str:
    """Date of a Unix time, UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


def limits(chart: Chart, n_sd: float) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Centre, lower and upper limit (n_runs,) in the value's own unit; NaN while the baseline is built."""
    parts = (chart.centre, chart.centre - n_sd * chart.sd, chart.centre + n_sd * chart.sd)
    if kind_of(chart.name).scale == "log":
        parts = tuple(np.exp(part) for part in parts)  # type: ignore[assignment]
    return parts


def shown(chart: Chart) -> np.ndarray[Any, Any]:
    """What is drawn (n_runs,): the value itself, or its step."""
    return chart.charted if kind_of(chart.name).scale == "step" else chart.values


def alarm_text(evaluation: Evaluation, alarm: Alarm) -> str:
    """One sentence: which rule, which runs, how large, since when, which cause."""
    runs = evaluation.runs
    when = f"{day(runs[alarm.since].measured_at)} (raised {day(runs[alarm.raised].measured_at)})"
    label = "all values together" if alarm.name == "joint" else kind_of(alarm.name).label
    if alarm.before is None or alarm.after is None:
        size = f"T² {alarm.size_sd:.1f} times its limit"
    else:
        size = f"{alarm.before:.4g} → {alarm.after:.4g} ({alarm.size_sd:+.1f} SD)"
    return f"{label}: {size} since {when}, rule {alarm.rule}; {TEXTS[alarm.cause]}"


def write_page(path: Path | str, evaluations: Sequence[Evaluation]) -> None:
    """Write the page. Raises SourceError if it cannot be written."""
    try:
        Path(path).write_text(page(evaluations), encoding="utf-8")
    except OSError as error:
        raise SourceError(f"cannot write the charts {path}: {error.strerror}") from error


def page(evaluations: Sequence[Evaluation]) -> str:
    """The page for these series; with several, charts that compare them come first. About 5 MB, mostly Plotly."""
    from plotly.offline import get_plotlyjs

    drawn: list[dict[str, Any]] = []
    body = [
        f"<h1>Phantom charts</h1><p>{len(evaluations)} series, {sum(len(e.runs) for e in evaluations)} runs. "
        "Blue: a run; grey: baseline and ± 3 SD; red: alarm; amber ring: a classical rule is broken.</p>"
    ]
    if len(evaluations) > 1:
        links = (f'<a href="#s{i}">{escape(str(e.series))}</a>' for i, e in enumerate(evaluations))
        body += [f"<nav>{''.join(links)}</nav>", "<h2>Scanners compared</h2>", _compared(evaluations, drawn)]
    body += [_series(number, evaluation, drawn) for number, evaluation in enumerate(evaluations)]
    data = (
        f"const SERIES = {_json([_runs(e) for e in evaluations])};\nconst CHARTS = {_json(drawn)};\n"
        f"const RULES = {_json(_RULES)};"
    )
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Phantom charts</title><style>{_STYLE}</style></head><body><main>",
            *body,
            "</main>",
            f"<script>{get_plotlyjs()}</script>",
            f"<script>{data}\n{_SCRIPT.read_text(encoding='utf-8')}</script>",
            "</body></html>",
        ]
    )


def _json(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _packed(numbers: Any, kind: str) -> str:
    """Numbers as base64 of little-endian `kind`: ten times smaller and faster than as text."""
    return base64.b64encode(np.asarray(numbers).astype(np.dtype(kind).newbyteorder("<")).tobytes()).decode()


def _runs(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "seconds": _packed([run.measured_at for run in evaluation.runs], "f8"),
        "ids": [run.run_id[:8] for run in evaluation.runs],
        "notes": {str(i): escape(run.note) for i, run in enumerate(evaluation.runs) if run.note},
    }


def _place(drawn: list[dict[str, Any]], chart: dict[str, Any], height: int, label: str) -> str:
    drawn.append(chart)
    return (
        f'<div class="chart" data-chart="{len(drawn) - 1}" style="height:{height}px" role="img" '
        f'aria-label="{escape(label)}"></div>'
    )


def _layout(height: int, label: str, **changes: Any) -> dict[str, Any]:
    return {
        "height": height,
        "margin": {"l": 84, "r": 16, "t": 26, "b": 36},
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#333333"},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "hovermode": "closest",
        "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        "xaxis": {"type": "date", "gridcolor": "#eeeeee", "automargin": True},
        "yaxis": {"title": {"text": label, "font": {"size": 12}}, "gridcolor": "#eeeeee", "zeroline": False},
    } | changes


def _series(number: int, evaluation: Evaluation, drawn: list[dict[str, Any]]) -> str:
    parts = [f'<h2 id="s{number}">{escape(str(evaluation.series))}</h2>', _summary(evaluation)]
    alarms = list(evaluation.alarms)[-30:]
    if alarms:
        rows = "".join(f'<li class="alarm">{escape(alarm_text(evaluation, alarm))}</li>' for alarm in reversed(alarms))
        more = len(evaluation.alarms) - len(alarms)
        parts.append(f"<h3>Alarms{f' (latest 30; {more} older)' if more else ''}</h3><ul>{rows}</ul>")
    if evaluation.events:
        rows = "".join(f"<li>{day(e.happened_at)}: {escape(e.text)}</li>" for e in evaluation.events)
        parts.append(f"<h3>Events</h3><ul>{rows}</ul>")
    channels: list[str] = []
    for name, chart in evaluation.charts.items():
        if np.isfinite(shown(chart)).any():
            drawing = _place(drawn, _chart(number, evaluation, chart), 250, kind_of(name).label)
            (channels if is_of_channel(name) else parts).append(drawing)
        else:
            parts.append(f"<p>{escape(kind_of(name).label)}: never measured; {escape(_reason(evaluation, name))}</p>")
    if channels:
        parts.append(f"<details><summary>Noise of the receive channels</summary>{''.join(channels)}</details>")
    return "\n".join(parts)


def _reason(evaluation: Evaluation, name: str) -> str:
    reasons = {run.values[name].reason for run in evaluation.runs if name in run.values}
    return "; ".join(sorted(reason for reason in reasons if reason)) or "no reason given"


def _summary(evaluation: Evaluation) -> str:
    rows = []
    for name, chart in evaluation.charts.items():
        known = np.flatnonzero(np.isfinite(chart.values))
        if known.size == 0 or not kind_of(name).alarms:
            continue
        last = evaluation.runs[known[-1]].values[name]
        sd = "" if last.sd is None else f" ± {last.sd:.2g}"
        form = ".0f" if kind_of(name).scale == "step" else ".6g"
        css = "alarm" if chart.state == "alarm" else "building" if chart.state.startswith("baseline") else ""
        rows.append(
            f"<tr><td>{escape(kind_of(name).label)}</td><td>{last.value:{form}}{sd}</td>"
            f'<td>{day(evaluation.runs[known[-1]].measured_at)}</td><td class="{css}">{chart.state}</td></tr>'
        )
    head = "<tr><th>value</th><th>latest</th><th>date</th><th>state</th></tr>"
    return f'<div class="wide"><table>{head}{"".join(rows)}</table></div>'


def _chart(number: int, evaluation: Evaluation, chart: Chart) -> dict[str, Any]:
    kind = kind_of(chart.name)
    y = shown(chart)
    marks = np.zeros(y.size, dtype=np.uint16)
    for bit, rule in enumerate(_RULES):
        marks |= chart.marks[rule].astype(np.uint16) << bit
    packed: dict[str, Any] = {
        "series": number,
        "log": kind.scale == "log",
        "y": _packed(y, "f4"),
        "centre": _packed(chart.centre, "f4"),
        "sd": _packed(chart.sd, "f4"),
        "z": _packed(chart.z, "f4"),
        "marks": _packed(marks, "u2"),
        "alarmed": _packed(chart.alarmed & kind.alarms, "u1"),
    }
    if len(evaluation.runs) <= _ERRORS_UP_TO and kind.scale != "step":
        sds = [run.values[chart.name].sd if chart.name in run.values else None for run in evaluation.runs]
        if any(sd is not None for sd in sds):
            packed["errors"] = _packed([float("nan") if sd is None else sd for sd in sds], "f4")
    label = f"change of {kind.label}" if kind.scale == "step" else kind.label
    layout = _layout(250, label, shapes=_event_lines(evaluation), annotations=_event_notes(evaluation))
    finite = y[np.isfinite(y)]
    if kind.scale == "log" and finite.max() > 20 * max(finite.min(), 1e-12):
        layout["yaxis"]["type"] = "log"
    return packed | {"layout": layout}


def _event_lines(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [
        {"type": "line", "x0": day(e.happened_at), "x1": day(e.happened_at), "yref": "paper", "y0": 0, "y1": 1}
        | {"line": {"color": "#762a83", "width": 1.2, "dash": "dash"}}
        for e in evaluation.events
    ]


def _event_notes(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [
        {"x": day(e.happened_at), "y": 1, "yref": "paper", "text": escape(e.text), "showarrow": False}
        | {"xanchor": "left", "yanchor": "top", "font": {"size": 10, "color": "#762a83"}}
        for e in evaluation.events
    ]


def _compared(evaluations: Sequence[Evaluation], drawn: list[dict[str, Any]]) -> str:
    """Each alarming value of all series in one chart, as monthly medians."""
    names = dict.fromkeys(n for e in evaluations for n in e.charts if kind_of(n).alarms and kind_of(n).scale != "step")
    months = [
        np.array([run.measured_at for run in e.runs]).astype("datetime64[s]").astype("datetime64[M]")
        for e in evaluations
    ]
    # Only what tells them apart: all four names are too long for a legend.
    keys = [msgspec.structs.astuple(e.series) for e in evaluations]
    differ = [place for place in range(4) if len({key[place] for key in keys}) > 1]
    labels = [" · ".join(key[place] for place in differ) for key in keys]
    parts = []
    for name in names:
        data = []
        for number, evaluation in enumerate(evaluations):
            if name not in evaluation.charts:
                continue
            x, y = _monthly_medians(months[number], evaluation.charts[name].values)
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "x": x.astype(str).tolist(),
                    "y": y.tolist(),
                    "name": labels[number],
                    "line": {"color": _COLOURS[number % len(_COLOURS)], "width": 1},
                    "showlegend": len(evaluations) <= len(_COLOURS),
                }
            )
        parts.append(
            _place(drawn, {"data": data, "layout": _layout(280, kind_of(name).label)}, 280, kind_of(name).label)
        )
    return "\n".join(parts)


def _monthly_medians(month: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Months that hold a value, and the median of each; both arguments (n_runs,)."""
    known = np.isfinite(values)
    order = np.lexsort((values[known], month[known]))
    of, sorted_values = month[known][order], values[known][order]
    names, first, count = np.unique(of, return_index=True, return_counts=True)
    return names, (sorted_values[first + (count - 1) // 2] + sorted_values[first + count // 2]) / 2.0
