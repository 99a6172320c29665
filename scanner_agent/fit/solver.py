"""The fit itself: amplitudes by non-negative least squares inside, all else by damped Gauss-Newton steps.

Variable projection (Golub and Pereyra 1973) with Kaufman's derivative (1975): the baseline and the amplitudes are
eliminated at every step. Data and terms are compared by the real part of the zero-filled, phased spectrum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft
from scipy.linalg.lapack import dpotrs

from scanner_agent.fit.kernels import cholesky, half_solved, nonnegative, shaped
from scanner_agent.fit.parameters import (
    GAUSS,
    LORENTZ,
    MM_WIDTH,
    N_GLOBAL,
    PHASE0,
    PHASE1,
    SHIFT,
    Parameters,
    prior_cost,
    tail_weight,
)
from scanner_agent.fit.prepare import PreparedBasis

GAUSS_RATE = np.pi**2 / (4.0 * np.log(2.0))
PHASE_PIVOT_PPM = 2.6
LEAST_DENOMINATOR = 0.15
"""Share of the strongest amplitude that the denominator of an expected ratio counts as at least."""
SETTLED = 0.03
"""The descent ends when a step lowers the cost, a chi^2, by less than this: well below any parameter's own error."""


@dataclass(frozen=True, eq=False)
class Problem:
    """Data of one fit, in units of spectral noise (sigma * sqrt(n_used) of the FID)."""

    prep: PreparedBasis
    spectrum: NDArray[np.complex128]
    """(n_window,) complex, not phased."""
    unit: float
    """What one unit is in the data's own scale."""
    ratios: NDArray[np.float64]
    """(n_terms, n_terms) precision matrix of the expected ratios, at the amplitudes of the stage before."""
    inflation: float = 1.0
    """Variance that priors are weighed against, over the noise's: above 1 where the model does not hold."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Terms and data at one set of non-linear parameters, with their products."""

    terms: NDArray[np.complex128]
    """(n_terms, n_window) complex spectra."""
    data: NDArray[np.complex128]
    """(n_window,) phased."""
    products: NDArray[np.float64]
    """(n_terms + 1, n_terms + 1) of the real parts, data last."""
    on_splines: NDArray[np.float64]
    """(n_terms + 1, n_splines)"""
    fids: NDArray[np.complex128]
    """(n_terms, n_band)"""


@dataclass(frozen=True, eq=False)
class Linear:
    """The linear problem at one set of non-linear parameters, solved."""

    terms: NDArray[np.complex128]
    data: NDArray[np.complex128]
    columns: Columns
    amplitudes: NDArray[np.float64]
    free: NDArray[np.bool_]
    gram: NDArray[np.float64]
    """(n_terms, n_terms): baseline eliminated, priors included."""
    right: NDArray[np.float64]
    cost: float
    """chi^2 with all priors, over the inflation."""
    baseline_factor: NDArray[np.float64]
    """Lower Cholesky factor of the splines' penalised normal matrix."""


def _shape(problem: Problem, p: Parameters) -> NDArray[np.complex128]:
    """(n_terms, n_band) FIDs of the terms at the parameters."""
    prep = problem.prep
    t = prep.time_s
    n, n_terms = prep.n_metabolites, prep.columns.shape[0]
    common = np.exp(2j * np.pi * p.shared[SHIFT] * t - GAUSS_RATE * p.shared[GAUSS] * t * t)
    shifts, widths = np.zeros(n_terms), np.zeros(n_terms)
    shifts[:n] = p.shifts_hz
    widths[:n] = p.widths_hz + p.shared[LORENTZ] - prep.damping_hz
    # What the shim adds widens macromolecules as well; the T2 of metabolites is not theirs.
    widths[n:] = p.shared[LORENTZ] - prep.natural_width_hz
    fids = shaped(prep.columns, common, shifts, widths, prep.band_step_s, prep.n_positive)
    if prep.widths_hz.size and p.shared[MM_WIDTH] != 0.0:
        fids[n:] *= np.exp(np.outer(-GAUSS_RATE * p.shared[MM_WIDTH] * prep.widths_hz**2, t * t))
    return fids


def _phase(prep: PreparedBasis, p: Parameters) -> NDArray[np.complex128]:
    turn = p.shared[PHASE0] + p.shared[PHASE1] * (prep.ppm - PHASE_PIVOT_PPM)
    return np.asarray(np.exp(-1j * turn), dtype=np.complex128)


