"""GABA+ by three Gaussians on the difference spectrum: a cross-check that knows nothing of the basis.

Window, lines and background follow the model of Gannet (Edden et al. 2014, 10.1002/jmri.24478): GABA+ at 3.02 ppm, Glx
at 3.71 and 3.79 ppm, a straight line and one slow sine; the choline region is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner_agent.basis import BasisSet
from scanner_agent.fit.result import FitResult
from scanner_agent.mrs.axes import ppm_axis
from scanner_agent.mrs.axes import spectrum as spectrum_of

WINDOW_PPM = (2.79, 4.10)
CHOLINE_PPM = (3.16, 3.285)
CENTRES_PPM = (3.02, 3.71, 3.79)
FREEDOM_PPM = (0.05, 0.02, 0.02)
SINE_PERIOD_PPM = 10.48
SIGMA_PPM, GLX_SIGMA_PPM = (0.04, 0.15), (0.01, 0.08)
SMOOTHING_FWHM_PPM = 0.08
"""Spectra are smoothed by this first: the edited pair at 3.0 ppm (14 Hz apart) becomes the model's one line."""
CALIBRATION_FWHM_HZ = 8.0
"""Width that the basis's GABA is given when the area of one unit is measured with the same model."""
# The descent ends when a step promises to lower the sum of squares by less than this part of it.
_MAX_STEPS, _SETTLED = 100, 1e-8
# Places of each line's derivatives among the columns, and of its parameters among the five.
_LINE, _BY_CENTRE, _BY_WIDTH = np.arange(3), np.arange(3, 6), np.arange(6, 9)
_OF_CENTRE, _OF_WIDTH = np.arange(3), np.array([3, 4, 4])


@dataclass(frozen=True)
class GaussianGaba:
    """Outcome of the model."""

    area: float
    """Area under the GABA+ Gaussian, spectrum unit times ppm."""
    fwhm_ppm: float
    """Its FWHM, ppm."""
    fit_error_percent: float
    """100 SD(residual) / height of GABA+."""
    amount: float | None
    """In units of the basis: area over that of one unit of the basis's GABA under the same model."""
    ratio_to_tCr: float | None  # noqa: N815
    """`amount` over tCr of OFF."""


def _background(ppm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 4) straight line and slow sine of any phase."""
    x = ppm - ppm.mean()
    turn = 2 * np.pi * x / SINE_PERIOD_PPM
    return np.stack([np.ones_like(x), x, np.sin(turn), np.cos(turn) - 1.0], axis=1)


def _smoothed(ppm: NDArray[np.float64], data: NDArray[np.float64]) -> NDArray[np.float64]:
    step = abs(float(ppm[1] - ppm[0]))
    sigma = SMOOTHING_FWHM_PPM / np.sqrt(8 * np.log(2))
    reach = int(np.ceil(4 * sigma / step))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / sigma) ** 2)
    return np.convolve(data, kernel / kernel.sum(), mode="same")


@dataclass(frozen=True, eq=False)
class _Lines:
    """The three Gaussians at one place, all that stays fixed projected out."""

    p: NDArray[np.float64]
    """(5,) three centres, SD of GABA+ and of both Glx lines, ppm."""
    weights: NDArray[np.float64]
    """(3,) heights."""
    residual: NDArray[np.float64]
    """(n_points,)"""
    cost: float
    """Sum of squares of `residual`."""
    gradient: NDArray[np.float64]
    """(5,) half the slope of `cost`, downwards."""
    curvature: NDArray[np.float64]
    """(5, 5) half that of `cost`."""
    usual_curvature: NDArray[np.float64]
    """(5, 5) the same without the residual's share (Kaufman's): never negative."""


def _lines_at(
    p: NDArray[np.float64], x: NDArray[np.float64], fixed: NDArray[np.float64], rest: NDArray[np.float64]
) -> _Lines:
    """Lines at `p` for `rest` (n,), the data without the span of the orthonormal columns `fixed` (n, k)."""
    sigmas = np.array([p[3], p[4], p[4]])
    u = (x[:, None] - p[:3]) / sigmas
    lines = np.exp(-0.5 * u * u)
    # Derivatives of each line by its centre and by its width.
    by_centre = lines * u / sigmas
    by_width = by_centre * u
    columns = np.concatenate([lines, by_centre, by_width], axis=1)
    columns -= fixed @ (fixed.T @ columns)
    normal = columns.T @ columns
    # What lies outside the data's window has no length at all: its height stays 0.
    inner = normal[:3, :3] + 1e-15 * np.trace(normal[:3, :3]) * np.eye(3)
    weights = np.linalg.solve(inner, columns[:, :3].T @ rest)
    residual = rest - columns[:, :3] @ weights
    moves = np.zeros((9, 5))
    moves[_BY_CENTRE, _OF_CENTRE], moves[_BY_WIDTH, _OF_WIDTH] = weights, weights
    on_lines, own = normal[:3] @ moves, moves.T @ normal @ moves
    usual = own - on_lines.T @ np.linalg.solve(inner, on_lines)
    left = residual @ columns
    on_lines[_LINE, _OF_CENTRE] -= left[_BY_CENTRE]
    on_lines[_LINE, _OF_WIDTH] -= left[_BY_WIDTH]
    bends = np.stack([by_width - lines / sigmas, by_width * u - 2 * by_centre, by_width * u * u - 3 * by_width])
    bent = weights * (residual @ bends) / sigmas
    for line, sigma in zip(_LINE, _OF_WIDTH, strict=True):
        own[line, line] -= bent[0, line]
        own[line, sigma] -= bent[1, line]
        own[sigma, line] -= bent[1, line]
        own[sigma, sigma] -= bent[2, line]
    curvature = own - on_lines.T @ np.linalg.solve(inner, on_lines)
    return _Lines(p, weights, residual, float(residual @ residual), left @ moves, curvature, usual)


def _step(found: _Lines, free: NDArray[np.bool_], damping: float) -> NDArray[np.float64]:
    """Newton's step of the free parameters, damped; where `cost` bends downwards, that of Gauss and Newton."""
    step = np.zeros(found.p.size)
    usual = found.usual_curvature[np.ix_(free, free)]
    largest = float(np.max(np.diag(usual)))
    if largest <= 0:
        return step
    unit = 1.0 / np.sqrt(np.maximum(np.diag(usual), 1e-12 * largest))
    curvature = found.curvature[np.ix_(free, free)] * np.outer(unit, unit)
    if np.linalg.eigvalsh(curvature)[0] <= 1e-6:
        curvature = usual * np.outer(unit, unit)
    step[free] = unit * np.linalg.solve(curvature + damping * np.eye(unit.size), unit * found.gradient[free])
    return step


