"""Maximum-likelihood frequency, phase and amplitude of a shot against a clean reference.

Model: shot(t) = a e^{i phi} r(t) e^{2 pi i f t} + nuisance + white noise, with r the (band-limited) reference and the nuisance
anything in the span of damped lines in the water and lipid bands. The maximum over a and phi is in closed form, so that f
is the peak of one periodogram, P(f) = sum conj(r) shot e^{-2 pi i f t}: no local minima, no starting values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from scanner_agent.mrs.axes import hz_from_ppm
from scanner_agent.mrs.kernels import block_sums, periodogram_peak, rotated

_EDGE_PPM = 0.15
_LONGEST_S = 0.5
_NOISE_MARGIN = 2.0
_SUBSPACE_TOLERANCE = 3e-2
# Shots are searched this far about the last ones; a weak prior of this width keeps noise from choosing a far peak.
_RANGE_HZ, _RANGE_PPM, _PRIOR_SD_PPM = 25.0, 0.2, 0.12


def damped_subspace(
    n_points: int, dwell_time_s: float, bands_hz: tuple[tuple[float, float], ...], decays_per_s: tuple[float, ...]
) -> NDArray[np.complex128]:
    """Orthonormal columns (n_points, rank) that span all damped lines exp((2 pi i f - d) t) with f in the bands.

    Small singular values (below 3 % of the largest) are left out: what they hold is far below such lines' noise.
    """
    t = np.arange(n_points) * dwell_time_s
    spacing = max(1.5, 0.4 / (n_points * dwell_time_s))
    exponents = [
        2j * np.pi * f - d
        for low, high in bands_hz
        for f in np.linspace(low, high, max(2, round((high - low) / spacing)))
        for d in decays_per_s
    ]
    if not exponents:
        return np.zeros((n_points, 0), dtype=np.complex128)
    columns = np.exp(np.outer(t, exponents))
    columns /= np.linalg.norm(columns, axis=0)
    values, vectors = np.linalg.eigh(columns.conj().T @ columns)
    kept = values > _SUBSPACE_TOLERANCE**2 * values[-1]
    return np.asarray(columns @ (vectors[:, kept] / np.sqrt(values[kept])))


@dataclass(frozen=True, eq=False)
class AlignBand:
    """What of the FID is compared: points, band and nuisance, fixed once per scan."""

    n_points: int
    """Points used, from the first."""
    dwell_time_s: float
    """Seconds."""
    mask: NDArray[np.float64]
    """(2 n_points,) passband over the zero-filled FFT."""
    bins: NDArray[np.intp]
    """Bins of the n_points FFT inside the band, where the misfit is taken."""
    nuisance: NDArray[np.complex128]
    """(n_points, rank) orthonormal."""
    range_hz: float
    """Shifts searched about the expected one."""
    prior_sd_hz: float
    """SD of the weak prior on the shift."""
    block: int
    """Points per block of the periodogram."""

    def without_nuisance(self, fid: NDArray[np.complexfloating]) -> NDArray[np.complex128]:
        """First `n_points` of a FID, with the nuisance projected out."""
        start = np.asarray(fid[: self.n_points], dtype=np.complex128)
        if self.nuisance.shape[1] == 0:
            return start
        return np.asarray(start - self.nuisance @ (self.nuisance.conj().T @ start))


def align_band(
    n_points: int,
    dwell_time_s: float,
    spectrometer_frequency_mhz: float,
    *,
    align_ppm: tuple[float, float],
    offset_ppm: float = 0.0,
    nuisance_ppm: tuple[tuple[float, float], ...] = ((4.42, 4.88),),
) -> AlignBand:
    """Band to align on. `offset_ppm`: where a line of true shift d is found is d + offset_ppm (files before referencing)."""
    n = min(n_points, max(64, round(_LONGEST_S / dwell_time_s)))
    f0 = spectrometer_frequency_mhz
    low, high = align_ppm[0] + offset_ppm, align_ppm[1] + offset_ppm
    ppm = 4.65 - scipy.fft.fftfreq(2 * n, dwell_time_s) / f0
    outside = np.maximum(np.maximum(low - ppm, ppm - high), 0.0)
    mask = np.where(outside < _EDGE_PPM, 0.5 + 0.5 * np.cos(np.pi * outside / _EDGE_PPM), 0.0)
    ppm_once = 4.65 - scipy.fft.fftfreq(n, dwell_time_s) / f0
    bins = np.flatnonzero((ppm_once >= low) & (ppm_once <= high))
    bands = tuple((hz_from_ppm(b + offset_ppm, f0), hz_from_ppm(a + offset_ppm, f0)) for a, b in nuisance_ppm)
    nuisance = damped_subspace(n, dwell_time_s, bands, (8.0, 30.0, 90.0))
    range_hz = max(_RANGE_HZ, _RANGE_PPM * f0)
    block = max(1, int(1.0 / (20 * range_hz * dwell_time_s)))
    return AlignBand(n, dwell_time_s, mask, bins, nuisance, range_hz, _PRIOR_SD_PPM * f0, block)


@dataclass(frozen=True, eq=False)
class Template:
    """A reference made ready: band-limited, without nuisance, damped where its own noise outweighs it."""

    band: AlignBand
    """What is compared."""
    values: NDArray[np.complex128]
    """(n_points,) matched filter."""
    reference: NDArray[np.complex128]
    """(n_points,) the whole reference without nuisance, for the misfit."""
    response: NDArray[np.float64]
    """(3,) sum t^k of filter times signal, k = 0..2."""
    noise: NDArray[np.float64]
    """(3,) sum t^k |filter|^2."""
    energies: NDArray[np.float64]
    """(n_blocks,) filter times signal in each block of the periodogram."""
    reference_noise_sd: float
    """Of the reference per real channel."""


def make_template(reference: NDArray[np.complexfloating], noise_sd: float, band: AlignBand) -> Template:
    """Prepare a reference FID (at least n_points long) whose noise has SD `noise_sd` per real channel."""
    n = band.n_points
    clean = band.without_nuisance(reference)
    limited = scipy.fft.ifft(scipy.fft.fft(clean, 2 * n) * band.mask)[:n]
    # Linear phase distortion by the mask is none, but its edges bring a little of the nuisance back.
    limited = band.without_nuisance(limited)
    power = limited.real**2 + limited.imag**2
    noise_power = 2 * noise_sd**2 * float(np.mean(band.mask**2))
    window = min(n, max(1, round(0.02 / band.dwell_time_s)))
    summed = np.cumsum(np.concatenate(([0.0], power)))
    left = np.maximum(np.arange(n) - window // 2, 0)
    right = np.minimum(left + window, n)
    smooth = (summed[right] - summed[left]) / (right - left)
    # Where chance alone could make it, no signal is believed: late points weigh by t^2 in the frequency.
    signal_power = np.maximum(smooth - _NOISE_MARGIN * noise_power, 0.0)
    wiener = signal_power / np.maximum(signal_power + noise_power, 1e-300)
    values = limited * wiener
    t = np.arange(n) * band.dwell_time_s
    powers = np.stack([np.ones(n), t, t * t])
    density = wiener * (power - noise_power)
    n_blocks = n // band.block
    blocks = np.sum(density[: n_blocks * band.block].reshape(n_blocks, band.block), axis=1)
    return Template(
        band, values, clean, powers @ density, powers @ (wiener**2 * power), np.maximum(blocks, 0.0), noise_sd
    )


@dataclass(frozen=True, eq=False)
class Alignment:
    """Estimate of one shot against a template; standard errors by the thermal noise of the shot."""

    frequency_hz: float
    frequency_sd_hz: float
    phase_rad: float
    phase_sd_rad: float
    amplitude: float
    amplitude_sd: float
    broadening_hz: float
    broadening_sd_hz: float
    misfit: float
    misfit_sd: float


_BROADENINGS_HZ = np.arange(-4.0, 20.5, 0.5)


def _broadening(sums: NDArray[np.complex128], energies: NDArray[np.float64], times: NDArray[np.float64]) -> float:
    """Width (Hz) that maximises (sum z e^{-pi b t})^2 / sum e e^{-2 pi b t}: grid, then a parabola through the top."""
    decay = np.exp(-np.pi * np.outer(_BROADENINGS_HZ, times))
    score = np.maximum(decay @ sums.real, 0.0) ** 2 / np.maximum(decay**2 @ energies, 1e-300)
    top = int(np.argmax(score))
    if top in (0, _BROADENINGS_HZ.size - 1):
        return float(_BROADENINGS_HZ[top])
    left, mid, right = score[top - 1 : top + 2]
    bend = left - 2 * mid + right
    return float(_BROADENINGS_HZ[top] + (0.25 * (left - right) / bend if bend < 0 else 0.0))


def align_shot(
    fid: NDArray[np.complexfloating], noise_sd: float, template: Template, expected_hz: float = 0.0
) -> Alignment | None:
    """Estimate one combined FID (n_points or longer) with noise SD `noise_sd` per real channel. None: no signal in the template."""
    band = template.band
    response, noise = template.response, template.noise
    determinant = response[0] * response[2] - response[1] ** 2
    if response[0] <= 0 or determinant <= 0:
        return None
    dt, block = band.dwell_time_s, band.block
    n_blocks = band.n_points // block
    shot = band.without_nuisance(fid)
    first = 0.5 * (block - 1) * dt
    sums = block_sums(template.values, shot, block, n_blocks)
    weak_prior = noise[0] * noise_sd**2 / band.prior_sd_hz**2
    low, high = expected_hz - band.range_hz, expected_hz + band.range_hz
    coarse, _, _ = periodogram_peak(sums, first, block * dt, low, high, 1.0, expected_hz, weak_prior)
    # Once more with the coarse shift taken away: blocks lose nothing of a slow turn.
    # The nuisance is taken out again there: water moves with the metabolites, and r holds still.
    turned = band.without_nuisance(rotated(np.asarray(fid[: band.n_points], dtype=np.complex128), coarse, 0.0, dt))
    sums = block_sums(template.values, turned, block, n_blocks)
    fine, value, _ = periodogram_peak(sums, first, block * dt, -2.0, 2.0, 0.5, expected_hz - coarse, weak_prior)
    frequency, phase = coarse + fine, float(np.angle(value))
    amplitude = abs(value) / response[0]
    if amplitude <= 0:
        return None
    matrix = np.array([[response[0], response[1]], [response[1], response[2]]])
    scatter = np.array([[noise[0], noise[1]], [noise[1], noise[2]]])
    inverse = np.linalg.inv(matrix)
    covariance = inverse @ scatter @ inverse * (noise_sd / amplitude) ** 2
    frequency_sd = float(np.sqrt(covariance[1, 1])) / (2 * np.pi)
    times = first + block * dt * np.arange(n_blocks)
    z = sums * np.exp(-1j * (phase + 2 * np.pi * fine * times))
    back = rotated(turned, fine, phase, dt)
    left_over = scipy.fft.fft(back - amplitude * template.reference)[band.bins]
    expected_power = 2 * band.n_points * (noise_sd**2 + (amplitude * template.reference_noise_sd) ** 2)
    n_free = max(1.0, band.bins.size - 1.5)
    power = float(np.sum(left_over.real**2 + left_over.imag**2))
    misfit = power / (n_free * expected_power) if expected_power > 0 else float("inf")
    return Alignment(
        frequency_hz=float(frequency),
        frequency_sd_hz=frequency_sd,
        phase_rad=phase,
        phase_sd_rad=float(np.sqrt(covariance[0, 0])),
        amplitude=float(amplitude),
        amplitude_sd=float(noise_sd * np.sqrt(noise[0]) / response[0]),
        broadening_hz=_broadening(z, template.energies, times),
        broadening_sd_hz=2 * frequency_sd,
        misfit=misfit,
        misfit_sd=float(1 / np.sqrt(n_free)),
    )
