"""Spectrum and tracks drawn with characters by plotext: the only module that knows plotext.

Each function gives the text of a plot of `width` × `height` cells; with `colour`, as ANSI text in the terminal's own
16 colours, without it as plain characters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotext

from scanner_agent.records import MetaboliteAmount, SpectrumPart
from scanner_agent.view.model import ScanView
from scanner_agent.view.tables import number

# Strongest resonance of each metabolite that a plot of this size can name, ppm (de Graaf, In Vivo NMR Spectroscopy,
# 3rd ed. 2019; Wilson et al. 2019, doi:10.1002/mrm.27742).
_LABELS = {
    "tNAA": ("NAA", 2.008),
    "tCr": ("Cr", 3.027),
    "tCho": ("Cho", 3.208),
    "Ins": ("Ins", 3.56),
    "Glu": ("Glu", 2.35),
    "Glx": ("Glx", 3.75),
    "GABA+": ("GABA+", 3.01),
    "Lac": ("Lac", 1.31),
    "Ace": ("Ace", 1.90),
}
PARTS = {"main": "main", "on": "ON", "off": "OFF", "difference": "diff"}
"""Short names of the parts."""
_TITLES = {"main": "Spectrum", "on": "ON spectrum", "off": "OFF spectrum", "difference": "Difference ON − OFF"}
_RESIDUAL_SHARE = 0.22
_MIN_TRACK_ROWS = 4


@dataclass(frozen=True)
class Track:
    """One number over the shots. `limit` is drawn as a line."""

    title: str
    """With the latest value."""
    shots: tuple[int, ...]
    values: tuple[float, ...]
    left_out: tuple[bool, ...]
    limit: float | None = None


def spectrum(
    part: SpectrumPart, metabolites: Sequence[MetaboliteAmount], width: int, height: int, *, colour: bool
) -> str:
    """Data and fit, the residual below them, names above; ppm from right to left."""
    figure = _figure(width, height)
    data, fit = part.data, part.fit
    top = max(data + fit)
    bottom = min(data + fit)
    span = (top - bottom) or 1.0
    residual_zero = bottom - 0.5 * _RESIDUAL_SHARE * span
    if fit:
        residual = [residual_zero + d - f for d, f in zip(data, fit, strict=True)]
        _line(figure, part.ppm, residual, "braille", "green", colour)
    if fit and not colour:
        _line(figure, part.ppm, fit, "·", None, colour)
    _line(figure, part.ppm, data, "braille", None, colour)
    if fit and colour:
        _line(figure, part.ppm, fit, "braille", "red", colour)
    low, high = min(part.ppm), max(part.ppm)
    names = {m.name for m in metabolites if m.spectrum == part.spectrum}
    row = 1.4 * span / max(1, height)
    room = 6.0 * (high - low) / max(1, width)
    previous, lower = -10.0, False
    for ppm, label in sorted((ppm, label) for name, (label, ppm) in _LABELS.items() if name in names):
        if low <= ppm <= high:
            lower = ppm - previous < room and not lower  # neighbours take turns at standing a row lower
            previous = ppm
            figure.draw(figure.text(ppm, top + 0.1 * span - lower * row, label, alignment="center"))
    ticks = [t / 2 for t in range(math.ceil(2 * low), math.floor(2 * high) + 1)]
    ruler = figure.ruler("x")
    ruler.lim(low, high)
    ruler.direction(-1)
    ruler.ticks(ticks, [f"{tick:g}" for tick in ticks])
    figure.ruler("y").lim(residual_zero - 0.5 * _RESIDUAL_SHARE * span, top + 0.1 * span)
    figure.ruler("y").ticks([], [])
    figure.axes(False)
    figure.axes(True, axis="x", side="lower")
    return _text(figure, colour)


def spectrum_title(part: SpectrumPart, *, colour: bool) -> str:
    """What is drawn, each word in its line's colour."""
    title = _TITLES.get(part.spectrum, part.spectrum)
    if not part.fit:
        return f"{title} (ppm)"
    if not colour:
        return f"{title} with fit (···), residual below (ppm)"
    return f"{title} with \x1b[31mfit\x1b[0m, \x1b[32mresidual\x1b[0m below (ppm)"


