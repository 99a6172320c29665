"""Compiled loops. Each has a plain NumPy twin in tests/reference/."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanner_agent.jit import njit, njit_inlined


@njit
def neighbour_scores(
    values: NDArray[np.float64], sds: NDArray[np.float64], positions: NDArray[np.int64], reach: int
) -> NDArray[np.float64]:
    """Robust z-scores (n_positions,) of values against up to `reach` neighbours on either side, themselves left out.

    Centre: median of the neighbours; scale: their MAD x 1.4826, never below the value's own standard error, joined with
    the uncertainty of that median (about 1.25 spread / sqrt(m)). 0 where there are fewer than 4 neighbours.
    """
    scores = np.zeros(positions.size)
    others = np.empty(2 * reach)
    for k in range(positions.size):
        i = positions[k]
        m = 0
        for j in range(max(0, i - reach), min(values.size, i + reach + 1)):
            if j != i:
                others[m] = values[j]
                m += 1
        if m < 4:
            continue
        centre = np.median(others[:m])
        spread = 1.4826 * np.median(np.abs(others[:m] - centre))
        scale = np.sqrt(max(spread, sds[i]) ** 2 + (1.25 * spread) ** 2 / m)
        if scale > 0:
            scores[k] = (values[i] - centre) / scale
    return scores


@njit
def block_sums(
    template: NDArray[np.complex128], shot: NDArray[np.complex128], block: int, n_blocks: int
) -> NDArray[np.complex128]:
    """Sums (n_blocks,) of conj(template) * shot over blocks of `block` points."""
    sums = np.zeros(n_blocks, dtype=np.complex128)
    for b in range(n_blocks):
        total = 0j
        for i in range(b * block, (b + 1) * block):
            total += np.conj(template[i]) * shot[i]
        sums[b] = total
    return sums


@njit_inlined
def _periodogram(
    sums: NDArray[np.complex128], first_time_s: float, step_s: float, frequency_hz: float
) -> tuple[complex, complex, complex]:
    """sum_k sums_k exp(-2 pi i f t_k) and its first and second derivative by f (per Hz, per Hz^2)."""
    p = 0j
    p1 = 0j
    p2 = 0j
    turn = np.exp(-2j * np.pi * frequency_hz * step_s)
    factor = 1.0 + 0j
    for k in range(sums.size):
        t = first_time_s + k * step_s
        # Started afresh now and then, as in `rotated`.
        if k % 64 == 0:
            factor = np.exp(-2j * np.pi * frequency_hz * t)
        term = sums[k] * factor
        p += term
        p1 += t * term
        p2 += t * t * term
        factor *= turn
    return p, -2j * np.pi * p1, -4 * np.pi * np.pi * p2


@njit
def periodogram_peak(
    sums: NDArray[np.complex128],
    first_time_s: float,
    step_s: float,
    low_hz: float,
    high_hz: float,
    grid_hz: float,
    centre_hz: float,
    prior_per_hz2: float,
) -> tuple[float, complex, float]:
    """Frequency (Hz), value and squared height of the largest peak of P(f) = sum_k sums_k exp(-2 pi i f t_k).

    t_k = first_time_s + k step_s. The height compared is |P|^2 - prior_per_hz2 (f - centre_hz)^2. A grid of spacing
    `grid_hz` over low_hz..high_hz, then Newton steps that stay within one grid step of the best point.
    """
    n = sums.size
    n_grid = int(np.ceil((high_hz - low_hz) / grid_hz)) + 1
    turn_real, turn_imag = np.empty(n_grid), np.empty(n_grid)
    for j in range(n_grid):
        angle = -2 * np.pi * (low_hz + j * grid_hz) * step_s
        turn_real[j] = np.cos(angle)
        turn_imag[j] = np.sin(angle)
    # Horner's rule for all frequencies side by side: one by one each step would wait for the last.
    real, imag = np.zeros(n_grid), np.zeros(n_grid)
    for k in range(n - 1, -1, -1):
        s_real = sums[k].real
        s_imag = sums[k].imag
        for j in range(n_grid):
            turned = real[j] * turn_real[j] - imag[j] * turn_imag[j] + s_real
            imag[j] = real[j] * turn_imag[j] + imag[j] * turn_real[j] + s_imag
            real[j] = turned
    best = -1e300
    best_f = centre_hz
    for j in range(n_grid):
        f = low_hz + j * grid_hz
        height = real[j] * real[j] + imag[j] * imag[j] - prior_per_hz2 * (f - centre_hz) ** 2
        if height > best:
            best = height
            best_f = f
    f = best_f
    for _ in range(20):
        p, p1, p2 = _periodogram(sums, first_time_s, step_s, f)
        slope = 2 * (p.real * p1.real + p.imag * p1.imag) - 2 * prior_per_hz2 * (f - centre_hz)
        curvature = (
            2 * (p1.real * p1.real + p1.imag * p1.imag + p.real * p2.real + p.imag * p2.imag) - 2 * prior_per_hz2
        )
        if curvature >= 0:
            break
        step = -slope / curvature
        if abs(f + step - best_f) > grid_hz:
            break
        f += step
        if abs(step) < 1e-7:
            break
    value, _, _ = _periodogram(sums, first_time_s, step_s, f)
    return f, value, value.real * value.real + value.imag * value.imag


@njit
def rotated(
    fid: NDArray[np.complex128], frequency_hz: float, phase_rad: float, dwell_time_s: float
) -> NDArray[np.complex128]:
    """`fid` (n_points,) times exp(-i (2 pi frequency t + phase)): takes a frequency and a phase away."""
    n = fid.size
    out = np.empty(n, dtype=np.complex128)
    turn = np.exp(-2j * np.pi * frequency_hz * dwell_time_s)
    factor = np.exp(-1j * phase_rad)
    for i in range(n):
        # The recurrence is started afresh now and then, so that rounding cannot pile up.
        if i % 64 == 0:
            factor = np.exp(-1j * (phase_rad + 2 * np.pi * frequency_hz * dwell_time_s * i))
        out[i] = fid[i] * factor
        factor *= turn
    return out


@njit
def turned_products(
    first: NDArray[np.complex128],
    second: NDArray[np.complex128],
    fid: NDArray[np.complex128],
    frequency_hz: float,
    dwell_time_s: float,
) -> tuple[complex, complex]:
    """Inner products <first, y> and <second, y> with y = `fid` turned back by a frequency; all (n_points,)."""
    a = 0j
    b = 0j
    turn = np.exp(-2j * np.pi * frequency_hz * dwell_time_s)
    factor = 1.0 + 0j
    for i in range(fid.size):
        if i % 64 == 0:
            factor = np.exp(-2j * np.pi * frequency_hz * dwell_time_s * i)
        y = fid[i] * factor
        a += np.conj(first[i]) * y
        b += np.conj(second[i]) * y
        factor *= turn
    return a, b


@njit
def project_out(basis: NDArray[np.complex128], fid: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """`fid` (n_points,) less its part in the span of orthonormal rows `basis` (rank, n_points).

    A loop rather than a BLAS call: at this size BLAS threads cost more than they bring when other work has the cores.
    """
    out = fid.copy()
    n = fid.size
    for r in range(basis.shape[0]):
        c = 0j
        for i in range(n):
            c += np.conj(basis[r, i]) * fid[i]
        for i in range(n):
            out[i] -= c * basis[r, i]
    return out


@njit
def combined(weights: NDArray[np.complex128], data: NDArray[np.complex64]) -> NDArray[np.complex128]:
    """sum_k conj(weights_k) data_k: (n_points,) from (n_coils,) and (n_coils, n_points)."""
    out = np.zeros(data.shape[1], dtype=np.complex128)
    for k in range(data.shape[0]):
        w = np.conj(weights[k])
        if w != 0:
            for i in range(data.shape[1]):
                out[i] += w * data[k, i]
    return out


@njit
def channel_products(data: NDArray[np.complex64], waveform: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Inner products (n_coils,) of a waveform (n,) with the first n points of every channel (n_coils, n_points)."""
    out = np.empty(data.shape[0], dtype=np.complex128)
    for k in range(data.shape[0]):
        c = 0j
        for i in range(waveform.size):
            c += np.conj(waveform[i]) * data[k, i]
        out[k] = c
    return out
