"""Eddy-current correction: the phase of the unsuppressed water, smoothed where it is sure, straight where it is not."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

# Second derivative of the phase that eddy currents reach after the first milliseconds, rad/s^2: sets the smoothing.
_PHASE_CURVATURE = 2e4
_LEAST_SNR = 6.0


def eddy_phase(water: NDArray[np.complexfloating], dwell_time_s: float, noise_sd: float) -> NDArray[np.float64]:
    """Phase (n_points,) in radians, unwrapped, of a water FID (n_points,): what the correction takes away.

    A penalised least-squares smoother (Whittaker) with weights |water|^2 / noise_sd^2 (per real channel); from
    the point where the water falls below 6 times the noise the phase goes on as a straight line. Taking it away also
    puts water on 0 Hz and phase 0 (Klose 1990, doi:10.1002/mrm.1910140104).
    """
    n = water.size
    magnitude = np.abs(water)
    window = max(1, round(0.002 / dwell_time_s))
    smooth = np.convolve(magnitude, np.ones(window) / window, mode="same")
    weak = np.flatnonzero(smooth < _LEAST_SNR * noise_sd)
    last = int(weak[0]) if weak.size else n
    if last < 8:
        return np.full(n, float(np.angle(np.sum(water[: max(last, 1)]))))
    raw = np.unwrap(np.angle(water[:last]))
    weights = np.zeros(n)
    weights[:last] = (
        magnitude[:last] ** 2 / noise_sd**2 if noise_sd > 0 else magnitude[:last] ** 2 / np.max(magnitude) ** 2
    )
    values = np.zeros(n)
    values[:last] = raw
    stiffness = 1.0 / (_PHASE_CURVATURE * dwell_time_s**2) ** 2
    bands = np.zeros((3, n))
    main = np.full(n, 6.0)
    main[[0, -1]] = 1.0
    main[[1, -2]] = 5.0
    first = np.full(n - 1, -4.0)
    first[[0, -1]] = -2.0
    bands[2] = weights + stiffness * main
    bands[1, 1:] = stiffness * first
    bands[0, 2:] = stiffness
    solved: NDArray[np.float64] = scipy.linalg.solveh_banded(bands, weights * values, check_finite=False)
    return solved
