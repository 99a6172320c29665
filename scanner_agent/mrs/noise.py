"""Thermal noise: samples free of signal, covariance between channels, whitening.

Convention: the covariance is E[n n^H], so channel i, channel j holds E[n_i conj(n_j)].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.linalg
from numpy.typing import NDArray

from scanner_agent.mrs.axes import hz_from_ppm

_SIGNAL_PPM = (-0.5, 5.6)
_MAX_TAIL_POINTS = 1024
_SHRINKING_STEPS = 4


@dataclass(frozen=True, eq=False)
class NoiseBand:
    """Where to look for noise in a FID: late points, and of their spectrum the part that holds no signal."""

    start: int
    """First point of the tail."""
    taper: NDArray[np.float32]
    """(n_tail,) window over the tail, scaled so that white noise keeps its variance per bin."""
    bins: NDArray[np.intp]
    """Bins of the tail's FFT that are used."""
    n_effective: float
    """Independent complex samples that they are worth."""


def noise_band(n_points: int, dwell_time_s: float, spectrometer_frequency_mhz: float) -> NoiseBand:
    """Choose tail and bins: the last half of the FID (at most 1024 points), outside -0.5 to 5.6 ppm, off the edges.

    The edges (the outer tenth of the spectral width) are left out because oversampling filters roll off there. Where
    less than a quarter of the band would remain, the whole band is used. A sine taper keeps the rest from leaking.
    """
    n_tail = min(n_points // 2, _MAX_TAIL_POINTS)
    # The very last points may hold the ringing of an oversampling filter.
    end = n_points - max(1, n_points // 100)
    start = end - n_tail
    taper = np.sin(np.pi * (np.arange(n_tail) + 0.5) / n_tail)
    frequency_hz = np.fft.fftfreq(n_tail, dwell_time_s)
    low, high = sorted(hz_from_ppm(ppm, spectrometer_frequency_mhz) for ppm in _SIGNAL_PPM)
    away_from_edges = np.abs(frequency_hz) < 0.45 / dwell_time_s
    free = away_from_edges & ((frequency_hz < low) | (frequency_hz > high))
    if np.count_nonzero(free) < n_tail // 4:
        free = np.ones(n_tail, dtype=bool)
    bins = np.flatnonzero(free)
    # Neighbouring bins of a tapered noise series are correlated: (mean h^2)^2 / mean h^4 of them are independent.
    independent = float(np.mean(taper**2) ** 2 / np.mean(taper**4))
    scaled = taper / np.sqrt(np.sum(taper**2))
    return NoiseBand(start, scaled.astype(np.float32), bins, independent * bins.size)


def noise_samples(data: NDArray[np.complexfloating], band: NoiseBand) -> NDArray[np.complex64]:
    """Noise samples of FIDs (…, n_points): (…, n_bins), with the variance E|n|^2 of one complex point."""
    tail = data[..., band.start : band.start + band.taper.size] * band.taper
    return np.asarray(scipy.fft.fft(tail.astype(np.complex64, copy=False), axis=-1)[..., band.bins], dtype=np.complex64)


def second_moment(samples: NDArray[np.complexfloating]) -> NDArray[np.complex128]:
    """Mean of n n^H over samples (n_coils, n_samples): (n_coils, n_coils)."""
    wide = samples.astype(np.complex128)
    return np.asarray(wide @ wide.conj().T / max(1, samples.shape[1]))


def shrunk_covariance(moment: NDArray[np.complex128], n_samples: float) -> NDArray[np.complex128]:
    """Covariance (n_coils, n_coils) from its sample estimate, correlations shrunk towards zero while samples are few.

    What counts is the S/N that weights C^-1 g lose. In whitened coordinates, for K coils and n samples, chance costs
    (1 - s)^2 K / n of its square and shrinking by s costs s^2 B, B = |C^-1 - 1|^2 / K with C the correlations: least at
    s = (K / n) / (K / n + B). C is not known; first one shrunk so that its own error is least (Schaefer and Strimmer
    2005, doi:10.2202/1544-6115.1175, for complex data) stands in for it, then what comes of that; more is never shrunk.
    `n_samples`: independent complex samples behind the estimate.
    """
    variance = np.real(np.diag(moment)).copy()
    scale = np.sqrt(np.where(variance > 0, variance, 1.0))
    correlation = moment / np.outer(scale, scale)
    off = correlation - np.diag(np.diag(correlation))
    magnitude2 = np.abs(off) ** 2
    found = float(np.sum(magnitude2))
    by_chance = float(np.sum((1 - np.minimum(magnitude2, 1.0)) ** 2) - variance.size) / max(n_samples, 1.0)
    shrinkage = 1.0 if found <= 0 else min(1.0, max(0.0, by_chance / found))
    unit, chance = np.eye(variance.size), variance.size / max(n_samples, 1.0)
    for _ in range(_SHRINKING_STEPS if 0 < shrinkage < 1 else 0):
        bias = float(np.sum(np.abs(np.linalg.inv((1 - shrinkage) * off + unit) - unit) ** 2)) / variance.size
        shrinkage = min(shrinkage, chance / (chance + bias))
    return np.asarray(((1 - shrinkage) * off + unit) * np.outer(scale, scale))


def whitener(covariance: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """W with W covariance W^H = 1: the inverse Cholesky factor. Raises LinAlgError if not positive definite."""
    lower = np.linalg.cholesky(covariance)
    inverse: NDArray[np.complex128] = scipy.linalg.solve_triangular(
        lower, np.eye(covariance.shape[0]), lower=True, check_finite=False
    )
    return inverse
