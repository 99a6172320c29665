"""From the solver's numbers to a `FitResult`: amounts, errors, LCModel's scale, flags."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanner_agent.fit.lipids import lipid_ratio
from scanner_agent.fit.parameters import GAUSS, LORENTZ, PHASE0, PHASE1, SHIFT
from scanner_agent.fit.result import EDITED_SUMS, SUMS, FitResult
from scanner_agent.fit.solver import Problem, Solution, baseline_under, gain_by_probes, spline_solve
from scanner_agent.fit.start import OFFSET_PPM, StartValues
from scanner_agent.fit.uncertainty import covariances
from scanner_agent.fit.water_removal import WaterModel

WRONG_MODEL_FQN, WRONG_MODEL_SHARE, PHANTOM_WRONG_MODEL_SHARE = 1.35, 0.015, 0.005
"""What the model cannot explain is more than noise, and more than this share (SD) of the tallest peak: LCModel's S/N
would stay below 33 however many shots there were. Real spectra of good shims have 0.9-1.3 % (docs/measured.md).
A phantom's few lines are known better."""
NO_SIGNAL_GAIN = 40.0
PROBE_GAIN = 25.0
"""chi^2 of nine further non-negative terms in spectra that do not hold them: below 20 in 99 % (docs/measured.md)."""
MACROMOLECULE_GROWTH, MACROMOLECULE_WIDTH_Z = 0.3, 2.0
"""Squared widths off by this share, and by so many SD, are said to differ."""
LCMODEL_RESIDUAL = 1.05
"""SD of LCModel's residual over that of this fit, median over the 60 spectra that both fitted (docs/measured.md)."""
MIRRORED_RATIO = 1.3


def voigt_fwhm(lorentz_hz: float, gauss_hz: float) -> float:
    """FWHM of a Voigt line, Hz (Olivero and Longbothum 1977, 10.1016/0022-4073(77)90161-3)."""
    return 0.5346 * lorentz_hz + float(np.sqrt(0.2166 * lorentz_hz**2 + gauss_hz**2))


def term_rows(names: tuple[str, ...], edited: bool) -> dict[str, NDArray[np.float64]]:
    """Weights (n_terms,) that make each reported amount, terms and sums, from the fitted amplitudes."""
    rows = dict(zip(names, np.eye(len(names)), strict=True))
    for name, parts in (EDITED_SUMS if edited else SUMS).items():
        row = np.array([1.0 if n in parts else 0.0 for n in names])
        if row.any():
            rows[name] = row
    return rows


def summarise(
    problem: Problem,
    solution: Solution,
    *,
    sigma: float,
    water: WaterModel,
    start: StartValues | None,
) -> FitResult:
    """Put a result together."""
    prep, p, linear = problem.prep, solution.parameters, solution.linear
    unit = problem.unit
    model = linear.amplitudes @ linear.terms.real
    rest = linear.data.real - model
    baseline = baseline_under(problem, linear, rest)
    residual = rest - baseline
    freedom = float(np.trace(spline_solve(linear.baseline_factor, prep.spline_gram)))
    n_parameters = freedom + np.count_nonzero(linear.free) + 0.5 * p.vector().size
    dof = max(residual.size - n_parameters, 0.25 * residual.size)
    quality = float(residual @ residual / dof)

    found = covariances(problem, solution)
    inflate = float(np.sqrt(max(quality, 1e-12)))
    rows = term_rows(prep.names, prep.settings.edited)
    weights = np.array(list(rows.values()))
    amounts = dict(zip(rows, (weights @ linear.amplitudes).tolist(), strict=True))
    crlb = dict(zip(rows, _sd(weights, found.sampling), strict=True))
    post = dict(zip(rows, _sd(weights, found.posterior), strict=True))

    full = np.sqrt(prep.n_points / prep.n_used)
    height = float(np.max(np.abs(model)))
    naa = [i for i, n in enumerate(prep.names) if n in ("NAA", "NAAG")]
    naa_height = float(np.max(linear.amplitudes[naa] @ linear.terms.real[naa])) if naa else None
    fwhm = voigt_fwhm(p.shared[LORENTZ], float(np.sqrt(p.shared[GAUSS])))
    flags = _flags(problem, solution, start, quality, freedom, fwhm, water, height, found.macromolecule_width)
    seen = "no_signal" not in flags
    f0 = prep.spectrometer_frequency_mhz
    return FitResult(
        names=prep.names,
        amplitudes=linear.amplitudes,
        covariance=found.sampling,
        posterior_covariance=found.posterior,
        amounts=amounts,
        crlb_sd=crlb,
        posterior_sd=post,
        percent_sd=_percent(crlb, amounts, 1.0),
        # LCModel's Hessian holds its priors and baseline as well; its noise is the residual's.
        percent_sd_lcmodel=_percent(post, amounts, inflate),
        snr_lcmodel=height / (2.0 * LCMODEL_RESIDUAL * inflate * full),
        snr_naa=naa_height / full if naa_height else None,
        fwhm_hz=fwhm if seen else None,
        fwhm_ppm=fwhm / f0 if seen else None,
        frequency_offset_hz=float(p.shared[SHIFT]) if seen else None,
        phase_deg=float((np.rad2deg(p.shared[PHASE0]) + 180.0) % 360.0 - 180.0) if seen else None,
        phase1_deg_per_ppm=float(np.rad2deg(p.shared[PHASE1])) if seen else None,
        fit_quality=quality,
        baseline_freedom_per_ppm=freedom / (prep.settings.ppm_range[1] - prep.settings.ppm_range[0]),
        residual_water_ratio=water.height / (height * unit) if seen and height > 0 else None,
        lipid_ratio=lipid_ratio(prep.names, linear.terms, linear.data, linear.amplitudes) if seen else None,
        noise_sd=sigma,
        naa_height=naa_height * unit if naa_height else None,
        signal_per_amount=prep.protons,
        dwell_time_s=prep.dwell_time_s,
        edited=prep.settings.edited,
        iterations=solution.iterations,
        flags=flags,
        ppm=prep.ppm[::-1].copy() + p.shared[SHIFT] / f0,
        data=linear.data.real[::-1] * unit,
        fit=(model + baseline)[::-1] * unit,
        baseline=baseline[::-1] * unit,
        parameters=p,
    )


