"""Watches many charts at once, run by run: a baseline that is learnt, then alarms on lasting change.

A chart learns until 20 runs are in: median and MAD, and from these mean and SD of what lies within 3.5 robust SD. After
that every run is standardised against all accepted runs before it (self-starting, Hawkins 1987,
10.1080/00401706.1987.10488234): Student's t with the baseline's degrees of freedom, turned into z, so that a young
baseline makes no more false alarms than an old one. In an alarm the baseline goes back to where it stood when the
change began, and stays until the change is gone or an event starts a new one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

BASELINE_RUNS = 20
SINGLE_Z = 4.0
SMALL_K, SMALL_H = 0.5, 5.3
LARGE_K, LARGE_H = 1.0, 3.1
_CAP = 2.0  # beyond the limit: a long alarm then ends within 15 runs of its cause
_CLEAN_SD = 3.5
_CLIP_Z = 3.0
ALARM_RULES = ("single_4s", "cusum_large", "cusum_small")


@dataclass(frozen=True)
class Step:
    """What one run says on every chart (n_charts,)."""

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


class Monitor:
    """State of `n_charts` charts."""

    def __init__(self, n_charts: int) -> None:
        self._index = -1
        self._n = np.zeros(n_charts, dtype=np.int64)
        self._mean = np.zeros(n_charts)
        self._m2 = np.zeros(n_charts)
        self._first = np.full((BASELINE_RUNS, n_charts), np.nan)
        self._sums = np.zeros((2, 2, n_charts))  # (small, large) x (up, down)
        self._zero = np.zeros((2, n_charts), dtype=np.int64)
        self._kept = np.zeros((2, 3, n_charts))  # n, mean, m2 when the small sums were last zero
        self._alarmed = np.zeros(n_charts, dtype=bool)
        self._since = np.zeros(n_charts, dtype=np.int64)
        self._single = np.zeros(n_charts, dtype=bool)

    def step(self, x: Floats, reset: Flags | None = None) -> Step:
        """Take the next run: x (n_charts,), NaN where missing; `reset`: charts that begin anew with this run."""
        self._index += 1
        if reset is not None and reset.any():
            for state in (self._n, self._mean, self._m2, self._alarmed):
                state[reset] = 0
            self._first[:, reset] = np.nan
            self._sums[..., reset] = 0.0
        present = np.isfinite(x)
        ready = self._n >= BASELINE_RUNS
        watched = present & ready
        n_before, centre = self._n.copy(), np.where(ready, self._mean, np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            sd = np.where(ready, np.sqrt(self._m2 / np.maximum(self._n - 1, 1)), np.nan)
            sd = np.maximum(sd, 1e-12 * np.maximum(np.abs(self._mean), 1e-300))
            z = np.where(
                watched, _normal_score((x - self._mean) / (sd * np.sqrt(1.0 + 1.0 / self._n)), self._n - 1), np.nan
            )
        rule = self._judge(z, watched)
        self._learn(x, sd, present, ready)
        return Step(z, centre, sd, n_before, self._alarmed.copy(), rule, self._since.copy())

    def _judge(self, z: Floats, watched: Flags) -> Ints:
        value = np.where(watched, z, 0.0)
        for row, (k, h) in enumerate(((SMALL_K, SMALL_H), (LARGE_K, LARGE_H))):
            for way, signed in enumerate((value, -value)):
                moved = np.clip(self._sums[row, way] + signed - k, 0.0, h + _CAP)
                self._sums[row, way] = np.where(watched, moved, self._sums[row, way])
        small, large = self._sums[0].max(axis=0) > SMALL_H, self._sums[1].max(axis=0) > LARGE_H
        single = np.abs(value) > SINGLE_Z
        fresh = watched & ~self._alarmed & (small | large | single)
        rule = np.where(fresh, np.select([large, small], [1, 2], 0), -1)
        side = np.where(value >= 0, 0, 1)
        by_sum = small | large
        at = np.arange(z.size)
        start = np.where(by_sum, self._zero[side, at] + 1, self._index)
        self._since = np.where(fresh, start, self._since)
        back = fresh & by_sum
        kept = self._kept[side, :, at].T
        self._n = np.where(back, kept[0].astype(np.int64), self._n)
        self._mean = np.where(back, kept[1], self._mean)
        self._m2 = np.where(back, kept[2], self._m2)
        calm = self._alarmed & watched & (self._sums[0].max(axis=0) <= 0.0)
        # One run out of line is no state: unless a sum is over its limit, too, the alarm is of that run alone.
        alone = self._alarmed & watched & ~by_sum & ~single & self._single
        self._alarmed = (self._alarmed | fresh) & ~calm & ~alone
        self._single = np.where(watched, fresh & ~by_sum, self._single)
        return rule

    def _learn(self, x: Floats, sd: Floats, present: Flags, ready: Flags) -> None:
        building = present & ~ready
        if building.any():
            at = np.flatnonzero(building)
            self._first[self._n[at], at] = x[at]
            self._n[at] += 1
            for chart in at[self._n[at] == BASELINE_RUNS]:
                self._n[chart], self._mean[chart], self._m2[chart] = _first_baseline(self._first[:, chart])
        grow = present & ready & ~self._alarmed
        clipped = self._mean + np.clip(x - self._mean, -_CLIP_Z * sd, _CLIP_Z * sd)
        n = self._n + 1
        mean = self._mean + (clipped - self._mean) / n
        m2 = self._m2 + (clipped - self._mean) * (clipped - mean)
        self._n = np.where(grow, n, self._n)
        self._m2 = np.where(grow, m2, self._m2)
        self._mean = np.where(grow, mean, self._mean)
        for side in range(2):
            calm = ~self._alarmed & (self._sums[0, side] <= 0.0)
            self._zero[side] = np.where(calm, self._index, self._zero[side])
            for place, state in enumerate((self._n, self._mean, self._m2)):
                self._kept[side, place] = np.where(calm, state, self._kept[side, place])


def _first_baseline(first: Floats) -> tuple[int, float, float]:
    """Number for the baseline (always all 20, so that nothing waits), mean and sum of squares, outliers left out."""
    median = float(np.median(first))
    robust_sd = 1.4826 * float(np.median(np.abs(first - median)))
    kept = first[np.abs(first - median) <= _CLEAN_SD * robust_sd] if robust_sd > 0 else first
    variance = float(np.var(kept, ddof=1)) if kept.size > 1 else 0.0
    return BASELINE_RUNS, float(np.mean(kept)), variance * (BASELINE_RUNS - 1)


def _normal_score(t: Floats, degrees: Ints) -> Floats:
    """z with the same tail as Student's t (Wallace 1959, 10.1214/aoms/1177706085; within 0.002 at 19 degrees)."""
    nu = np.maximum(degrees, 1).astype(np.float64)
    return np.asarray(np.sign(t) * (8 * nu + 1) / (8 * nu + 3) * np.sqrt(nu * np.log1p(t * t / nu)))
