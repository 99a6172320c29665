"""Random spectra with known truth for the fit's benchmarks: the recipe of the shared reference set, and harder ones."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scanner_agent.basis import BasisSet
from scanner_agent.fit.macromolecules import IN_VIVO_TERMS, gaussian_fid
from scanner_agent.mrs.axes import WATER_PPM, time_axis

MEAN_AMOUNTS = {
    "NAA": 9.8, "NAAG": 1.45, "Cr": 4.5, "PCr": 3.9, "GPC": 1.13, "PCh": 0.46, "Glu": 10.2, "Gln": 2.65, "Ins": 6.2,
    "GABA": 1.6, "GSH": 1.55, "Asp": 2.3, "Asc": 1.0, "Tau": 1.4, "Lac": 0.71, "sIns": 0.31, "PE": 1.4,
}  # fmt: skip
MEAN_MACROMOLECULES = {
    "MM09": 7.1, "MM12": 2.65, "MM14": 4.7, "MM17": 2.4, "MM20": 9.6, "Lip13a": 0.75, "Lip09": 0.25,
}  # fmt: skip
SUMS = {"tNAA": ("NAA", "NAAG"), "tCr": ("Cr", "PCr"), "tCho": ("GPC", "PCh"), "Glx": ("Glu", "Gln")}
MAIN_SIX = ("tNAA", "tCr", "tCho", "Ins", "Glu", "Glx")
WEAK_THREE = ("GSH", "Gln", "GABA")
WEAK = (*WEAK_THREE, "Asp", "Asc", "Tau", "sIns", "PE", "NAAG", "Lac", "Ala", "Gly", "Glc")


@dataclass(frozen=True)
class Recipe:
    """How a spectrum is drawn. Widths in Hz are FWHM."""

    snr: float = 20.0
    """Height of NAA over twice the SD of the noise, spectrum of the whole FID."""
    snr_factor: float = 1.0
    """What tables multiply their S/N by."""
    weak_sd: float | None = None
    """Weak metabolites are drawn with this SD over their mean instead, as wide as the fit's own prior has them."""
    n_points: int = 4096
    dwell_time_s: float = 0.00025
    frequency_mhz: float = 123.2
    amount_spread: float = 0.25
    """Amounts are uniform within this about the mean (SD 0.58 of it)."""
    extreme: tuple[str, ...] = ()
    """Metabolites that are drawn between 0.3 and 3 times the mean (log-uniform) instead."""
    fwhm_hz: tuple[float, float] = (3.0, 7.0)
    lorentz_hz: float = 1.7
    shift_sd_hz: float = 0.25
    width_sd_hz: float = 0.25
    overall_shift_hz: float = 1.5
    phase_deg: float = 15.0
    asymmetry: float = 0.0
    """Third-order phase of the line shape: exp(i asymmetry (pi t fwhm)^3 / 3 ...), 0 symmetric; 0.3 clearly skewed."""
    baseline: float = 0.08
    """Height of the smooth baseline over NAA's."""
    baseline_width_ppm: tuple[float, float] = (0.8, 1.6)
    macromolecule_scale: float = 1.0
    macromolecule_width: float = 1.0
    """Factor on the widths of macromolecules and lipids."""
    shim_widens_all: bool = False
    """Macromolecules and lipids get the line shape as well, as a shim gives it; in the shared set they do not."""
    lipid: float = 1.0
    water: float = 2.0
    """Residual water's height over NAA's, up to."""
    extra: dict[str, float] = field(default_factory=dict)
    """Mean amounts to use instead of the usual."""


@dataclass(frozen=True, eq=False)
class Draw:
    """A spectrum and what is in it."""

    fid: NDArray[np.complex128]
    noiseless: NDArray[np.complex128]
    truth: dict[str, float]
    """Amounts, sums included."""
    noise_sd: float
    shift_hz: float
    phase_deg: float


