"""Limits and metabolites as rows of text, and the way numbers are written."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from scanner_agent.records import LimitCheck, MetaboliteAmount
from scanner_agent.view.model import ScanView

_METRIC_NAMES = {
    "snr_lcmodel": "S/N",
    "snr_naa": "S/N of NAA",
    "fwhm_hz": "linewidth",
    "fwhm_ppm": "linewidth",
    "water_fwhm_hz": "water linewidth",
    "percent_sd_lcmodel": "%SD",
    "percent_sd": "%SD (noise)",
    "subtraction_artefact": "subtraction artefact",
}
NOTHING = "–"


@dataclass(frozen=True)
class MetaboliteRow:
    """One line of the table, as text."""

    name: str
    spectrum: str
    amount: str
    ratio: str
    percent_sd: str
    limit: str
    mark: str
    """✓ within the limit, ✗ beyond, empty without one."""


def current_limits(scan: ScanView) -> tuple[LimitCheck, ...]:
    """The report's checks; before the end, the limits in force against the latest numbers."""
    if scan.report is not None or scan.assessment is None:
        return scan.limits
    amounts = {amount.name: amount for amount in scan.amounts if amount.spectrum != "on"}
    checks = []
    for limit in scan.limits:
        measured = scan.assessment.quality if limit.metabolite is None else amounts.get(limit.metabolite)
        value: float | None = getattr(measured, limit.metric, None)
        met = None
        if value is not None:
            met = (limit.minimum is None or value >= limit.minimum) and (
                limit.maximum is None or value <= limit.maximum
            )
        checks.append(msgspec.structs.replace(limit, value=value, met=met))
    return tuple(checks)


def limit_text(check: LimitCheck) -> str:
    """`%SD of Glu 24 % (limit 20 %)`."""
    name = _METRIC_NAMES.get(check.metric, check.metric)
    if check.metabolite is not None:
        name += f" of {check.metabolite}"
    unit = "" if check.unit == "1" else f" {check.unit}"
    value = NOTHING if check.value is None else f"{number(check.value)}{unit}"
    bound = f"at least {check.minimum:g}" if check.minimum is not None else f"at most {check.maximum:g}"
    return f"{name} {value} ({bound}{unit})"


def limit_lines(scan: ScanView) -> tuple[str, ...]:
    """Each limit with its mark and value."""
    marks = {True: "✓", False: "✗", None: "?"}
    return tuple(f"{marks[check.met]} {limit_text(check)}" for check in current_limits(scan))


def number(value: float) -> str:
    """Three significant digits, without exponent where one is not needed."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def metabolite_rows(scan: ScanView) -> tuple[MetaboliteRow, ...]:
    """The table: what decides first, then sums, then the rest."""
    bounds = {
        check.metabolite: check.maximum
        for check in scan.limits
        if check.metabolite is not None and check.maximum is not None
    }
    rows = sorted(scan.amounts, key=lambda m: (not m.gated, not _is_sum(m.name), m.spectrum))
    return tuple(_row(amount, bounds.get(amount.name) if amount.gated else None) for amount in rows)


def _is_sum(name: str) -> bool:
    return name.startswith("t") or name in ("Glx", "GABA+")


def _row(amount: MetaboliteAmount, bound: float | None) -> MetaboliteRow:
    percent = amount.percent_sd_lcmodel
    mark = ""
    if bound is not None:
        mark = "?" if percent is None else "✓" if percent <= bound else "✗"
    return MetaboliteRow(
        name=amount.name,
        spectrum=amount.spectrum,
        amount=_with_sd(amount.amplitude, amount.crlb_sd),
        ratio=_with_sd(amount.ratio_to_tCr, amount.ratio_to_tCr_sd),
        percent_sd=NOTHING if percent is None else "> 999" if percent > 999 else f"{percent:.0f}",
        limit="" if bound is None else f"≤ {bound:g}",
        mark=mark,
    )


def _with_sd(value: float | None, sd: float | None) -> str:
    if value is None:
        return NOTHING
    return number(value) if sd is None else f"{number(value)} ± {sd:.2g}"


_COLUMNS = MetaboliteRow(
    name="", spectrum="", amount="amount ± CRLB", ratio="/ tCr", percent_sd="%SD", limit="limit", mark=""
)


def table_lines(scan: ScanView) -> list[str]:
    """The table with its heading, columns aligned; empty without amounts. Spectra are named if there are several."""
    rows = metabolite_rows(scan)
    if not rows:
        return []
    several = len({row.spectrum for row in rows}) > 1
    cells = [
        (r.name, *([r.spectrum] if several else []), r.amount, r.ratio, r.percent_sd, r.limit, r.mark)
        for r in (_COLUMNS, *rows)
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells]
