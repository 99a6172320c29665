"""A report as one HTML page that needs nothing else: no server, no network, no other file.

A content security policy forbids the page every connection, so that it can be opened anywhere and tells nobody.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import msgspec

from scanner_agent.errors import SourceError
from scanner_agent.records import (
    Finding,
    LimitCheck,
    MetaboliteAmount,
    Placement,
    ScanReport,
    Segment,
    Verdict,
    to_json,
)
from scanner_agent.report.charts import Chart, charts
from scanner_agent.report.mrsinmrs import mrsinmrs
from scanner_agent.report.style import PLOT_SCRIPT, STYLE

STATES = {
    Verdict.COLLECTING: ("COLLECTING", "…"),
    Verdict.GOOD: ("GOOD", "✓"),
    Verdict.WATCH: ("WATCH", "!"),
    Verdict.STOP: ("STOP", "■"),
    Verdict.CANNOT_JUDGE: ("CANNOT JUDGE", "?"),
}
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "form-action 'none'; base-uri 'none'"
)
_DASH = "–"
_UNITS = {"hz": " Hz", "ppm": " ppm", "deg": "°", "mm": " mm", "s": " s", "percent": " %"}
"""Endings of the names of evidence."""


def write_html(path: Path | str, report: ScanReport, placements: Sequence[Placement] = ()) -> None:
    """Write the page. Raises SourceError if it cannot be written."""
    try:
        Path(path).write_text(html_page(report, placements), encoding="utf-8")
    except OSError as error:
        raise SourceError(f"cannot write the report {path}: {error.strerror}") from error


def html_page(report: ScanReport, placements: Sequence[Placement] = ()) -> str:
    """The whole page, about 5 MB, nearly all of it Plotly's script; `placements`: what repeat localisers told."""
    from plotly.offline import get_plotlyjs

    drawn = charts(report)
    sections = [
        _head(report),
        _section("Findings", _findings(report.findings)),
        _section("Where the voxel was (repeat localiser)", "".join(map(_placement, placements))),
        _section("Limits of the protocol", _limits(report.limits)),
        *(_chart(number, chart) for number, chart in enumerate(drawn)),
        _section("Poses", _segments(report.segments) if len(report.segments) > 1 else ""),
        *(_section(f"Amounts: {name}", _amounts(report, name)) for name in _spectra(report)),
        _section("Notes", _list(report.notes)),
        _section("Processing and provenance", _provenance(report)),
        _section("Minimum reporting (MRSinMRS)", _reporting(report)),
        _section("All numbers", _download(report)),
    ]
    title = escape(f"{report.scan.scan_id}: {STATES[report.verdict][0]}")
    data = msgspec.json.encode([{"data": chart.data, "layout": chart.layout} for chart in drawn]).decode()
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{STYLE}</style></head><body><main>",
            *sections,
            "</main>",
            f"<script>{get_plotlyjs()}</script>",
            f"<script>const CHARTS = {_in_script(data)};\n{PLOT_SCRIPT}</script>",
            "</body></html>",
        ]
    )