def _sd(weights: NDArray[np.float64], covariance: NDArray[np.float64]) -> list[float]:
    """SD of each weighted sum of the amplitudes, `weights` (n_sums, n_terms)."""
    variance = np.sum((weights @ covariance) * weights, axis=1)
    return [float(sd) for sd in np.sqrt(np.maximum(variance, 0.0))]


def _percent(sds: dict[str, float], amounts: dict[str, float], factor: float) -> dict[str, float | None]:
    return {name: 100.0 * factor * sd / amounts[name] if amounts[name] > 0 else None for name, sd in sds.items()}


def _flags(
    problem: Problem,
    solution: Solution,
    start: StartValues | None,
    quality: float,
    freedom: float,
    fwhm_hz: float,
    water: WaterModel,
    height: float,
    macromolecule_width: tuple[float, float],
) -> tuple[str, ...]:
    prep = problem.prep
    p, linear = solution.parameters, solution.linear
    flags = []
    m = linear.amplitudes[: prep.n_metabolites] @ linear.terms.real[: prep.n_metabolites]
    strongest = float(np.max(np.abs(m), initial=0.0))
    if strongest < 3.5 or not np.any(linear.amplitudes[: prep.n_metabolites]):
        flags.append("no_signal")
    if start is not None and start.mirrored_gain > MIRRORED_RATIO * start.gain and start.mirrored_gain > NO_SIGNAL_GAIN:
        flags.append("mirrored_axis")
    if not solution.converged:
        flags.append("not_converged")
    if abs(p.shared[SHIFT]) > 0.98 * OFFSET_PPM * prep.spectrometer_frequency_mhz:
        flags.append("offset_at_bound")
    unexplained = float(np.sqrt(max(quality - 1.0, 0.0)))
    share = PHANTOM_WRONG_MODEL_SHARE if prep.settings.phantom else WRONG_MODEL_SHARE
    if quality > WRONG_MODEL_FQN and unexplained > share * height:
        flags.append("wrong_model")
    if gain_by_probes(problem, p, linear) > PROBE_GAIN * max(quality, 1.0):
        flags.append("macromolecules_missing")
    growth, z = macromolecule_width
    # Of a difference only MM09 would be meant, which is far from GABA.
    if (
        not prep.settings.edited
        and abs(growth) > MACROMOLECULE_GROWTH
        and abs(z) > MACROMOLECULE_WIDTH_Z * float(np.sqrt(max(quality, 1.0)))
    ):
        flags.append("macromolecules_differ")
    if freedom > 12.0 * (prep.settings.ppm_range[1] - prep.settings.ppm_range[0]):
        flags.append("baseline_too_free")
    if fwhm_hz > 0.15 * prep.spectrometer_frequency_mhz:
        flags.append("broad_lines")
    if prep.missing:
        flags.append("basis_incomplete")
    if height > 0 and water.height > 20.0 * height * problem.unit:
        flags.append("water_large")
    return tuple(flags)
