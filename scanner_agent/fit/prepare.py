"""Everything about a fit that does not depend on the data: window, resampled basis, splines, priors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft, ifft, next_fast_len
from scipy.interpolate import BSpline

from scanner_agent.basis import BasisSet
from scanner_agent.fit.macromolecules import (
    EDITED_RATIOS,
    FIXED_WIDTH,
    IN_VIVO_RATIOS,
    IN_VIVO_TERMS,
    GaussianTerm,
    SoftRatio,
    edited_terms,
    gaussian_fid,
)
from scanner_agent.fit.parameters import Prior, make_prior, natural_width_hz
from scanner_agent.fit.settings import FitSettings
from scanner_agent.mrs.axes import WATER_PPM, time_axis

IN_VIVO_DURATION_S = 0.4
"""Longer FIDs are cut here: at 3 Hz linewidth 0.5 % of the signal is left, and noise is all that follows."""
PHANTOM_DURATION_S = 1.1
IN_VIVO_DAMPING_HZ = 1.5
PHANTOM_DAMPING_HZ = 0.4
FADE_POINTS = 40
GAUSSIAN_LASTS = 2.2
"""A Gaussian line's FID is below 1e-7 after this, over its FWHM in Hz."""
GUARD_PPM = 0.8
"""Band kept on both sides of the fit window, so that line shapes can be changed inside it."""
KNOTS_PER_PPM = 10.0
NEGLIGIBLE = 2e-3
"""Columns whose energy within the window is below this fraction of the largest (squared) are not fitted."""

STRONG = ("NAA", "Cr", "GPC", "Cho", "Glu", "Ins", "Ace")
"""Metabolites that are seen well by themselves: templates of the start values."""
REFERENCE_WEIGHTS = {"NAA": 1.0, "NAAG": 1.0, "Cr": 1.0, "PCr": 1.0, "GPC": 3.0, "PCh": 3.0, "Cho": 3.0}
"""LCModel's denominator of expected ratios: tNAA + tCr + 3 tCho."""
EXPECTED_RATIOS = {
    "GABA": (0.055, 0.5), "GSH": (0.06, 0.5), "Gln": (0.11, 0.5), "Asp": (0.085, 0.5), "Asc": (0.04, 0.5),
    "Tau": (0.058, 0.5), "sIns": (0.012, 0.5), "PE": (0.058, 0.5), "NAAG": (0.05, 0.5), "Lac": (0.025, 1.0),
    "Ala": (0.015, 1.0), "Gly": (0.02, 1.0), "Glc": (0.025, 1.0),
}  # fmt: skip
"""Amount over tNAA + tCr + 3 tCho of weak metabolites in brain, and its SD over its mean: between the means of the
ISMRM fitting challenge (Marjanska et al. 2022, 10.1002/mrm.28942) and the middle of the ranges of de Graaf 2007."""


@dataclass(frozen=True, eq=False)
class PreparedBasis:
    """A basis set on the grid of one kind of data; build with `prepare`, use for many fits."""

    basis: BasisSet
    settings: FitSettings
    n_points: int
    n_used: int
    dwell_time_s: float
    spectrometer_frequency_mhz: float
    names: tuple[str, ...]
    n_metabolites: int
    """The first of `names`; macromolecules and lipids follow."""
    missing: tuple[str, ...]
    """Asked for, but not in the basis."""
    band: NDArray[np.int64]
    """Bins of the zero-filled spectrum (FFT order) that are kept, ascending frequency."""
    window: NDArray[np.int64]
    """Places in the band's FFT (FFT order) of the fit window, ascending frequency, so descending ppm."""
    ppm: NDArray[np.float64]
    """(n_window,) descending."""
    time_s: NDArray[np.float64]
    """(n_band,) signed times of the band's FID."""
    n_positive: int
    """The first of them, from 0 upward; the others are negative."""
    columns: NDArray[np.complex128]
    """(n_terms, n_band) FIDs of the terms in the band, shifted to the band's centre."""
    probes: NDArray[np.complex128]
    """(n_probes, n_band): macromolecules that the fit was told not to use; whether the data hold them is tested."""
    widths_hz: NDArray[np.float64]
    """(n_terms - n_metabolites,) FWHM of the macromolecules and lipids; 0 where it is not to change."""
    natural_width_hz: float
    """Lorentzian FWHM that metabolites have by themselves; what goes beyond it is the shim's, and everybody's."""
    prior: Prior
    """Of the non-linear parameters."""
    splines: NDArray[np.float64]
    """(n_window, n_splines)."""
    spline_gram: NDArray[np.float64]
    roughness: NDArray[np.float64]
    """(n_splines, n_splines) D2' D2."""
    ratio_rows: NDArray[np.float64]
    """(n_ratios, n_terms): row @ amplitudes = 0 is expected."""
    ratio_scale: NDArray[np.float64]
    """(n_ratios, n_terms): SD of that, as a combination of the amplitudes."""
    reference: NDArray[np.float64]
    """(n_terms,) weights of the sum that expected ratios refer to."""
    protons: float
    """Basis amplitude of one proton at time 0."""
    damping_hz: float
    """Lorentzian FWHM that `columns` were given beyond the basis, so that they fade within the band."""

    @property
    def band_step_s(self) -> float:
        """Time between points of the band's FID, s."""
        return float(self.time_s[1] - self.time_s[0])


