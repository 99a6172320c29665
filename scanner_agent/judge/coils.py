"""Receive channels that fail: told from their noise, against that of the other channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scanner_agent.judge.features import robust_centre
from scanner_agent.judge.seen import Cause, Seen
from scanner_agent.judge.signs import ShotSigns
from scanner_agent.records import Advice, FindingKind, Severity


def coil_causes(seen: Seen) -> list[Cause]:
    """Channels that were left out, and those whose noise left the others' level."""
    s = seen.protocol.judgement
    faults = dict(seen.context.coils_left_out)
    evidence: dict[str, float] = {}
    known = [x for x in seen.signs if x.noise_log_variance is not None]
    first: int | None = 0 if faults else None
    if len(known) >= 3:
        level = _level(known[-3:])
        sd = max(x.noise_log_variance_sd or 0.05 for x in known[-3:])
        bound = max(s.coil_noise_log_step, 5 * sd)
        missing = np.isnan(level)
        wrong = missing | (np.abs(level) > bound)
        # A shot that lacks a channel is no proof by itself.
        for coil in np.flatnonzero(np.where(missing.any(axis=0), wrong.all(axis=0), wrong.sum(axis=0) >= 2)).tolist():
            there = level[~missing[:, coil], coil]
            if len(there):
                change = float(np.median(there))
                faults.setdefault(coil, f"noise {'up' if change > 0 else 'down'}")
                evidence |= {"noise_log_variance": change, "noise_log_variance_limit": bound}
            elif any(_has(x, coil) for x in known):  # used once, and left out by the signal chain since
                faults.setdefault(coil, "left out since")
        if faults and first is None:
            first = _since(known, sorted(faults), bound)
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


def _level(signs: Sequence[ShotSigns]) -> NDArray[np.float64]:
    """(n, n_coils) log variance over the other channels'; NaN where a channel is left out, 0 where all are."""
    table = np.array([x.noise_log_variance for x in signs], dtype=np.float64)
    table[np.isnan(table).all(axis=1)] = 0.0
    return np.asarray(table - robust_centre(table.T)[:, None])


def _has(signs: ShotSigns, coil: int) -> bool:
    return signs.noise_log_variance is not None and math.isfinite(signs.noise_log_variance[coil])


def _since(signs: Sequence[ShotSigns], faults: list[int], bound: float) -> int:
    """First shot from which on one of the channels was never again as it should be."""
    wrong = ~(np.abs(_level(signs)[:, faults]) <= bound)
    first = len(signs) - 1
    for column in wrong.T:
        good = np.flatnonzero(~column)
        first = min(first, int(good[-1]) + 1 if len(good) else 0)
    return signs[first].shot_index
