"""Limits and metabolites as rows of text, and the way numbers are written."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import msgspec

from scanner_agent.records import LimitCheck, MetaboliteAmount
from scanner_agent.view.model import ScanView

SUMS = ("tNAA", "tCr", "tCho", "Glx", "GABA+")
NOTHING = "–"
_SHORT = {"difference": "diff"}


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
    unit = check.unit_text
    value = NOTHING if check.value is None else f"{number(check.value)}{unit}"
    bound = f"at least {check.minimum:g}" if check.minimum is not None else f"at most {check.maximum:g}"
    return f"{check.label} {value} ({bound}{unit})"


def limit_lines(scan: ScanView) -> tuple[str, ...]:
    """Each limit with its mark and value."""
    marks = {True: "✓", False: "✗", None: "?"}
    return tuple(f"{marks[check.met]} {limit_text(check)}" for check in current_limits(scan))


def number(value: float) -> str:
    """Three significant digits, without exponent where one is not needed."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def metabolite_rows(scan: ScanView) -> tuple[MetaboliteRow, ...]:
    """The table: what decides first, then sums, then the rest; macromolecules and lipids are left to the report.

    Amounts are institutional units (mmol/L) where they are known for all, else in units of the basis, as multiples of a
    power of ten that `amount_unit` names.
    """
    bounds = {
        check.metabolite: check.maximum
        for check in scan.limits
        if check.metabolite is not None and check.maximum is not None
    }
    amounts = _shown(scan)
    scale = _scale(amounts)
    return tuple(_row(amount, bounds.get(amount.name) if amount.gated else None, scale) for amount in amounts)


def amount_unit(scan: ScanView) -> str:
    """Unit of the table's amounts."""
    amounts = _shown(scan)
    if _water_scaled(amounts):
        return "mmol/L"
    exponent = _exponent(amounts)
    return f"×1e{exponent}" if exponent else ""


def _shown(scan: ScanView) -> list[MetaboliteAmount]:
    amounts = [amount for amount in scan.amounts if re.match(r"(MM|Lip)\d", amount.name) is None]
    return sorted(amounts, key=lambda m: (not m.gated, not _is_sum(m.name), m.spectrum))


def _water_scaled(amounts: list[MetaboliteAmount]) -> bool:
    return bool(amounts) and all(amount.institutional_units is not None for amount in amounts)


def _exponent(amounts: list[MetaboliteAmount]) -> int:
    largest = max((abs(amount.amplitude) for amount in amounts), default=0.0)
    return 0 if largest == 0.0 or 0.1 <= largest < 1e4 else math.floor(math.log10(largest))


def _scale(amounts: list[MetaboliteAmount]) -> float | None:
    """What amplitudes are divided by; None: use the institutional units."""
    return None if _water_scaled(amounts) else 10.0 ** _exponent(amounts)


def _is_sum(name: str) -> bool:
    return name in SUMS


def _row(amount: MetaboliteAmount, bound: float | None, scale: float | None) -> MetaboliteRow:
    size, sd = amount.amplitude, amount.crlb_sd
    if scale is not None:
        size, sd = size / scale, None if sd is None else sd / scale
    elif amount.institutional_units is not None:
        sd = None if sd is None or not size else sd / size * amount.institutional_units
        size = amount.institutional_units
    percent = amount.percent_sd_lcmodel
    mark = ""
    if bound is not None:
        mark = "?" if percent is None else "✓" if percent <= bound else "✗"
    return MetaboliteRow(
        name=amount.name,
        spectrum=amount.spectrum,
        amount=_with_sd(size, sd),
        ratio=_with_sd(amount.ratio_to_tCr, amount.ratio_to_tCr_sd),
        percent_sd=NOTHING if percent is None else "> 999" if percent > 999 else f"{percent:.0f}",
        limit="" if bound is None else f"≤ {bound:g}",
        mark=mark,
    )


def _with_sd(value: float | None, sd: float | None) -> str:
    """Both to the same decimal place: two digits of the uncertainty, three places at most."""
    if value is None:
        return NOTHING
    if sd is None:
        return number(value)
    places = 0 if sd >= 10 else 3 if sd < 0.01 else 1 - math.floor(math.log10(sd))
    return f"{value:.{places}f} ± {sd:.{places}f}"


def table_lines(scan: ScanView, n_rows: int | None = None) -> list[str]:
    """The table with its heading, columns aligned; empty without amounts. Spectra are named if there are several.

    `n_rows`: only the first so many.
    """
    rows = metabolite_rows(scan)[:n_rows]
    if not rows:
        return []
    heading = MetaboliteRow(
        name="",
        spectrum="",
        amount=f"{amount_unit(scan) or 'amount'} ± CRLB",
        ratio="/ tCr",
        percent_sd="%SD",
        limit="limit",
        mark="",
    )
    several = len({row.spectrum for row in rows}) > 1
    cells = [
        (
            r.name,
            *([_SHORT.get(r.spectrum, r.spectrum)] if several else []),
            r.amount,
            r.ratio,
            r.percent_sd,
            r.limit,
            r.mark,
        )
        for r in (heading, *rows)
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells]
