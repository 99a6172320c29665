"""A report's interactive charts as Plotly's own JSON (`data`, `layout`): of Plotly itself only the script is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scanner_agent.records import AssessmentPoint, LimitCheck, ScanReport, ShotTrack, SpectrumPart, WindowPoint
from scanner_agent.report.figure import LABELS_PPM, TRACKS

_INK, _RED, _BLUE, _GREY = "#333333", "#b2182b", "#2166ac", "#8a8a8a"
_TRACKS = (
    *TRACKS,
    ("residual_water", None, "residual water / NAA"),
    ("misfit", None, "misfit (χ²/n)"),
)


_ZERO = {"zerolinecolor": "#cccccc", "zerolinewidth": 1}


@dataclass(frozen=True)
class Chart:
    """One chart: `data` and `layout` go to `Plotly.newPlot`."""

    title: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]


def charts(report: ScanReport) -> list[Chart]:
    """All charts that the report has numbers for."""
    made = [_spectrum(report, part) for part in report.spectra]
    tracks = _tracks(report)
    course = _course(report)
    return made + [chart for chart in (tracks, course, *_windows(report.window)) if chart is not None]


def _layout(height: int, **changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "height": height,
        "margin": {"l": 64, "r": 16, "t": 24, "b": 48},
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": _INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "hovermode": "closest",
    }
    return base | changes


def _line(x: Sequence[float], y: Sequence[float], name: str, colour: str, **changes: Any) -> dict[str, Any]:
    trace: dict[str, Any] = {"type": "scatter", "mode": "lines", "x": list(x), "y": list(y), "name": name}
    return trace | {"line": {"color": colour, "width": 1.3} | changes.pop("line", {})} | changes


def _spectrum(report: ScanReport, part: SpectrumPart) -> Chart:
    top, bottom = max(part.data), min(part.data)
    span = (top - bottom) or 1.0
    data = [_line(part.ppm, part.data, "spectrum", _INK)]
    if part.fit:
        residual = [d - f for d, f in zip(part.data, part.fit, strict=True)]
        zero = bottom - 0.08 * span - max(residual)
        data += [
            _line(part.ppm, part.fit, "fit", _RED),
            _line(part.ppm, part.baseline, "baseline", _BLUE, line={"dash": "dash"}),
            _line(part.ppm, [zero + r for r in residual], "residual (shifted)", _GREY, customdata=residual),
        ]
        data[-1]["hovertemplate"] = "%{x:.3f} ppm: %{customdata:.3g}"
    low, high = min(part.ppm), max(part.ppm)
    notes = _labels({m.name for m in report.metabolites if m.spectrum == part.spectrum}, low, high)
    layout = _layout(
        420,
        xaxis={"title": {"text": "chemical shift (ppm)"}, "range": [high, low], "showgrid": False},
        yaxis={"showticklabels": False, "showgrid": False, "zeroline": False, "range": [None, top + 0.16 * span]},
        annotations=notes,
    )
    return Chart(f"Spectrum: {part.spectrum}", data, layout)


def _labels(names: set[str], low: float, high: float) -> list[dict[str, Any]]:
    """Names above the spectrum; near neighbours take turns at standing lower, so that they do not touch on a phone."""
    notes: list[dict[str, Any]] = []
    previous, lower = -1.0, False
    for ppm, name in sorted((ppm, name) for name, ppm in LABELS_PPM.items() if name in names and low <= ppm <= high):
        lower = ppm - previous < 0.36 and not lower
        previous = ppm
        note = {"x": ppm, "y": 0.94 if lower else 1.0, "yref": "paper", "text": name, "yanchor": "top"}
        notes.append(note | {"showarrow": False, "font": {"size": 11}})
    return notes


def _tracks(report: ScanReport) -> Chart | None:
    rows = [row for row in _TRACKS if any(getattr(shot, row[0]) is not None for shot in report.shots)]
    if not rows:
        return None
    gap = 0.035
    each = (1 - gap * (len(rows) - 1)) / len(rows)
    data: list[dict[str, Any]] = []
    layout = _layout(60 + 130 * len(rows), shapes=_pose_shapes(report))
    layout["xaxis"] = {"title": {"text": "shot"}, "anchor": "y", "domain": [0, 1], "zeroline": False}
    for place, (name, sd_name, label) in enumerate(reversed(rows)):
        axis = "" if place == 0 else str(place + 1)
        low = place * (each + gap)
        layout[f"yaxis{axis}"] = {"title": {"text": label, "font": {"size": 11}}, "domain": [low, low + each]} | _ZERO
        data += _track(report.shots, name, sd_name, f"y{axis}", legend=place == 0)
    return Chart("Shots", data, layout)


def _track(
    shots: Sequence[ShotTrack], name: str, sd_name: str | None, axis: str, *, legend: bool
) -> list[dict[str, Any]]:
    traces = []
    for used, label, colour, symbol in ((True, "used", _BLUE, "circle"), (False, "not used", _RED, "x")):
        chosen = [shot for shot in shots if shot.used is used and getattr(shot, name) is not None]
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "markers",
            "x": [shot.index + 1 for shot in chosen],
            "y": [getattr(shot, name) for shot in chosen],
            "text": [shot.reason or "" for shot in chosen],
            "name": label,
            "legendgroup": label,
            "showlegend": legend,
            "yaxis": axis,
            "marker": {"color": colour, "symbol": symbol, "size": 5 if used else 9},
        }
        if sd_name is not None and all(getattr(shot, sd_name) is not None for shot in chosen):
            trace["error_y"] = {"array": [getattr(shot, sd_name) for shot in chosen], "width": 0, "thickness": 0.7}
        traces.append(trace)
    return traces


def _pose_shapes(report: ScanReport) -> list[dict[str, Any]]:
    return [
        {
            "type": "rect",
            "yref": "paper",
            "x0": segment.first_shot + 0.5,
            "x1": segment.last_shot + 1.5,
            "y0": 0,
            "y1": 1,
            "fillcolor": "#eeeeee",
            "line": {"width": 0},
            "layer": "below",
        }
        for segment in report.segments
        if segment.index % 2
    ]


def _course(report: ScanReport) -> Chart | None:
    """S/N, linewidth and the forecast's probability as the scan went on, with their limits."""
    points = [p for p in report.assessments if p.shot_index is not None]
    readings: tuple[tuple[str, Callable[[AssessmentPoint], float | None], float | None], ...] = (
        ("S/N (LCModel)", lambda p: p.snr_lcmodel, _bound(report.limits, "snr_lcmodel")),
        ("linewidth (Hz)", lambda p: p.fwhm_hz, _width_bound(report)),
        ("chance of passing", lambda p: None if p.forecast is None else p.forecast.probability_pass, None),
    )
    rows = [(label, read, bound) for label, read, bound in readings if any(read(p) is not None for p in points)]
    if not rows:
        return None
    gap = 0.05
    each = (1 - gap * (len(rows) - 1)) / len(rows)
    data: list[dict[str, Any]] = []
    layout = _layout(60 + 150 * len(rows), shapes=[], showlegend=False)
    layout["xaxis"] = {"title": {"text": "shot"}, "anchor": "y", "domain": [0, 1]}
    for place, (label, read, bound) in enumerate(reversed(rows)):
        axis = "" if place == 0 else str(place + 1)
        low = place * (each + gap)
        layout[f"yaxis{axis}"] = {
            "title": {"text": label, "font": {"size": 11}},
            "domain": [low, low + each],
            "rangemode": "tozero",
        }
        known = [
            (p.shot_index + 1, value) for p in points if p.shot_index is not None and (value := read(p)) is not None
        ]
        data.append(_line([x for x, _ in known], [y for _, y in known], label, _BLUE, yaxis=f"y{axis}"))
        if bound is not None and known:
            ends = [known[0][0], known[-1][0]]
            data.append(_line(ends, [bound, bound], f"limit {bound:g}", _RED, yaxis=f"y{axis}", line={"dash": "dot"}))
    return Chart("Course of the scan", data, layout)


