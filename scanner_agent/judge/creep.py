"""Slow movement: the head sinks into another pose over many shots, too slowly for a step to stand out of the trend.

The last shots are compared with the pose's first ones. The frequency says nothing here, for the magnet drifts as well;
width, amplitude, residual water and fat of a still head stay, and of a moved one several of them change together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanner_agent.judge.features import COLUMNS, LEVEL, WATER_PHASE, circular_mean, robust_centre, wrapped
from scanner_agent.judge.movement import Step, fired, learn_scatter
from scanner_agent.judgement_settings import JudgementSettings

_Z2_CAP = 25.0
_MEDIAN_COST = 1.57  # variance of a median over that of a mean (pi / 2)
_BEGUN = 0.2  # part of the whole change at which it is said to have begun
_SMOOTH = 9


def find_creep(
    value: NDArray[np.float64], error: NDArray[np.float64], prior: NDArray[np.float64], settings: JudgementSettings
) -> Step | None:
    """A slow change of place over the rows of one pose, (n, 8) in order, its yardstick the first ones; None: there is
    none. `row` of the result: where it begins.
    """
    n_late = settings.step_lookback_shots
    n_early = min(settings.step_memory_shots, len(value) - 2 * n_late)
    if n_early < n_late:
        return None
    early, late = value[:n_early], value[-n_late:]
    scatter = learn_scatter(early, error[:n_early], prior, settings)
    shrink = (1 - scatter.correlation) / (1 + scatter.correlation)
    known = [np.maximum(np.isfinite(part).sum(axis=0) * shrink, 1.0) for part in (early, late)]
    sd = scatter.sd * np.sqrt(_MEDIAN_COST * (1 / known[0] + 1 / known[1]))
    start, change = robust_centre(early), robust_centre(late) - robust_centre(early)
    start[WATER_PHASE] = circular_mean(early[:, WATER_PHASE])
    change[WATER_PHASE] = wrapped(np.array([circular_mean(late[:, WATER_PHASE]) - start[WATER_PHASE]]))[0]
    columns = [c for c in (*LEVEL, WATER_PHASE) if np.isfinite(change[c])]
    z = change / sd
    step = Step(
        row=0,
        statistic=float(sum(min(z[c] ** 2, _Z2_CAP) for c in columns if COLUMNS[c] != "frequency")),
        n_after=n_late,
        change={COLUMNS[c]: float(change[c]) for c in columns},
        z={COLUMNS[c]: float(z[c]) for c in columns},
    )
    signs = fired(step, settings, settings.creep_sign_z)
    place = signs & {"broadening", "log_amplitude"}
    other = signs & {"log_water", "water_phase", "lipid"}
    # A flood of water spoils the other signs a little.
    flooded = step.change.get("log_water", 0.0) > settings.water_flood_log
    if step.statistic < settings.step_threshold or flooded or not (place and (other or len(place) > 1)):
        return None
    chosen = [c for c in columns if COLUMNS[c] in signs]
    away = value[:, chosen] - start[chosen]
    if WATER_PHASE in chosen:
        away[:, chosen.index(WATER_PHASE)] = wrapped(away[:, chosen.index(WATER_PHASE)])
    weight = change[chosen] / scatter.sd[chosen] ** 2
    along = np.nansum(away * weight, axis=1) / float(np.sum(change[chosen] * weight))
    smooth = np.convolve(along, np.ones(_SMOOTH) / _SMOOTH, mode="same")
    before = np.flatnonzero(smooth[:-n_late] < _BEGUN)
    return Step(int(before[-1]) + 1 if before.size else 1, step.statistic, step.n_after, step.change, step.z)
