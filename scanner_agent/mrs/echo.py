"""Spurious echoes: energy that comes up again within the FID where the scan's other shots have none.

Water from outside the voxel that gradients refocus late gives a short burst at its own frequency, another one in every
shot (Kreis 2004, 10.1002/nbm.891). A shot less the mean of the others is looked at through Gaussian windows in time and
frequency. Its noise there is known, so that the largest cell has a known law.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.special
from numpy.typing import NDArray

from scanner_agent.mrs.axes import hz_from_ppm

# Metabolites' part of the spectrum without the foot of the water line, ppm.
ECHO_PPM = (0.2, 4.2)
# Centres of the windows. Before them every signal is still strong, after them no echo is to be expected.
_FIRST_S, _LAST_S = 0.05, 0.35
WINDOW_SD_S = 0.012
_HALF_SDS = 3.0
# Part of what the others show in a cell that a shot may show more or less of: width and content are not the same twice.
_LIKE_OTHERS = 0.3
_LONGEST_PART = 0.9
_SPARE = 3.0
_EMPTY = np.zeros(0, dtype=np.intp)


@dataclass(frozen=True, eq=False)
class EchoWindows:
    """Where echoes are looked for; fixed once per scan."""

    block: int
    """Points that are summed to one, once the band's middle is at 0 Hz: nothing else of the spectrum is needed."""
    carrier: NDArray[np.complex64]
    """(n_blocks * block,) brings the band's middle to 0 Hz."""
    starts: NDArray[np.intp]
    """(n_windows,) first block of each window; none: the FID is too short."""
    taper: NDArray[np.complex64]
    """(n_taper,) Gaussian, scaled so that white noise keeps its variance per cell."""
    n_fft: int
    bins: NDArray[np.intp]
    """Bins of a window's FFT that are looked at."""
    n_cells: float
    """Independent cells of time and frequency."""


def echo_windows(
    n_points: int, dwell_time_s: float, spectrometer_frequency_mhz: float, offset_ppm: float
) -> EchoWindows:
    """Windows for FIDs of a scan whose lines lie `offset_ppm` off their true places."""
    low, high = sorted(hz_from_ppm(ppm + offset_ppm, spectrometer_frequency_mhz) for ppm in ECHO_PPM)
    block = max(1, int(1.0 / (_SPARE * (high - low) * dwell_time_s)))
    step = block * dwell_time_s
    half = max(2, round(_HALF_SDS * WINDOW_SD_S / step))
    taper = np.exp(-0.5 * ((np.arange(2 * half + 1) - half) * step / WINDOW_SD_S) ** 2)
    hop = max(1, round(WINDOW_SD_S / step))
    first = max(round(_FIRST_S / step), half)
    last = min(round(_LAST_S / step), int(_LONGEST_PART * n_points) // block - half - 1)
    starts = np.arange(first, last + 1, hop, dtype=np.intp) - half if last >= first else _EMPTY
    n_used = (int(starts[-1]) + taper.size) * block if starts.size else 0
    n_fft = int(scipy.fft.next_fast_len(2 * taper.size))
    inside = np.abs(scipy.fft.fftfreq(n_fft, step)) <= 0.5 * (high - low)
    turn = np.exp(-1j * np.pi * (low + high) * dwell_time_s * np.arange(n_used))
    return EchoWindows(
        block=block,
        carrier=turn.astype(np.complex64),
        starts=starts,
        taper=(taper / np.sqrt(np.sum(taper**2) * block)).astype(np.complex64),
        n_fft=n_fft,
        bins=np.flatnonzero(inside),
        n_cells=max(0, starts.size - 1) * hop * step * (high - low),
    )


def echo_z(
    shot: NDArray[np.complexfloating],
    others: NDArray[np.complexfloating],
    noise_sd: float,
    windows: EchoWindows,
) -> float | None:
    """z-score of the largest cell of `shot` less `others` (n_points, aligned, of the same amplitude); None: no window.

    `noise_sd`: of the difference, per real channel. The energy of a cell over its mean by noise has the law exp(-m); of
    the largest of n independent cells about 1 - exp(-(n m + 1) exp(-m)) (excursions of a chi-square field).
    """
    if windows.starts.size == 0:
        return None
    n = windows.carrier.size
    both = np.stack([shot[:n], others[:n]]).astype(np.complex64) * windows.carrier
    both = both.reshape(2, -1, windows.block).sum(axis=2)
    cut = np.lib.stride_tricks.sliding_window_view(both, windows.taper.size, axis=1)[:, windows.starts]
    cells = scipy.fft.fft(cut * windows.taper, windows.n_fft, axis=2)[:, :, windows.bins]
    left = cells[0] - cells[1]
    usual = cells[1].real ** 2 + cells[1].imag ** 2
    energy = (left.real**2 + left.imag**2) / (2.0 * noise_sd**2 + _LIKE_OTHERS**2 * usual)
    return z_of_largest(float(np.max(energy)), windows.n_cells)


def z_of_largest(energy: float, n_cells: float) -> float:
    """z-score of the largest energy of `n_cells` independent cells, each over its mean by noise."""
    chance = (n_cells * max(energy, 0.0) + 1.0) * np.exp(-min(energy, 600.0))
    return float(-scipy.special.ndtri(-np.expm1(-chance))) if chance < 30.0 else -5.0
