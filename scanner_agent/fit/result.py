"""What a fit returns, and what its flags mean."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scanner_agent.fit.parameters import Parameters

SUMS: dict[str, tuple[str, ...]] = {
    "tNAA": ("NAA", "NAAG"),
    "tCr": ("Cr", "PCr"),
    "tCho": ("GPC", "PCh", "Cho"),
    "Glx": ("Glu", "Gln"),
}
"""Sums that are always reported beside their parts."""
EDITED_SUMS: dict[str, tuple[str, ...]] = {"GABA+": ("GABA", "MM3co"), "Glx": ("Glu", "Gln")}

REMEDIES: dict[str, str] = {
    "bad_input": "the spectrum holds values that are not finite or only zeros: look at the source of the data",
    "no_signal": "no metabolite stands above the noise: check voxel, coil and transmit, or collect more shots",
    "not_converged": "the fit did not settle: collect more shots, check shim and water suppression",
    "mirrored_axis": "the spectrum fits better with its axis reversed: the data are conjugated, check the source",
    "offset_at_bound": "the referencing offset is at the edge of what is looked for: check the centre frequency",
    "wrong_model": "far more than noise is left over, and much of the tallest peak: basis, line shape or water is off",
    "macromolecules_missing": "the data hold macromolecules that the fit was told to leave out: put them in",
    "macromolecules_differ": "macromolecules are wider or narrower than assumed: trust Glu, Gln and GABA less",
    "baseline_too_free": "the baseline takes what metabolites may have: check water suppression, lipids and basis",
    "broad_lines": "the lines are too broad to tell metabolites apart: shim again",
    "basis_incomplete": "the basis lacks metabolites that were asked for",
    "water_large": "residual water is more than 20 times NAA: check water suppression",
    "basis_mismatch": "the basis set could not be brought to the data's field or dwell time: choose another",
}
"""Every flag a fit can raise, with what to do."""


@dataclass(frozen=True, eq=False)
class FitResult:
    """One fit. Amounts are in units of the basis times the data's scale; a value that is None could not be had."""

    names: tuple[str, ...]
    """Fitted terms: metabolites, then macromolecules and lipids."""
    amplitudes: NDArray[np.float64]
    """(n_terms,) >= 0."""
    covariance: NDArray[np.float64]
    """(n_terms, n_terms) over repeated noise: (F+P)^-1 F (F+P)^-1."""
    posterior_covariance: NDArray[np.float64]
    """(n_terms, n_terms) of the error to be expected, priors taken at their word: (F+P)^-1."""
    amounts: dict[str, float] = field(default_factory=dict)
    """By name, sums included."""
    crlb_sd: dict[str, float] = field(default_factory=dict)
    """Sampling SD by name, sums included; same unit as `amounts`."""
    posterior_sd: dict[str, float] = field(default_factory=dict)
    """Posterior SD by name, sums included."""
    percent_sd: dict[str, float | None] = field(default_factory=dict)
    """100 crlb_sd / amount; None where the amount is 0."""
    percent_sd_lcmodel: dict[str, float | None] = field(default_factory=dict)
    """On LCModel's scale: posterior SD with the noise of the residual; None where amount is 0."""
    snr_lcmodel: float | None = None
    """max(fit - baseline) / (2 SD of the residual), as LCModel prints it, not rounded."""
    snr_naa: float | None = None
    """Height of tNAA above the baseline over SD of the real part's noise, no apodisation, no zero filling."""
    fwhm_hz: float | None = None
    """FWHM of the line shape beyond the basis's own width, as LCModel prints it, Hz."""
    fwhm_ppm: float | None = None
    """The same in ppm."""
    frequency_offset_hz: float | None = None
    """Offset of the whole spectrum in the stored convention: f > 0 lies at lower ppm."""
    phase_deg: float | None = None
    """Zero-order phase at 2.6 ppm that was taken out, degrees."""
    phase1_deg_per_ppm: float | None = None
    """First-order phase that was taken out, degrees per ppm."""
    fit_quality: float | None = None
    """FQN: variance of the residual over variance of the noise; 1 is ideal."""
    baseline_freedom_per_ppm: float | None = None
    """Effective degrees of freedom of the baseline per ppm."""
    residual_water_ratio: float | None = None
    """Height of the residual water line over that of the largest metabolite peak."""
    lipid_ratio: float | None = None
    """Signal of lipid at 1.28 ppm, of any phase, over that of tNAA's methyl."""
    noise_sd: float | None = None
    """SD of the FID's noise per real channel that was used."""
    naa_height: float | None = None
    """Height of tNAA above the baseline in the spectrum's unit (FFT of the FID)."""
    signal_per_amount: float = 1.0
    """FID amplitude per proton of one unit of amount (1 in bases that this program simulated)."""
    dwell_time_s: float = 0.0
    """Of the FID that was fitted, s."""
    edited: bool = False
    """Of a difference spectrum."""
    iterations: int = 0
    """Gauss-Newton steps."""
    flags: tuple[str, ...] = ()
    """Keys of `REMEDIES`."""
    ppm: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """(n_window,) ascending."""
    data: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """(n_window,) real, phased, referenced, water removed; FFT of the FID with its first point halved."""
    fit: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """(n_window,) terms and baseline."""
    baseline: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """(n_window,)"""
    parameters: Parameters | None = None
    """Where a warm start begins."""

    def remedies(self) -> tuple[str, ...]:
        """What to do about each flag, in the order of `flags`."""
        return tuple(REMEDIES[flag] for flag in self.flags)


def empty_result(*flags: str) -> FitResult:
    """The result of a fit that could not be made."""
    nothing = np.zeros((0, 0))
    return FitResult((), np.zeros(0), nothing, nothing, flags=flags)
