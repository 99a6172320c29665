"""Maximum-likelihood frequency, phase and amplitude of a shot against a clean reference.

Model: shot(t) = a e^{i phi} r(t) e^{2 pi i f t} + nuisance + white noise, with r the (band-limited) reference and
the nuisance anything in the span of damped lines in the water band. The maximum over a and phi is in closed form, so
that f is the peak of one periodogram, P(f) = sum conj(r) shot e^{-2 pi i f t}: no local minima, no starting values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from scanner_agent.mrs.axes import hz_from_ppm
from scanner_agent.mrs.kernels import block_sums, periodogram_peak, project_out, rotated, turned_products
from scanner_agent.mrs.prior import Prior, frequency_log_odds, joined, phase_log_odds, weak_excess

_EDGE_PPM = 0.15
_LONGEST_S = 0.5
_NOISE_MARGIN, _ENVELOPE_S, _USUAL_DECAY_S = 4.0, 0.03, 0.06
# Singlets that a brain spectrum's alignment rests on, ppm; Ins and Glu bring little.
BRAIN_LINES_PPM = (2.01, 2.05, 3.03, 3.22, 3.56, 3.93)
_LINE_HALF_PPM, _LINE_WIDTHS_PPM = 0.02, (0.03, 0.08)
# Squared S/N of a reference (energy over noise) beyond which its own shape is taken as it is.
_CLEAN_ENERGY = 5000.0
_SUBSPACE_TOLERANCE = 3e-2
# Shots are searched this far about the last ones; a weak prior of this width keeps noise from choosing a far peak.
_RANGE_HZ, _RANGE_PPM, _PRIOR_SD_PPM = 25.0, 0.2, 0.12


def damped_subspace(
    n_points: int, dwell_time_s: float, bands_hz: tuple[tuple[float, float], ...], decays_per_s: tuple[float, ...]
) -> NDArray[np.complex128]:
    """Orthonormal rows (rank, n_points) that span all damped lines exp((2 pi i f - d) t) with f in the bands.

    Small singular values (below 3 % of the largest) are left out: what they hold is far below such lines' noise.
    """
    t = np.arange(n_points) * dwell_time_s
    spacing = max(1.5, 0.4 / (n_points * dwell_time_s))
    exponents = np.array(
        [
            2j * np.pi * f - d
            for low, high in bands_hz
            for f in np.linspace(low, high, max(2, round((high - low) / spacing)))
            for d in decays_per_s
        ]
    )
    if exponents.size == 0:
        return np.zeros((0, n_points), dtype=np.complex128)
    # Products of damped lines are geometric series: no need to multiply columns of n_points.
    step, end = np.exp(exponents * dwell_time_s), np.exp(exponents * (n_points * dwell_time_s))
    products = (1.0 - np.outer(end.conj(), end)) / (1.0 - np.outer(step.conj(), step))
    lengths = np.sqrt(np.real(np.diag(products)))
    values, vectors = np.linalg.eigh(products / np.outer(lengths, lengths))
    kept = values > _SUBSPACE_TOLERANCE**2 * values[-1]
    mixed = vectors[:, kept] / np.outer(lengths, np.sqrt(values[kept]))
    return np.ascontiguousarray((np.exp(np.outer(t, exponents)) @ mixed).T)


@dataclass(frozen=True, eq=False)
class AlignBand:
    """What of the FID is compared: points, band and nuisance, fixed once per scan."""

    n_points: int
    """Points used, from the first."""
    dwell_time_s: float
    """Seconds."""
    spectrometer_frequency_mhz: float
    mask: NDArray[np.float64]
    """(2 n_points,) passband over the zero-filled FFT."""
    bins: NDArray[np.intp]
    """Bins of the n_points FFT inside the band, where the misfit is taken."""
    nuisance: NDArray[np.complex128]
    """(rank, n_points) orthonormal."""
    lines: NDArray[np.complex128]
    """(rank, n_points) orthonormal span of the singlets that are expected; rank 0: nothing is expected."""
    range_hz: float
    """Shifts searched about the expected one."""
    prior_sd_hz: float
    """SD of the weak prior on the shift."""
    block: int
    """Points per block of the periodogram."""

    def without_nuisance(self, fid: NDArray[np.complexfloating]) -> NDArray[np.complex128]:
        """First `n_points` of a FID, with the nuisance projected out."""
        start = np.asarray(fid[: self.n_points], dtype=np.complex128)
        return project_out(self.nuisance, start)


@lru_cache(maxsize=8)
def align_band(
    n_points: int,
    dwell_time_s: float,
    spectrometer_frequency_mhz: float,
    *,
    align_ppm: tuple[float, float],
    offset_ppm: float = 0.0,
    nuisance_ppm: tuple[tuple[float, float], ...] = ((4.42, 4.88),),
    lines_ppm: tuple[float, ...] = (),
    edge_ppm: float = _EDGE_PPM,
    range_hz: float | None = None,
) -> AlignBand:
    """Band to align on. A line of true shift d is found at d + `offset_ppm` (files before referencing).

    Kept for the next chain of the same scan: the subspaces take some 0.1 s.
    """
    n = min(n_points, max(64, round(_LONGEST_S / dwell_time_s)))
    f0 = spectrometer_frequency_mhz
    low, high = align_ppm[0] + offset_ppm, align_ppm[1] + offset_ppm
    ppm = 4.65 - scipy.fft.fftfreq(2 * n, dwell_time_s) / f0
    outside = np.maximum(np.maximum(low - ppm, ppm - high), 0.0)
    mask = np.where(outside < edge_ppm, 0.5 + 0.5 * np.cos(np.pi * outside / edge_ppm), 0.0)
    ppm_once = 4.65 - scipy.fft.fftfreq(n, dwell_time_s) / f0
    bins = np.flatnonzero((ppm_once >= low) & (ppm_once <= high))
    bands = tuple((hz_from_ppm(b + offset_ppm, f0), hz_from_ppm(a + offset_ppm, f0)) for a, b in nuisance_ppm)
    nuisance = damped_subspace(n, dwell_time_s, bands, (8.0, 30.0, 90.0))
    expected = tuple(
        (hz_from_ppm(p + offset_ppm + _LINE_HALF_PPM, f0), hz_from_ppm(p + offset_ppm - _LINE_HALF_PPM, f0))
        for p in lines_ppm
        if align_ppm[0] <= p <= align_ppm[1]
    )
    lines = damped_subspace(n, dwell_time_s, expected, tuple(np.pi * f0 * w for w in _LINE_WIDTHS_PPM))
    if range_hz is None:
        range_hz = max(_RANGE_HZ, _RANGE_PPM * f0)
    block = max(1, int(1.0 / (20 * range_hz * dwell_time_s)))
    return AlignBand(n, dwell_time_s, f0, mask, bins, nuisance, lines, range_hz, _PRIOR_SD_PPM * f0, block)


@dataclass(frozen=True, eq=False)
class Template:
    """A reference made ready: matched filters of the signal and of its derivative, blind to the nuisance."""

    band: AlignBand
    """What is compared."""
    first: NDArray[np.complex128]
    """(n_points,) filter u0 of the signal."""
    second: NDArray[np.complex128]
    """(n_points,) filter u1 of t times the signal."""
    reference: NDArray[np.complex128]
    """(n_points,) the whole reference without nuisance, for the misfit."""
    response: NDArray[np.complex128]
    """(2, 2) <u_j, t^k r>: what the filters make of the reference and of its derivative."""
    noise: NDArray[np.float64]
    """(2, 2) real part of <u_j, u_k>: what they make of white noise."""
    ratios: NDArray[np.float64]
    """<u1, y> / <u0, y> (seconds, real part) for y broadened by each of `BROADENINGS_HZ`."""
    reference_noise_sd: float
    """Of the reference per real channel."""


BROADENINGS_HZ = np.arange(-5.0, 25.5, 1.0)


def _believed(power: NDArray[np.float64], noise_power: float, dwell_time_s: float) -> NDArray[np.float64]:
    """Share (n,) of signal in a reference's power over time: a smooth decay, fitted where the signal is sure.

    Late points weigh by t^2 in the frequency, so that noise taken for signal there would draw shots to one another's
    noise: the decay (log power quadratic in t, never bending up) is carried on from where it can be seen.
    """
    n = power.size
    window = min(n, max(1, round(_ENVELOPE_S / dwell_time_s)))
    n_windows = n // window
    smooth = power[: n_windows * window].reshape(n_windows, window).mean(axis=1)
    signal = smooth - noise_power
    weak = np.flatnonzero(signal < _NOISE_MARGIN * noise_power)
    n_sure = int(weak[0]) if weak.size else n_windows
    t = np.arange(n) * dwell_time_s
    if n_sure < 3:
        # A decay cannot be fitted: a usual one.
        fitted = np.log(max(signal[0], 1e-300)) - 2 * t / _USUAL_DECAY_S
    else:
        centres = (np.arange(n_sure) + 0.5) * window * dwell_time_s
        logs = np.log(signal[:n_sure])
        weights = signal[:n_sure] / (signal[:n_sure] + noise_power)
        bend, slope, level = np.polyfit(centres, logs, 2, w=weights) if n_sure > 3 else (1.0, 0.0, 0.0)
        if bend > 0:
            (slope, level), bend = np.polyfit(centres, logs, 1, w=weights), 0.0
        fitted = level + min(float(slope), 0.0) * t + bend * t * t
    believed = np.exp(np.clip(fitted, -700.0, 700.0))
    return np.asarray(believed / (believed + noise_power)) if noise_power > 0 else np.ones(n)


def make_template(reference: NDArray[np.complexfloating], noise_sd: float, band: AlignBand) -> Template:
    """Prepare a reference FID (at least n_points long) whose noise has SD `noise_sd` per real channel."""
    n, dt, block = band.n_points, band.dwell_time_s, band.block
    clean = band.without_nuisance(reference)
    limited = scipy.fft.ifft(scipy.fft.fft(clean, 2 * n) * band.mask)[:n]
    gain = np.full(n, float(np.mean(band.mask)))
    noise_power = 2 * noise_sd**2 * float(np.mean(band.mask**2))
    energy = float(np.real(np.vdot(limited, limited))) - n * noise_power
    if band.lines.shape[0] > 0 and energy < _CLEAN_ENERGY * 2 * noise_sd**2:
        # A young reference is mostly noise outside its few strong lines: shots would be aligned on one another's noise.
        limited = limited - project_out(band.lines, limited)
        gain = np.sum(np.abs(band.lines) ** 2, axis=0)
        noise_power = 2 * noise_sd**2 * float(np.mean(gain))
    power = limited.real**2 + limited.imag**2
    wiener = _believed(power, noise_power, dt)
    t = np.arange(n) * dt
    shape = limited * wiener
    first = band.without_nuisance(shape)
    second = band.without_nuisance(t * shape)
    # The filters hold the reference's own noise: it must not count as signal.
    own_noise = wiener * gain * (2 * noise_sd**2)
    own = np.stack([np.conj(first) * clean - own_noise, np.conj(second) * clean - t * own_noise])
    slope = np.stack(
        [np.conj(first) * (t * limited) - t * own_noise, np.conj(second) * (t * limited) - t * t * own_noise]
    )
    n_blocks = n // block
    blocks = own[:, : n_blocks * block].reshape(2, n_blocks, block).sum(axis=2)
    decay = np.exp(-np.pi * np.outer(BROADENINGS_HZ, block * dt * (np.arange(n_blocks) + 0.5)))
    with np.errstate(divide="ignore", invalid="ignore"):
        # Not a matrix product: at this size BLAS threads cost a hundred times more on a busy machine.
        below, above = np.einsum("wb,kb->kw", decay, blocks)
        ratios = np.real(above / below)
    noise01 = float(np.real(np.vdot(first, second)))
    response = np.stack([own.sum(axis=1), slope.sum(axis=1)], axis=1)
    return Template(
        band=band,
        first=first,
        second=second,
        reference=clean,
        response=response,
        noise=np.array(
            [[float(np.real(np.vdot(first, first))), noise01], [noise01, float(np.real(np.vdot(second, second)))]]
        ),
        ratios=_descending(np.nan_to_num(ratios), response),
        reference_noise_sd=noise_sd,
    )


def _descending(ratios: NDArray[np.float64], response: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Ratios made monotone: for narrower lines, whose late signal is lost in noise, those of the first order in t."""
    narrower = np.pi * np.maximum(-BROADENINGS_HZ, 0.0)
    a = np.real(response)
    with np.errstate(divide="ignore", invalid="ignore"):
        first_order = np.nan_to_num((a[1, 0] + narrower * a[1, 1]) / (a[0, 0] + narrower * a[0, 1]))
    zero = int(np.argmin(np.abs(BROADENINGS_HZ)))
    return np.concatenate([first_order[:zero], np.minimum.accumulate(ratios[zero:])])


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


