"""Residual water as a few decaying exponentials, found by a state-space method and subtracted.

HSVD: Barkhuijsen, de Beer, van Ormondt 1987 (10.1016/0022-2364(87)90023-0). The poles come from the band about the
water line alone, so that the matrices stay small; the amplitudes are a least-squares fit to that band's spectrum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner_agent.mrs.axes import WATER_PPM

SEARCH_PPM = 0.33
"""Water is looked for this far about 4.65 ppm (referencing offset up to 0.3 ppm)."""
BAND_PPM = 0.55
"""Half width of the band that poles are sought in."""
MODEL_PPM = 0.25
"""Poles farther from the water's peak belong to something else."""
MAX_POLES = 12


@dataclass(frozen=True)
class WaterModel:
    """Residual water as found in one spectrum."""

    frequency_hz: float
    """Of its highest point, in the stored convention."""
    height: float
    """Magnitude of the spectrum there, same units as an unscaled FFT."""
    fid: NDArray[np.complex128]
    """(n_points,) what was subtracted."""


def _poles(band_fid: NDArray[np.complex128], max_poles: int) -> NDArray[np.complex128]:
    """Signal poles of a short FID from the dominant right singular space of its Hankel matrix (shift invariance)."""
    columns = band_fid.size // 2
    rows = band_fid.size - columns + 1
    index = np.arange(rows)[:, None] + np.arange(columns)[None, :]
    hankel = band_fid[index]
    values, vectors = np.linalg.eigh(hankel.conj().T @ hankel)
    values, vectors = values[::-1], vectors[:, ::-1]
    floor = np.median(values)
    count = int(np.clip(np.sum(values > 4.0 * floor), 1, min(max_poles, columns - 2)))
    basis = vectors[:, :count].conj()
    step, *_ = np.linalg.lstsq(basis[:-1], basis[1:], rcond=None)
    return np.asarray(np.linalg.eigvals(step), dtype=np.complex128)


def remove_water(
    fid: NDArray[np.complex128], dwell_time_s: float, spectrometer_frequency_mhz: float, keep_below_ppm: float
) -> tuple[NDArray[np.complex128], WaterModel]:
    """Subtract the residual water of `fid` (n_points,).

    Poles nearer than 0.1 ppm to the fit window (its upper end `keep_below_ppm`, on the stored axis) are kept unless
    they are part of the water line itself.
    """
    n = fid.size
    halved = fid.copy()
    halved[0] *= 0.5
    spectrum = np.fft.fft(halved)
    frequency = np.fft.fftfreq(n, dwell_time_s)
    search = np.abs(frequency) <= SEARCH_PPM * spectrometer_frequency_mhz
    peak = int(np.flatnonzero(search)[np.argmax(np.abs(spectrum[search]))])
    water_hz = float(frequency[peak])
    model = WaterModel(water_hz, float(np.abs(spectrum[peak])), np.zeros(n, dtype=np.complex128))

    bin_hz = 1.0 / (n * dwell_time_s)
    half = min(int(BAND_PPM * spectrometer_frequency_mhz / bin_hz), n // 2 - 1)
    half = max(half, 8)
    bins = (peak + np.arange(-half, half)) % n
    band_fid = np.fft.ifft(np.fft.ifftshift(spectrum[bins]))
    step_s = n * dwell_time_s / band_fid.size
    keep = min(band_fid.size, max(24, int(0.35 / step_s)))
    poles = _poles(band_fid[:keep], MAX_POLES)
    with np.errstate(divide="ignore"):
        pole_hz = np.angle(poles) / (2 * np.pi * step_s) + water_hz
        damping = -np.log(np.abs(poles)) / step_s
    limit_hz = (WATER_PPM - keep_below_ppm) * spectrometer_frequency_mhz
    near = np.abs(pole_hz - water_hz) <= MODEL_PPM * spectrometer_frequency_mhz
    near &= (pole_hz < limit_hz - 0.1 * spectrometer_frequency_mhz) | (
        np.abs(pole_hz - water_hz) < 0.08 * spectrometer_frequency_mhz
    )
    near &= (damping > -1.0) & (damping < 400.0)
    if not near.any():
        return fid.copy(), model
    pole_hz, damping = pole_hz[near], np.maximum(damping[near], 0.1)

    rate = (2j * np.pi * pole_hz - damping) * dwell_time_s
    inner = max(int(0.35 * spectrometer_frequency_mhz / bin_hz), 6)
    inner_bins = (peak + np.arange(-inner, inner + 1)) % n
    # Discrete transform of a decaying exponential whose first point counts half, as a geometric series.
    turn = np.exp(rate[None, :] - 2j * np.pi * inner_bins[:, None] / n)
    columns = (1.0 - np.exp(rate * n)) / (1.0 - turn) - 0.5
    ramp = np.linspace(-1.0, 1.0, inner_bins.size)
    scale = np.abs(columns).max()
    design = np.concatenate([columns, scale * np.vander(ramp, 2)], axis=1)
    amplitude, *_ = np.linalg.lstsq(design, spectrum[inner_bins], rcond=1e-9)
    steps = np.repeat(np.exp(rate)[:, None], n, axis=1)
    steps[:, 0] = amplitude[: pole_hz.size]
    water = np.cumprod(steps, axis=1).sum(axis=0)
    return fid - water, WaterModel(water_hz, model.height, water)
