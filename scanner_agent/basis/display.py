"""Spectra of basis sets for eyes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanner_agent.basis.basis_set import BasisSet
from scanner_agent.mrs.axes import ppm_axis, spectrum, time_axis


def display_spectra(
    basis: BasisSet, linewidth_hz: float, n_points: int = 16384
) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """ppm axis (n_points,) and spectra (n_metabolites, n_points) at a Lorentzian linewidth.

    Zero-filled, first point halved; the integral over Hz of a fully refocused metabolite is its number of protons / 2.
    """
    extra = max(linewidth_hz - basis.linewidth_hz, 0.0)
    damped = basis.fids * np.exp(-np.pi * extra * time_axis(basis.n_points, basis.dwell_time_s))
    damped[:, 0] *= 0.5
    filled = np.zeros((len(basis.names), max(n_points, basis.n_points)), dtype=np.complex128)
    filled[:, : basis.n_points] = damped
    axis = ppm_axis(filled.shape[1], basis.dwell_time_s, basis.spectrometer_frequency_mhz)
    return axis, spectrum(filled) * basis.dwell_time_s


def strongest_lines_ppm(basis: BasisSet, name: str, count: int = 5) -> list[float]:
    """Shifts (ppm, descending) of the highest peaks of |spectrum| at 2 Hz that reach a tenth of the highest."""
    ppm, spectra = display_spectra(basis.subset([name]), 2.0)
    height = np.abs(spectra[0])
    inner = height[1:-1]
    peaks = 1 + np.flatnonzero((inner > height[:-2]) & (inner >= height[2:]) & (inner > 0.1 * height.max()))
    chosen = peaks[np.argsort(height[peaks])[::-1][:count]]
    return sorted((float(ppm[k]) for k in chosen), reverse=True)