_GAUSS_NEWTON_STEPS = 3


def align_shot(
    fid: NDArray[np.complexfloating], noise_sd: float, template: Template, expected_hz: float = 0.0
) -> Alignment | None:
    """`locate_shot` by itself, with its misfit."""
    found = locate_shot(fid, noise_sd, template, expected_hz)
    return None if found is None else with_misfit(found, fid, noise_sd, template)


def locate_shot(
    fid: NDArray[np.complexfloating],
    noise_sd: float,
    template: Template,
    expected_hz: float = 0.0,
    prior: Prior | None = None,
) -> Alignment | None:
    """Estimate one combined FID (n_points or longer), noise SD `noise_sd` per real channel. None: nothing to align on.

    Its misfit is left open (NaN). The periodogram's peak first; then Gauss-Newton steps on the two filters' outputs,
    whose ratio <u1, y> / <u0, y> tells frequency (imaginary part) and broadening (real part) at once, free of the
    nuisance to first order too. With a `prior`: the peak near it, unless the shot itself speaks for another, and its
    mean with the prior.
    """
    band, response, noise = template.band, template.response, template.noise
    determinant = complex(response[0, 0] * response[1, 1] - response[0, 1] * response[1, 0])
    gain = float(abs(response[0, 0]))
    if gain <= 0 or float(np.real(response[0, 0])) <= 0 or float(np.real(determinant)) <= 0:
        return None
    dt, block = band.dwell_time_s, band.block
    n_blocks = band.n_points // block
    shot = np.asarray(fid[: band.n_points], dtype=np.complex128)
    sums = block_sums(template.first, shot, block, n_blocks)
    weak_prior = noise[0, 0] * noise_sd**2 / band.prior_sd_hz**2
    low, high = expected_hz - band.range_hz, expected_hz + band.range_hz
    odds, first_s, step_s = 0.0, 0.5 * (block - 1) * dt, block * dt
    frequency, _, height = periodogram_peak(sums, first_s, step_s, low, high, 1.0, expected_hz, weak_prior)
    if prior is not None:
        centre, sd = prior.frequency_hz, prior.frequency_sd_hz
        tight = noise[0, 0] * noise_sd**2 / sd**2
        reach = max(4 * sd, 2.0)
        # Beyond the range lies water that the filters are not blind to.
        from_hz, to_hz = max(low, min(centre - reach, high - reach)), min(high, max(centre + reach, low + reach))
        near, _, near_height = periodogram_peak(sums, first_s, step_s, from_hz, to_hz, 1.0, centre, tight)
        # Log posterior odds of the two peaks, |P|^2 / 2 being the log-likelihood in units of the noise.
        gained = (near_height - tight * (near - centre) ** 2) - (height - weak_prior * (frequency - expected_hz) ** 2)
        odds = frequency_log_odds(gained / (2 * noise[0, 0] * noise_sd**2), band.prior_sd_hz, prior)
        frequency = near
    rate, value = 0j, 0j
    for _ in range(_GAUSS_NEWTON_STEPS):
        value, other = turned_products(template.first, template.second, shot, frequency, dt)
        if value == 0:
            return None
        ratio = other / value
        rate = (ratio * response[0, 0] - response[1, 0]) / (response[1, 1] - ratio * response[0, 1])
        frequency += float(np.clip(rate.imag / (2 * np.pi), -2.0, 2.0))
    value, other = turned_products(template.first, template.second, shot, frequency, dt)
    relative = value / response[0, 0]
    amplitude, phase = abs(relative), float(np.angle(relative))
    if amplitude <= 0:
        return None
    # Errors of first order: rate = (a00 e1 - a10 e0) / (c det), phase = e0 / (c a00) - rate a01 / a00.
    a = np.real(response)
    det = a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]
    to_rate = np.array([-a[1, 0], a[0, 0]]) / det
    to_phase = np.array([1.0 / a[0, 0], 0.0]) - to_rate * a[0, 1] / a[0, 0]
    unit = noise_sd / amplitude
    rate_sd = unit * float(np.sqrt(to_rate @ noise @ to_rate))
    strength = amplitude * gain / (noise_sd * float(np.sqrt(noise[0, 0])))
    excess = weak_excess(strength)
    frequency_sd = rate_sd / (2 * np.pi) * float(np.sqrt(excess))
    phase_sd = unit * float(np.sqrt(to_phase @ noise @ to_phase))
    if prior is not None:
        if odds + phase_log_odds(phase, phase_sd, prior) < 0:
            return locate_shot(fid, noise_sd, template, expected_hz)
        to_both = np.stack([to_rate / (2 * np.pi), to_phase])
        own = unit**2 * excess * (to_both @ noise @ to_both.T)
        frequency, phase, covariance = joined(frequency, phase, own, prior)
        frequency_sd, phase_sd = float(np.sqrt(covariance[0, 0])), float(np.sqrt(covariance[1, 1]))
    # Lines that are broader decay earlier: the ratio, a mean time, falls. Descending in the width, so read backwards.
    broadening = float(np.interp(np.real(other / value), template.ratios[::-1], BROADENINGS_HZ[::-1]))
    return Alignment(
        frequency_hz=float(frequency),
        frequency_sd_hz=frequency_sd,
        phase_rad=float(np.angle(np.exp(1j * phase))),
        phase_sd_rad=phase_sd,
        amplitude=float(amplitude),
        amplitude_sd=amplitude / strength,
        broadening_hz=broadening,
        broadening_sd_hz=rate_sd / np.pi,
        misfit=float("nan"),
        misfit_sd=float(1 / np.sqrt(max(1.0, band.bins.size - 1.5))),
    )


def with_misfit(found: Alignment, fid: NDArray[np.complexfloating], noise_sd: float, template: Template) -> Alignment:
    """The same with the misfit of the shot, aligned so, against the reference over the band."""
    band = template.band
    shot = np.asarray(fid[: band.n_points], dtype=np.complex128)
    back = band.without_nuisance(rotated(shot, found.frequency_hz, found.phase_rad, band.dwell_time_s))
    left_over = scipy.fft.fft(back - found.amplitude * template.reference)[band.bins]
    expected_power = 2 * band.n_points * (noise_sd**2 + (found.amplitude * template.reference_noise_sd) ** 2)
    power = float(np.sum(left_over.real**2 + left_over.imag**2))
    misfit = power * found.misfit_sd**2 / expected_power if expected_power > 0 else float("inf")
    return replace(found, misfit=misfit)
