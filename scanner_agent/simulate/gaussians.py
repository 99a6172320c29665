"""Broad signals: macromolecules, lipids and baseline as Gaussian lines, after LCModel's table (docs/science.md 6.3)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from scanner_agent.mrs.axes import hz_from_ppm, time_axis

Line = tuple[float, float, float]
"""Shift (ppm), full width at half maximum (ppm), protons relative to Cr's CH3 = 3."""

MACROMOLECULES: Mapping[str, tuple[Line, ...]] = MappingProxyType(
    {
        "MM09": ((0.91, 0.14, 3.0),),
        "MM12": ((1.21, 0.15, 2.0),),
        "MM14": ((1.43, 0.17, 2.0),),
        "MM17": ((1.67, 0.15, 2.0),),
        "MM20": ((2.08, 0.15, 1.33), (2.25, 0.20, 0.33), (1.95, 0.15, 0.33), (3.00, 0.20, 0.40)),
        "MM3co": ((3.00, 14.0 / 123.25, 2.0),),
    }
)
LIPIDS: Mapping[str, tuple[Line, ...]] = MappingProxyType(
    {
        "Lip09": ((0.89, 0.14, 3.0),),
        "Lip13": ((1.28, 0.15, 1.4), (1.28, 0.089, 0.6)),
        "Lip20": ((2.04, 0.15, 1.33), (2.25, 0.15, 0.67), (2.80, 0.20, 0.87)),
    }
)


def gaussian_fid(
    lines: tuple[Line, ...],
    n_points: int,
    dwell_time_s: float,
    spectrometer_frequency_mhz: float,
    width_factor: float = 1.0,
) -> NDArray[np.complex128]:
    """FID (n_points,) of unit amount: each line with |first point| = its protons."""
    times = time_axis(n_points, dwell_time_s)
    fid = np.zeros(n_points, dtype=np.complex128)
    for ppm, fwhm_ppm, protons in lines:
        frequency = hz_from_ppm(ppm, spectrometer_frequency_mhz)
        decay = (np.pi * fwhm_ppm * width_factor * spectrometer_frequency_mhz) ** 2 / (4.0 * np.log(2.0))
        fid += protons * np.exp(2j * np.pi * frequency * times - decay * times**2)
    return fid


def draw_baseline(
    rng: np.random.Generator,
    n_points: int,
    dwell_time_s: float,
    spectrometer_frequency_mhz: float,
    height: float,
) -> NDArray[np.complex128]:
    """FID (n_points,) of a smooth baseline under 0-4.4 ppm whose humps have heights of SD `height` in the spectrum.

    What no model holds: tails of outer-volume signal, unlisted metabolites. Humps of 0.7-1.6 ppm.
    """
    fid = np.zeros(n_points, dtype=np.complex128)
    for ppm in np.linspace(0.2, 4.0, 7) + rng.uniform(-0.2, 0.2, 7):
        fwhm_ppm = float(rng.uniform(0.7, 1.6))
        # A Gaussian of unit first point has a spectrum of this height (sum over points, first point whole).
        unit = np.sqrt(np.pi * np.log(2.0)) / (np.pi * fwhm_ppm * spectrometer_frequency_mhz * dwell_time_s)
        amount = float(rng.normal(0.0, height)) / unit
        fid += gaussian_fid(((float(ppm), fwhm_ppm, amount),), n_points, dwell_time_s, spectrometer_frequency_mhz)
    return fid