def ratio_precision(prep: PreparedBasis, amplitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_terms, n_terms) precision matrix of the expected ratios, scaled by the amplitudes found so far.

    Like the priors on shifts they are Student-t: an amount far from the usual counts as evidence against the usual.
    """
    strongest = float(np.max(amplitudes[: prep.n_metabolites], initial=0.0))
    if prep.ratio_rows.shape[0] == 0 or strongest <= 0.0:
        return np.zeros((prep.columns.shape[0], prep.columns.shape[0]))
    # A denominator near zero must not make a prior stiff.
    floor = LEAST_DENOMINATOR * strongest * np.max(prep.ratio_scale, axis=1)
    rows = prep.ratio_rows / np.maximum(prep.ratio_scale @ amplitudes, floor)[:, None]
    weight = tail_weight(rows @ amplitudes)
    return np.asarray((rows.T * weight) @ rows)


def assemble(problem: Problem, p: Parameters) -> Columns:
    """Spectra of terms and data at the parameters."""
    prep = problem.prep
    fids = _shape(problem, p)
    terms = fft(fids, axis=-1)[:, prep.window] / problem.unit
    data = _phase(prep, p) * problem.spectrum
    stacked = np.concatenate([terms.real, data.real[None]])
    return Columns(terms, data, stacked @ stacked.T, stacked @ prep.splines, fids)


def condense(problem: Problem, p: Parameters, columns: Columns, free: NDArray[np.bool_]) -> Linear:
    """Amplitudes and cost with the baseline eliminated; `free` are the terms to begin with above zero."""
    prep = problem.prep
    factor = cholesky(prep.spline_gram + (problem.inflation / p.baseline_sd**2) * prep.roughness)
    half = half_solved(factor, columns.on_splines)
    inner = columns.products - half @ half.T
    n = columns.terms.shape[0]
    gram = inner[:n, :n] + problem.inflation * problem.ratios
    right = np.ascontiguousarray(inner[:n, n])
    scale = _unit_diagonal(gram, columns.products)
    x, free = nonnegative(gram * np.outer(scale, scale), right * scale, free)
    amplitudes = x * scale
    cost = inner[n, n] - 2 * right @ amplitudes + amplitudes @ gram @ amplitudes
    cost = cost / problem.inflation + prior_cost(prep.prior, p)
    return Linear(columns.terms, columns.data, columns, amplitudes, free, gram, right, float(cost), factor)


def _unit_diagonal(gram: NDArray[np.float64], products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factors that bring the diagonal of `gram` to 1; terms that the baseline can take whole stay finite."""
    n = gram.shape[0]
    return np.asarray(1.0 / np.sqrt(np.maximum(np.diag(gram), 1e-12 * np.diag(products)[:n])))


def chi_square(problem: Problem, linear: Linear) -> float:
    """Sum of squares of what amplitudes and baseline leave, in units of noise."""
    rest = linear.data.real - linear.amplitudes @ linear.terms.real
    return float(np.sum((rest - baseline_under(problem, linear, rest)) ** 2))


def baseline_under(problem: Problem, linear: Linear, rest: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_window,) penalised spline through `rest`, the data without the terms."""
    splines = problem.prep.splines
    return np.asarray(splines @ spline_solve(linear.baseline_factor, splines.T @ rest))


def spline_solve(factor: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve the splines' normal equations, `right` (n_splines,) or (n_splines, k)."""
    # LAPACK itself: for a system this small the checks of `cho_solve` take longer than the work.
    return np.asarray(dpotrs(factor.T, right, lower=0)[0])


def evaluate(problem: Problem, p: Parameters, free: NDArray[np.bool_] | None = None) -> Linear:
    """`assemble` and `condense`."""
    if free is None:
        free = np.zeros(problem.prep.columns.shape[0], dtype=np.bool_)
    return condense(problem, p, assemble(problem, p), free)


def gain_by_probes(problem: Problem, p: Parameters, linear: Linear) -> float:
    """Drop of chi^2 if `prep.probes` were fitted as well, all else kept."""
    prep = problem.prep
    if prep.probes.shape[0] == 0:
        return 0.0
    t = prep.time_s
    common = np.exp(2j * np.pi * p.shared[SHIFT] * t - GAUSS_RATE * p.shared[GAUSS] * t * t)
    probes = fft(prep.probes * common, axis=-1)[:, prep.window].real / problem.unit
    stacked = np.concatenate([linear.terms.real, probes, linear.data.real[None]])
    half = half_solved(linear.baseline_factor, stacked @ prep.splines)
    inner = stacked @ stacked.T - half @ half.T
    n, n_terms = stacked.shape[0] - 1, linear.terms.shape[0]
    gram, right = inner[:n, :n].copy(), np.ascontiguousarray(inner[:n, n])
    gram[:n_terms, :n_terms] = linear.gram
    scale = _unit_diagonal(gram, stacked @ stacked.T)
    free = np.concatenate([linear.free, np.zeros(n - n_terms, dtype=np.bool_)])
    x, _ = nonnegative(gram * np.outer(scale, scale), right * scale, free)
    return float(right @ (x * scale) - linear.right @ linear.amplitudes)


