"""What a shot's neighbours in time say of it: the prior of a shot that is too weak to be aligned by itself.

Slow drift is what neighbours have in common; it is read from their plain sum, which is as many times stronger as it
needs to be. A shot's own jitter is what the sum cannot see: its size comes from the scan's own shots and is part of the
prior's width. A weak shot is then the mean of itself and its neighbours, each by its information.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scanner_agent.mrs.align import Alignment, Template, locate_shot
from scanner_agent.mrs.prior import Prior, weak_excess

# Strength, amplitude over its standard error: from the first on a shot stands alone (no far peaks), below the second it
# takes all that its neighbours know. NAA's S/N 3 a shot is 13.4.
ALONE, _LEANING = 11.0, 8.0
# Of the sum of neighbours: as many as it takes, within limits.
_STRENGTH, _LEAST_SHOTS, _MOST_SHOTS, _FARTHEST = 16.0, 4, 32, 48
# Shots on either side whose median a shot is compared with to see how much shots jitter.
_COMPARED_SHOTS = 4
# Weaker ones are not asked about jitter: too many of them are found on a peak of the noise.
_SURE = 6.0
# Physiology: 0.15-1 Hz at 3 T and 1.5-10 degrees; worth this many shots of the scan's own.
_USUAL_JITTER_PPM, _USUAL_PHASE_RAD, _USUAL_WORTH = 0.004, 0.09, 6.0


def leaning(found: Alignment) -> float:
    """How much a shot needs its neighbours: 0 (strong) to 1."""
    return float(np.clip((ALONE - found.amplitude / found.amplitude_sd) / (ALONE - _LEANING), 0.0, 1.0))


def jitter2_of(own: Sequence[Alignment | None], spectrometer_frequency_mhz: float) -> tuple[float, float]:
    """Variance of the jitter of frequency (Hz^2) and phase (rad^2): shots against the median of those around each."""
    known = [a for a in own if a is not None and a.amplitude > _SURE * a.amplitude_sd]
    usual_hz = _USUAL_JITTER_PPM * spectrometer_frequency_mhz
    n = len(known)
    reach = min(_COMPARED_SHOTS, (n - 1) // 2)
    if reach < 1:
        return usual_hz**2, _USUAL_PHASE_RAD**2
    frequency = np.array([a.frequency_hz for a in known])
    turn = np.exp(1j * np.array([a.phase_rad for a in known]))
    others = np.delete(np.arange(n - 2 * reach)[:, None] + np.arange(2 * reach + 1), reach, axis=1)
    by_frequency = frequency[reach : n - reach] - np.median(frequency[others], axis=1)
    by_phase = np.angle(turn[reach : n - reach] * np.conj(np.sum(turn[others], axis=1)))
    m = 2 * reach
    # Half of what weak shots err beyond the first order lies in tails that a median does not see. A median of m others
    # has 1.5 / m of their variance, a mean 1 / m.
    core = [a.frequency_sd_hz**2 / np.sqrt(weak_excess(a.amplitude / a.amplitude_sd)) for a in known]
    own_f2 = float(np.mean(core)) * (1 + 1.5 / m)
    own_p2 = float(np.mean([a.phase_sd_rad**2 for a in known])) * (1 + 1.0 / m)
    return _shrunk(by_frequency, own_f2, usual_hz), _shrunk(by_phase, own_p2, _USUAL_PHASE_RAD)


def _shrunk(deviations: NDArray[np.float64], variance: float, usual: float) -> float:
    """Variance behind deviations (n,) beyond that of their errors, shrunk to that of the usual SD."""
    found = (1.4826 * float(np.median(np.abs(deviations)))) ** 2 - variance
    return (_USUAL_WORTH * usual**2 + deviations.size * max(0.0, found)) / (_USUAL_WORTH + deviations.size)


def prior_of(
    position: int,
    weak: Alignment,
    fids: Sequence[NDArray[np.complexfloating]],
    sds: Sequence[float],
    own: Sequence[Alignment | None],
    template: Template,
    expected_hz: float,
    jitter2: tuple[float, float],
) -> Prior | None:
    """Where the shots around a weak one say that it lies; None: there are too few of them.

    `weak`: the shot by itself; `own`: all shots by themselves, None for those that are to be passed over;
    `jitter2`: of those shots (`jitter2_of`).
    """
    near: list[int] = []
    strength2 = 0.0
    for k in range(1, _FARTHEST + 1):
        for j in (position - k, position + k):
            other = own[j] if 0 <= j < len(own) else None
            if other is not None:
                near.append(j)
                strength2 += (other.amplitude / other.amplitude_sd) ** 2
        if len(near) >= _LEAST_SHOTS and (strength2 >= _STRENGTH**2 or len(near) >= _MOST_SHOTS):
            break
    if len(near) < 2:
        return None
    weights = np.array([sds[j] for j in near]) ** -2.0
    n = template.band.n_points
    total = np.zeros(n, dtype=np.complex128)
    for weight, j in zip(weights, near, strict=True):
        total += weight * fids[j][:n]
    found = locate_shot(total / np.sum(weights), float(np.sum(weights) ** -0.5), template, expected_hz)
    if found is None:
        return None
    jitter_f2, jitter_p2 = jitter2
    return Prior(
        frequency_hz=found.frequency_hz,
        frequency_sd_hz=float(np.sqrt(jitter_f2 * (1 + 1 / len(near)) + found.frequency_sd_hz**2)),
        phase_rad=found.phase_rad,
        phase_sd_rad=float(np.sqrt(jitter_p2 * (1 + 1 / len(near)) + found.phase_sd_rad**2)),
        trust=leaning(weak),
    )
