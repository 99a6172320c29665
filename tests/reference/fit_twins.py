"""Plain NumPy and SciPy twins of the fit's kernels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, nnls


def nonnegative(gram: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    factor = np.linalg.cholesky(gram)
    return np.asarray(nnls(factor.T, np.linalg.solve(factor, right))[0])


def best_phase_and_shift(
    products: NDArray[np.complex128], gram: NDArray[np.float64], phases: NDArray[np.float64]
) -> tuple[int, int, float]:
    gains = np.zeros((products.shape[0], phases.size))
    for s in range(products.shape[0]):
        for p, phase in enumerate(phases):
            right = (products[s] * np.exp(-1j * phase)).real
            gains[s, p] = right @ nonnegative(gram, right)
    s, p = np.unravel_index(np.argmax(gains), gains.shape)
    return int(s), int(p), float(gains[s, p])


def shaped(
    columns: NDArray[np.complex128],
    common: NDArray[np.complex128],
    shifts_hz: NDArray[np.float64],
    widths_hz: NDArray[np.float64],
    step_s: float,
    n_positive: int,
) -> NDArray[np.complex128]:
    index = np.arange(columns.shape[1])
    time = np.where(index < n_positive, index, index - columns.shape[1]) * step_s
    own = np.exp(2j * np.pi * np.outer(shifts_hz, time) - np.pi * np.outer(widths_hz, np.abs(time)))
    return np.asarray(columns * common * own)


def cholesky(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linalg.cholesky(matrix)


def half_solved(factor: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.solve(factor, rows.T).T)


def three_gaussians(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Centres and SDs (5,) of GABA+ and Glx, and the sum of squares: numerical derivatives, nothing eliminated ahead.

    Begins and is bounded as the model is; ends only where nothing moves any more.
    """
    from_mean = x - x.mean()
    turn = 2 * np.pi * from_mean / 10.48
    background = np.stack([np.ones_like(x), from_mean, np.sin(turn), np.cos(turn) - 1.0], axis=1)

    def misfit(p: NDArray[np.float64]) -> NDArray[np.float64]:
        lines = np.exp(-0.5 * ((x[:, None] - p[:3]) / p[[3, 4, 4]]) ** 2)
        design = np.concatenate([lines, background], axis=1)
        return np.asarray(y - design @ np.linalg.lstsq(design, y, rcond=1e-8)[0])

    found = least_squares(
        misfit,
        [3.02, 3.71, 3.79, 0.07, 0.03],
        bounds=([2.97, 3.69, 3.77, 0.04, 0.01], [3.07, 3.73, 3.81, 0.15, 0.08]),
        jac="3-point",
        ftol=1e-15,
        xtol=1e-15,
        gtol=1e-15,
        max_nfev=400,
    )
    return np.asarray(found.x), 2 * float(found.cost)
