"""Weights of shots: robust scores against neighbours, a candidate never in its own statistics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 8
_SOFT, _HARD = 4.0, 6.0


def neighbour_scores(
    values: NDArray[np.float64], sds: NDArray[np.float64], position: int, reach: int = NEIGHBOURS
) -> float | None:
    """Robust z-score of one value against up to `reach` neighbours on either side (itself left out).

    Centre: median of the neighbours; scale: their MAD x 1.4826, never below the values' own standard errors. None: fewer
    than 4 neighbours. A pose that lasts makes its own neighbourhood; a burst shorter than the reach stays an outlier.
    """
    low, high = max(0, position - reach), min(values.size, position + reach + 1)
    others = np.concatenate([values[low:position], values[position + 1 : high]])
    if others.size < 4:
        return None
    centre = float(np.median(others))
    spread = 1.4826 * float(np.median(np.abs(others - centre)))
    # The median of m values is itself uncertain by about 1.25 spread / sqrt(m).
    scale = float(np.hypot(max(spread, float(sds[position])), 1.25 * spread / np.sqrt(others.size)))
    return float((values[position] - centre) / scale) if scale > 0 else None


def soft_weight(z: float) -> float:
    """1 up to 4, falling straight to 0 at 6."""
    return float(np.clip((_HARD - z) / (_HARD - _SOFT), 0.0, 1.0))


def effective_number(weights: NDArray[np.float64]) -> float:
    """(sum w)^2 / sum w^2: shots of full weight that a weighted average is worth."""
    squares = float(np.sum(weights**2))
    return float(np.sum(weights) ** 2 / squares) if squares > 0 else 0.0


def shot_weights(
    misfits: NDArray[np.float64],
    misfit_sds: NDArray[np.float64],
    amplitudes: NDArray[np.float64],
    amplitude_sds: NDArray[np.float64],
    noise_sds: NDArray[np.float64],
    positions: list[int],
) -> list[tuple[float, str | None]]:
    """Weight (0-1) and reason for the shots at `positions` among the shots of one condition, in order of time.

    A shot loses weight where it fits the reference much worse, or is much weaker, than its neighbours; noisier shots
    weigh by their variance. All arrays: (n_shots,).
    """
    result: list[tuple[float, str | None]] = []
    quietest = float(np.median(noise_sds)) if noise_sds.size else 1.0
    for i in positions:
        high = neighbour_scores(misfits, misfit_sds * np.maximum(misfits, 1.0), i)
        weak = neighbour_scores(amplitudes, amplitude_sds, i)
        weight, reason = 1.0, None
        if high is not None and soft_weight(high) < 1.0:
            weight *= soft_weight(high)
            reason = f"does not fit the other shots (z {high:.1f})"
        if weak is not None and soft_weight(-weak) < 1.0:
            weight *= soft_weight(-weak)
            reason = reason or f"signal too weak against its neighbours (z {weak:.1f})"
        weight *= min(1.0, (quietest / float(noise_sds[i])) ** 2) if noise_sds[i] > 0 else 0.0
        result.append((weight, reason))
    return result
