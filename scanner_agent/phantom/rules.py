"""Classical control-chart rules on standardised values z, oldest first along the last axis (..., n_runs).

Western Electric (1956) zone rules, Westgard 1981 (10.1093/clinchem/27.3.493), CUSUM (Page 1954,
10.1093/biomet/41.1-2.100) and EWMA (Lucas 1990, 10.1080/00401706.1990.10484583). Each gives, for every run, whether
the rule is broken there. With z of known mean and SD each has the in-control run length in `NOMINAL_RUN_LENGTH`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

CUSUM_K = 0.5
CUSUM_H = 5.0
EWMA_LAMBDA = 0.2
EWMA_L = 2.859


def _in_window(hit: Flags, length: int, least: int) -> Flags:
    """Whether at least `least` of the last `length` runs are hits, this one among them."""
    count = np.cumsum(hit, axis=-1)
    before = np.zeros_like(count)
    before[..., length:] = count[..., :-length]
    return np.asarray((count - before >= least) & hit)


def _either_side(z: Floats, limit: float, length: int, least: int) -> Flags:
    return _in_window(z > limit, length, least) | _in_window(z < -limit, length, least)


def shewhart_3s(z: Floats) -> Flags:
    """One run beyond 3 SD (Westgard 1_3s, Western Electric 1)."""
    return np.asarray(np.abs(z) > 3.0)


def westgard_1_2s(z: Floats) -> Flags:
    """One run beyond 2 SD: a warning only."""
    return np.asarray(np.abs(z) > 2.0)


def westgard_2_2s(z: Floats) -> Flags:
    """Two in a row beyond 2 SD on one side."""
    return _either_side(z, 2.0, 2, 2)


def westgard_r_4s(z: Floats) -> Flags:
    """Two in a row more than 4 SD apart, one beyond +2 SD and one beyond -2 SD."""
    broken = np.zeros(z.shape, dtype=bool)
    here, before = z[..., 1:], z[..., :-1]
    broken[..., 1:] = ((here > 2.0) & (before < -2.0)) | ((here < -2.0) & (before > 2.0))
    return broken


def westgard_4_1s(z: Floats) -> Flags:
    """Four in a row beyond 1 SD on one side."""
    return _either_side(z, 1.0, 4, 4)


def westgard_10x(z: Floats) -> Flags:
    """Ten in a row on one side of the mean."""
    return _either_side(z, 0.0, 10, 10)


def western_electric_2_of_3(z: Floats) -> Flags:
    """Two of three beyond 2 SD on one side."""
    return _either_side(z, 2.0, 3, 2)


def western_electric_4_of_5(z: Floats) -> Flags:
    """Four of five beyond 1 SD on one side."""
    return _either_side(z, 1.0, 5, 4)


def western_electric_8(z: Floats) -> Flags:
    """Eight in a row on one side of the mean."""
    return _either_side(z, 0.0, 8, 8)


def cusum_sides(z: Floats, k: float = CUSUM_K) -> tuple[Floats, Floats]:
    """Upper and lower cumulative sum of z (..., n_runs): C = max(0, C + z - k), without a reset after an alarm."""

    def one(side: Floats) -> Floats:
        total = np.cumsum(side - k, axis=-1)
        return np.asarray(total - np.minimum(np.minimum.accumulate(total, axis=-1), 0.0))

    return one(z), one(-z)


def cusum(z: Floats) -> Flags:
    """Cumulative sum, k = 0.5, h = 5: small lasting steps."""
    upper, lower = cusum_sides(z)
    return np.asarray(np.maximum(upper, lower) > CUSUM_H)


def ewma_values(z: Floats) -> Floats:
    """Exponentially weighted mean of z (..., n_runs), weight 0.2 on the newest."""
    return np.asarray(lfilter([EWMA_LAMBDA], [1.0, EWMA_LAMBDA - 1.0], z, axis=-1))


def ewma(z: Floats) -> Flags:
    """Exponentially weighted mean beyond 2.859 of its SD in the steady state."""
    return np.asarray(np.abs(ewma_values(z)) > EWMA_L * np.sqrt(EWMA_LAMBDA / (2.0 - EWMA_LAMBDA)))


RULES: Mapping[str, Callable[[Floats], Flags]] = MappingProxyType(
    {
        "shewhart_3s": shewhart_3s,
        "westgard_1_2s": westgard_1_2s,
        "westgard_2_2s": westgard_2_2s,
        "westgard_r_4s": westgard_r_4s,
        "westgard_4_1s": westgard_4_1s,
        "westgard_10x": westgard_10x,
        "western_electric_2_of_3": western_electric_2_of_3,
        "western_electric_4_of_5": western_electric_4_of_5,
        "western_electric_8": western_electric_8,
        "cusum": cusum,
        "ewma": ewma,
    }
)
"""All by name."""

NOMINAL_RUN_LENGTH: Mapping[str, float] = MappingProxyType(
    {
        "shewhart_3s": 370.40,
        "westgard_1_2s": 21.98,
        "westgard_2_2s": 988.03,
        "westgard_r_4s": 988.03,
        "westgard_4_1s": 937.35,
        "westgard_10x": 1023.0,
        "western_electric_2_of_3": 510.69,
        "western_electric_4_of_5": 291.32,
        "western_electric_8": 255.0,
        "cusum": 465.4,
        "ewma": 370.0,
    }
)
"""Runs to the first false signal when mean and SD are known, from the Markov chains of the rules (EWMA and CUSUM:
Brook 1972, 10.1093/biomet/59.3.539, 400 states and more)."""