def _in_script(json: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _head(report: ScanReport) -> str:
    word, symbol = STATES[report.verdict]
    scan = report.scan
    facts = [
        scan.sequence,
        None if scan.echo_time_s is None else f"TE {1000 * scan.echo_time_s:g} ms",
        None if scan.repetition_time_s is None else f"TR {1000 * scan.repetition_time_s:g} ms",
        f"{scan.spectrometer_frequency_mhz:.1f} MHz",
        scan.scanner,
        f"{report.quality.n_shots_used} of {len(report.shots)} shots in the result",
        None
        if scan.started_at is None
        else datetime.fromtimestamp(scan.started_at, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        f"protocol {report.provenance.protocol}",
        f"scan {report.end.status.value}" + (f" ({report.end.reason})" if report.end.reason else ""),
    ]
    return (
        f'<header class="{report.verdict.value}"><p class="state"><span aria-hidden="true">{symbol}</span> {word}</p>'
        f'<p class="advice">{escape(report.advice_text)}</p></header>'
        f"<h1>{escape(scan.scan_id)}</h1><p>{escape(' · '.join(fact for fact in facts if fact))}</p>"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def _chart(number: int, chart: Chart) -> str:
    return _section(
        chart.title, f'<div class="chart" id="chart-{number}" role="img" aria-label="{escape(chart.title)}"></div>'
    )


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]], *, stack: bool = False) -> str:
    """A table; cells are text, not markup. `stack`: on a phone each row's cells stand below one another."""
    body = "".join("<tr>" + "".join(map(_cell, row, heading)) + "</tr>" for row in rows)
    if not body:
        return ""
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in heading)
    head = f"<thead><tr>{cells}</tr></thead>" if any(heading) else ""
    return f'<div class="{"stack" if stack else "wide"}"><table>{head}<tbody>{body}</tbody></table></div>'


def _cell(text: str, heading: str) -> str:
    long = ' class="long"' if len(text) > 40 else ""
    named = f' data-heading="{escape(heading)}"' if heading else ""
    return f"<td{long}{named}>{escape(text)}</td>"


