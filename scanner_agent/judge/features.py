"""From signs to a table of numbers that can be compared from shot to shot.

One row a shot, one column a feature (`COLUMNS`), NaN where a sign is missing; a table of standard errors beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scanner_agent.judge.signs import ShotSigns
from scanner_agent.judgement_settings import JudgementSettings

COLUMNS = ("frequency", "log_amplitude", "broadening", "log_water", "lipid", "water_phase", "phase", "misfit")
"""Hz; natural log; Hz; natural log, over the shot's signal; over the shot's NAA; rad; rad; z of the chi-square."""
FREQUENCY, AMPLITUDE, BROADENING, WATER, LIPID, WATER_PHASE, PHASE, MISFIT = range(8)
LEVEL = (FREQUENCY, AMPLITUDE, BROADENING, WATER, LIPID)
"""Columns whose level a pose sets."""
SHOTWISE = (FREQUENCY, PHASE, AMPLITUDE, MISFIT)
"""Columns that a movement during the shot itself disturbs."""

_UNKNOWN_LOG_SD = 1.0


def prior_scatter(settings: JudgementSettings, n_excitations: float) -> NDArray[np.float64]:
    """Scatter of a still head per stored frame, (8,), units of `COLUMNS`; averaging inside a frame lessens it."""
    s = settings
    one = np.array(
        [
            s.frequency_scatter_hz,
            s.amplitude_scatter,
            s.broadening_scatter_hz,
            s.water_scatter,
            s.lipid_scatter,
            math.radians(s.water_phase_scatter_deg),
            math.radians(s.phase_scatter_deg),
            1.0,  # misfit is in units of its own standard error
        ]
    )
    return one / math.sqrt(max(n_excitations, 1.0))


def row_of(signs: ShotSigns, gain_log_variance: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features of one shot and their standard errors, both (8,).

    A frequency change that the scanner announced is taken off: raising the centre frequency raises the stored frequency
    (ppm = 4.65 - f/f0) by as much.
    """
    value, error = np.full(8, np.nan), np.full(8, np.nan)
    if signs.frequency_hz is not None:
        value[FREQUENCY] = signs.frequency_hz - signs.frequency_update_hz
        error[FREQUENCY] = max(signs.frequency_sd_hz or 0.0, _least_frequency_sd(signs.snr))
    if signs.amplitude is not None and signs.amplitude > 0:
        value[AMPLITUDE] = math.log(signs.amplitude) - 0.5 * _gain_log_variance(signs, gain_log_variance)
        error[AMPLITUDE] = (signs.amplitude_sd or 0.0) / signs.amplitude
    if signs.broadening_hz is not None:
        value[BROADENING] = signs.broadening_hz
        error[BROADENING] = signs.broadening_sd_hz or 0.0
    # Water and lipid over the same shot's own signal: a change of gain is then a change of the amplitude alone.
    scale = max(signs.amplitude, 0.2) if signs.amplitude is not None else 1.0
    if signs.residual_water is not None and signs.residual_water > 0:
        value[WATER] = math.log(signs.residual_water / scale)
        noise = (signs.residual_water_sd or 0.0) / signs.residual_water
        error[WATER] = min(math.hypot(noise, (signs.amplitude_sd or 0.0) / scale), _UNKNOWN_LOG_SD)
    if signs.lipid is not None:
        value[LIPID] = signs.lipid / scale
        error[LIPID] = math.hypot(signs.lipid_sd or 0.0, signs.lipid * (signs.amplitude_sd or 0.0) / scale) / scale
    if signs.water_phase_deg is not None:
        value[WATER_PHASE] = math.radians(signs.water_phase_deg)
        error[WATER_PHASE] = math.radians(signs.water_phase_sd_deg or 0.0)
    if signs.phase_deg is not None:
        value[PHASE] = math.radians(signs.phase_deg)
        error[PHASE] = math.radians(signs.phase_sd_deg or 0.0)
    if signs.misfit is not None and signs.misfit_sd:
        value[MISFIT] = (signs.misfit - 1.0) / signs.misfit_sd
        error[MISFIT] = 0.0
    return value, error