def scan_tracks(scan: ScanView) -> tuple[Track, ...]:
    """What changed over the shots: frequency, phase, amplitude, linewidth, S/N."""
    tracks = [scan.tracks[index] for index in sorted(scan.tracks)]
    made = []
    for name, unit, field in _PER_SHOT:
        rows = [(t.index, value, not t.used) for t in tracks if (value := getattr(t, field)) is not None]
        made.append(_track(name, unit, rows))
    points = [scan.history[index] for index in sorted(scan.history)]
    bounds = {(c.metric, c.metabolite): (c.minimum if c.minimum is not None else c.maximum) for c in scan.limits}
    widths = [(p.shot_index, p.fwhm_hz, False) for p in points if p.fwhm_hz is not None and p.shot_index is not None]
    limit = bounds.get(("fwhm_hz", None))
    in_ppm = bounds.get(("fwhm_ppm", None))
    if limit is None and in_ppm is not None and scan.header is not None:
        limit = in_ppm * scan.header.spectrometer_frequency_mhz
    made.append(_track("linewidth", " Hz", widths, limit))
    snrs = [
        (p.shot_index, p.snr_lcmodel, False) for p in points if p.snr_lcmodel is not None and p.shot_index is not None
    ]
    made.append(_track("S/N", "", snrs, bounds.get(("snr_lcmodel", None))))
    return tuple(track for track in made if track.shots)


_PER_SHOT = (
    ("frequency", " Hz", "frequency_hz"),
    ("phase", "°", "phase_deg"),
    ("amplitude", "", "amplitude"),
)


def _track(name: str, unit: str, rows: Sequence[tuple[int, float, bool]], limit: float | None = None) -> Track:
    title = f"{name} {_tick(rows[-1][1])}{unit}" if rows else name
    if limit is not None:
        title += f"  (limit {number(limit)}{unit})"
    return Track(title, tuple(r[0] for r in rows), tuple(r[1] for r in rows), tuple(r[2] for r in rows), limit)


def tracks(scan: ScanView, width: int, height: int, *, colour: bool) -> str:
    """As many tracks as fit, in up to three columns; the last ones are left away."""
    shown = scan_tracks(scan)
    if not shown:
        return ""
    columns = 3 if width >= 110 else 2 if width >= 70 else 1
    rows = max(1, min(math.ceil(len(shown) / columns), height // _MIN_TRACK_ROWS))
    shown = shown[: rows * columns]
    n_last = max(1, scan.n_planned or 0, max(max(t.shots) for t in shown) + 1)
    each_height, each_width = max(min(_MIN_TRACK_ROWS, height // rows), (height - 1) // rows), width // columns
    cells = [_draw_track(track, n_last, each_width, each_height, colour=colour).splitlines() for track in shown]
    lines: list[str] = []
    for first in range(0, len(cells), columns):
        lines.extend("".join(parts) for parts in zip(*cells[first : first + columns], strict=True))
    if len(lines) < height:
        axis = " " * 7 + f"shot 1{n_last:>{each_width - 14}d} "
        lines.append((axis * min(columns, len(shown))).rstrip())
    return "\n".join(lines)


def _draw_track(track: Track, n_shots: int, width: int, height: int, *, colour: bool) -> str:
    figure = _figure(width, height - 1)
    low, high = min(track.values), max(track.values)
    if track.limit is not None:
        low, high = min(low, track.limit), max(high, track.limit)
        _line(figure, [0.5, n_shots + 0.5], [track.limit] * 2, "┈", "yellow", colour)
    for left_out, symbol, name in ((False, "•", "cyan"), (True, "x", "red+")):
        pairs = [
            (i + 1, v) for i, v, out in zip(track.shots, track.values, track.left_out, strict=True) if out is left_out
        ]
        if pairs:
            marker = plotext.marker(symbol, name) if colour else plotext.marker(symbol)
            figure.draw(figure.signal([p[0] for p in pairs], [p[1] for p in pairs], marker=marker))
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    figure.ruler("y").lim(low - margin, high + margin)
    figure.ruler("y").ticks([low, high], [_tick(low).rjust(6), _tick(high).rjust(6)])
    figure.ruler("x").lim(0.5, n_shots + 0.5)
    figure.ruler("x").ticks([], [])
    figure.axes(False)
    figure.axes(True, axis="y", side="left")
    return track.title[:width].ljust(width) + "\n" + _text(figure, colour)


def _tick(value: float) -> str:
    """As many decimals as can be read at a glance."""
    return f"{value:.{0 if abs(value) >= 100 else 1 if abs(value) >= 1 else 2}f}"


def _figure(width: int, height: int) -> Any:
    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.clear.all()
    figure.plot_size(width, height)
    figure.theme("colorless")
    return figure


def _line(figure: Any, x: Sequence[float], y: Sequence[float], symbol: str, name: str | None, colour: bool) -> None:
    marker = plotext.marker(symbol, name) if colour and name is not None else plotext.marker(symbol)
    signal = figure.signal(list(x), list(y), marker=marker)
    signal.lines(True)
    figure.draw(signal)


def _text(figure: Any, colour: bool) -> str:
    return str(figure.build().string(colorless=not colour)).rstrip("\n")