def _bound(limits: Sequence[LimitCheck], metric: str) -> float | None:
    for check in limits:
        if check.metric == metric:
            return check.minimum if check.minimum is not None else check.maximum
    return None


def _width_bound(report: ScanReport) -> float | None:
    in_ppm = _bound(report.limits, "fwhm_ppm")
    direct = _bound(report.limits, "fwhm_hz")
    return direct if in_ppm is None else in_ppm * report.scan.spectrometer_frequency_mhz


def _windows(points: Sequence[WindowPoint]) -> list[Chart]:
    """Metabolites over time, where the protocol asks for a sliding window."""
    data = []
    for colour, name in zip((_BLUE, _RED, _INK, _GREY), dict.fromkeys(p.name for p in points), strict=False):
        mine = [p for p in points if p.name == name and p.ratio_to_tCr is not None]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "x": [(p.first_shot + p.last_shot) / 2 + 1 for p in mine],
                "y": [p.ratio_to_tCr for p in mine],
                "error_y": {"array": [p.ratio_to_tCr_sd or 0.0 for p in mine], "width": 2, "thickness": 0.8},
                "line": {"color": colour},
            }
        )
    if not data:
        return []
    layout = _layout(360, xaxis={"title": {"text": "middle of the window (shot)"}}, yaxis={"title": {"text": "/ tCr"}})
    return [Chart("Sliding window", data, layout)]
