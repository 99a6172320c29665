"""Watches charts run by run: a baseline that is learnt, then alarms on lasting change.

A chart learns until 20 runs are in: median and MAD, and from these mean and SD of what lies within 5 robust SD. After
that every run is standardised against the accepted runs before it (self-starting, Hawkins 1987,
10.1080/00401706.1987.10488234): Student's t with the baseline's degrees of freedom, turned into z, so that a young
baseline makes no more false alarms than an old one. A run becomes part of the baseline four runs later: a small step
that is learnt at once hides itself. In an alarm the baseline goes back to where it stood when the change began, and
stays until the change is gone or an event starts a new one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner_agent.jit import njit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

BASELINE_RUNS = 20
LEARN_AFTER = 4  # runs: a longer wait keeps the baseline young (false alarms), a shorter one hides small steps
SINGLE_Z = 4.1
SMALL_K, LARGE_K = 0.5, 1.0
# Limits of the cumulative sums, and how much wider for n runs in the baseline: by 1/n. Its mean is wrong by
# 1/sqrt(n) SD, which a sum collects. Set by simulation for one false alarm a year over all values: decisions/0060.
SMALL_H, SMALL_H_YOUNG = 5.55, 13.0
LARGE_H, LARGE_H_YOUNG = 2.92, 6.0
# A step of a wandering frequency does not last: one large one is what there is to find.
STEP_SINGLE_Z, STEP_SMALL_H, STEP_LARGE_H = 3.6, 12.0, 5.0
_CAP = 2.0  # beyond the limit: a long alarm then ends about 15 runs after its cause
_CLEAN_SD = (
    5.0  # 3.5 would take good runs, too: the SD of 20 runs came out small, and false alarms doubled in the first months
)
_CLIP_Z = 3.0
_SUM_CLIP_Z = 3.5
ALARM_RULES = ("single", "cusum_large", "cusum_small")


@dataclass(frozen=True, eq=False)
class Course:
    """What every run says on every chart (n_runs, n_charts)."""

    z: Floats
    """Standardised value; NaN: missing, or the baseline is still being built."""
    centre: Floats
    """Baseline before this run; NaN while it is built."""
    sd: Floats
    """Its SD."""
    n_baseline: Ints
    """Runs in the baseline before this run."""
    alarmed: Flags
    """In alarm after this run."""
    new_rule: Ints
    """Place in ALARM_RULES where an alarm began at this run, else -1."""
    since: Ints
    """First run of the change, where `alarmed`."""


def watch(x: Floats, begins: Flags | None = None, steps: Flags | None = None) -> Course:
    """Follow charts over their runs.

    x: (n_runs, n_charts), NaN where missing; begins: same shape, True where a chart begins anew with that run;
    steps: (n_charts,), True for charts of changes from run to run.
    """
    n_charts = x.shape[1]
    columns = np.ascontiguousarray(x.T, dtype=np.float64)
    new = np.zeros(columns.shape, dtype=bool) if begins is None else np.ascontiguousarray(begins.T)
    of_steps = np.zeros(n_charts, dtype=bool) if steps is None else steps
    z, centre, sd = (np.full(columns.shape, np.nan) for _ in range(3))
    n_baseline, rule, since = (np.zeros(columns.shape, dtype=np.int64) for _ in range(3))
    alarmed = np.zeros(columns.shape, dtype=bool)
    for c in range(n_charts):
        single, small, large = (
            (STEP_SINGLE_Z, STEP_SMALL_H, STEP_LARGE_H) if of_steps[c] else (SINGLE_Z, SMALL_H, LARGE_H)
        )
        _watch(
            columns[c],
            new[c],
            single,
            small,
            large,
            z[c],
            centre[c],
            sd[c],
            n_baseline[c],
            alarmed[c],
            rule[c],
            since[c],
        )
    return Course(z.T, centre.T, sd.T, n_baseline.T, alarmed.T, rule.T, since.T)


@njit
def _watch(
    x: Floats,
    begins: Flags,
    single_z: float,
    small_h: float,
    large_h: float,
    z_out: Floats,
    centre: Floats,
    sd_out: Floats,
    n_baseline: Ints,
    alarmed_out: Flags,
    rule: Ints,
    since_out: Ints,
) -> None:
    first, waiting = np.zeros(BASELINE_RUNS), np.zeros(LEARN_AFTER)
    small, large = np.zeros(2), np.zeros(2)  # up, down
    calm_at, kept = np.zeros(2, dtype=np.int64), np.zeros((2, 3))  # the small sums' last zero, and n, mean, m2 then
    n = n_waiting = since = side_of = 0
    mean = m2 = 0.0
    alarmed = by_single = False
    for i in range(x.size):
        rule[i] = -1
        if begins[i]:
            n = n_waiting = 0
            alarmed = by_single = False
            small[:] = 0.0
            large[:] = 0.0
        n_baseline[i] = n
        if n >= BASELINE_RUNS:
            centre[i] = mean
            sd = max(np.sqrt(m2 / (n - 1)), 1e-12 * abs(mean), 1e-300)
            sd_out[i] = sd
        if not np.isnan(x[i]):
            if n < BASELINE_RUNS:
                first[n] = x[i]
                n += 1
                if n == BASELINE_RUNS:
                    mean, m2 = _first_baseline(first)
                _remember(0, i, n, mean, m2, calm_at, kept)
                _remember(1, i, n, mean, m2, calm_at, kept)
            else:
                z = _normal_score((x[i] - mean) / (sd * np.sqrt(1.0 + 1.0 / n)), n - 1)
                z_out[i] = z
                h, high = small_h + SMALL_H_YOUNG / n, large_h + LARGE_H_YOUNG / n
                for side in range(2):
                    # Clipped: one wild run alone makes no sum (robust CUSUM, Lucas 1982, 10.2307/1268030).
                    value = min(max(z if side == 0 else -z, -_SUM_CLIP_Z), _SUM_CLIP_Z)
                    small[side] = min(max(small[side] + value - SMALL_K, 0.0), h + _CAP)
                    large[side] = min(max(large[side] + value - LARGE_K, 0.0), high + _CAP)
                over_small, over_large, over_single = small.max() > h, large.max() > high, abs(z) > single_z
                if alarmed:
                    # One run out of line is no state: unless a sum is over its limit, too, the alarm ends with it.
                    alone = by_single and not (over_small or over_large or over_single)
                    alarmed = not (alone or small[side_of] <= 0.0)
                    by_single = False
                elif over_small or over_large or over_single:
                    alarmed = True
                    rule[i] = 1 if over_large else 2 if over_small else 0
                    by_single = rule[i] == 0
                    side_of = 0 if z >= 0.0 else 1
                    since = i
                    if not by_single:
                        since = _change_point(z_out, calm_at[side_of] + 1, i)
                        n, mean, m2 = int(kept[side_of, 0]), kept[side_of, 1], kept[side_of, 2]
                        n_waiting = 0
                if not alarmed:
                    if n_waiting == LEARN_AFTER:
                        oldest = waiting[0]
                        waiting[:-1] = waiting[1:]
                        n_waiting -= 1
                        away = min(max(oldest - mean, -_CLIP_Z * sd), _CLIP_Z * sd)
                        n += 1
                        mean += away / n
                        m2 += away * away * (n - 1) / n
                    waiting[n_waiting] = x[i]
                    n_waiting += 1
                    for side in range(2):
                        if small[side] <= 0.0:
                            _remember(side, i, n, mean, m2, calm_at, kept)
        alarmed_out[i] = alarmed
        since_out[i] = since


@njit
def _remember(side: int, run: int, n: int, mean: float, m2: float, calm_at: Ints, kept: Floats) -> None:
    calm_at[side] = run
    kept[side, 0] = n
    kept[side, 1] = mean
    kept[side, 2] = m2


@njit
def _change_point(z: Floats, earliest: int, latest: int) -> int:
    """Most likely first run of a lasting step, from `earliest` to `latest` (the sum's last zero alone comes early)."""
    best, most, total, n = latest, -1.0, 0.0, 0
    for run in range(latest, earliest - 1, -1):
        if not np.isnan(z[run]):
            total += z[run]
            n += 1
            if total * total / n > most:
                best, most = run, total * total / n
    return best


@njit
def _first_baseline(first: Floats) -> tuple[float, float]:
    """Mean and sum of squares of the first 20 runs, outliers left out; the sum as for all, so that nothing waits."""
    median = np.median(first)
    robust_sd = 1.4826 * np.median(np.abs(first - median))
    kept = first[np.abs(first - median) <= _CLEAN_SD * robust_sd] if robust_sd > 0.0 else first
    if kept.size < 2:
        return float(kept.mean()), 0.0
    return float(kept.mean()), float(kept.var() * kept.size / (kept.size - 1) * (BASELINE_RUNS - 1))


@njit
def _normal_score(t: float, degrees: int) -> float:
    """z with the same tail as Student's t (Wallace 1959, 10.1214/aoms/1177706085; within 0.002 at 19 degrees)."""
    return float(np.sign(t) * (8 * degrees + 1) / (8 * degrees + 3) * np.sqrt(degrees * np.log1p(t * t / degrees)))
