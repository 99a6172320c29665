"""Covariances of the amplitudes from the full Fisher matrix: amplitudes, line shape, shifts, phases and baseline.

With F the information of the data and P that of the priors, (F+P)^-1 is the error to be expected if the priors are
true, (F+P)^-1 F (F+P)^-1 the scatter over repetitions of the noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from scanner_agent.fit.solver import Problem, Solution, jacobian, priors, ratio_precision


def covariances(problem: Problem, solution: Solution) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sampling and posterior covariance of all amplitudes, (n_terms, n_terms) each, for unit noise."""
    prep, p, linear = problem.prep, solution.parameters, solution.linear
    n = linear.amplitudes.size
    stacked = np.concatenate([linear.terms.real, jacobian(problem, p, linear)])
    on_splines = stacked @ prep.splines
    smooth = cho_solve(linear.baseline_factor, on_splines.T)
    through = on_splines @ smooth
    posterior_information = stacked @ stacked.T - through
    sampling_information = posterior_information - through + smooth.T @ prep.spline_gram @ smooth
    _, sd, weight = priors(prep, p)
    precision = np.zeros_like(posterior_information)
    precision[:n, :n] = ratio_precision(prep, linear.amplitudes)
    where = np.arange(n, n + sd.size)
    precision[where, where] = weight / sd**2
    total = posterior_information + problem.inflation * precision
    scale = 1.0 / np.sqrt(np.maximum(np.diag(total), 1e-300))
    inverse = np.linalg.pinv(total * np.outer(scale, scale), rcond=1e-13, hermitian=True) * np.outer(scale, scale)
    sampling = inverse @ sampling_information @ inverse
    return sampling[:n, :n], inverse[:n, :n]
