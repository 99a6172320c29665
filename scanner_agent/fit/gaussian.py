"""GABA+ by three Gaussians on the difference spectrum: a cross-check that knows nothing of the basis.

Window, lines and background follow the model of Gannet (Edden et al. 2014, 10.1002/jmri.24478): GABA+ at 3.02 ppm, Glx
at 3.71 and 3.79 ppm, a straight line and one slow sine; the choline region is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from scanner_agent.basis import BasisSet
from scanner_agent.fit.result import FitResult
from scanner_agent.mrs.axes import ppm_axis
from scanner_agent.mrs.axes import spectrum as spectrum_of

WINDOW_PPM = (2.79, 4.10)
CHOLINE_PPM = (3.16, 3.285)
CENTRES_PPM = (3.02, 3.71, 3.79)
FREEDOM_PPM = (0.05, 0.02, 0.02)
SINE_PERIOD_PPM = 10.48
SIGMA_PPM = (0.04, 0.15)
SMOOTHING_FWHM_PPM = 0.08
"""Spectra are smoothed by this first: the edited pair at 3.0 ppm (14 Hz apart) becomes the model's one line."""
CALIBRATION_FWHM_HZ = 8.0
"""Width that the basis's GABA is given when the area of one unit is measured with the same model."""


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


def _design(ppm: NDArray[np.float64], centres: NDArray[np.float64], sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
    lines = np.exp(-0.5 * ((ppm[:, None] - centres) / sigmas) ** 2)
    x = ppm - ppm.mean()
    turn = 2 * np.pi * x / SINE_PERIOD_PPM
    return np.concatenate([lines, np.stack([np.ones_like(x), x, np.sin(turn), np.cos(turn) - 1.0], axis=1)], axis=1)


def _smoothed(ppm: NDArray[np.float64], data: NDArray[np.float64]) -> NDArray[np.float64]:
    step = abs(float(ppm[1] - ppm[0]))
    sigma = SMOOTHING_FWHM_PPM / np.sqrt(8 * np.log(2))
    reach = int(np.ceil(4 * sigma / step))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / sigma) ** 2)
    return np.convolve(data, kernel / kernel.sum(), mode="same")


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
    y = y / scale

    def project(p: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        design = _design(x, p[:3], np.array([p[3], p[4], p[4]]))
        weights = np.asarray(np.linalg.lstsq(design, y, rcond=1e-8)[0], dtype=np.float64)
        return weights, np.asarray(y - design @ weights)

    centres, freedom = np.array(CENTRES_PPM), np.array(FREEDOM_PPM)
    low = np.concatenate([centres - freedom, [SIGMA_PPM[0], 0.01]])
    high = np.concatenate([centres + freedom, [SIGMA_PPM[1], 0.08]])
    begin = np.concatenate([centres, [0.07, 0.03]])

    def misfit(p: NDArray[np.float64]) -> NDArray[np.float64]:
        return project(p)[1]

    found = least_squares(misfit, begin, bounds=(low, high), max_nfev=60)
    weights, residual = project(found.x)
    area = float(weights[0] * scale * found.x[3] * np.sqrt(2 * np.pi))
    return area, float(found.x[3] * np.sqrt(8 * np.log(2))), float(weights[0] * scale), residual * scale


def gaussian_gaba(
    difference: FitResult, basis: BasisSet | None = None, off: FitResult | None = None
) -> GaussianGaba | None:
    """GABA+ of a difference spectrum that `fit_spectrum` has phased and referenced.

    `basis` (the difference's) gives the amount, `off` the ratio to its tCr. None where there is nothing to fit.
    """
    if difference.ppm.size == 0:
        return None
    found = _fit(difference.ppm, difference.data)
    if found is None or found[2] <= 0:
        return None
    area, fwhm, height, residual = found
    amount = ratio = None
    if basis is not None and "GABA" in basis.names:
        n, dwell, f0 = basis.n_points, basis.dwell_time_s, basis.spectrometer_frequency_mhz
        decay = np.exp(-np.pi * max(CALIBRATION_FWHM_HZ - basis.linewidth_hz, 0.0) * np.arange(n) * dwell)
        fid = basis.fid("GABA") * decay
        fid[0] *= 0.5
        one = _fit(ppm_axis(n, dwell, f0)[::-1], spectrum_of(fid).real[::-1])
        if one is not None and one[0] > 0:
            # A spectrum's height goes with 1/dwell: areas are compared per unit of time.
            amount = area * difference.dwell_time_s / (one[0] * dwell)
    if amount is not None and off is not None and off.amounts.get("tCr", 0.0) > 0:
        ratio = amount / off.amounts["tCr"]
    return GaussianGaba(area, fwhm, 100.0 * float(np.std(residual)) / height, amount, ratio)