def jacobian(problem: Problem, linear: Linear) -> NDArray[np.float64]:
    """(n_parameters, n_window) derivatives of the fitted real spectrum by `Parameters.vector()`, model only."""
    prep = problem.prep
    n = prep.n_metabolites
    t = prep.time_s
    fids = linear.columns.fids * linear.amplitudes[:, None]
    heard = np.flatnonzero(linear.amplitudes[:n])
    curved = -GAUSS_RATE * t * t
    # One transform of all: the calls would cost more than the work.
    stacked = np.empty((heard.size + 3, t.size), dtype=np.complex128)
    np.multiply(fids[heard], t, out=stacked[:-3])
    stacked[-3] = t * fids[n:].sum(axis=0)
    stacked[-2] = curved * fids.sum(axis=0)
    stacked[-1] = curved * ((prep.widths_hz**2) @ fids[n:])
    spectra = fft(stacked, axis=-1, overwrite_x=True)[:, prep.window]
    spectra /= problem.unit
    rest, gauss, wider = spectra[-3:]
    together = spectra[:-3].sum(axis=0) + rest
    model = linear.amplitudes @ linear.terms
    rows = np.zeros((N_GLOBAL + 2 * n, prep.ppm.size))
    # Turning the data by -phi moves the real residual by +Im(model): the fitted real spectrum by -Im(model).
    rows[PHASE0] = -model.imag
    rows[PHASE1] = -model.imag * (prep.ppm - PHASE_PIVOT_PPM)
    rows[SHIFT] = -2 * np.pi * together.imag
    rows[GAUSS] = gauss.real
    rows[LORENTZ] = -np.pi * together.real
    rows[MM_WIDTH] = wider.real
    rows[N_GLOBAL + heard] = -2 * np.pi * spectra[:-3].imag
    rows[N_GLOBAL + n + heard] = -np.pi * spectra[:-3].real
    return rows


def _normal_equations(
    problem: Problem, p: Parameters, linear: Linear
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Curvature (n_parameters, n_parameters) and descent (n_parameters,) of the cost by `Parameters.vector()`.

    Amplitudes and baseline are eliminated, the priors are in.
    """
    prep = problem.prep
    rows = jacobian(problem, linear)
    active = np.flatnonzero(linear.free)
    k = active.size
    half = half_solved(linear.baseline_factor, np.concatenate([linear.columns.on_splines[active], rows @ prep.splines]))
    reduced = rows @ rows.T - half[k:] @ half[k:].T
    if k:
        gram = linear.gram[np.ix_(active, active)]
        across = linear.terms.real[active] @ rows.T - half[:k] @ half[k:].T
        reduced -= across.T @ np.linalg.solve(gram + 1e-12 * np.diag(np.diag(gram)), across)
    residual = linear.data.real - linear.amplitudes @ linear.terms.real
    residual = residual - baseline_under(problem, linear, residual)
    gradient = rows @ residual
    # It is the data that are phased, so it is their slope that counts.
    gradient[PHASE0] = -linear.data.imag @ residual
    gradient[PHASE1] = -(linear.data.imag * (prep.ppm - PHASE_PIVOT_PPM)) @ residual
    precision = problem.inflation * prep.prior.weight(p) / prep.prior.sd**2
    reduced[np.diag_indices_from(reduced)] += precision
    return reduced, gradient - precision * (p.vector() - prep.prior.mean)


@dataclass(frozen=True, eq=False)
class Solution:
    """Where the solver ended."""

    parameters: Parameters
    linear: Linear
    converged: bool
    iterations: int


def solve(problem: Problem, p: Parameters, linear: Linear | None = None, max_iterations: int = 20) -> Solution:
    """Minimise the cost from `p`: Levenberg-Marquardt on the non-linear parameters, priors as curvature."""
    prep = problem.prep
    if linear is None:
        linear = evaluate(problem, p)
    damping = 1e-3
    converged = False
    iterations = 0
    while iterations < max_iterations:
        iterations += 1
        step_ok = False
        vector = p.vector()
        reduced, gradient = _normal_equations(problem, p, linear)
        # What stands at a bound and wants beyond it is held there, or the others' step would count on its going.
        held = ((vector <= prep.prior.low) & (gradient < 0.0)) | ((vector >= prep.prior.high) & (gradient > 0.0))
        reduced[held, :] = 0.0
        reduced[:, held] = 0.0
        gradient[held] = 0.0
        diagonal = np.diag(reduced).copy()
        diagonal = np.where(held, 1.0, np.maximum(diagonal, 1e-12 * diagonal.max()))
        reduced[held, held] = 1.0
        tries = 0
        while tries < 6:
            tries += 1
            lifted = reduced + np.diag(damping * diagonal + 1e-12 * diagonal.max())
            move = np.linalg.solve(lifted, gradient)
            trial = p.moved(prep.prior.bounded(vector + move))
            new = evaluate(problem, trial, linear.free)
            if new.cost < linear.cost or abs(new.cost - linear.cost) < 1e-9 * abs(linear.cost):
                step_ok = True
                break
            damping *= 10.0
        if not step_ok:
            converged = True
            break
        gain = linear.cost - new.cost
        p, linear = trial, new
        damping = max(damping * 0.1, 1e-9) if tries == 1 else damping
        if gain < SETTLED:
            converged = True
            break
    return Solution(p, linear, converged, iterations)
