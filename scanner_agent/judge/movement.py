"""Movement in the course of a scan: shots hit by a passing movement, and steps into a new pose.

Both detectors look at all signs together against the scan's own recent past, with a scatter that is learnt from the
scan and starts from the protocol's prior. Neither takes a candidate shot into the yardstick it is measured by.

* Burst: a two-state hidden Markov model (still, hit). A hit shot's frequency, phase, amplitude and misfit scatter
  `burst_scale` times wider. Forward-backward gives each shot's probability of having been hit.
* Step: a generalised likelihood ratio over the change point k. The level after k (median) is compared with the trend
  before k, carried on; the squared z of all signs are added. The variance counts the autocorrelation of breathing and
  pulsation by the effective number of shots of an AR(1) process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner_agent.judge.features import (
    LEVEL,
    MISFIT,
    PHASE,
    SHOTWISE,
    WATER_PHASE,
    circular_mean,
    robust_centre,
    wrapped,
)
from scanner_agent.scan_protocol import JudgementSettings

_MAD_TO_SD = 1.4826
_LLR_CAP = 8.0  # one sign alone never proves a hit
_Z2_CAP = 60.0  # nor a step
_SLOPE_SD = np.array([0.05, 0.002, 0.02, 0.01, 0.01])  # per shot, of LEVEL: prior width of a still head's trend


@dataclass(frozen=True)
class Step:
    """The best candidate for a new pose."""

    row: int
    """First row of the new state, in the window that was searched."""
    statistic: float
    """Sum of squared z."""
    n_after: int
    """Rows after it."""
    change: dict[str, float]
    """Change of each sign, units of COLUMNS."""
    z: dict[str, float]
    """The same over its standard error."""


@dataclass(frozen=True)
class Scatter:
    """Yardstick of one window: scatter of a still head and its autocorrelation, (8,) each, units of COLUMNS."""

    sd: NDArray[np.float64]
    correlation: NDArray[np.float64]


def learn_scatter(
    value: NDArray[np.float64], error: NDArray[np.float64], prior: NDArray[np.float64], settings: JudgementSettings
) -> Scatter:
    """Scatter of single shots (noise included) about their straight line, robust, shrunk to the prior.

    `value`, `error`: (n, 8) rows of an undisturbed stretch. The scatter never falls below the noise's own.
    """
    n = len(value)
    noise = robust_centre(error) if n else np.zeros(8)
    noise[~np.isfinite(noise)] = 0.0
    expected = np.hypot(prior, noise)
    if n < 4:
        return Scatter(expected, np.zeros(8))
    residual = value.copy()
    for column in (WATER_PHASE, PHASE):
        residual[:, column] = wrapped(residual[:, column] - circular_mean(residual[:, column]))
    residual -= robust_centre(residual)
    residual -= np.outer(np.arange(n) - (n - 1) / 2, _robust_slope(residual))
    residual -= robust_centre(residual)
    spread = _MAD_TO_SD * robust_centre(np.abs(residual))
    known = np.isfinite(residual).sum(axis=0)
    worth = settings.scatter_prior_shots
    variance = (worth * expected**2 + known * np.nan_to_num(spread) ** 2) / (worth + known)
    sd = np.maximum(np.sqrt(variance), noise)
    clipped = np.clip(np.nan_to_num(residual), -3 * sd, 3 * sd)
    lagged = (clipped[1:] * clipped[:-1]).sum(axis=0) / np.maximum((clipped**2).sum(axis=0), 1e-12)
    correlation = np.clip(lagged * known / (known + worth), 0.0, 0.8)
    return Scatter(sd, correlation)


def _robust_slope(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slope per row from the medians of the two outer thirds, (k,); 0 where unknown."""
    n = len(centred)
    third = max(n // 3, 1)
    slope = (robust_centre(centred[-third:]) - robust_centre(centred[:third])) / max(n - third, 1)
    slope[~np.isfinite(slope)] = 0.0
    return slope


def hit_probabilities(
    value: NDArray[np.float64], scatter: Scatter, baseline: NDArray[np.bool_], settings: JudgementSettings
) -> NDArray[np.float64]:
    """Probability of each row of having been hit by a passing movement, (n,).

    `baseline` marks the rows that the centre is taken from (all but those known to be hit).
    """
    columns = list(SHOTWISE)
    residual = value[:, columns].copy()
    use = baseline if baseline.sum() >= 3 else np.ones(len(value), dtype=bool)
    phase = columns.index(PHASE)
    residual[:, phase] = wrapped(residual[:, phase] - circular_mean(residual[use, phase]))
    centre = robust_centre(residual[use])
    centre[columns.index(MISFIT)] = min(
        centre[columns.index(MISFIT)], 2.0
    )  # a reference that fits no shot is no excuse
    slope = _robust_slope(residual[use] - centre)
    rows = np.flatnonzero(use)
    middle = rows.mean()
    step = slope * len(rows) / max(rows[-1] - rows[0] + 1, 1)
    step[columns.index(MISFIT)] = 0.0
    z = (residual - centre - np.outer(np.arange(len(value)) - middle, step)) / scatter.sd[columns]
    wide = settings.burst_scale
    gain = np.clip(-math.log(wide) + 0.5 * z**2 * (1 - wide**-2), None, _LLR_CAP)
    return _forward_backward(np.nansum(gain, axis=1), settings)


def _forward_backward(log_ratio: NDArray[np.float64], settings: JudgementSettings) -> NDArray[np.float64]:
    """Posterior of `hit` from the log-likelihood ratio of each row (Rabiner 1989, 10.1109/5.18626)."""
    begin, end = settings.burst_start_probability, 1.0 / settings.burst_mean_shots
    ratio = np.exp(np.clip(log_ratio, -50.0, 50.0)).tolist()
    n = len(ratio)
    forward = [0.0] * n
    p = begin
    for i in range(n):
        if i:
            p = p * (1 - end) + (1 - p) * begin
        p = p * ratio[i] / (p * ratio[i] + (1 - p))
        forward[i] = p
    posterior = np.empty(n)
    b_hit, b_still = 1.0, 1.0
    for i in range(n - 1, -1, -1):
        hit, still = forward[i] * b_hit, (1 - forward[i]) * b_still
        posterior[i] = hit / (hit + still)
        r = ratio[i]
        b_hit, b_still = (1 - end) * r * b_hit + end * b_still, begin * r * b_hit + (1 - begin) * b_still
        scale = b_hit + b_still
        b_hit, b_still = b_hit / scale, b_still / scale
    return posterior


def find_step(
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    hit: NDArray[np.bool_],
    prior: NDArray[np.float64],
    settings: JudgementSettings,
) -> Step | None:
    """The likeliest change point in the last `step_lookback_shots` rows of a window; None if there are too few rows.

    `hit` rows are kept out of the past, not out of the candidate's future: a step begins with a movement.
    """
    n = len(value)
    first = max(settings.step_min_before, n - settings.step_lookback_shots)
    if first > n - 2:
        return None
    best: Step | None = None
    quiet = np.arange(max(0, first - settings.step_memory_shots), first)
    quiet = quiet[~hit[quiet]]
    scatter = learn_scatter(value[quiet], error[quiet], prior, settings)
    for k in range(first, n - 1):
        before = np.arange(max(0, k - settings.step_memory_shots), k)
        before = before[~hit[before]]
        if len(before) < settings.step_min_before:
            continue
        candidate = compare(value, before, k, scatter)
        if best is None or candidate.statistic > best.statistic:
            best = candidate
    return best


def compare(value: NDArray[np.float64], before: NDArray[np.int64], k: int, scatter: Scatter) -> Step:
    """Rows from k on against the straight line through `before`."""
    past = value[before]
    level = list(LEVEL)
    after = value[k:]
    m, n = len(after), len(past)
    sd = scatter.sd[level]
    # Trend of the past, shrunk to none by its prior.
    x = before - before.mean()
    clean = past[:, level]
    centre = robust_centre(clean)
    clean = np.clip(clean - centre, -3 * sd, 3 * sd)
    known = np.isfinite(clean)
    sxx = (x**2) @ known
    slope = np.nansum(x[:, None] * clean, axis=0) / (sxx + (sd / _SLOPE_SD) ** 2)
    mean = np.nansum(clean, axis=0) / np.maximum(known.sum(axis=0), 1) + centre
    ahead = (k + len(value) - 1) / 2 - before.mean()
    after_centre = _cautious_centre(after[:, level], mean + slope * ahead)
    change = after_centre - (mean + slope * ahead)
    shrink = (1 - scatter.correlation[level]) / (1 + scatter.correlation[level])
    n_past, n_after = np.maximum(n * shrink, 1.0), np.maximum(m * shrink, 1.0)
    variance = sd**2 * (1 / n_past + 1.2 / n_after) + ahead**2 * sd**2 / (sxx + (sd / _SLOPE_SD) ** 2)
    z = change / np.sqrt(variance)
    turn, turn_z = _turn(past[:, WATER_PHASE], after[:, WATER_PHASE], float(scatter.sd[WATER_PHASE]))
    z2 = np.nansum(np.minimum(z**2, _Z2_CAP)) + min(turn_z**2, _Z2_CAP)
    names = ("frequency", "log_amplitude", "broadening", "log_water", "lipid")
    changes = {name: float(c) for name, c in zip(names, change, strict=True) if math.isfinite(c)}
    zs = {name: float(c) for name, c in zip(names, z, strict=True) if math.isfinite(c)}
    if turn_z:
        changes["water_phase"], zs["water_phase"] = turn, turn_z
    return Step(k, float(z2), m, changes, zs)


def find_step_at(
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    hit: NDArray[np.bool_],
    prior: NDArray[np.float64],
    settings: JudgementSettings,
    row: int,
) -> Step | None:
    """The rows from `row` on against all undisturbed ones well before them; None if there are too few."""
    end = max(row - settings.step_confirm_shots, settings.step_min_before)
    before = np.arange(max(0, end - settings.step_memory_shots), min(end, row))
    before = before[~hit[before]]
    if len(before) < settings.step_min_before:
        return None
    return compare(value, before, row, learn_scatter(value[before], error[before], prior, settings))


def _cautious_centre(after: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of the rows, of two the one nearer to what was expected: one odd shot is no step."""
    if len(after) != 2:
        return robust_centre(after)
    distance = np.abs(after - expected)
    return np.asarray(np.where(distance[0] <= distance[1], after[0], after[1]))


def _turn(past: NDArray[np.float64], after: NDArray[np.float64], sd: float) -> tuple[float, float]:
    """Change of the residual water's phase, radians, and its z; zeros where unknown."""
    past, after = past[np.isfinite(past)], after[np.isfinite(after)]
    if len(past) < 3 or len(after) < 2:
        return 0.0, 0.0
    centre = circular_mean(past)
    away = wrapped(after - centre)
    turn = float(np.angle(np.exp(1j * away).mean()))
    turn = math.copysign(min(abs(turn), float(np.median(np.abs(away)))), turn)
    spread = float(np.clip(sd, 0.0, 1.0))
    return turn, turn / (spread * math.sqrt(1 / len(past) + 1 / len(after)))


def fired(step: Step, settings: JudgementSettings, z_needed: float = 2.5) -> set[str]:
    """Signs whose change is both sure and large enough to matter."""
    least = {
        "frequency": settings.step_min_frequency_hz,
        "log_amplitude": settings.step_min_amplitude,
        "broadening": settings.step_min_broadening_hz,
        "log_water": settings.step_min_water,
        "water_phase": math.radians(2 * settings.water_phase_scatter_deg),
        "lipid": 3 * settings.lipid_scatter,
    }
    return {n for n, z in step.z.items() if abs(z) >= z_needed and abs(step.change[n]) >= least[n]}
