"""Heights, areas and widths of lines, the offset of a whole spectrum, and signal that comes late in the FID."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from scanner_agent.mrs.axes import WATER_PPM, frequency_axis, ppm_axis, spectrum
from scanner_agent.mrs.noise import NoiseBand

# Singlets that nearly every brain spectrum shows, ppm, with their usual relative heights.
_COMB = ((2.01, 3.0), (3.03, 2.2), (3.22, 1.8), (3.92, 1.2))
_LARGEST_OFFSET_PPM = 0.3
_LEAST_CONTRAST = 5.0


@lru_cache(maxsize=64)
def _band(
    n_points: int, dwell_time_s: float, spectrometer_frequency_mhz: float, low_ppm: float, high_ppm: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Places in a plain FFT of the points within a band, frequency ascending, and their ppm."""
    ppm = ppm_axis(n_points, dwell_time_s, spectrometer_frequency_mhz)
    inside = (ppm >= low_ppm) & (ppm <= high_ppm)
    places, inside_ppm = np.fft.fftshift(np.arange(n_points))[inside], ppm[inside]
    # The same arrays are handed out every time.
    places.flags.writeable = inside_ppm.flags.writeable = False
    return places, inside_ppm


def band_amplitude(
    fid: NDArray[np.complexfloating],
    dwell_time_s: float,
    spectrometer_frequency_mhz: float,
    band_ppm: tuple[float, float],
) -> complex:
    """Amplitude at the first point of what lies in a band: sum of the spectrum over the band / n_points.

    `fid`: (n_points,). White noise of SD s per real channel gives it an SD of s sqrt(n_band / n_points) per real part.
    """
    places, _ = _band(fid.size, dwell_time_s, spectrometer_frequency_mhz, *band_ppm)
    return complex(np.sum(np.fft.fft(fid)[places]) / fid.size)


def band_fraction(
    n_points: int, dwell_time_s: float, spectrometer_frequency_mhz: float, band_ppm: tuple[float, float]
) -> float:
    """Part of the spectrum's points that lies in a band."""
    return float(_band(n_points, dwell_time_s, spectrometer_frequency_mhz, *band_ppm)[0].size / n_points)


def tallest_line(
    fid: NDArray[np.complexfloating],
    dwell_time_s: float,
    spectrometer_frequency_mhz: float,
    band_ppm: tuple[float, float],
) -> tuple[float, float, float]:
    """Height |S|, place (ppm) and phase (rad) of the tallest point of a band; the spectrum is zero-filled once.

    The height is on the scale of the unfilled spectrum, sum of the FID's points.
    """
    places, ppm = _band(2 * fid.size, dwell_time_s, spectrometer_frequency_mhz, *band_ppm)
    if places.size == 0:
        return 0.0, float("nan"), 0.0
    inside = scipy.fft.fft(fid, 2 * fid.size)[places]
    best = int(np.argmax(np.abs(inside)))
    return float(np.abs(inside[best])), float(ppm[best]), float(np.angle(inside[best]))


def spectrum_offset_ppm(
    fid: NDArray[np.complexfloating], dwell_time_s: float, spectrometer_frequency_mhz: float
) -> float | None:
    """Shift by which all lines of a brain spectrum lie off their true places (found minus true), within 0.3 ppm.

    Correlates the magnitude spectrum, smoothed to 0.04 ppm and freed of its slow part, with the places of NAA, creatine
    and choline. None: no such pattern stands out. `fid` (n_points,) without residual water.
    """
    n = fid.size
    t = np.arange(n) * dwell_time_s
    width_hz = 0.04 * spectrometer_frequency_mhz
    filled = np.abs(scipy.fft.fftshift(scipy.fft.fft(fid * np.exp(-np.pi * width_hz * t), 4 * n)))
    ppm = WATER_PPM - frequency_axis(4 * n, dwell_time_s) / spectrometer_frequency_mhz
    order = np.argsort(ppm)
    ppm, filled = ppm[order], filled[order]
    step = float(ppm[1] - ppm[0])
    wide = max(3, round(0.5 / step))
    slow = np.convolve(filled, np.ones(wide) / wide, mode="same")
    peaks = np.clip(filled - slow, 0.0, None)
    # The square root keeps one giant line (lipid, water) from deciding alone.
    peaks = np.sqrt(peaks)
    shifts = np.arange(-_LARGEST_OFFSET_PPM, _LARGEST_OFFSET_PPM + 1e-9, 0.005)
    score = np.sum([np.sqrt(height) * np.interp(place + shifts, ppm, peaks) for place, height in _COMB], axis=0)
    best = int(np.argmax(score))
    spread = float(np.median(np.abs(score - np.median(score)))) * 1.4826
    if spread <= 0 or (score[best] - np.median(score)) / spread < _LEAST_CONTRAST / 2.5:
        return None
    return float(shifts[best])


def half_height_width_hz(fid: NDArray[np.complexfloating], dwell_time_s: float) -> float | None:
    """Full width at half maximum (Hz) of the tallest line of a FID (n_points,), real part, zero-filled eight times."""
    n = 8 * fid.size
    filled = scipy.fft.fftshift(scipy.fft.fft(fid, n))
    top = int(np.argmax(np.abs(filled)))
    real = np.real(filled * np.exp(-1j * np.angle(filled[top])))
    half = real[top] / 2
    left = np.flatnonzero(real[:top] < half)
    right = np.flatnonzero(real[top:] < half)
    if left.size == 0 or right.size == 0 or half <= 0:
        return None
    i, j = int(left[-1]), top + int(right[0])
    low = i + (half - real[i]) / (real[i + 1] - real[i])
    high = j - 1 + (real[j - 1] - half) / (real[j - 1] - real[j])
    return float((high - low) / (n * dwell_time_s))


def late_energy_z(
    fid: NDArray[np.complexfloating], noise_sd: float, band: NoiseBand, signal_bins: NDArray[np.bool_]
) -> float:
    """Energy of the late FID (the tail of `band`) inside the signal band beyond noise, in SD of what noise gives.

    `signal_bins`: (n_tail,) True for the bins of the tail's FFT that lie in the metabolites' band. A spurious echo or a
    line that rings on shows here; metabolites of usual width have decayed.
    """
    tail = scipy.fft.fft(fid[band.start : band.start + band.taper.size] * band.taper)[signal_bins]
    n_independent = tail.size * band.n_effective / max(1, band.bins.size)
    mean = float(np.mean(tail.real**2 + tail.imag**2)) / (2 * noise_sd**2)
    return float((mean - 1.0) * np.sqrt(n_independent))


def found_offset_ppm(
    fid: NDArray[np.complexfloating], dwell_time_s: float, spectrometer_frequency_mhz: float, phantom: bool
) -> float:
    """Shift of the whole spectrum (ppm, found minus true) by its metabolites, else by its residual water, else 0.

    In phantoms, whose lines are others and whose temperature moves water, only the water is asked.
    """
    by_lines = None if phantom else spectrum_offset_ppm(fid, dwell_time_s, spectrometer_frequency_mhz)
    if by_lines is not None:
        return by_lines
    height, place, _ = tallest_line(fid, dwell_time_s, spectrometer_frequency_mhz, (4.25, 5.05))
    typical = float(np.median(np.abs(spectrum(fid))))
    return place - WATER_PPM if height > 8 * typical else 0.0
