"""Macromolecules and lipids as Gaussian lines, with the ratios expected between them.

Positions, widths, protons and soft ratios are those of LCModel (Provencher 2001, 10.1002/nbm.698); co-edited lines of a
GABA difference follow Zoellner et al. 2022 (10.1002/nbm.4618).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner_agent.mrs.axes import WATER_PPM


@dataclass(frozen=True)
class GaussianTerm:
    """One fitted term: Gaussian lines at fixed relative heights."""

    name: str
    lines: tuple[tuple[float, float, float], ...]
    """(ppm, FWHM in ppm, protons) of each line; protons on the scale where creatine's methyl has 3."""

    @property
    def mean_fwhm_ppm(self) -> float:
        """FWHM of its lines, ppm, weighted by their protons."""
        return sum(w * h for _, w, h in self.lines) / sum(h for _, _, h in self.lines)


@dataclass(frozen=True)
class SoftRatio:
    """Prior: amplitude(numerator) = ratio * amplitude(denominator), with a standard deviation of the ratio."""

    numerator: str
    denominator: str
    mean: float
    sd: float


IN_VIVO_TERMS = (
    GaussianTerm("MM09", ((0.91, 0.14, 3.0),)),
    GaussianTerm("MM12", ((1.21, 0.15, 2.0),)),
    GaussianTerm("MM14", ((1.43, 0.17, 2.0),)),
    GaussianTerm("MM17", ((1.67, 0.15, 2.0),)),
    GaussianTerm("MM20", ((2.08, 0.15, 1.33), (2.25, 0.20, 0.33), (1.95, 0.15, 0.33), (3.00, 0.20, 0.40))),
    GaussianTerm("Lip09", ((0.89, 0.14, 3.0),)),
    GaussianTerm("Lip13a", ((1.28, 0.15, 2.0),)),
    GaussianTerm("Lip13b", ((1.28, 0.089, 2.0),)),
    GaussianTerm("Lip20", ((2.04, 0.15, 1.33), (2.25, 0.15, 0.67), (2.80, 0.20, 0.87))),
)
IN_VIVO_RATIOS = (
    SoftRatio("MM12", "MM09", 0.30, 0.10),
    SoftRatio("MM14", "MM09", 0.75, 0.45),
    SoftRatio("MM17", "MM09", 0.375, 0.30),
    SoftRatio("MM20", "MM09", 1.50, 0.375),
    SoftRatio("Lip09", "Lip13", 0.267, 0.10),
    SoftRatio("Lip20", "Lip13", 0.15, 0.07),
)

MM3CO_FWHM_HZ = 14.0
"""Width of the co-edited macromolecule at 3.0 ppm, Hz."""
GABA_PULSE_PPM, MM3CO_PULSE_PPM, PULSE_NEAR_PPM = 1.9, 1.5, 0.25
"""Editing pulses at these places edit GABA, and make macromolecules at 1.7 ppm look the same in ON and OFF."""


def edited_terms(
    spectrometer_frequency_mhz: float, edit_pulse_ppm: tuple[float, float] | None = None
) -> tuple[GaussianTerm, ...]:
    """Macromolecules of a difference, ON - OFF, with pulses at `edit_pulse_ppm` (ON, OFF; None: GABA+ editing).

    Co-edited: MM09, and MM3co (14 Hz wide at any field) unless OFF is edited symmetrically about 1.7 ppm. Those under
    the ON pulse are saturated there, so they are negative, as NAA is: left out, they bend the baseline under GABA.
    """
    on, off = edit_pulse_ppm or (GABA_PULSE_PPM, 7.5)
    terms = [GaussianTerm("MM09", ((0.91, 0.14, 3.0),))]
    if abs(on - GABA_PULSE_PPM) > PULSE_NEAR_PPM:
        return tuple(terms)
    if abs(off - MM3CO_PULSE_PPM) > PULSE_NEAR_PPM:
        terms.append(GaussianTerm("MM3co", ((3.0, MM3CO_FWHM_HZ / spectrometer_frequency_mhz, 2.0),)))
        terms.append(GaussianTerm("MM14", ((1.43, 0.17, -2.0),)))
    terms.append(GaussianTerm("MM17", ((1.67, 0.15, -2.0),)))
    terms.append(GaussianTerm("MM20", ((2.08, 0.15, -1.33), (2.25, 0.20, -0.33), (1.95, 0.15, -0.33))))
    return tuple(terms)


FIXED_WIDTH = ("MM3co",)
"""Its width is known by itself: MM09's says nothing about it."""
EDITED_RATIOS = (
    SoftRatio("MM3co", "GABA", 1.0, 0.3),
    SoftRatio("MM17", "MM20", 0.25, 0.2),
    SoftRatio("MM14", "MM20", 0.15, 0.15),
)
"""MM17 and MM14 over MM20: as without editing, times what pulses of 14-20 ms at 1.9 ppm saturate of them."""


def gaussian_fid(
    term: GaussianTerm, time_s: NDArray[np.float64], spectrometer_frequency_mhz: float
) -> NDArray[np.complex128]:
    """FID (n_points,) of a term in units where n protons give n at time 0."""
    fid = np.zeros(time_s.size, dtype=np.complex128)
    for ppm, fwhm_ppm, protons in term.lines:
        frequency_hz = (WATER_PPM - ppm) * spectrometer_frequency_mhz
        width_hz = fwhm_ppm * spectrometer_frequency_mhz
        decay = (np.pi * width_hz) ** 2 / (4.0 * np.log(2.0))
        fid += protons * np.exp(2j * np.pi * frequency_hz * time_s - decay * time_s**2)
    return fid
