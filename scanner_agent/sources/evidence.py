"""What the data themselves say: is the axis mirrored, is the water suppressed, which edit condition is ON."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner_agent.mrs.axes import WATER_PPM, ppm_axis, spectrum, time_axis

_RIGHT_PPM = (1.2, 3.6)
"""Where narrow metabolite lines lie: lactate and acetate to choline and inositol."""
_APODISATION_HZ = 4.0
_MOST_ROWS = 256
"""Rows (shots x coils) that the first singular vector is taken over."""
_CLEAR_RATIO = 3.0
_CLEAR_SIGMA = 8.0


@dataclass(frozen=True)
class Evidence:
    """Heights of the narrow lines, in units of the noise, on the right and on the mirrored side of the axis."""

    right: float
    mirrored: float
    water_over_metabolites: float
    """Height of the water line over the highest narrow line on the right side."""

    @property
    def axis(self) -> str:
        """`right`, `mirrored` or `unclear`."""
        if self.right > max(_CLEAR_SIGMA, _CLEAR_RATIO * self.mirrored):
            return "right"
        if self.mirrored > max(_CLEAR_SIGMA, _CLEAR_RATIO * self.right):
            return "mirrored"
        return "unclear"


def principal_fid(data: NDArray[np.complex64]) -> NDArray[np.complex128]:
    """(n_points,) FID common to all shots and coils of (n_shots, n_coils, n_points): the first singular vector.

    Needs neither coil weights nor phases, so nothing is assumed of the file. Shots with NaN or infinity are left out.
    """
    n_shots, n_coils, n_points = data.shape
    take = max(1, min(n_shots, _MOST_ROWS // n_coils))
    chosen = data[np.linspace(0, n_shots - 1, take).astype(int)]
    finite = chosen[np.isfinite(chosen).all(axis=(1, 2))].reshape(-1, n_points).astype(np.complex128)
    scale = np.abs(finite).max(initial=0.0)
    if finite.shape[0] == 0 or scale == 0.0:
        return np.zeros(n_points, dtype=np.complex128)
    rows = finite / scale
    _, vectors = np.linalg.eigh(rows @ rows.conj().T)
    fid: NDArray[np.complex128] = vectors[:, -1].conj() @ rows
    return fid


def _narrow_lines(fid: NDArray[np.complex128], dwell_time_s: float, frequency_mhz: float) -> NDArray[np.float64]:
    """Magnitude spectrum with smooth parts (the tails of water) taken off by a second difference over 0.1 ppm."""
    times = time_axis(fid.size, dwell_time_s)
    complex_spectrum = spectrum(fid * np.exp(-np.pi * _APODISATION_HZ * times))
    step = max(1, round(0.1 * frequency_mhz * fid.size * dwell_time_s))
    around = 0.5 * (np.roll(complex_spectrum, step) + np.roll(complex_spectrum, -step))
    return np.abs(complex_spectrum - around)


def evidence(data: NDArray[np.complex64], dwell_time_s: float, frequency_mhz: float) -> Evidence:
    """Look at (n_shots, n_coils, n_points) in the NIfTI-MRS convention, water near 0 Hz."""
    fid = principal_fid(data)
    lines = _narrow_lines(fid, dwell_time_s, frequency_mhz)
    ppm = ppm_axis(fid.size, dwell_time_s, frequency_mhz)
    low, high = _RIGHT_PPM
    right = lines[(ppm > low) & (ppm < high)]
    mirrored = lines[(ppm > 2 * WATER_PPM - high) & (ppm < 2 * WATER_PPM - low)]
    # Noise: the lower half of all values, which lines and water leave alone; Rayleigh median / sigma = 1.18.
    noise = float(np.median(np.sort(lines)[: lines.size // 2])) / 0.76
    if noise == 0.0 or right.size == 0 or mirrored.size == 0:
        return Evidence(0.0, 0.0, 0.0)
    water = float(np.abs(_narrow_lines(fid, dwell_time_s, frequency_mhz))[np.abs(ppm - WATER_PPM) < 0.4].max())
    return Evidence(float(right.max()) / noise, float(mirrored.max()) / noise, water / float(right.max()))


def on_condition(
    first: NDArray[np.complex64], second: NDArray[np.complex64], dwell_time_s: float, frequency_mhz: float
) -> int | None:
    """Which of two edit conditions, each (n_shots, n_coils, n_points), has NAA saturated: 0, 1, or None if not clear.

    Each condition's NAA line (1.8-2.2 ppm) is taken over its own creatine and choline lines (2.9-3.3 ppm), which an
    editing pulse at 1.9 ppm leaves alone.
    """
    ratios = []
    for data in (first, second):
        fid = principal_fid(data)
        lines = _narrow_lines(fid, dwell_time_s, frequency_mhz)
        ppm = ppm_axis(fid.size, dwell_time_s, frequency_mhz)
        link = lines[(ppm > 2.9) & (ppm < 3.3)].max(initial=0.0)
        if link <= _CLEAR_SIGMA * np.median(lines):
            return None
        ratios.append(float(lines[(ppm > 1.8) & (ppm < 2.2)].max(initial=0.0)) / float(link))
    if max(ratios) < 2.0 * min(ratios):
        return None
    return ratios.index(min(ratios))