def _descend(x: NDArray[np.float64], y: NDArray[np.float64]) -> _Lines:
    """Best lines within their bounds, heights and background eliminated; Newton's method, damped.

    Variable projection (Golub and Pereyra 1973, 10.1137/0710036). With Kaufman's curvature (1975,
    10.1007/BF01932995) alone it takes four times as many steps: three Gaussians leave much of the residual.
    """
    centres, freedom = np.array(CENTRES_PPM), np.array(FREEDOM_PPM)
    low = np.concatenate([centres - freedom, [SIGMA_PPM[0], GLX_SIGMA_PPM[0]]])
    high = np.concatenate([centres + freedom, [SIGMA_PPM[1], GLX_SIGMA_PPM[1]]])
    left, strength, _ = np.linalg.svd(_background(x), full_matrices=False)
    fixed = left[:, strength > 1e-8 * strength[0]]
    rest = y - fixed @ (fixed.T @ y)
    found = _lines_at(np.concatenate([centres, [0.07, 0.03]]), x, fixed, rest)
    # Short steps first: long ones end more often in another minimum than the nearest.
    damping = 1.0
    for _ in range(_MAX_STEPS):
        # What stands at a bound and wants beyond it is held, or the others would count on its going.
        held = ((found.p <= low) & (found.gradient < 0)) | ((found.p >= high) & (found.gradient > 0))
        if not np.any(found.gradient[~held]):
            break
        trial = _lines_at(np.clip(found.p + _step(found, ~held, damping), low, high), x, fixed, rest)
        expected = float(found.gradient @ (trial.p - found.p))
        if trial.cost <= found.cost:
            found, damping = trial, max(0.1 * damping, 1e-9)
        else:
            damping *= 10.0
        if expected <= _SETTLED * found.cost or damping > 1e9:
            break
    return found


def _fit(ppm: NDArray[np.float64], data: NDArray[np.float64]) -> tuple[float, float, float, NDArray[np.float64]] | None:
    """Area, FWHM (ppm), height of GABA+, residual; None if the window is not covered."""
    data = _smoothed(ppm, data)
    inside = (ppm >= WINDOW_PPM[0]) & (ppm <= WINDOW_PPM[1])
    inside &= (ppm < CHOLINE_PPM[0]) | (ppm > CHOLINE_PPM[1])
    if np.count_nonzero(inside) < 20:
        return None
    x, y = ppm[inside], data[inside]
    scale = float(np.max(np.abs(y)))
    if scale <= 0:
        return None
    found = _descend(x, y / scale)
    height, sigma = float(found.weights[0] * scale), float(found.p[3])
    return (
        height * sigma * float(np.sqrt(2 * np.pi)),
        sigma * float(np.sqrt(8 * np.log(2))),
        height,
        found.residual * scale,
    )


def gaba_unit_area(basis: BasisSet) -> float | None:
    """Area under one unit of the basis's GABA by the same model, times the dwell time: the same for a whole scan.

    Unit: that of the FID times ppm times seconds. None: the basis has no GABA, or the model does not find it.
    """
    if "GABA" not in basis.names:
        return None
    n, dwell, f0 = basis.n_points, basis.dwell_time_s, basis.spectrometer_frequency_mhz
    decay = np.exp(-np.pi * max(CALIBRATION_FWHM_HZ - basis.linewidth_hz, 0.0) * np.arange(n) * dwell)
    fid = basis.fid("GABA") * decay
    fid[0] *= 0.5
    one = _fit(ppm_axis(n, dwell, f0)[::-1], spectrum_of(fid).real[::-1])
    # A spectrum's height goes with 1/dwell: areas are compared per unit of time.
    return one[0] * dwell if one is not None and one[0] > 0 else None


def gaussian_gaba(
    difference: FitResult, unit: float | None = None, off: FitResult | None = None
) -> GaussianGaba | None:
    """GABA+ of a difference spectrum that `fit_spectrum` has phased and referenced.

    `unit` (`gaba_unit_area` of the difference's basis) gives the amount, `off` the ratio to its tCr. None: there is
    nothing to fit.
    """
    if difference.ppm.size == 0:
        return None
    found = _fit(difference.ppm, difference.data)
    if found is None or found[2] <= 0:
        return None
    area, fwhm, height, residual = found
    amount = None if unit is None else area * difference.dwell_time_s / unit
    ratio = None
    if amount is not None and off is not None and off.amounts.get("tCr", 0.0) > 0:
        ratio = amount / off.amounts["tCr"]
    return GaussianGaba(area, fwhm, 100.0 * float(np.std(residual)) / height, amount, ratio)
