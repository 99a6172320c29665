"""Slow drift of the frequency, kept apart from movement: a straight line through the shots of one pose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How the frequency moves."""

    slope_hz_per_min: float
    slope_sd: float
    """Standard error of the slope, Hz per minute."""
    offset_now_hz: float | None
    """Offset from the transmitter's own frequency now; None if the spectrum's place is not known."""
    offset_sd_hz: float
    scan_minutes: float
    """Planned length of the scan."""
    first_shot: int
    last_shot: int


def fit_line(
    x: NDArray[np.float64], y: NDArray[np.float64], correlation: float = 0.0
) -> tuple[float, float, float, float] | None:
    """Robust straight line: level at the last x, its SD, slope, its SD; None below 6 points.

    Least squares with Huber weights (k = 1.345; Huber 1964, 10.1214/aoms/1177703732), errors widened for AR(1)
    residuals.
    """
    known = np.isfinite(y)
    x, y = x[known], y[known]
    n = len(x)
    if n < 6:
        return None
    weight = np.ones(n)
    a = b = spread = 0.0
    for _ in range(4):
        total = weight.sum()
        mx, my = float(weight @ x / total), float(weight @ y / total)
        sxx = float(weight @ (x - mx) ** 2)
        b = float(weight @ ((x - mx) * (y - my))) / max(sxx, 1e-12)
        a = my - b * mx
        residual = y - a - b * x
        away = np.sort(np.abs(residual))
        spread = max(1.4826 * 0.5 * float(away[(n - 1) // 2] + away[n // 2]), 1e-9)
        weight = np.minimum(1.0, 1.345 * spread / np.maximum(np.abs(residual), 1e-12))
    widen = math.sqrt((1 + correlation) / (1 - correlation))
    sd_slope = widen * spread / math.sqrt(max(sxx, 1e-12))
    sd_level = widen * spread * math.sqrt(1 / n + (x[-1] - mx) ** 2 / max(sxx, 1e-12))
    return a + b * float(x[-1]), sd_level, b, sd_slope
