"""Weights of shots: robust scores against neighbours, a candidate never in its own statistics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanner_agent.mrs.kernels import neighbour_scores

NEIGHBOURS = 8
_SOFT, _HARD = 4.0, 6.0


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
    weigh by their variance. No candidate is in its own statistics; a pose that lasts makes its own neighbourhood, a
    burst shorter than the reach stays an outlier. All arrays: (n_shots,).
    """
    at = np.array(positions, dtype=np.int64)
    misfit_z = neighbour_scores(misfits, misfit_sds * np.maximum(misfits, 1.0), at, NEIGHBOURS)
    amplitude_z = neighbour_scores(amplitudes, amplitude_sds, at, NEIGHBOURS)
    quietest = float(np.median(noise_sds)) if noise_sds.size else 1.0
    result: list[tuple[float, str | None]] = []
    for i, high, weak in zip(positions, misfit_z, amplitude_z, strict=True):
        weight = soft_weight(high) * soft_weight(-weak)
        reason = None
        if soft_weight(high) < 1.0:
            reason = f"does not fit the other shots (z {high:.1f})"
        elif weight < 1.0:
            reason = f"signal too weak against its neighbours (z {weak:.1f})"
        weight *= min(1.0, (quietest / float(noise_sds[i])) ** 2) if noise_sds[i] > 0 else 0.0
        result.append((weight, reason))
    return result
