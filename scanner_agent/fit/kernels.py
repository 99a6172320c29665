"""Compiled loops of the fit; each has a plain NumPy twin in tests/reference/fit_twins.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanner_agent.jit import njit, njit_inlined


@njit_inlined
def cholesky(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower factor (n, n) of a symmetric positive definite matrix; tiny pivots are lifted."""
    n = matrix.shape[0]
    factor = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            if i == j:
                factor[i, i] = np.sqrt(max(total, 1e-14 * abs(matrix[i, i]) + 1e-300))
            else:
                factor[i, j] = total / factor[j, j]
    return factor


@njit_inlined
def solve_positive(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve a symmetric positive definite system (n, n) x = (n,) by Cholesky; tiny pivots are lifted."""
    n = right.size
    factor = cholesky(matrix)
    x = np.zeros(n)
    for i in range(n):
        total = right[i]
        for k in range(i):
            total -= factor[i, k] * x[k]
        x[i] = total / factor[i, i]
    for i in range(n - 1, -1, -1):
        total = x[i]
        for k in range(i + 1, n):
            total -= factor[k, i] * x[k]
        x[i] = total / factor[i, i]
    return x


@njit_inlined
def nonnegative(
    gram: NDArray[np.float64], right: NDArray[np.float64], passive: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Minimise x' gram x / 2 - right' x over x >= 0 (Lawson and Hanson 1974; on the normal matrix: Bro 1997).

    `gram` (n, n), `right` (n,), `passive` (n,): the free set to begin with. Returns x and its free set.
    """
    n = right.size
    free = passive.copy()
    x = np.zeros(n)
    tolerance = 1e-10 * (np.max(np.abs(right)) + 1e-300)
    # A warm free set may be infeasible: drop its negative members until it is not.
    for _ in range(n + 1):
        index = np.flatnonzero(free)
        if index.size == 0:
            break
        part = solve_positive(gram[index][:, index], right[index])
        if part.min() > 0.0:
            x[index] = part
            break
        for k in range(index.size):
            if part[k] <= 0.0:
                free[index[k]] = False
    for _ in range(3 * n):
        best = -1
        height = tolerance
        for k in range(n):
            if not free[k]:
                gradient = right[k]
                for i in range(n):
                    gradient -= gram[k, i] * x[i]
                if gradient > height:
                    height = gradient
                    best = k
        if best < 0:
            break
        free[best] = True
        while True:
            index = np.flatnonzero(free)
            part = solve_positive(gram[index][:, index], right[index])
            if part.min() > 0.0:
                x[:] = 0.0
                x[index] = part
                break
            step = 1.0
            for k in range(index.size):
                if part[k] <= 0.0:
                    old = x[index[k]]
                    step = min(step, old / (old - part[k] + 1e-300))
            for k in range(index.size):
                i = index[k]
                x[i] += step * (part[k] - x[i])
                if x[i] <= 1e-14 * (np.max(x) + 1e-300):
                    x[i] = 0.0
                    free[i] = False
            if not free.any():
                break
    return x, free


@njit
def best_phase_and_shift(
    products: NDArray[np.complex128], gram: NDArray[np.float64], phases: NDArray[np.float64]
) -> tuple[int, int, float]:
    """Grid search of the start values.

    `products` (n_shifts, n_templates): matched-filter outputs; `gram` (n_templates, n_templates). For each shift and
    phase the gain of the best non-negative combination of templates. Returns the places of the best and its gain.
    """
    best_shift, best_phase, best_gain = 0, 0, -1.0
    none = np.zeros(gram.shape[0], dtype=np.bool_)
    for s in range(products.shape[0]):
        passive = none.copy()
        for p in range(phases.size):
            turn = np.exp(-1j * phases[p])
            right = (products[s] * turn).real.copy()
            x, passive = nonnegative(gram, right, passive)
            gain = 0.0
            for k in range(right.size):
                gain += x[k] * right[k]
            if gain > best_gain:
                best_shift, best_phase, best_gain = s, p, gain
    return best_shift, best_phase, best_gain


@njit
def shaped(
    columns: NDArray[np.complex128],
    common: NDArray[np.complex128],
    shifts_hz: NDArray[np.float64],
    widths_hz: NDArray[np.float64],
    step_s: float,
    n_positive: int,
) -> NDArray[np.complex128]:
    """FIDs (n_terms, n_band) given a line shape of their own: columns * common * exp(2 pi i shift t - pi width |t|).

    Times are `step_s` apart, the first `n_positive` from zero upward, the others negative (the end of the array is
    just before zero). Powers are made by multiplication, which exp() of every point would cost most of the time.
    """
    n_terms, n = columns.shape
    out = np.empty((n_terms, n), dtype=np.complex128)
    for m in range(n_terms):
        decay = np.exp(-np.pi * widths_hz[m] * step_s)
        angle = 2.0 * np.pi * shifts_hz[m] * step_s
        forward = decay * (np.cos(angle) + 1j * np.sin(angle))
        backward = decay * (np.cos(angle) - 1j * np.sin(angle))
        power = 1.0 + 0.0j
        for j in range(n_positive):
            out[m, j] = columns[m, j] * common[j] * power
            power *= forward
        power = backward
        for j in range(n - 1, n_positive - 1, -1):
            out[m, j] = columns[m, j] * common[j] * power
            power *= backward
    return out


@njit
def half_solved(factor: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """`factor`^-1 rows' as (n_rows, n): forward substitution of every row."""
    n_rows, n = rows.shape
    out = np.empty((n_rows, n))
    for r in range(n_rows):
        for i in range(n):
            total = rows[r, i]
            for k in range(i):
                total -= factor[i, k] * out[r, k]
            out[r, i] = total / factor[i, i]
    return out
