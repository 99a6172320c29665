"""Who lies in the scanner: amounts, tissue, linewidth and S/N drawn from distributions with sources.

Ratios to tCr, S/N and linewidth of study 1 (PRESS TE 35 ms, TR 3000 ms, 64 shots, 3 T, anterior cingulate) are those
that Mouchlianitis et al. 2016 report of the scans they kept (see docs/science.md); amounts they do not give follow the
fitting-challenge means (Marjanska et al. 2022, 10.1002/mrm.28942), macromolecules LCModel's soft ratios.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

Study = Literal[0, 1, 2]
"""Whose scans: 1 and 2 are the studies at the head of docs/science.md, 0 the general population (its section 6.4)."""
TCR_MM = 8.0
"""Mean apparent total creatine, mmol/L (Marjanska et al. 2022: 8-10)."""

# Mean ratio to tCr and between-subject CV. Apparent at TE 35 ms, TR 3000 ms: relaxation is in them already.
_RATIO_TO_TCR: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "tNAA": (1.115, 0.07),
        "tCho": (0.24, 0.12),
        "Ins": (0.725, 0.11),
        "Glu": (1.475, 0.09),
        "Gln": (0.62, 0.18),
        "GABA": (0.19, 0.15),
        "GSH": (0.20, 0.15),
        "Tau": (0.17, 0.20),
        "Asp": (0.24, 0.20),
        "Asc": (0.12, 0.20),
        "Lac": (0.07, 0.30),
        "Ala": (0.05, 0.30),
        "PE": (0.17, 0.20),
        "Gly": (0.08, 0.25),
        "Glc": (0.12, 0.25),
        "sIns": (0.035, 0.25),
    }
)
# Glu is higher in study 1's cingulate than elsewhere.
_GENERAL: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"Glu": (1.2, 0.09), "Gln": (0.4, 0.18), "tNAA": (1.4, 0.08)}
)
# Amount over tCr and its CV, in the unit of `gaussians.MACROMOLECULES`; LCModel's soft ratios tie the others to MM09.
# MM3co makes 41-49 % of GABA+ (PMC4909570).
_MACROMOLECULES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "MM09": (0.72, 0.12),
        "MM12": (0.22, 0.25),
        "MM14": (0.54, 0.20),
        "MM17": (0.27, 0.25),
        "MM20": (1.08, 0.15),
        "MM3co": (0.12, 0.12),
    }
)


@dataclass(frozen=True)
class Tissue:
    """Volume fractions of a voxel, adding up to 1."""

    grey: float
    white: float
    csf: float


@dataclass(frozen=True)
class Subject:
    """One person's voxel as a good scan would see it."""

    amounts_mm: Mapping[str, float]
    """Apparent amount (mmol per litre of voxel, relaxation at TE 35 ms / TR 3000 ms included) by LCModel's names."""
    macromolecules: Mapping[str, float]
    """The same for MM09 … MM20 (at TE 35 ms) and MM3co (co-edited at 3.0 ppm, 2 protons, at TE 68 ms)."""
    lipid: float
    """First point over NAA's of the scalp lipid that outer-volume suppression lets through."""
    tissue: Tissue
    """Voxel content."""
    fwhm_hz: float
    """Full width at half maximum of NAA's singlet, Hz, at 3 T (123.25 MHz)."""
    gaussian_share: float
    """Part of the inhomogeneous width that is Gaussian rather than Lorentzian, 0-1."""
    asymmetry: float
    """Lean of the line: displacement of a fifth of it, in units of the width."""
    snr_lcmodel: float
    """LCModel's S/N at the end of the study's protocol."""
    residual_water: float
    """First point of the residual water over NAA's (3 x amount)."""
    eddy_hz: tuple[float, float]
    """Initial frequency, Hz, of two eddy-current terms."""
    eddy_time_s: tuple[float, float]
    """Their time constants, seconds."""
    water_mm: float | None = None
    """Apparent water, mmol per litre; None: as the tissue has it."""


def _positive(rng: np.random.Generator, mean: float, cv: float) -> float:
    """Log-normal draw of the given mean and coefficient of variation."""
    sigma = np.sqrt(np.log1p(cv**2))
    return float(mean * rng.lognormal(-(sigma**2) / 2.0, sigma))


def _within(rng: np.random.Generator, mean: float, sd: float, low: float, high: float) -> float:
    """Normal draw, repeated until it lies between the bounds."""
    while True:
        value = float(rng.normal(mean, sd))
        if low <= value <= high:
            return value


def _positive_within(rng: np.random.Generator, mean: float, cv: float, low: float, high: float) -> float:
    """Log-normal draw, repeated until it lies between the bounds."""
    while True:
        value = _positive(rng, mean, cv)
        if low <= value <= high:
            return value