def _least_frequency_sd(snr: float | None) -> float:
    """What a shot of this S/N cannot do better than (docs/science.md 3.2: 1.3 Hz/SNR; outliers below 3), Hz."""
    return 1.3 / snr * math.sqrt(1.0 + (2.0 / snr) ** 4) if snr is not None and snr > 0 else 0.0


def _gain_log_variance(signs: ShotSigns, least: float) -> float:
    """What all channels' noise has in common: the receiver's gain, which is no sign of the head. 0 where unknown."""
    if signs.noise_log_variance is None:
        return 0.0
    known = signs.noise_log_variance[np.isfinite(signs.noise_log_variance)]
    common = float(np.median(known)) if len(known) else 0.0
    # Loading changes the noise by some percent, a change of gain by far more.
    return common if abs(common) > least else 0.0


@dataclass
class FeatureTable:
    """Rows of all usable shots so far, in order of acquisition; grows by doubling."""

    n: int = 0
    shot_index: NDArray[np.int64] = field(default_factory=lambda: np.zeros(64, dtype=np.int64))
    group: NDArray[np.int64] = field(default_factory=lambda: np.zeros(64, dtype=np.int64))
    """0: off or not edited, 1: on."""
    value: NDArray[np.float64] = field(default_factory=lambda: np.zeros((64, 8)))
    error: NDArray[np.float64] = field(default_factory=lambda: np.zeros((64, 8)))

    def append(self, signs: ShotSigns, gain_log_variance: float) -> None:
        """Add one shot."""
        if self.n == len(self.shot_index):
            for name in ("shot_index", "group", "value", "error"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.zeros_like(array)]))
        self.shot_index[self.n] = signs.shot_index
        self.group[self.n] = 1 if signs.edit_condition == "on" else 0
        self.value[self.n], self.error[self.n] = row_of(signs, gain_log_variance)
        self.n += 1

    def rows(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Copies of some rows with the constant difference of ON from OFF taken off the level columns."""
        value, error = self.value[rows], self.error[rows]
        group = self.group[rows]
        on = group == 1
        if 3 <= on.sum() <= len(group) - 3:
            half = 0.5 * (robust_centre(value[on][:, LEVEL]) - robust_centre(value[~on][:, LEVEL]))
            half[~np.isfinite(half)] = 0.0
            value[np.ix_(on, LEVEL)] -= half
            value[np.ix_(~on, LEVEL)] += half
            angle = value[:, WATER_PHASE]
            turn = circular_mean(angle[on]) - circular_mean(angle[~on])
            if np.isfinite(turn):
                value[on, WATER_PHASE] = wrapped(angle[on] - turn)
        return value, error


def robust_centre(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median over rows, ignoring NaN; NaN where a column has none. (n, k) -> (k,)."""
    n = len(values)
    if n == 0:
        return np.full(values.shape[1], np.nan)
    filled = np.sort(values, axis=0)  # NaN last
    if not np.isnan(filled[-1]).any():
        return np.asarray(0.5 * (filled[(n - 1) // 2] + filled[n // 2]))
    count = np.isfinite(values).sum(axis=0)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    columns = np.arange(values.shape[1])
    high = np.minimum(high, n - 1)
    centre = 0.5 * (filled[low, columns] + filled[high, columns])
    centre[count == 0] = np.nan
    return np.asarray(centre)


def wrapped(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles into (-pi, pi]."""
    return np.asarray(angle - 2.0 * np.pi * np.ceil((angle - np.pi) / (2.0 * np.pi)))


def circular_mean(angle: NDArray[np.float64]) -> float:
    """Mean direction, radians; NaN without any."""
    known = angle[np.isfinite(angle)]
    return math.atan2(np.sin(known).sum(), np.cos(known).sum()) if len(known) else math.nan
