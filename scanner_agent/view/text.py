"""The view without Textual: one snapshot as plain text, and one line per change for logs and pipes."""

from __future__ import annotations

import textwrap

from scanner_agent.records import Quality, ScanReport, ScanSnapshot, Verdict
from scanner_agent.view import plots
from scanner_agent.view.banner import draw
from scanner_agent.view.model import ScanView, ViewState, after
from scanner_agent.view.present import STATES, panel, prescription, tab_text
from scanner_agent.view.tables import SUMS, limit_lines, number, table_lines


def once(state: ViewState, scan_id: str | None, at: float, width: int = 80) -> str:
    """One scan as plain text without control characters: what `watch --once` prints."""
    words = panel(state, scan_id, at)
    lines = [words.title, "", *(row.center(width) for row in draw(words.symbol, words.word, width)), ""]
    lines += textwrap.wrap(f"{words.word}: {words.advice}", width)
    for reason in words.reasons:
        lines += textwrap.wrap(reason, width, initial_indent="  ", subsequent_indent="  ")
    lines.append("")
    for text in (words.progress, words.forecast, words.alive, words.visit, words.request):
        lines += textwrap.wrap(text, width, subsequent_indent="  ")
    others = [tab_text(scan) for scan in state.scans.values() if scan.scan_id != scan_id]
    if others and not words.visit:
        lines.append("Other scans: " + " · ".join(others))
    scan = state.scans.get(scan_id) if scan_id is not None else None
    if scan is not None:
        lines += _details(scan, width)
    return "\n".join(line.rstrip() for line in lines)


def _details(scan: ScanView, width: int) -> list[str]:
    lines: list[str] = []
    checks = limit_lines(scan)
    if checks:
        lines += ["", "Limits", *(f"  {check}" for check in checks)]
    for part in scan.parts:
        lines += ["", plots.spectrum_title(part, colour=False)]
        lines += plots.spectrum(part, scan.amounts, width, 14, colour=False).splitlines()
    if scan.tracks:
        lines += ["", "Shots (x: left out)", *plots.tracks(scan, width, 13, colour=False).splitlines()]
    table = table_lines(scan)
    return [*lines, "", *table] if table else lines


def changes(before: ScanView | None, scan: ScanView) -> list[str]:
    """Lines that tell a person what is new since `before`: verdicts, findings with their kind, progress, the end."""
    lines = []
    said = {(f.kind, f.severity) for f in before.findings} if before is not None else set()
    if before is None:
        title = " · ".join(t for t in (scan.header.sequence if scan.header else None, scan.protocol) if t)
        lines.append(f"{scan.scan_id}: scan begins" + (f" ({title})" if title else ""))
    lines += [
        f"{scan.scan_id}: {finding.kind.value} ({finding.severity.value}): {finding.text}"
        for finding in scan.findings
        if (finding.kind, finding.severity) not in said
    ]
    latest = scan.assessment
    if latest is not None and (before is None or before.verdict is not scan.verdict) and scan.report is None:
        word, symbol = STATES[scan.verdict]
        shot = "" if latest.shot_index is None else f" after shot {latest.shot_index + 1}"
        if scan.verdict is not Verdict.COLLECTING or before is None:
            lines.append(f"{scan.scan_id}: {symbol} {word}{shot}: {latest.advice_text}")
    if scan.placement is not None and (before is None or before.placement != scan.placement):
        lines.append(f"{scan.scan_id}: localiser: {scan.placement.result.text}")
        lines += [f"{scan.scan_id}:   {text}" for text in prescription(scan.placement, scan)]
    if scan.report is not None and (before is None or before.report is None):
        lines += [f"{scan.scan_id}: report: {line}" for line in report_lines(scan.report)]
    return lines


def report_lines(report: ScanReport) -> list[str]:
    """A report as a person wants to read it: the verdict first, then why, then the numbers."""
    scan = ended_scan(report)
    word, symbol = STATES[report.verdict]
    lines = [f"{symbol} {word}: {report.advice_text}"]
    for finding in report.findings:
        said = finding.text in report.advice_text
        lines.append(f"  {finding.kind.value} ({finding.severity.value})" + ("" if said else f": {finding.text}"))
    lines += [f"  {check}" for check in limit_lines(scan)]
    lines += [f"  {text}" for text in _quality_texts(report.quality)]
    if report.shots:
        lines.append(f"  {_shots_text(report)}")
    if len(report.segments) > 1:
        lines += [
            f"  pose {segment.index + 1}: shots {segment.first_shot + 1}–{segment.last_shot + 1}, "
            f"{segment.n_shots_used} used, {segment.verdict.value}"
            for segment in report.segments
        ]
    decisive = sum(amount.gated or amount.name in SUMS for amount in report.metabolites)
    lines += [f"  {line}" for line in table_lines(scan, max(decisive, 1))]
    return lines + [f"  note: {note}" for note in report.notes]


def ended_scan(report: ScanReport) -> ScanView:
    """A report alone as the view's model of a scan."""
    snapshot = ScanSnapshot(header=report.scan, protocol=report.provenance.protocol, report=report)
    return after(ViewState(), snapshot, 0.0).scans[report.scan.scan_id]


def _quality_texts(quality: Quality) -> list[str]:
    numbers = {
        "S/N (LCModel)": (quality.snr_lcmodel, ""),
        "S/N (NAA)": (quality.snr_naa, ""),
        "linewidth": (quality.fwhm_hz, " Hz"),
        "water linewidth": (quality.water_fwhm_hz, " Hz"),
        "frequency offset": (quality.frequency_offset_hz, " Hz"),
        "drift": (quality.frequency_drift_hz_per_min, " Hz/min"),
        "fit quality": (quality.fit_quality, ""),
    }
    known = [f"{name} {number(value)}{unit}" for name, (value, unit) in numbers.items() if value is not None]
    return [", ".join(known)] if known else []


def _shots_text(report: ScanReport) -> str:
    lost = [track.index + 1 for track in report.shots if not track.used]
    if not lost:
        return "its only shot is used" if len(report.shots) == 1 else f"all {len(report.shots)} shots used"
    return f"shots {ranges(lost)} lost ({len(lost)} of {len(report.shots)})"


def ranges(numbers: list[int]) -> str:
    """`3–5, 9` of [3, 4, 5, 9]."""
    texts: list[str] = []
    start = previous = None
    for n in [*sorted(numbers), None]:
        if previous is not None and n == previous + 1:
            previous = n
            continue
        if start is not None:
            texts.append(str(start) if start == previous else f"{start}–{previous}")
        start = previous = n
    return ", ".join(texts)