def _unit_of_a_proton(basis: BasisSet) -> float:
    """|FID(0)| per proton: 1 in our own sets, else from a metabolite that does not couple."""
    if basis.lines is not None:
        return 1.0
    if basis.spectrum == "difference" and "NAA" in basis.names:
        return float(np.abs(basis.fid("NAA")[1])) / 3.0  # the methyl alone is left, the rest cancels
    for name, protons in (("Cr", 5.0), ("PCr", 5.0), ("Ace", 3.0), ("NAA", 6.0), ("GPC", 18.0)):
        if name in basis.names:
            value = float(np.abs(basis.fid(name)[1])) / protons
            if value > 0.0:
                return value
    return float(np.max(np.abs(basis.fids[:, 1]))) / 5.0


def _choose(basis: BasisSet, settings: FitSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    wanted = settings.metabolites if settings.metabolites is not None else basis.names
    return tuple(n for n in wanted if n in basis.names), tuple(n for n in wanted if n not in basis.names)


def _ratios(
    names: tuple[str, ...], ratios: tuple[SoftRatio, ...], settings: FitSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    reference = np.array([REFERENCE_WEIGHTS.get(n, 0.0) for n in names])
    rows, scales = [], []

    def vector(name: str) -> NDArray[np.float64]:
        return np.array([1.0 if n == name or (name == "Lip13" and n.startswith("Lip13")) else 0.0 for n in names])

    for ratio in ratios:
        top, bottom = vector(ratio.numerator), vector(ratio.denominator)
        if top.any() and bottom.any():
            rows.append(top - ratio.mean * bottom)
            scales.append(ratio.sd * bottom)
    if reference.any() and not settings.phantom and not settings.edited:
        for name, (mean, sd) in EXPECTED_RATIOS.items():
            top = vector(name)
            if top.any():
                rows.append(top - mean * reference)
                scales.append(sd * mean * reference)
    if not rows:
        empty = np.zeros((0, len(names)))
        return empty, empty, reference
    return np.array(rows), np.array(scales), reference


@dataclass(frozen=True, eq=False)
class _Band:
    """The part of a zero-filled spectrum about the fit window, and the time axis of its own short FID."""

    n_filled: int
    places: NDArray[np.int64]
    """(n_band,) in the spectrum, ascending frequency."""
    window: NDArray[np.int64]
    """(n_window,) in the band's own spectrum."""
    inside: NDArray[np.bool_]
    """(n_band,) of `places`, which belong to the window."""
    ppm: NDArray[np.float64]
    """(n_window,)"""
    time_s: NDArray[np.float64]
    """(n_band,) the last quarter before time 0."""
    n_positive: int

    def spectra(self, fids: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """(n, n_band) of FIDs (n, n_used)."""
        return np.asarray(fft(fids, n=self.n_filled, axis=-1)[:, self.places])


def _band(ppm_range: tuple[float, float], n_filled: int, dwell_time_s: float, f0: float) -> _Band:
    low, high = ppm_range
    bin_hz = 1.0 / (n_filled * dwell_time_s)
    centre_bin = round((WATER_PPM - 0.5 * (low + high)) * f0 / bin_hz)
    half = int(np.ceil((0.5 * (high - low) + GUARD_PPM) * f0 / bin_hz))
    n_band = min(next_fast_len(2 * half), n_filled)
    offsets = np.arange(-(n_band // 2), n_band - n_band // 2)
    ppm = np.asarray(WATER_PPM - (centre_bin + offsets) * bin_hz / f0, dtype=np.float64)
    inside = (ppm >= low) & (ppm <= high)
    index = np.arange(n_band)
    n_positive = (3 * n_band) // 4
    time_s = np.where(index < n_positive, index, index - n_band) * (n_filled * dwell_time_s / n_band)
    places = (centre_bin + offsets) % n_filled
    return _Band(n_filled, places, offsets[inside] % n_band, inside, ppm[inside], time_s, n_positive)


def _gaussians(
    basis: BasisSet, f0: float, settings: FitSettings
) -> tuple[tuple[GaussianTerm, ...], tuple[SoftRatio, ...], tuple[GaussianTerm, ...]]:
    """Macromolecules and lipids to be fitted, their soft ratios, and those that are only looked for."""
    if settings.phantom:
        return (), (), ()
    low, high = settings.ppm_range
    known = edited_terms(f0, basis.edit_pulse_ppm) if settings.edited else IN_VIVO_TERMS
    known = tuple(t for t in known if any(low < line[0] < high for line in t.lines))
    if not settings.macromolecules:
        return (), (), known
    return known, EDITED_RATIOS if settings.edited else IN_VIVO_RATIOS, ()


def prepare(
    basis: BasisSet, dwell_time_s: float, n_points: int, spectrometer_frequency_mhz: float, settings: FitSettings
) -> PreparedBasis:
    """Resample `basis` to the data's grid and set up all that fits of such data share.

    Raises what `BasisSet.resampled` raises if the basis does not fit the data's field.
    """
    duration = PHANTOM_DURATION_S if settings.phantom else IN_VIVO_DURATION_S
    n_used = min(n_points, round(duration / dwell_time_s))
    while next_fast_len(n_used) != n_used:
        n_used -= 1
    f0 = spectrometer_frequency_mhz

    names, missing = _choose(basis, settings)
    fids = basis.resampled(n_points, dwell_time_s, f0).subset(names).fids[:, :n_used]
    time_s = time_axis(n_used, dwell_time_s)
    unit = _unit_of_a_proton(basis)
    terms, ratios, probes = _gaussians(basis, f0, settings)
    damping_hz = max((PHANTOM_DAMPING_HZ if settings.phantom else IN_VIVO_DAMPING_HZ) - basis.linewidth_hz, 0.0)
    fids = fids * np.exp(-np.pi * damping_hz * time_s)
    gaussians = [unit * gaussian_fid(t, time_s, f0) for t in terms + probes]
    all_fids = np.concatenate([fids, np.array(gaussians).reshape(len(terms) + len(probes), n_used)])
    all_fids[:, 0] *= 0.5

    band = _band(settings.ppm_range, 2 * n_used, dwell_time_s, f0)
    spectra = band.spectra(all_fids)
    energy = np.sum(np.abs(spectra[:, band.inside]) ** 2, axis=1)
    kept = energy > NEGLIGIBLE**2 * (energy.max() if energy.size else 1.0)
    kept[len(names) + len(terms) :] = False
    probe_columns = ifft(np.fft.ifftshift(spectra[len(names) + len(terms) :], axes=-1), axis=-1)
    columns = ifft(np.fft.ifftshift(spectra[kept], axes=-1), axis=-1)
    all_names = names + tuple(t.name for t in terms + probes)
    final_names = tuple(n for n, k in zip(all_names, kept, strict=True) if k)

    lasting = np.full(len(final_names), n_used * dwell_time_s)
    widths_hz = np.array([f0 * t.mean_fwhm_ppm for t in terms if t.name in final_names])
    if widths_hz.size:
        lasting[-widths_hz.size :] = np.minimum(lasting[-widths_hz.size :], GAUSSIAN_LASTS / widths_hz)
        widths_hz[np.isin(final_names[-widths_hz.size :], FIXED_WIDTH)] = 0.0
    columns *= _support(band.time_s, lasting)
    probe_columns *= _support(band.time_s, np.array([GAUSSIAN_LASTS / (f0 * t.mean_fwhm_ppm) for t in probes]))

    splines = spline_basis(band.ppm, *settings.ppm_range)
    difference = np.diff(np.eye(splines.shape[1]), n=2, axis=0)
    rows, scales, reference = _ratios(final_names, ratios, settings)
    n_metabolites = sum(1 for n in final_names if n in names)
    return PreparedBasis(
        basis=basis,
        settings=settings,
        n_points=n_points,
        n_used=n_used,
        dwell_time_s=dwell_time_s,
        spectrometer_frequency_mhz=f0,
        names=final_names,
        n_metabolites=n_metabolites,
        missing=missing,
        band=band.places,
        window=band.window,
        ppm=band.ppm,
        time_s=band.time_s,
        n_positive=band.n_positive,
        columns=columns,
        probes=probe_columns,
        widths_hz=widths_hz,
        natural_width_hz=natural_width_hz(f0),
        prior=make_prior(n_metabolites, f0, settings),
        splines=splines,
        spline_gram=splines.T @ splines,
        roughness=difference.T @ difference,
        ratio_rows=rows,
        ratio_scale=scales,
        reference=reference,
        protons=unit,
        damping_hz=damping_hz,
    )


def _support(time_s: NDArray[np.float64], lasting_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_terms, n_band) 1 where a term's FID lives, fading to 0 outside.

    Cutting the band out rings before time 0 and after the end, weakly but for long; derivatives by widths weigh that
    with the squared time. Fading it changes the spectrum at the band's edges only, outside the fit window.
    """
    fade = FADE_POINTS * float(time_s[1] - time_s[0])
    outside = np.maximum(np.maximum(-time_s, time_s - lasting_s[:, None]), 0.0)
    return 0.5 + 0.5 * np.cos(np.pi * np.clip(outside / fade, 0.0, 1.0))


def spline_basis(ppm: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Cubic B-splines, (n_window, n_splines), on equal knots over the window (P-splines, Eilers and Marx 1996)."""
    count = max(round((high - low) * KNOTS_PER_PPM), 4)
    step = (high - low) / count
    knots = low + step * np.arange(-3, count + 4)
    inside = np.clip(ppm, low, high)
    matrix = BSpline.design_matrix(inside, knots, 3).toarray()
    return np.asarray(matrix, dtype=np.float64)
