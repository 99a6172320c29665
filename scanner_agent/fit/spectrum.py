"""`fit_spectrum`: one FID in, one `FitResult` out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft, ifft

from scanner_agent.basis import BasisSet
from scanner_agent.errors import SourceError
from scanner_agent.fit.parameters import (
    GAUSS,
    LORENTZ,
    N_GLOBAL,
    PHANTOM_SHIFT_BOUND_PPM,
    PHASE0,
    SHIFT,
    Parameters,
)
from scanner_agent.fit.prepare import PreparedBasis, prepare
from scanner_agent.fit.quality import summarise
from scanner_agent.fit.result import FitResult, empty_result
from scanner_agent.fit.settings import FitSettings
from scanner_agent.fit.solver import (
    Linear,
    Problem,
    Solution,
    chi_square,
    condense,
    evaluate,
    ratio_precision,
    solve,
    spline_solve,
)
from scanner_agent.fit.start import StartValues, find_start, individual_shifts
from scanner_agent.fit.water_removal import remove_water

FIRST_ITERATIONS, ROUND_ITERATIONS, BASELINE_ROUNDS = 3, 2, 1
"""Steps under a stiff baseline; steps under a chosen one, and how often it is chosen before the last descent."""
INFLATE_ABOVE = 1.25
"""Residual variance over the noise's from which on the model is taken not to hold."""
PHANTOM_GAUSS_STARTS_HZ = (0.7, 2.0, 4.0, 8.0)
GAUSS_STARTS_HZ = (3.0, 7.0, 15.0)
BASELINE_SD_OF_HEIGHT = 0.003
"""Usual second difference of the baseline's coefficients over NAA's height."""
BASELINE_LOG_STEPS = np.log(10.0) * np.linspace(-1.2, 1.5, 10)
"""What the data may choose from: natural logarithm of multiples of the usual."""
BASELINE_MAX_FREEDOM_PER_PPM = 6.5
"""More would let the baseline follow metabolites (one spline per 0.15 ppm is LCModel's finest)."""
BASELINE_LOG_SD = 1.0
"""SD of the natural logarithm of that multiple, as prior."""


