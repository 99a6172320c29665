"""Time, frequency and ppm axes. Convention of NIfTI-MRS: with a plain FFT, ppm = reference - f / f0."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WATER_PPM = 4.65
"""Shift of water at 37 degrees C that the axes are referenced to (LCModel, FSL-MRS)."""


def time_axis(n_points: int, dwell_time_s: float) -> NDArray[np.float64]:
    """Times of the FID's points, (n_points,), seconds from the first point."""
    return np.arange(n_points, dtype=np.float64) * dwell_time_s


def frequency_axis(n_points: int, dwell_time_s: float) -> NDArray[np.float64]:
    """Frequencies of `spectrum`'s points, (n_points,), Hz, ascending."""
    return np.asarray(np.fft.fftshift(np.fft.fftfreq(n_points, dwell_time_s)), dtype=np.float64)


def ppm_axis(
    n_points: int, dwell_time_s: float, spectrometer_frequency_mhz: float, reference_ppm: float = WATER_PPM
) -> NDArray[np.float64]:
    """Chemical shifts of `spectrum`'s points, (n_points,), ppm, descending."""
    frequency: NDArray[np.float64] = frequency_axis(n_points, dwell_time_s)
    return reference_ppm - frequency / spectrometer_frequency_mhz


def hz_from_ppm(ppm: float, spectrometer_frequency_mhz: float, reference_ppm: float = WATER_PPM) -> float:
    """FID frequency (Hz, stored convention) of a line at `ppm`."""
    return (reference_ppm - ppm) * spectrometer_frequency_mhz


def spectrum(fid: NDArray[np.complexfloating]) -> NDArray[np.complex128]:
    """Spectrum of FIDs along the last axis in `frequency_axis` order (ppm descends); not scaled or zero-filled."""
    return np.fft.fftshift(np.fft.fft(fid, axis=-1), axes=-1)
