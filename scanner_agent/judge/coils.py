"""Receive channels that fail: told from their noise, against that of the other channels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanner_agent.judge.seen import Cause, Seen
from scanner_agent.records import Advice, FindingKind, Severity

_COIL_SHOTS = 64


def coil_causes(seen: Seen) -> list[Cause]:
    """Channels that were left out, and those whose noise left the others' level."""
    s = seen.protocol.judgement
    faults = dict(seen.context.coils_left_out)
    evidence: dict[str, float] = {}
    rows = [(x.shot_index, x.noise_log_variance) for x in seen.signs[-_COIL_SHOTS:] if x.noise_log_variance is not None]
    first: int | None = 0 if faults else None
    if len(rows) >= 3:
        recent = np.array([row for _, row in rows[-3:]])
        sd = max((x.noise_log_variance_sd or 0.05 for x in seen.signs[-3:]), default=0.05)
        known = recent[np.isfinite(recent)]
        level = np.median(recent, axis=0) - (float(np.median(known)) if len(known) else 0.0)
        bound = max(s.coil_noise_log_step, 5 * sd)
        for coil in np.flatnonzero(np.abs(np.nan_to_num(level)) > bound):
            faults.setdefault(int(coil), f"noise {'up' if level[coil] > 0 else 'down'}")
            evidence |= {"noise_log_variance": float(level[coil]), "noise_log_variance_limit": bound}
        # Channels that the signal chain used and now leaves out.
        before = np.isfinite(np.array([row for _, row in rows])).any(axis=0)
        for coil in np.flatnonzero(np.isnan(recent).all(axis=0) & before):
            faults.setdefault(int(coil), "left out since")
        if faults and first is None:
            first = _since(rows, sorted(faults), bound)
    if not faults:
        return []
    evidence["n_channels"] = float(len(faults))
    named = ", ".join(f"{coil + 1} ({why})" for coil, why in sorted(faults.items())[:4])
    return [
        Cause(
            kind=FindingKind.COIL_FAULT,
            severity=Severity.WATCH,
            advice=Advice.CHECK_HARDWARE,
            first_shot=first,
            evidence=evidence,
            text=f"Receive channel {named} is faulty: check the coil's plug, and have the coil tested.",
        )
    ]


def _since(rows: list[tuple[int, NDArray[np.float64]]], faults: list[int], bound: float) -> int:
    """First shot from which on one of the channels was never again as it should be."""
    table = np.array([row for _, row in rows])
    level = table - np.nanmedian(table, axis=1, keepdims=True)
    wrong = ~(np.abs(level[:, faults]) <= bound)
    first = len(rows) - 1
    for column in wrong.T:
        good = np.flatnonzero(~column)
        first = min(first, int(good[-1]) + 1 if len(good) else 0)
    return rows[first][0]