def draw_subject(rng: np.random.Generator, study: Study = 1) -> Subject:
    """One person as the kept scans of study 1 or 2 were, or (0) with amounts of the general population.

    Study 1: S/N 16.6-17.1 (SD 2.4-3.3), FWHM 0.051-0.053 (SD 0.014-0.016) ppm. Study 2 (PRESS TE 35 ms, TR 2000 ms,
    128 excitations, 9 mL, 3 T) gives only its limits, S/N > 10 and FWHM < 10 Hz; its kept scans are drawn inside them.
    """
    tcr = _positive(rng, TCR_MM, 0.08)
    ratios = _RATIO_TO_TCR if study else {**_RATIO_TO_TCR, **_GENERAL}
    amount = {name: tcr * _positive(rng, mean, cv) for name, (mean, cv) in ratios.items()}
    share_pcr = _within(rng, 0.45, 0.05, 0.3, 0.6)
    share_naag = _within(rng, 0.12, 0.03, 0.03, 0.25)
    share_pch = _within(rng, 0.4, 0.06, 0.2, 0.6)
    tnaa, tcho = amount.pop("tNAA"), amount.pop("tCho")
    amount |= {"Cr": tcr * (1.0 - share_pcr), "PCr": tcr * share_pcr}
    amount |= {"NAA": tnaa * (1.0 - share_naag), "NAAG": tnaa * share_naag}
    amount |= {"GPC": tcho * (1.0 - share_pch), "PCh": tcho * share_pch}
    if study != 2:
        # Bounds keep the kept scans inside the study's limits, as they were (S/N >= 8, FWHM < 0.1 ppm).
        snr = _within(rng, 16.85, 2.85, 9.5, 30.0)
        fwhm_hz = _positive_within(rng, 0.0525, 0.28, 0.028, 0.086) * 123.25
    else:
        snr = _within(rng, 17.0, 3.0, 12.0, 30.0)
        fwhm_hz = _positive_within(rng, 6.0, 0.2, 3.8, 8.8)
    csf = _within(rng, 0.14, 0.05, 0.02, 0.35)
    grey = (1.0 - csf) * _within(rng, 0.68, 0.06, 0.45, 0.9)
    return Subject(
        amounts_mm=MappingProxyType(amount),
        macromolecules=MappingProxyType({n: tcr * _positive(rng, m, cv) for n, (m, cv) in _MACROMOLECULES.items()}),
        lipid=_positive(rng, 0.03, 0.6),
        tissue=Tissue(grey, 1.0 - csf - grey, csf),
        fwhm_hz=fwhm_hz,
        gaussian_share=_within(rng, 0.6, 0.15, 0.2, 0.95),
        asymmetry=_within(rng, 0.0, 0.25, -0.6, 0.6),
        snr_lcmodel=snr,
        residual_water=_positive(rng, 1.5, 0.6),
        eddy_hz=(float(rng.normal(0.0, 3.0)), float(rng.normal(0.0, 1.0))),
        eddy_time_s=(float(rng.uniform(0.004, 0.015)), float(rng.uniform(0.03, 0.1))),
    )


def moved_content(subject: Subject, rng: np.random.Generator, strength: float) -> Subject:
    """The same person's voxel after the head has moved in it: other tissue, mostly more CSF, so other amounts.

    `strength` 0-1: share of the voxel that is exchanged. Choline and NAA differ between grey and white matter, Glu is
    lower in white (science.md 6.4); CSF holds almost none of them.
    """
    gained = strength * float(rng.uniform(0.2, 0.9))
    towards_white = strength * float(rng.uniform(-0.6, 0.6))
    csf = subject.tissue.csf + (1.0 - subject.tissue.csf) * 0.35 * gained
    tissue_scale = (1.0 - csf) / (1.0 - subject.tissue.csf)
    white = float(np.clip(subject.tissue.white * tissue_scale + 0.3 * towards_white, 0.02, 1.0 - csf - 0.02))
    tilt = {"Glu": -0.35, "Gln": -0.3, "GPC": 0.3, "PCh": 0.3, "NAAG": 0.8, "GABA": -0.3, "Ins": -0.1, "NAA": -0.02}
    amounts = {
        name: value * tissue_scale * (1.0 + tilt.get(name, 0.0) * 0.6 * towards_white)
        for name, value in subject.amounts_mm.items()
    }
    return replace(
        subject,
        amounts_mm=MappingProxyType(amounts),
        macromolecules=MappingProxyType({n: v * tissue_scale for n, v in subject.macromolecules.items()}),
        tissue=Tissue(1.0 - csf - white, white, csf),
    )
