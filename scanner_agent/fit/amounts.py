"""From a fit to the records that are published."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from scanner_agent.fit.quality import term_rows
from scanner_agent.fit.result import FitResult
from scanner_agent.fit.water_scaling import WaterScaling
from scanner_agent.records import MetaboliteAmount


def to_amounts(
    result: FitResult,
    spectrum: str,
    gated: Collection[str] = (),
    tcr: FitResult | None = None,
    water: WaterScaling | None = None,
) -> tuple[MetaboliteAmount, ...]:
    """Amounts of all terms and sums of one fit.

    `tcr`: the fit whose tCr the ratios refer to (None: the same fit; for a difference spectrum give the one of OFF).
    `water`: turns amounts into concentrations; macromolecules and lipids get none.
    """
    rows = term_rows(result.names, result.edited)
    reference = result if tcr is None else tcr
    total = reference.amounts.get("tCr", 0.0)
    total_sd = reference.crlb_sd.get("tCr", 0.0)
    usable = total > 3.0 * total_sd and total > 0.0
    unit = result.signal_per_amount / reference.signal_per_amount
    tcr_row = rows.get("tCr") if tcr is None else None
    amounts = []
    for name, amount in result.amounts.items():
        sd = result.crlb_sd[name]
        ratio = ratio_sd = None
        if usable and name != "tCr":
            ratio = unit * amount / total
            # With both from one fit their errors are correlated.
            shared = float(rows[name] @ result.covariance @ tcr_row) if tcr_row is not None else 0.0
            variance = (unit * sd / total) ** 2 + (ratio * total_sd / total) ** 2 - 2 * ratio * shared / total**2
            ratio_sd = float(np.sqrt(max(variance, 0.0)))
        elif usable:
            ratio, ratio_sd = 1.0, 0.0
        scaled = water is not None and not name.startswith(("MM", "Lip")) and water.water_amplitude > 0
        signal = amount * result.signal_per_amount
        amounts.append(
            MetaboliteAmount(
                name=name,
                spectrum=spectrum,
                amplitude=amount,
                crlb_sd=sd,
                percent_sd=result.percent_sd[name],
                percent_sd_lcmodel=result.percent_sd_lcmodel[name],
                ratio_to_tCr=ratio,
                ratio_to_tCr_sd=ratio_sd,
                institutional_units=water.institutional(signal) if scaled and water is not None else None,
                molal_mmol_per_kg=water.molal(signal) if scaled and water is not None else None,
                gated=name in gated,
            )
        )
    return tuple(amounts)
