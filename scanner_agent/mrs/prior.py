"""A shot's own estimate and what is known of it beforehand, joined by their information."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Share of the shots that do not lie where their neighbours do.
_STRAYING = 0.02
_SECOND_ORDER, _MOST_EXCESS = 9.0, 2.0


@dataclass(frozen=True, kw_only=True)
class Prior:
    """Where a shot is expected: normal, but for a few shots that lie anywhere in the range searched."""

    frequency_hz: float
    frequency_sd_hz: float
    phase_rad: float
    phase_sd_rad: float
    trust: float
    """0-1, how much of its information is used."""


def weak_excess(strength: float) -> float:
    """Variance of a weak shot's own frequency over that of first order; `strength`: amplitude over its standard error.

    The second order goes as strength^-4. Simulated standard deviations: 1.03 times at a strength of 18 (NAA's S/N 4 a
    shot), 1.1 at 14, 1.25 at 11.5, 1.4 at 9 and below (far peaks not counted).
    """
    return float(min(_MOST_EXCESS, 1.0 + (_SECOND_ORDER / strength) ** 4))


def frequency_log_odds(gained: float, anywhere_sd_hz: float, prior: Prior) -> float:
    """For the peak near the prior, against the shot's own highest.

    `gained`: log-posterior height of the one over the other, the normal densities' own heights not yet counted.
    """
    return gained + float(np.log((1 - _STRAYING) / _STRAYING * anywhere_sd_hz / prior.frequency_sd_hz))


def phase_log_odds(phase_rad: float, phase_sd_rad: float, prior: Prior) -> float:
    """For a phase about the prior's, against any phase at all."""
    variance = phase_sd_rad**2 + prior.phase_sd_rad**2
    away = float(np.angle(np.exp(1j * (phase_rad - prior.phase_rad))))
    return float(0.5 * np.log(2 * np.pi / variance) - 0.5 * away**2 / variance)


def joined(
    frequency_hz: float, phase_rad: float, covariance: NDArray[np.float64], prior: Prior
) -> tuple[float, float, NDArray[np.float64]]:
    """Mean of a shot's own estimate (covariance (2, 2), Hz and rad) and its prior, and the covariance of that mean.

    With own information J, the prior's L and trust g: (J + g L)^-1 (J x + g L m), whose covariance is
    (J + g L)^-1 (J + g^2 L) (J + g L)^-1. g = 0: the shot's own estimate.
    """
    away = np.array([prior.frequency_hz - frequency_hz, np.angle(np.exp(1j * (prior.phase_rad - phase_rad)))])
    own = np.linalg.inv(covariance)
    other = np.diag([prior.frequency_sd_hz**-2.0, prior.phase_sd_rad**-2.0])
    inverse = np.linalg.inv(own + prior.trust * other)
    moved = inverse @ (prior.trust * other @ away)
    return (
        frequency_hz + float(moved[0]),
        phase_rad + float(moved[1]),
        inverse @ (own + prior.trust**2 * other) @ inverse,
    )