def noise_of_tail(fid: NDArray[np.complex128]) -> float:
    """SD per real channel from the last quarter of an FID, after removal of its mean and slope."""
    tail = fid[-max(fid.size // 4, 8) :]
    values = np.concatenate([tail.real, tail.imag]).reshape(2, -1)
    x = np.linspace(-1.0, 1.0, values.shape[1])
    rest = values - values.mean(axis=1, keepdims=True) - np.outer(values @ x / (x @ x), x)
    return float(np.sqrt(np.sum(rest**2) / (rest.size - 4)))


def _band(fid: NDArray[np.complex128], prep: PreparedBasis) -> NDArray[np.complex128]:
    """Zero-filled spectrum in the band, ascending frequency."""
    used = fid[: prep.n_used].copy()
    used[0] *= 0.5
    return np.asarray(fft(used, n=2 * prep.n_used)[prep.band])


def _choose_baseline(problem: Problem, p: Parameters, linear: Linear, usual: float) -> float:
    """Stiffness that makes the data most likely (restricted marginal likelihood), under a broad prior about `usual`."""
    rank = problem.prep.roughness.shape[0] - 2
    logs = np.log(usual) + BASELINE_LOG_STEPS
    values = np.full(logs.size, np.inf)
    free = linear.free
    n_data = problem.prep.ppm.size
    low, high = problem.prep.settings.ppm_range
    max_freedom = BASELINE_MAX_FREEDOM_PER_PPM * (high - low)
    for i, log_sd in enumerate(logs):
        solved = condense(problem, replace(p, baseline_sd=float(np.exp(log_sd))), linear.columns, free)
        free = solved.free
        log_det = 2 * np.sum(np.log(np.diag(solved.baseline_factor)))
        # All terms, not the free ones alone: a term that touches zero must not make the value jump.
        log_det += np.linalg.slogdet(solved.gram)[1] + rank * 2 * log_sd
        if i > 0 and np.trace(spline_solve(solved.baseline_factor, problem.prep.spline_gram)) > max_freedom:
            break
        # With the variance profiled out: what the model cannot fit must not be bought with baseline.
        fit = n_data * np.log(max(solved.cost, 1e-300) / n_data)
        values[i] = fit + log_det + (BASELINE_LOG_STEPS[i] / BASELINE_LOG_SD) ** 2
    return float(np.exp(_lowest(logs, values)))


def _lowest(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Place of the lowest value on an even grid, between its points by a parabola."""
    i = int(np.argmin(y))
    if i in (0, y.size - 1) or not np.isfinite(y[i + 1]):
        return float(x[i])
    left, middle, right = y[i - 1 : i + 2]
    curvature = left - 2 * middle + right
    offset = 0.5 * (left - right) / curvature if curvature > 0 else 0.0
    return float(x[i] + np.clip(offset, -1.0, 1.0) * (x[1] - x[0]))


def fit_spectrum(
    fid: NDArray[np.complexfloating],
    basis: BasisSet | PreparedBasis,
    *,
    dwell_time_s: float,
    spectrometer_frequency_mhz: float,
    noise_sd: float | None = None,
    settings: FitSettings | None = None,
    start: FitResult | None = None,
) -> FitResult:
    """Fit one spectrum by a linear combination of basis spectra. Never raises on any input of the right shape.

    Parameters: `fid` (n_points,) in the NIfTI-MRS convention, first point not halved; `basis`, or what `prepare` made
    of it for this grid; `noise_sd` of the FID per real channel (None: taken from the FID's last quarter); `start`: an
    earlier result of the same kind of spectrum to begin from.
    """
    if isinstance(basis, PreparedBasis):
        prep = basis
    else:
        try:
            prep = prepare(basis, dwell_time_s, fid.size, spectrometer_frequency_mhz, settings or FitSettings())
        except SourceError:
            return empty_result("basis_mismatch")
    data = np.asarray(fid, dtype=np.complex128)
    if data.ndim != 1 or data.size != prep.n_points or not np.all(np.isfinite(data)) or not np.any(data):
        return empty_result("bad_input")
    if prep.n_metabolites == 0:
        return empty_result("basis_incomplete")
    scale = float(np.max(np.abs(data)))
    if not 1e-100 < scale < 1e100:
        return empty_result("bad_input")

    cleaned, water = remove_water(data, dwell_time_s, spectrometer_frequency_mhz, prep.settings.ppm_range[1])
    sigma = noise_sd if noise_sd is not None and np.isfinite(noise_sd) and noise_sd > 0 else noise_of_tail(cleaned)
    sigma = min(max(sigma, 1e-9 * scale), scale)
    unit = sigma * np.sqrt(prep.n_used)
    band = _band(cleaned, prep) / unit
    n_terms = prep.columns.shape[0]
    problem = Problem(prep, band[_window_places(prep)], unit, np.zeros((n_terms, n_terms)))

    found = None
    if start is not None and start.parameters is not None and start.parameters.shifts_hz.size == prep.n_metabolites:
        scale = start_unit(start, prep) / unit
        p = replace(start.parameters, baseline_sd=start.parameters.baseline_sd * scale)
        problem = replace(problem, ratios=ratio_precision(prep, start.amplitudes))
        solution = solve(problem, p)
    else:
        mirrored = _band(cleaned.conj(), prep) / unit
        band_fid = ifft(np.fft.ifftshift(band))
        found = find_start(band_fid, ifft(np.fft.ifftshift(mirrored)), prep)
        shifts = np.zeros(prep.n_metabolites)
        if prep.settings.phantom:
            shifts = individual_shifts(band_fid, prep, found, PHANTOM_SHIFT_BOUND_PPM)
        problem, solution = _cold(problem, found, shifts)
    return summarise(problem, solution, sigma=sigma, water=water, start=found)


def start_unit(start: FitResult, prep: PreparedBasis) -> float:
    """Spectral noise that an earlier fit's baseline prior was measured in."""
    return (start.noise_sd or 1.0) * float(np.sqrt(prep.n_used))


def _window_places(prep: PreparedBasis) -> NDArray[np.int64]:
    """Places of the fit window in the band in ascending order of frequency."""
    n = prep.band.size
    return np.asarray((prep.window + n // 2) % n, dtype=np.int64)


def _cold(problem: Problem, start: StartValues, shifts_hz: NDArray[np.float64]) -> tuple[Problem, Solution]:
    prep = problem.prep
    n = prep.n_metabolites
    height = float(np.max(np.abs(problem.spectrum)))
    common_hz = float(np.mean(shifts_hz))
    shifts_hz = shifts_hz - common_hz
    shared = np.zeros(N_GLOBAL)
    shared[PHASE0], shared[SHIFT], shared[LORENTZ] = (
        start.phase_rad,
        start.shift_hz + common_hz,
        prep.prior.mean[LORENTZ],
    )
    trials = []
    for gauss in PHANTOM_GAUSS_STARTS_HZ if prep.settings.phantom else GAUSS_STARTS_HZ:
        shared = shared.copy()
        shared[GAUSS] = gauss**2
        p = Parameters(shared, shifts_hz, np.zeros(n), max(BASELINE_SD_OF_HEIGHT * height, 1e-3))
        trials.append((p, evaluate(problem, p)))
    p, linear = min(trials, key=lambda trial: trial[1].cost)
    # Amplitudes without expected ratios give the scale of those ratios.
    problem = replace(problem, ratios=ratio_precision(prep, linear.amplitudes))
    solution = solve(problem, p, max_iterations=FIRST_ITERATIONS)
    for _ in range(BASELINE_ROUNDS):
        problem, p, linear = _rebalanced(problem, solution, BASELINE_SD_OF_HEIGHT * _peak_height(solution))
        solution = solve(problem, p, linear, max_iterations=ROUND_ITERATIONS)
    excess = chi_square(problem, solution.linear) / max(prep.ppm.size - n - prep.splines.shape[1], 1)
    if excess > INFLATE_ABOVE:
        # The model does not hold to the noise: priors and baseline are weighed against what is left over instead.
        problem = replace(problem, inflation=excess)
    problem, p, linear = _rebalanced(problem, solution, BASELINE_SD_OF_HEIGHT * _peak_height(solution))
    return problem, solve(problem, p, linear)


def _rebalanced(problem: Problem, solution: Solution, usual: float) -> tuple[Problem, Parameters, Linear]:
    """Expected ratios scaled by the amplitudes found, the baseline's stiffness chosen again."""
    usual = max(usual, 1e-3)
    problem = replace(problem, ratios=ratio_precision(problem.prep, solution.linear.amplitudes))
    sd = _choose_baseline(problem, solution.parameters, solution.linear, usual)
    p = replace(solution.parameters, baseline_sd=sd)
    return problem, p, condense(problem, p, solution.linear.columns, solution.linear.free)


def _peak_height(solution: Solution) -> float:
    """Highest point of the metabolites, in units of noise."""
    linear = solution.linear
    return float(np.max(linear.amplitudes @ linear.terms.real, initial=0.0))
