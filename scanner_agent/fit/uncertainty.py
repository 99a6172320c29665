"""Covariances of the amplitudes from the full Fisher matrix: amplitudes, line shape, shifts, phases and baseline.

With F the information of the data and P that of the priors, (F+P)^-1 is the error to be expected if the priors are
true, (F+P)^-1 F (F+P)^-1 the scatter over repetitions of the noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner_agent.fit.parameters import MM_WIDTH
from scanner_agent.fit.solver import Problem, Solution, jacobian, spline_solve


@dataclass(frozen=True, eq=False)
class Covariances:
    """Of all amplitudes, (n_terms, n_terms) each, for unit noise."""

    sampling: NDArray[np.float64]
    posterior: NDArray[np.float64]
    macromolecule_width: tuple[float, float]
    """Growth of the macromolecules' squared widths as the data alone put it, and that over its SD."""


def covariances(problem: Problem, solution: Solution) -> Covariances:
    """Covariances at the solution; terms at zero are taken as free."""
    prep, linear = problem.prep, solution.linear
    n = linear.amplitudes.size
    stacked = np.concatenate([linear.terms.real, jacobian(problem, linear)])
    on_splines = stacked @ prep.splines
    smooth = spline_solve(linear.baseline_factor, on_splines.T)
    through = on_splines @ smooth
    information = stacked @ stacked.T - through
    sampling = information - through + smooth.T @ prep.spline_gram @ smooth
    sd, weight = prep.prior.sd, prep.prior.weight(solution.parameters)
    total = information.copy()
    where = np.arange(n, n + sd.size)
    total[where, where] += problem.inflation * weight / sd**2
    total[:n, :n] += problem.inflation * problem.ratios
    inverse = _inverse(total)
    width = n + MM_WIDTH
    return Covariances(
        inverse[:n] @ sampling @ inverse[:, :n],
        inverse[:n, :n],
        _without_prior(solution, inverse[width, width], problem.inflation * weight[MM_WIDTH] / sd[MM_WIDTH] ** 2),
    )


def _without_prior(solution: Solution, variance: float, precision: float) -> tuple[float, float]:
    """Macromolecules' width with its prior (mean 0, `precision`) taken out again: estimate, and that over its SD."""
    left = 1.0 - precision * variance
    if left < 1e-6:
        return 0.0, 0.0
    alone = variance / left
    estimate = float(solution.parameters.shared[MM_WIDTH] * (1.0 + precision * alone))
    return estimate, estimate / float(np.sqrt(alone))


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of a positive matrix whose parameters have very different units; what is not determined stays finite."""
    diagonal = np.diag(matrix)
    scale = 1.0 / np.sqrt(np.maximum(diagonal, 1e-20 * diagonal.max()))
    scaled = matrix * np.outer(scale, scale)
    scaled[np.diag_indices_from(scaled)] += 1e-10
    return np.asarray(np.linalg.inv(scaled) * np.outer(scale, scale))
