"""Coil sensitivities and combination weights (generalised least squares on whitened data)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner_agent.mrs.kernels import combined
from scanner_agent.mrs.noise import whitener

SATURATED_RUN = 6
# A clipped channel with less than this part of the combined signal does no harm.
_CLIPPED_SHARE = 0.01


@dataclass(frozen=True, eq=False)
class CoilWeights:
    """Frozen weights: combined = conj(weights) @ data, on the scale of the root-sum-of-squares signal."""

    weights: NDArray[np.complex128]
    """(n_coils,); zero for channels left out."""
    pattern: NDArray[np.complex128]
    """(n_active,) whitened sensitivities of the active channels, length 1."""
    whitening: NDArray[np.complex128]
    """(n_active, n_active)."""
    active: NDArray[np.bool_]
    """(n_coils,) channels in use."""
    noise_sd: float
    """Of the combined FID per real channel, by the covariance."""


def signal_matrix(
    data: NDArray[np.complexfloating], dwell_time_s: float, decay_s: float = 0.05
) -> NDArray[np.complex128]:
    """Early signal of all channels as a (n_coils, n_coils) second moment: sum over time of x x^H exp(-2 t / decay).

    Phases of the shot drop out, so that moments of several shots add up. `data`: (n_coils, n_points). The taper matches
    usual decays, so that the noise of late points does not drown the signal.
    """
    n = min(data.shape[-1], max(32, int(4 * decay_s / dwell_time_s)))
    tapered = data[:, :n] * np.exp(-np.arange(n) * (dwell_time_s / decay_s))
    return np.asarray(tapered @ tapered.conj().T, dtype=np.complex128)


def sensitivities(
    moment: NDArray[np.complex128], covariance: NDArray[np.complex128], active: NDArray[np.bool_]
) -> NDArray[np.complex128]:
    """Complex sensitivities (n_coils,), length 1, from a signal moment: WSVD.

    The leading eigenvector of the whitened moment, brought back to the channels' own units (Rodgers and Robson 2010,
    doi:10.1002/mrm.22230). Its phase is free; see `anchored`. Channels left out are zero.
    """
    channels = np.flatnonzero(active)
    whitening = whitener(covariance[np.ix_(channels, channels)])
    whitened = whitening @ moment[np.ix_(channels, channels)] @ whitening.conj().T
    _, vectors = np.linalg.eigh((whitened + whitened.conj().T) / 2)
    found = np.linalg.solve(whitening, vectors[:, -1])
    result = np.zeros(active.size, dtype=np.complex128)
    result[channels] = found / np.linalg.norm(found)
    return result


def own_pattern(
    moment: NDArray[np.complex128],
    n_products: int,
    pattern: NDArray[np.complex128],
    covariance: NDArray[np.complex128],
    active: NDArray[np.bool_],
) -> NDArray[np.complex128] | None:
    """The metabolites' own sensitivities (n_coils,), where they surely differ from `pattern` (of water); else None.

    At high field metabolites come from a place beside water's (chemical-shift displacement), and weights made for water
    lose S/N. `moment`: sum of v v^H over `n_products` inner products v with the metabolites' lines. With E the squared
    S/N behind it, noise alone lowers the squared correlation of the two patterns by (K - 1) / E (1 + n / E), and costs
    the own pattern as much S/N^2. It is taken if the correlation is lower by five times that and by half a per cent.
    """
    channels = np.flatnonzero(active)
    k = channels.size
    if n_products == 0 or k < 2:
        return None
    whitening = whitener(covariance[np.ix_(channels, channels)])
    whitened = whitening @ moment[np.ix_(channels, channels)] @ whitening.conj().T
    values, vectors = np.linalg.eigh((whitened + whitened.conj().T) / 2)
    energy = float(values[-1]) - n_products
    if energy <= k:
        return None
    water = whitening @ pattern[channels]
    water = water / np.linalg.norm(water)
    own = vectors[:, -1]
    overlap = complex(np.vdot(own, water))
    by_chance = (k - 1) / energy * (1 + n_products / energy)
    if 1 - abs(overlap) ** 2 < max(5 * by_chance, 0.005):
        return None
    found = np.linalg.solve(whitening, own * (overlap / abs(overlap)))
    result = np.zeros(active.size, dtype=np.complex128)
    result[channels] = found / np.linalg.norm(found)
    return result


def anchored(
    pattern: NDArray[np.complex128], data: NDArray[np.complexfloating], n_first: int = 4
) -> NDArray[np.complex128]:
    """Sensitivities turned so that the combined signal of `data` (n_coils, n_points) is real and positive at first."""
    first = np.mean(data[:, :n_first], axis=1)
    projection = complex(np.vdot(pattern, first))
    return pattern if projection == 0 else np.asarray(pattern * (projection / abs(projection)))


def combination_weights(
    pattern: NDArray[np.complex128], covariance: NDArray[np.complex128], active: NDArray[np.bool_]
) -> CoilWeights:
    """Weights of least noise for a signal g s(t): covariance^-1 g / (g^H covariance^-1 g).

    (Roemer 1990, doi:10.1002/mrm.1910160203; An 2013, doi:10.1002/jmri.23941.) `pattern` is g over all channels;
    leaving channels out keeps the signal's scale. `covariance`: E[n n^H] of complex points.
    """
    channels = np.flatnonzero(active)
    whitening = whitener(covariance[np.ix_(channels, channels)])
    whitened = whitening @ pattern[channels]
    energy = float(np.real(np.vdot(whitened, whitened)))
    weights = np.zeros(active.size, dtype=np.complex128)
    weights[channels] = whitening.conj().T @ whitened / energy
    return CoilWeights(weights, whitened / np.sqrt(energy), whitening, active.copy(), float(np.sqrt(0.5 / energy)))


def combine(data: NDArray[np.complexfloating], weights: CoilWeights) -> NDArray[np.complex128]:
    """Combined FID (n_points,) of data (n_coils, n_points)."""
    return combined(weights.weights, data)


def pattern_chi2(projections: NDArray[np.complex128], energy: float, weights: CoilWeights) -> float | None:
    """Reduced chi-square of a signal's coil pattern against the voxel's; 1 by noise alone; None with one channel.

    `projections`: (n_coils,) inner products of every channel with one waveform of `energy` sum |q|^2. What lies outside
    the expected direction of the whitened pattern is noise with mean 1 per complex dimension, or signal from elsewhere.
    """
    n_active = weights.pattern.size
    if n_active < 2 or energy <= 0:
        return None
    whitened = weights.whitening @ projections[weights.active] / np.sqrt(energy)
    total = float(np.real(np.vdot(whitened, whitened)))
    along = abs(complex(np.vdot(weights.pattern, whitened))) ** 2
    return (total - along) / (n_active - 1)


def saturated_channels(data: NDArray[np.complexfloating]) -> NDArray[np.bool_]:
    """(n_coils,) True where the receiver clipped: the largest value of a real or imaginary part stands several times.

    Digitised data at full scale repeat exactly the same extreme value; white noise on a float scale never does. Integer
    data of small range do repeat, so the run must make up the extreme of a signal well above the data's typical size.
    """
    early = np.ascontiguousarray(data[:, : max(64, data.shape[1] // 4)])
    result = np.zeros(data.shape[0], dtype=bool)
    for part in (early.real, early.imag):
        for extreme in (part.max(axis=1), part.min(axis=1)):
            repeats = np.count_nonzero(part == extreme[:, None], axis=1)
            typical = np.sqrt(np.mean(part**2, axis=1))
            result |= (repeats >= SATURATED_RUN) & (np.abs(extreme) > 1.2 * typical) & (typical > 0)
    return result


def refusal(data: NDArray[np.complexfloating], weights: CoilWeights | None) -> str | None:
    """Why a frame (n_coils, n_points) cannot be used at all; None: it can."""
    if not np.isfinite(data).all():
        return "holds values that are not finite"
    if not np.any(data):
        return "all zero"
    clipped = saturated_channels(data)
    if clipped.any():
        names = ", ".join(str(k) for k in np.flatnonzero(clipped)[:8])
        share = 1.0 if weights is None else float(np.sum(np.abs(weights.pattern) ** 2 * clipped[weights.active]))
        if share > _CLIPPED_SHARE:
            return f"receiver clipped in channel {names}"
    return None
