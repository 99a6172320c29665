"""Numbers taken from a phantom's averaged signals: shape of the water line, its suppression, S/N, channel noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

WATER_PPM = 4.65
_WATER_BAND_PPM = 0.4
_LINES_PPM = (0.5, 4.1)
_ZERO_FILLING = 8


@dataclass(frozen=True)
class WaterShape:
    """Voigt line fitted to the water reference's decay."""

    fwhm_hz: float
    """Full width at half maximum, Hz."""
    sd_hz: float
    """Standard error of the width, by the scatter about the fit."""
    lorentz_share: float
    """Lorentzian width over the sum of Lorentzian and Gaussian width, 0-1."""


def water_shape(fid: NDArray[np.complexfloating], dwell_time_s: float) -> WaterShape | None:
    """Fit |fid| = A exp(-pi L t - (pi G t)^2 / (4 ln 2)) to a water FID (n_points,); None if it does not decay.

    Width of the Voigt line from its parts: Olivero 1977 (10.1016/0022-4073(77)90161-3), good to 0.02 %.
    """
    # Only down to 5 % of the start: further out the modulus of noise alone would lift the tail.
    magnitude = np.abs(np.asarray(fid, dtype=np.complex128))
    low = np.flatnonzero(magnitude < 0.05 * magnitude[:4].max())
    end = int(low[0]) if low.size else magnitude.size
    if end < 16 or magnitude[0] == 0.0:
        return None
    t = np.arange(end) * dwell_time_s
    y = magnitude[:end] / magnitude[0]

    def residual(p: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(p[0] * np.exp(-np.pi * p[1] * t - (np.pi * p[2] * t) ** 2 / (4 * np.log(2.0))) - y)

    found = least_squares(residual, (1.0, 1.0, 1.0), bounds=((0.0, 0.0, 0.0), (10.0, 200.0, 200.0)))
    lorentz, gauss = float(found.x[1]), float(found.x[2])
    if lorentz + gauss <= 1e-6:
        return None
    root = np.sqrt(0.2166 * lorentz**2 + gauss**2)
    gradient = np.array([0.0, 0.5346 + 0.2166 * lorentz / max(root, 1e-9), gauss / max(root, 1e-9)])
    jacobian = np.asarray(found.jac, dtype=np.float64)
    covariance = np.linalg.pinv(jacobian.T @ jacobian) * (2.0 * found.cost / max(end - 3, 1))
    sd = float(np.sqrt(max(gradient @ covariance @ gradient, 0.0)))
    return WaterShape(float(0.5346 * lorentz + root), sd, lorentz / (lorentz + gauss))


def _magnitudes(
    fid: NDArray[np.complexfloating], dwell_time_s: float, spectrometer_frequency_mhz: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ppm = WATER_PPM - np.fft.fftfreq(fid.size, dwell_time_s) / spectrometer_frequency_mhz
    return np.asarray(ppm, dtype=np.float64), np.abs(np.fft.fft(np.asarray(fid, dtype=np.complex128)))


def residual_water(
    suppressed: NDArray[np.complexfloating],
    unsuppressed: NDArray[np.complexfloating],
    dwell_time_s: float,
    spectrometer_frequency_mhz: float,
) -> float:
    """Height of the water line with suppression over that without (both (n_points,), per excitation, magnitude)."""
    heights = []
    for fid in (suppressed, unsuppressed):
        ppm, magnitude = _magnitudes(fid, dwell_time_s, spectrometer_frequency_mhz)
        heights.append(float(magnitude[np.abs(ppm - WATER_PPM) <= _WATER_BAND_PPM].max()))
    return heights[0] / heights[1]


def line_snr(
    fid: NDArray[np.complexfloating], noise_sd: float, dwell_time_s: float, spectrometer_frequency_mhz: float
) -> float:
    """Height of the largest line at 0.5-4.1 ppm over the SD of the noise (per real channel), no apodisation.

    `noise_sd`: per real channel of one point of the FID (n_points,). The height is taken between the points of the
    spectrum (zero filling): else it would hang on where the line lies on their grid, by 2 % in a good shim.
    """
    padded = np.zeros(_ZERO_FILLING * fid.size, dtype=np.complex128)
    padded[: fid.size] = fid
    ppm, magnitude = _magnitudes(padded, dwell_time_s, spectrometer_frequency_mhz)
    lines = (ppm >= _LINES_PPM[0]) & (ppm <= _LINES_PPM[1])
    return float(magnitude[lines].max() / (noise_sd * np.sqrt(fid.size)))


def line_frequency_hz(
    fid: NDArray[np.complexfloating],
    dwell_time_s: float,
    spectrometer_frequency_mhz: float,
    near_ppm: float,
    fwhm_hz: float,
) -> float:
    """Stored frequency of the strongest line within 0.35 ppm of `near_ppm`, Hz; FID (n_points,).

    Largest magnitude after a matched exponential filter, between bins by a parabola: the maximum-likelihood estimate
    for a Lorentzian line of that width.
    """
    t = np.arange(fid.size) * dwell_time_s
    n = 1 << int(np.ceil(np.log2(8 * fid.size)))
    magnitude = np.abs(np.fft.fft(np.asarray(fid, dtype=np.complex128) * np.exp(-np.pi * fwhm_hz * t), n))
    frequency = np.fft.fftfreq(n, dwell_time_s)
    away_ppm = np.abs(WATER_PPM - frequency / spectrometer_frequency_mhz - near_ppm)
    top = int(np.argmax(np.where(away_ppm <= 0.35, magnitude, 0.0)))
    left, middle, right = (float(magnitude[(top + d) % n]) for d in (-1, 0, 1))
    bend = left - 2.0 * middle + right
    between = 0.0 if bend == 0.0 else 0.5 * (left - right) / bend
    return float(frequency[top] + between / (n * dwell_time_s))


def line_frequency_sd_hz(fwhm_hz: float, snr: float, acquisition_s: float) -> float:
    """Standard error of that frequency, Hz: the Cramér-Rao bound of a Lorentzian with unknown phase.

    With decay R = pi fwhm the Fisher information on the angular frequency is (A/sd)^2 / (8 R^3 dwell); the
    height of the
    line over its noise is A / (R dwell sd sqrt(n)). `acquisition_s` = n dwell.
    """
    return float(np.sqrt(8.0 * np.pi * fwhm_hz / acquisition_s) / (2.0 * np.pi * snr))


@dataclass(frozen=True)
class CorrectionEffects:
    """What the water's noise does to the numbers, most of all through the eddy-current correction: SDs."""

    amounts: Mapping[str, float] = field(default_factory=dict)
    """Of each amount, relative."""
    snr: float = 0.0
    """Of the largest line's S/N."""
    frequency_hz: float = 0.0
    """Of the frequency of the phantom's singlet, Hz."""
    water_fwhm_hz: float | None = None
    """Of the water's width as it is read off, Hz."""
    lorentz_share: float | None = None
    """Of the Lorentzian share of the water line."""
    residual_water: float | None = None
    """Of residual over unsuppressed water."""


@dataclass(frozen=True)
class ChannelNoise:
    """Noise of the receive channels."""

    sd: tuple[float, ...]
    """Per channel and real part."""
    correlation: tuple[float, ...]
    """Largest absolute correlation of each with another; 0 with one channel."""
    n_samples: int
    """Complex samples per channel."""


def channel_noise(samples: NDArray[np.complexfloating]) -> ChannelNoise:
    """SD and correlation of noise samples (n_coils, n_samples)."""
    wide = np.asarray(samples, dtype=np.complex128)
    covariance = wide @ wide.conj().T / wide.shape[1]
    power = np.sqrt(covariance.diagonal().real)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(np.abs(covariance / np.outer(power, power)))
    np.fill_diagonal(correlation, 0.0)
    return ChannelNoise(
        tuple(float(p) for p in power / np.sqrt(2.0)), tuple(float(c) for c in correlation.max(axis=0)), wide.shape[1]
    )
