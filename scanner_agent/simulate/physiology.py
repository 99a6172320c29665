"""A still head breathes and pulsates: what that does to frequency, phase and amplitude of each excitation.

The chest's susceptibility shifts the field of the head with respiration; the pulse moves the brain during the crushers
(phase) and dephases it (amplitude). Sampled once per TR both fold into slow or fast autocorrelated patterns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Track = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Physiology:
    """Modulation of each excitation about its mean."""

    frequency_hz: Track
    """(n,) Hz."""
    phase_deg: Track
    """(n,) degrees."""
    amplitude: Track
    """(n,) factor, about 1."""
    frequency_sd_hz: float
    """SD it was drawn with."""
    phase_sd_deg: float
    """SD it was drawn with."""
    respiration_hz: float
    """Mean breathing rate."""
    pulse_hz: float
    """Mean heart rate."""


def draw_physiology(
    rng: np.random.Generator, n: int, repetition_time_s: float, spectrometer_frequency_mhz: float, strength: float = 1.0
) -> Physiology:
    """Modulation of `n` excitations, TR apart.

    SDs are drawn log-uniformly from 0.15-1.0 Hz (at 3 T; proportional to the field) and 1.5-10 degrees; `strength`
    scales both. Rates: breathing 0.2-0.33 Hz with 8 % wander and uneven depth, pulse 0.9-1.4 Hz with 4 % wander.
    """
    frequency_sd = strength * float(np.exp(rng.uniform(np.log(0.15), np.log(1.0))))
    frequency_sd *= spectrometer_frequency_mhz / 123.25
    phase_sd = strength * float(np.exp(rng.uniform(np.log(1.5), np.log(10.0))))
    respiration, pulse = float(rng.uniform(0.2, 0.33)), float(rng.uniform(0.9, 1.4))
    breathing = _oscillation(rng, n, repetition_time_s, respiration, 0.08) * (1.0 + 0.3 * _slow(rng, n))
    beating = _oscillation(rng, n, repetition_time_s, pulse, 0.04)
    frequency = 0.9 * _unit(breathing) + 0.25 * _unit(beating) + 0.35 * rng.standard_normal(n)
    phase = 0.55 * _unit(breathing) + 0.75 * _unit(beating) + 0.35 * rng.standard_normal(n)
    # A beat that moves the brain also dephases it: amplitude falls with the square of the disturbance.
    loss = (0.5 * _unit(beating) + 0.5 * _unit(breathing)) ** 2
    amplitude = np.exp(-0.004 * phase_sd * (loss - float(np.mean(loss)))) * (1.0 + 0.004 * rng.standard_normal(n))
    return Physiology(
        frequency_hz=frequency_sd * frequency,
        phase_deg=phase_sd * phase,
        amplitude=amplitude,
        frequency_sd_hz=frequency_sd,
        phase_sd_deg=phase_sd,
        respiration_hz=respiration,
        pulse_hz=pulse,
    )


def _oscillation(rng: np.random.Generator, n: int, step_s: float, rate_hz: float, wander: float) -> Track:
    """A cycle whose rate wanders (random walk of the phase beside the steady turn), seen every `step_s`."""
    cycles = rate_hz * step_s * (1.0 + wander * rng.standard_normal(n))
    return np.asarray(np.sin(2.0 * np.pi * (rng.random() + np.cumsum(cycles))), dtype=np.float64)


def _slow(rng: np.random.Generator, n: int) -> Track:
    """Slowly varying standard normal process (correlation 0.8 from excitation to excitation)."""
    noise = rng.standard_normal(n) * np.sqrt(1.0 - 0.8**2)
    track = np.empty(n)
    value = float(rng.standard_normal())
    for index in range(n):
        value = 0.8 * value + noise[index]
        track[index] = value
    return track


def _unit(track: Track) -> Track:
    """The track about 0 with the SD of a unit process of its kind (a sine's is 1/sqrt 2)."""
    return np.asarray(track * np.sqrt(2.0), dtype=np.float64)
