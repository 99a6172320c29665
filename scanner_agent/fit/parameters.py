"""Non-linear parameters of a fit, and what is expected of them before the data are seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanner_agent.fit.settings import FitSettings

N_GLOBAL = 6
PHASE0, PHASE1, SHIFT, GAUSS, LORENTZ, MM_WIDTH = range(N_GLOBAL)
"""Places of the parameters that all terms share: rad, rad/ppm, Hz, Hz^2 (squared FWHM), Hz (FWHM), and the growth of
the macromolecules' squared widths relative to the table (0: as in the table)."""

REFERENCE_MHZ = 123.2
"""Widths below hold here; they grow with the root of the field, as LCModel's do."""
PHASE1_SD, PHASE1_BOUND = np.deg2rad(5.0), np.deg2rad(25.0)
LORENTZ_MEAN_HZ, LORENTZ_SD_HZ = 1.65, 0.2
"""1 / (pi T2) of metabolites at 3 T is 1 to 2 Hz; what the shim adds is taken as Gaussian."""
EDITED_LORENTZ_MEAN_HZ, EDITED_LORENTZ_SD_HZ, EDITED_MM_WIDTH_SD = 2.5, 1.0, 0.3
"""The negative line of NAA tells the shape by itself; a wrong one costs GABA+ and Glx 10 %."""
PHANTOM_LORENTZ_MEAN_HZ, PHANTOM_LORENTZ_SD_HZ = 0.7, 1.0
GAUSS_BOUND_HZ, LORENTZ_BOUND_HZ = 40.0, 25.0
MM_WIDTH_SD, MM_WIDTH_BOUNDS = 0.05, (-0.5, 3.0)
SHIFT_SD_PPM, SHIFT_BOUND_PPM = 0.0025, 0.02
PHANTOM_SHIFT_SD_PPM, PHANTOM_SHIFT_BOUND_PPM = 0.01, 0.04
"""A phantom's temperature and pH move lines by hundredths of a ppm."""
WIDTH_SD_HZ, WIDTH_BOUND_HZ = 0.25, 1.5
OFFSET_BOUND_PPM = 0.36
TAIL = 4.0
"""Degrees of freedom of the Student-t priors: a parameter that insists may move."""
LORENTZ_TAIL = 1.0
"""Those of the common Lorentzian width: shims leave lines of any shape between Gaussian and Lorentzian."""


@dataclass(frozen=True, eq=False)
class Parameters:
    """Non-linear parameters of one fit."""

    shared: NDArray[np.float64]
    """(N_GLOBAL,)"""
    shifts_hz: NDArray[np.float64]
    """(n_metabolites,) beyond the shared shift."""
    widths_hz: NDArray[np.float64]
    """(n_metabolites,) Lorentzian FWHM beyond the shared one."""
    baseline_sd: float
    """Prior SD of the baseline's second differences, in units of spectral noise."""

    def vector(self) -> NDArray[np.float64]:
        """All but `baseline_sd` in one array."""
        return np.concatenate([self.shared, self.shifts_hz, self.widths_hz])

    def moved(self, vector: NDArray[np.float64]) -> Parameters:
        """The same with `vector`'s values."""
        n = self.shifts_hz.size
        return replace(
            self,
            shared=vector[:N_GLOBAL],
            shifts_hz=vector[N_GLOBAL : N_GLOBAL + n],
            widths_hz=vector[N_GLOBAL + n :],
        )


def tail_weight(z: NDArray[np.float64], tail: float | NDArray[np.float64] = TAIL) -> NDArray[np.float64]:
    """Weight of a Student-t prior's quadratic at `z` standard deviations."""
    return np.asarray((tail + 1.0) / (tail + z * z))


@dataclass(frozen=True, eq=False)
class Prior:
    """Means, SDs (inf: none), tails and bounds of `Parameters.vector()`, all (n_parameters,)."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    tail: NDArray[np.float64]
    """Degrees of freedom of Student-t priors."""
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def weight(self, p: Parameters) -> NDArray[np.float64]:
        """Tail weights at `p`; the first-order phase has a plain normal prior."""
        weight = tail_weight((p.vector() - self.mean) / self.sd, self.tail)
        weight[PHASE1] = 1.0
        return weight

    def bounded(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """`vector` within the bounds; no term gets a negative width."""
        bounded = np.clip(vector, self.low, self.high)
        widths = slice(N_GLOBAL + (vector.size - N_GLOBAL) // 2, None)
        bounded[widths] = np.maximum(bounded[widths], -bounded[LORENTZ])
        return bounded


def prior_cost(prior: Prior, p: Parameters) -> float:
    """-2 log density of the priors, constants left out."""
    z2 = ((p.vector() - prior.mean) / prior.sd) ** 2
    robust = (prior.tail + 1.0) * np.log1p(z2 / prior.tail)
    return float(np.sum(robust) - robust[PHASE1] + z2[PHASE1])


def natural_width_hz(spectrometer_frequency_mhz: float) -> float:
    """Lorentzian FWHM, Hz, that the T2 of brain metabolites gives their lines."""
    return LORENTZ_MEAN_HZ * float(np.sqrt(spectrometer_frequency_mhz / REFERENCE_MHZ))


def make_prior(n_metabolites: int, spectrometer_frequency_mhz: float, settings: FitSettings) -> Prior:
    """Priors and bounds for one kind of data."""
    n, f0 = n_metabolites, spectrometer_frequency_mhz
    wide = float(np.sqrt(f0 / REFERENCE_MHZ))
    mean = np.zeros(N_GLOBAL + 2 * n)
    sd = np.full(mean.size, np.inf)
    high = np.full(mean.size, np.inf)
    tail = np.full(mean.size, TAIL)
    tail[LORENTZ] = LORENTZ_TAIL
    shifts, widths = slice(N_GLOBAL, N_GLOBAL + n), slice(N_GLOBAL + n, N_GLOBAL + 2 * n)
    sd[PHASE1], high[PHASE1] = PHASE1_SD, PHASE1_BOUND
    high[SHIFT] = OFFSET_BOUND_PPM * f0
    mean[LORENTZ], sd[LORENTZ] = natural_width_hz(f0), LORENTZ_SD_HZ * wide
    sd[MM_WIDTH] = MM_WIDTH_SD
    sd[shifts], high[shifts] = SHIFT_SD_PPM * f0, SHIFT_BOUND_PPM * f0
    if settings.edited:
        mean[LORENTZ], sd[LORENTZ] = EDITED_LORENTZ_MEAN_HZ * wide, EDITED_LORENTZ_SD_HZ * wide
        sd[MM_WIDTH] = EDITED_MM_WIDTH_SD
    if settings.phantom:
        mean[LORENTZ], sd[LORENTZ] = PHANTOM_LORENTZ_MEAN_HZ, PHANTOM_LORENTZ_SD_HZ
        sd[shifts], high[shifts] = PHANTOM_SHIFT_SD_PPM * f0, PHANTOM_SHIFT_BOUND_PPM * f0
    sd[widths], high[widths] = WIDTH_SD_HZ * wide, WIDTH_BOUND_HZ * wide
    low = -high
    low[GAUSS], high[GAUSS] = 0.0, (GAUSS_BOUND_HZ * wide) ** 2
    low[LORENTZ], high[LORENTZ] = 0.0, LORENTZ_BOUND_HZ * wide
    low[MM_WIDTH], high[MM_WIDTH] = MM_WIDTH_BOUNDS
    return Prior(mean, sd, tail, low, high)
