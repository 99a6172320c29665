"""Plain NumPy twins of the compiled loops of scanner_agent.mrs.kernels."""

from __future__ import annotations

import numpy as np


def neighbour_scores(values, sds, positions, reach):
    scores = []
    for i in positions:
        others = np.delete(values[max(0, i - reach) : i + reach + 1], min(i, reach))
        if others.size < 4:
            scores.append(0.0)
            continue
        centre = np.median(others)
        spread = 1.4826 * np.median(np.abs(others - centre))
        scale = np.sqrt(max(spread, sds[i]) ** 2 + (1.25 * spread) ** 2 / others.size)
        scores.append((values[i] - centre) / scale if scale > 0 else 0.0)
    return np.array(scores)


def block_sums(template, shot, block, n_blocks):
    product = np.conj(template[: block * n_blocks]) * shot[: block * n_blocks]
    return product.reshape(n_blocks, block).sum(axis=1)


def periodogram(sums, first_time_s, step_s, frequency_hz):
    t = first_time_s + step_s * np.arange(sums.size)
    return np.sum(sums * np.exp(-2j * np.pi * frequency_hz * t))


def rotated(fid, frequency_hz, phase_rad, dwell_time_s):
    t = np.arange(fid.size) * dwell_time_s
    return fid * np.exp(-1j * (2 * np.pi * frequency_hz * t + phase_rad))


def turned_products(first, second, fid, frequency_hz, dwell_time_s):
    y = rotated(fid, frequency_hz, 0.0, dwell_time_s)
    return np.vdot(first, y), np.vdot(second, y)


def project_out(basis, fid):
    return fid - basis.T @ (basis.conj() @ fid)


def combined(weights, data):
    return weights.conj() @ data.astype(np.complex128)


def channel_products(data, waveform):
    return data[:, : waveform.size].astype(np.complex128) @ waveform.conj()
