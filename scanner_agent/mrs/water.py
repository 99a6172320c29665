"""Unsuppressed and residual water: the reference, its width, and its removal by a state-space (HSVD) model."""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.linalg
from numpy.typing import NDArray

from scanner_agent.mrs.axes import WATER_PPM
from scanner_agent.mrs.eddy import eddy_phase
from scanner_agent.mrs.quality import half_height_width_hz
from scanner_agent.mrs.shots import WaterReference


def water_reference(
    total: NDArray[np.complex128], n_frames: int, n_excitations: int, dwell_time_s: float, noise_sd: float
) -> WaterReference:
    """Water reference from the combined sum (n_points,) of `n_frames` frames that hold `n_excitations` in all.

    `noise_sd`: of the result (the sum over `n_excitations`) per real channel.
    """
    fid = total / n_excitations
    phase = eddy_phase(fid, dwell_time_s, noise_sd)
    corrected = fid * np.exp(-1j * phase)
    n = max(8, min(fid.size, round(0.1 / dwell_time_s)))
    slope = float(np.polyfit(np.arange(n) * dwell_time_s, phase[:n], 1, w=np.abs(fid[:n]))[0])
    return WaterReference(
        fid=fid,
        corrected_fid=corrected,
        phase_rad=phase,
        n_shots=n_frames,
        n_excitations=n_excitations,
        fwhm_hz=half_height_width_hz(corrected, dwell_time_s),
        amplitude=float(np.abs(np.mean(corrected[:2]))),
        frequency_hz=slope / (2 * np.pi),
        snr=float(np.abs(fid[0]) / noise_sd) if noise_sd > 0 else float("inf"),
    )


def hsvd(
    fid: NDArray[np.complexfloating], dwell_time_s: float, n_components: int = 32, n_points: int = 1024
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies (Hz) and dampings (1/s, positive: decaying) of the strongest damped lines of a FID (n_points,).

    State-space model (Barkhuijsen 1987, doi:10.1016/0022-2364(87)90023-0): the leading left singular vectors of the
    Hankel matrix of the first `n_points` points, found by block power iteration with FFT products from a fixed start.
    """
    x = np.asarray(fid[: min(n_points, fid.size)], dtype=np.complex128)
    n = x.size
    rows = n // 2
    columns = n - rows + 1
    k = min(n_components, rows - 2, columns - 2)
    spectrum = scipy.fft.fft(x, scipy.fft.next_fast_len(n + columns))
    length = spectrum.size

    def times_hankel(block: NDArray[np.complex128]) -> NDArray[np.complex128]:
        # (H b)_i = sum_j x_{i+j} b_j: a correlation, by FFT.
        turned = scipy.fft.fft(block[::-1].T, length)
        return np.asarray(scipy.fft.ifft(turned * spectrum)[:, columns - 1 : columns - 1 + rows].T)

    def times_adjoint(block: NDArray[np.complex128]) -> NDArray[np.complex128]:
        turned = scipy.fft.fft(block.conj()[::-1].T, length)
        return np.asarray(scipy.fft.ifft(turned * spectrum)[:, rows - 1 : rows - 1 + columns].T.conj())

    start = np.random.default_rng(20).standard_normal((2, columns, k + 6))
    basis = start[0] + 1j * start[1]
    for _ in range(2):
        left, _ = np.linalg.qr(times_hankel(basis))
        basis, _ = np.linalg.qr(times_adjoint(left))
    left, values, _ = np.linalg.svd(times_hankel(basis), full_matrices=False)
    left = left[:, :k][:, values[:k] > 1e-12 * values[0]]
    poles = np.linalg.eigvals(np.linalg.lstsq(left[:-1], left[1:], rcond=None)[0])
    logs = np.log(poles) / dwell_time_s
    return np.asarray(logs.imag / (2 * np.pi)), np.asarray(-logs.real)


def without_water(
    fid: NDArray[np.complexfloating],
    dwell_time_s: float,
    spectrometer_frequency_mhz: float,
    *,
    water_ppm: tuple[float, float] = (4.45, 4.95),
    n_components: int = 40,
) -> NDArray[np.complex128]:
    """FID (n_points,) without its residual water: the damped lines that HSVD finds in `water_ppm` are subtracted.

    Lines outside the band are modelled with them but left in, so that metabolites are not eaten.
    """
    frequency, damping = hsvd(fid, dwell_time_s, n_components)
    ppm = WATER_PPM - frequency / spectrometer_frequency_mhz
    wide = np.asarray(fid, dtype=np.complex128)
    # Lines that hardly decay or grow are noise or the edge of the data; broad ones are baseline.
    kept = damping > -1.0
    n = min(fid.size, 1024)
    t = np.arange(fid.size) * dwell_time_s
    exponents = 2j * np.pi * frequency[kept] - np.maximum(damping[kept], 0.0)
    if exponents.size == 0:
        return wide.copy()
    lines = np.exp(np.outer(t[:n], exponents))
    amplitudes, *_ = np.linalg.lstsq(lines, wide[:n], rcond=None)
    is_water = ((ppm >= water_ppm[0]) & (ppm <= water_ppm[1]))[kept]
    return np.asarray(wide - np.exp(np.outer(t, exponents[is_water])) @ amplitudes[is_water])