def _list(texts: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>" if texts else ""


def _placement(placement: Placement) -> str:
    result = placement.result
    numbers = {
        "displacement of the centre, mm": result.centre_displacement_mm,
        "its standard error, mm": result.uncertainty_mm,
        "intended tissue inside, %": None if result.share_inside is None else 100 * result.share_inside,
        "largest displacement of a corner, mm": max(result.corner_displacement_mm, default=None),
    }
    rows = [(name, f"{value:.1f}") for name, value in numbers.items() if value is not None]
    rows += [(f"new prescription, {vendor}", text) for vendor, text in result.consoles.items()]
    made = datetime.fromtimestamp(placement.made_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    head = f"<p>{escape(f'{made}, {placement.initials}: {result.text}')}</p>"
    return head + _list(result.reasons[1:]) + _table(("", ""), rows)


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return "<p>None.</p>"
    return _table(
        ("severity", "kind", "what", "shots", "raised at", "evidence"),
        (
            (
                f.severity.value,
                f.kind.value.replace("_", " "),
                f.text,
                _shots(f.first_shot, f.last_shot),
                _shot(f.raised_at_shot),
                _evidence(f),
            )
            for f in findings
        ),
        stack=True,
    )


def _evidence(finding: Finding) -> str:
    return ", ".join(_measured(name.split("_"), value) for name, value in finding.evidence.items())


def _measured(words: list[str], value: float) -> str:
    """`frequency step 5 Hz` of `frequency_step_hz`."""
    unit = _UNITS.get(words[-1])
    return f"{' '.join(words if unit is None else words[:-1])} {value:.3g}{unit or ''}"


def _shot(index: int | None) -> str:
    return _DASH if index is None else str(index + 1)


def _shots(first: int | None, last: int | None) -> str:
    if first is None:
        return _DASH
    return str(first + 1) if last in (None, first) else f"{first + 1}–{_shot(last)}"


def _limits(limits: Sequence[LimitCheck]) -> str:
    marks = {True: "✓ met", False: "✗ not met", None: "? could not be told"}
    return _table(
        ("", "number", "value", "limit", "source"),
        (
            (
                marks[check.met],
                check.label,
                _DASH if check.value is None else _number(check.value) + check.unit_text,
                (f"≥ {check.minimum:g}" if check.minimum is not None else f"≤ {check.maximum:g}") + check.unit_text,
                check.source,
            )
            for check in limits
        ),
        stack=True,
    )


def _segments(segments: Sequence[Segment]) -> str:
    return _table(
        ("pose", "shots", "in its average", "verdict", "S/N (LCModel)", "FWHM (Hz)"),
        (
            (
                str(s.index + 1),
                _shots(s.first_shot, s.last_shot),
                str(s.n_shots_used),
                s.verdict.value,
                _number(s.quality.snr_lcmodel),
                _number(s.quality.fwhm_hz),
            )
            for s in segments
        ),
    )


def _spectra(report: ScanReport) -> list[str]:
    return list(dict.fromkeys(amount.spectrum for amount in report.metabolites))


def _amounts(report: ScanReport, spectrum: str) -> str:
    chosen = [amount for amount in report.metabolites if amount.spectrum == spectrum]
    optional = ("institutional_units", "molal_mmol_per_kg")
    columns = [name for name in optional if any(getattr(amount, name) is not None for amount in chosen)]
    titles = {"institutional_units": "mmol/L (i.u.)", "molal_mmol_per_kg": "mmol/kg"}
    order = sorted(chosen, key=lambda amount: (not amount.gated, re.match(r"(MM|Lip)\d", amount.name) is not None))
    largest = max((abs(amount.amplitude) for amount in chosen), default=0.0)
    exponent = 0 if largest == 0.0 or 0.1 <= largest < 1e4 else math.floor(math.log10(largest))
    unit = f" (×1e{exponent})" if exponent else ""
    return _table(
        ("", f"amount ± CRLB{unit}", "%SD (LCModel)", "%SD (noise)", "/ tCr", *(titles[name] for name in columns)),
        ((*_amount(amount, exponent), *(_number(getattr(amount, name)) for name in columns)) for amount in order),
    )


def _amount(amount: MetaboliteAmount, exponent: int) -> tuple[str, ...]:
    scale = 10.0**-exponent
    return (
        f"{amount.name} (decides)" if amount.gated else amount.name,
        _with_sd(amount.amplitude * scale, None if amount.crlb_sd is None else amount.crlb_sd * scale),
        _percent(amount.percent_sd_lcmodel),
        _percent(amount.percent_sd),
        _with_sd(amount.ratio_to_tCr, amount.ratio_to_tCr_sd),
    )


def _percent(value: float | None) -> str:
    return _DASH if value is None else "> 999" if value > 999 else f"{value:.1f}"


def _number(value: float | None) -> str:
    return _DASH if value is None else f"{value:.3g}"


def _with_sd(value: float | None, sd: float | None) -> str:
    if value is None:
        return _DASH
    if sd is None:
        return f"{value:.3g}"
    places = 1 if not 0.0 < sd < 10.0 else min(4, 1 - math.floor(math.log10(sd)))  # two digits of the uncertainty
    return f"{value:.{places}f} ± {sd:.{places}f}"


def _provenance(report: ScanReport) -> str:
    made, timing = report.provenance, report.timing
    rows = [
        ("program", f"scanner-agent {made.version}"),
        ("protocol", f"{made.protocol} ({made.protocol_hash})"),
        ("basis set", f"{made.basis} ({made.basis_hash})" if made.basis else "none"),
        ("fit flags", ", ".join(report.quality.fit_flags) or "none"),
        ("not measured", "; ".join(f"{name}: {why}" for name, why in report.quality.missing.items()) or "nothing"),
        ("time taken", f"{timing.total_ms / 1000:.1f} s"),
        ("audit record", _DASH if made.audit_head is None else f"line {made.audit_count}: {made.audit_head}"),
    ]
    return _table(("", ""), rows) + ("<h3>Steps</h3>" + _list(made.steps) if made.steps else "")


def _reporting(report: ScanReport) -> str:
    return "".join(
        f"<h3>{escape(title)}</h3>{_table(('item', ''), items)}" for title, items in mrsinmrs(report).items()
    )


def _download(report: ScanReport) -> str:
    coded = base64.b64encode(to_json(report)).decode()
    name = escape(f"{report.scan.scan_id}.json")
    return (
        f'<p><a download="{name}" href="data:application/json;base64,{coded}">The report as JSON</a> '
        f"({escape(report.schema)}), as <code>scanner-agent process --json</code> gives it.</p>"
    )
