"""A series in one word of the terminal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: NDArray[np.float64]) -> str:
    """Bars from the least to the largest of `values` (n,); a missing one is a dot."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return "·" * values.size
    low, span = float(known.min()), float(np.ptp(known))
    places = np.full(values.shape, 3.0) if span == 0 else (values - low) / span * (len(_BARS) - 1)
    return "".join("·" if not np.isfinite(v) else _BARS[round(float(p))] for v, p in zip(values, places, strict=True))
