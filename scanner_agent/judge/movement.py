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
    COLUMNS,
    LEVEL,
    MISFIT,
    PHASE,
    SHOTWISE,
    WATER_PHASE,
    circular_mean,
    robust_centre,
    wrapped,
)
from scanner_agent.judgement_settings import JudgementSettings

_MAD_TO_SD = 1.4826
_LLR_CAP = np.array([2.0, 8.0, 8.0, 2.0])  # of SHOTWISE: frequency and misfit err at low S/N, they only add
_Z2_CAP = 25.0  # no sign alone proves a step
_LEVEL_NAMES = tuple(COLUMNS[i] for i in LEVEL)
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
    variance = (worth * expected**2 + known * _known(spread) ** 2) / (worth + known)
    sd = np.maximum(np.sqrt(variance), noise)
    clipped = np.clip(_known(residual), -3 * sd, 3 * sd)
    lagged = (clipped[1:] * clipped[:-1]).sum(axis=0) / np.maximum((clipped**2).sum(axis=0), 1e-12)
    correlation = np.clip(lagged * known / (known + worth), 0.0, 0.8)
    return Scatter(sd, correlation)


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """With 0 for NaN."""
    return np.where(np.isnan(values), 0.0, values)


def _robust_slope(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slope per row from the medians of the two outer thirds, (k,); 0 where unknown."""
    n = len(centred)
    third = max(n // 3, 1)
    slope = (robust_centre(centred[-third:]) - robust_centre(centred[:third])) / max(n - third, 1)
    slope[~np.isfinite(slope)] = 0.0
    return slope


def hit_probabilities(
    value: NDArray[np.float64],
    rows: NDArray[np.int64],
    scatter: Scatter,
    baseline: NDArray[np.bool_],
    settings: JudgementSettings,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probability of each row of having been hit by a passing movement, (n,), and the log-likelihood ratio of its signs
    alone, (n,): what speaks for a hit, whatever its neighbours say.

    `rows`: their places in time. `baseline` marks those that the centre is taken from (all but those known to be hit).
    """
    columns = list(SHOTWISE)
    residual = value[:, columns].copy()
    use = baseline if baseline.sum() >= 3 else np.ones(len(value), dtype=bool)
    phase = columns.index(PHASE)
    residual[:, phase] = wrapped(residual[:, phase] - circular_mean(residual[use, phase]))
    centre = robust_centre(residual[use])
    x = rows[use].astype(float)
    slope = _robust_slope(residual[use] - centre) * (len(x) - 1) / max(x[-1] - x[0], 1.0)
    slope[columns.index(MISFIT)] = 0.0
    z = (residual - centre - np.outer(rows - x.mean(), slope)) / scatter.sd[columns]
    wide = settings.burst_scale
    gain = np.minimum(-math.log(wide) + 0.5 * z**2 * (1 - wide**-2), _LLR_CAP)
    log_ratio = np.nansum(gain, axis=1)
    return _forward_backward(log_ratio, settings), log_ratio


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


def scattered(value: NDArray[np.float64], scatter: Scatter) -> bool:
    """Whether rows lie further from one another than a still head's would: movement goes on."""
    columns = list(SHOTWISE)[:3]
    residual = value[:, columns].copy()
    phase = columns.index(PHASE)
    residual[:, phase] = wrapped(residual[:, phase] - circular_mean(residual[:, phase]))
    residual -= robust_centre(residual)
    z = residual / scatter.sd[columns]
    n = np.isfinite(z).sum()
    # Mean square of a normal sample: 1 with SD sqrt(2/n).
    return bool(np.nansum(z**2) / max(n - len(columns), 1) > 1 + 5 * math.sqrt(2 / max(n, 1)))


def step_threshold(n: int, settings: JudgementSettings) -> float:
    """Statistic that calls a step at shot n of a scan.

    A chi-square's tail falls by e every 2: with 2 ln n more, chance grows with the logarithm of the shots alone.
    """
    return settings.step_threshold + 2.0 * math.log(max(n / settings.step_threshold_shots, 1.0))


def find_step(
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    rows: NDArray[np.int64],
    hit: NDArray[np.bool_],
    prior: NDArray[np.float64],
    settings: JudgementSettings,
    least: int,
) -> Step | None:
    """The likeliest change point in the last `step_lookback_shots` rows of a window; None if there are too few rows.

    `rows`: places in time; `least`: rows needed before a change. `hit` rows are kept out of the past, not out of the
    candidate's future: a step begins with a movement.
    """
    n = len(value)
    first = max(least, n - settings.step_lookback_shots)
    if first > n - 2:
        return None
    quiet = np.flatnonzero(~hit[:first])[-settings.step_memory_shots :]
    return _likeliest(value, error, rows, hit, prior, settings, np.arange(first, n - 1), quiet, least)


def find_step_at(
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    rows: NDArray[np.int64],
    hit: NDArray[np.bool_],
    prior: NDArray[np.float64],
    settings: JudgementSettings,
    row: int,
    least: int,
) -> Step | None:
    """The rows from `row` on against all undisturbed ones well before them; None if there are too few."""
    end = max(row - settings.step_confirm_shots, least)
    past = hit.copy()
    past[end:] = True
    quiet = np.flatnonzero(~past)[-settings.step_memory_shots :]
    return _likeliest(value, error, rows, past, prior, settings, np.array([row]), quiet, least)


def _likeliest(
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    rows: NDArray[np.int64],
    hit: NDArray[np.bool_],
    prior: NDArray[np.float64],
    settings: JudgementSettings,
    change_points: NDArray[np.int64],
    quiet: NDArray[np.int64],
    least: int,
) -> Step | None:
    """The candidate of the largest statistic; the yardstick is learnt from the rows `quiet`."""
    if len(quiet) < min(least, 4):
        return None
    level = np.array(LEVEL)
    scatter = learn_scatter(value[quiet], error[quiet], prior, settings)
    sd = scatter.sd[level]
    k, start = change_points, np.maximum(change_points - settings.step_memory_shots, 0)
    centre = robust_centre(value[np.ix_(quiet, level)])
    clean = np.clip(value[:, level] - centre, -3 * sd, 3 * sd)
    weight = (np.isfinite(clean) & ~hit[:, None]).astype(float)
    clean[weight == 0] = 0.0

    def before(terms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of each column over the past of each change point, (candidates, columns)."""
        total = np.zeros((len(terms) + 1, terms.shape[1]))
        np.cumsum(terms, axis=0, out=total[1:])
        return total[k] - total[start]

    # Straight line through the past, its slope shrunk to none by its prior.
    x = rows[:, None].astype(float)
    w, wx, wxx = before(weight), before(weight * x), before(weight * x**2)
    wy, wxy = before(clean), before(clean * x)
    w = np.maximum(w, 1e-9)
    sxx = wxx - wx**2 / w
    ridge = sxx + (sd / _SLOPE_SD) ** 2
    slope = (wxy - wx * wy / w) / ridge
    middle = 0.5 * (rows[k] + rows[-1])[:, None]
    ahead = middle - wx / w
    expected = centre + wy / w + slope * ahead
    n_after = len(value) - k
    change = _level_after(value[:, level], k, expected) - expected
    # Breathing and pulsation are correlated from shot to shot: fewer independent shots than there are.
    shrink = (1 - scatter.correlation[level]) / (1 + scatter.correlation[level])
    known_past = np.maximum(w * shrink, 1.0)
    known_after = np.maximum(n_after[:, None] * shrink, 1.0)
    variance = sd**2 * (1 / known_past + 1.2 / known_after) + ahead**2 * sd**2 / ridge
    z = change / np.sqrt(variance)
    z[w < least] = np.nan
    turn, turn_z = _turn(value[:, WATER_PHASE], hit, k, start, float(scatter.sd[WATER_PHASE]))
    statistic = np.nansum(np.minimum(z**2, _Z2_CAP), axis=1) + np.minimum(turn_z**2, _Z2_CAP)
    best = int(np.argmax(statistic))
    known = [i for i in range(len(level)) if math.isfinite(z[best, i])]
    changes = {_LEVEL_NAMES[i]: float(change[best, i]) for i in known}
    zs = {_LEVEL_NAMES[i]: float(z[best, i]) for i in known}
    if turn_z[best]:
        changes["water_phase"], zs["water_phase"] = float(turn[best]), float(turn_z[best])
    return Step(int(k[best]), float(statistic[best]), int(n_after[best]), changes, zs)


def _after(column: NDArray[np.float64], k: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rows from each change point on, (candidates, rows from the first one on, …); NaN before."""
    first = int(k.min())
    late = np.repeat(column[None, first:], len(k), axis=0)
    late[np.arange(first, len(column))[None, :] < k[:, None]] = np.nan
    return late


def _level_after(
    value: NDArray[np.float64], k: NDArray[np.int64], expected: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Median after each change point; of two rows the one nearer to what was expected: one odd shot is no step."""
    late = np.sort(_after(value, k), axis=1)
    count = np.isfinite(late).sum(axis=1)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, late.shape[1] - 1)
    a = np.take_along_axis(late, low[:, None, :], axis=1)[:, 0]
    b = np.take_along_axis(late, high[:, None, :], axis=1)[:, 0]
    nearer = np.where(np.abs(a - expected) <= np.abs(b - expected), a, b)
    return np.where(count == 2, nearer, 0.5 * (a + b))


def _turn(
    angle: NDArray[np.float64], hit: NDArray[np.bool_], k: NDArray[np.int64], start: NDArray[np.int64], sd: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Change of the residual water's phase at each change point, radians, and its z; zeros where unknown."""
    known = np.isfinite(angle) & ~hit
    pointer = np.where(known, np.exp(1j * _known(angle)), 0.0)
    total = np.concatenate([[0.0], np.cumsum(pointer)])
    count = np.concatenate([[0], np.cumsum(known)])
    past, n_past = total[k] - total[start], count[k] - count[start]
    away = wrapped(_after(angle, k) - np.angle(past)[:, None])
    late = np.isfinite(away)
    n_late = late.sum(axis=1)
    mean = np.angle(np.where(late, np.exp(1j * _known(away)), 0.0).sum(axis=1))
    size = np.sort(np.abs(away), axis=1)
    middle = np.take_along_axis(size, (np.maximum(n_late - 1, 0) // 2)[:, None], axis=1)[:, 0]
    # The smaller of the two: neither one wild shot nor a spread that averages to something makes a turn.
    turn = np.copysign(np.minimum(np.abs(mean), middle), mean)
    unknown = (n_past < 3) | (n_late < 2)
    turn[unknown] = 0.0
    spread = float(np.clip(sd, 1e-3, 1.0))
    return turn, turn / (spread * np.sqrt(1 / np.maximum(n_past, 1) + 1 / np.maximum(n_late, 1)))


def fired(step: Step, settings: JudgementSettings, z_needed: float) -> set[str]:
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
