"""Plain NumPy and SciPy twins of the fit's kernels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls


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