def draw(basis: BasisSet, recipe: Recipe, seed: int) -> Draw:
    """One random spectrum."""
    rng = np.random.default_rng(seed)
    time = time_axis(recipe.n_points, recipe.dwell_time_s)
    f0 = recipe.frequency_mhz
    means = {**MEAN_AMOUNTS, **recipe.extra}
    names = [name for name in means if name in basis.names]
    fids = basis.subset(names).resampled(recipe.n_points, recipe.dwell_time_s, f0).fids
    # Units: mM-like amounts, whatever one unit of the basis is.
    amounts = {}
    for name in names:
        factor = 1.0 + recipe.amount_spread * rng.uniform(-1.0, 1.0)
        if recipe.weak_sd is not None and name in WEAK:
            factor = abs(1.0 + recipe.weak_sd * float(rng.standard_normal()))
        if name in recipe.extreme:
            factor = float(np.exp(rng.uniform(np.log(0.3), np.log(3.0))))
        amounts[name] = means[name] * factor
    fwhm = rng.uniform(*recipe.fwhm_hz)
    lorentz = min(recipe.lorentz_hz, 0.9 * fwhm)
    gauss2 = max((fwhm - 0.5346 * lorentz) ** 2 - 0.2166 * lorentz**2, 0.0)
    shim = np.exp(-(np.pi**2) * gauss2 * time**2 / (4 * np.log(2)))
    shape = np.exp(-np.pi * lorentz * time) * shim
    shape = shape * np.exp(
        1j * recipe.asymmetry * (np.pi * fwhm * time) ** 3 / (1.0 + (np.pi * fwhm * time) ** 2) / 3.0
    )
    total = np.zeros(recipe.n_points, dtype=np.complex128)
    naa = np.zeros_like(total)
    for name, fid in zip(names, fids, strict=True):
        shift = recipe.shift_sd_hz * rng.standard_normal()
        width = max(recipe.width_sd_hz * rng.standard_normal(), -lorentz)
        part = amounts[name] * fid * shape * np.exp((2j * np.pi * shift - np.pi * width) * time)
        total += part
        if name == "NAA":
            naa = part
    unit = _unit(basis)
    for term in IN_VIVO_TERMS:
        mean = MEAN_MACROMOLECULES.get(term.name, 0.0) * recipe.macromolecule_scale
        if term.name.startswith("Lip"):
            mean *= recipe.lipid
        factor = 1.0 + recipe.amount_spread * rng.uniform(-1.0, 1.0)
        wide = type(term)(term.name, tuple((p, w * recipe.macromolecule_width, h) for p, w, h in term.lines))
        total += unit * mean * factor * gaussian_fid(wide, time, f0) * (shim if recipe.shim_widens_all else 1.0)
    height = _height(naa) if "NAA" in names else _height(total)
    total += _baseline(rng, recipe, height, time)
    water_hz = rng.uniform(-4.0, 4.0)
    water_fwhm = fwhm + rng.uniform(1.0, 3.0)
    amplitude = recipe.water * rng.uniform(0.2, 1.0) * height * np.pi * water_fwhm * recipe.dwell_time_s
    turn = np.exp(2j * np.pi * rng.uniform())
    total += amplitude * turn * np.exp((2j * np.pi * water_hz - np.pi * water_fwhm) * time)
    shift_hz = recipe.overall_shift_hz * rng.standard_normal()
    phase = rng.uniform(-recipe.phase_deg, recipe.phase_deg)
    total *= np.exp(2j * np.pi * shift_hz * time + 1j * np.deg2rad(phase))
    sigma = height / (2.0 * recipe.snr * np.sqrt(recipe.n_points))
    noise = sigma * (rng.standard_normal(recipe.n_points) + 1j * rng.standard_normal(recipe.n_points))
    truth = dict(amounts)
    for name, parts in SUMS.items():
        truth[name] = sum(amounts.get(part, 0.0) for part in parts)
    return Draw(total + noise, total, truth, sigma, shift_hz, phase)


def _unit(basis: BasisSet) -> float:
    if basis.lines is not None:
        return 1.0
    return float(np.abs(basis.fid("Cr")[1])) / 5.0


def _height(fid: NDArray[np.complex128]) -> float:
    halved = fid.copy()
    halved[0] *= 0.5
    return float(np.max(np.abs(np.fft.fft(halved, n=2 * fid.size).real)))


def _baseline(
    rng: np.random.Generator, recipe: Recipe, height: float, time: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """Four broad Gaussian lines of either sign over the window."""
    fid = np.zeros(time.size, dtype=np.complex128)
    for _ in range(4):
        ppm = rng.uniform(0.3, 4.3)
        width_hz = rng.uniform(*recipe.baseline_width_ppm) * recipe.frequency_mhz
        rate = (np.pi * width_hz) ** 2 / (4 * np.log(2))
        # Area under the spectrum of exp(-rate t^2), first point halved: height sqrt(pi / rate) / 2 per unit.
        unit_height = 0.5 * np.sqrt(np.pi / rate) / recipe.dwell_time_s
        amplitude = recipe.baseline * height * rng.uniform(-1.0, 1.0) / unit_height
        turn = 2j * np.pi * (WATER_PPM - ppm) * recipe.frequency_mhz * time
        fid += amplitude * np.exp(turn - rate * time**2)
    return fid
