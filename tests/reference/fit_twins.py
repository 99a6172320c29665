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
