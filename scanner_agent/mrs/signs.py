"""Signs of one combined shot beyond its alignment: residual water, lipid, late signal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from scanner_agent.mrs.axes import hz_from_ppm
from scanner_agent.mrs.echo import EchoWindows, echo_windows, echo_z
from scanner_agent.mrs.kernels import block_sums, periodogram_peak
from scanner_agent.mrs.noise import NoiseBand
from scanner_agent.mrs.quality import band_amplitude, band_fraction, late_energy_z, tallest_line
from scanner_agent.mrs.reference import Reference

_WATER_HALF_PPM, _LIPID_PPM, _LATE_PPM = 0.3, (0.8, 1.8), (0.5, 4.35)
_LIPID_LINE_PPM, _LIPID_WIDTH_PPM = (0.85, 1.6), 0.14
_NAA_PPM, _NAA_HALF_PPM = (1.92, 2.12), 0.1
_LONGEST_S = 0.5


@dataclass(frozen=True, eq=False)
class SignBands:
    """Where the signs are looked for; fixed once per scan."""

    n_points: int
    dwell_time_s: float
    spectrometer_frequency_mhz: float
    offset_ppm: float
    phantom: bool
    water_line: NDArray[np.complex128]
    """(n,) expected decay of the residual water, real."""
    lipid_line: NDArray[np.complex128]
    """(n,) decay of a lipid line, real."""
    water_hz: tuple[float, float]
    lipid_hz: tuple[float, float]
    late_bins: NDArray[np.bool_]
    """(n_tail,) bins of the noise tail's FFT inside the metabolites' band."""
    block: int
    echo: EchoWindows


def sign_bands(
    n_points: int,
    dwell_time_s: float,
    spectrometer_frequency_mhz: float,
    *,
    noise: NoiseBand,
    water_fwhm_hz: float,
    offset_ppm: float,
    phantom: bool,
) -> SignBands:
    """Bands and expected lines of a scan whose lines lie `offset_ppm` off their true places."""
    f0 = spectrometer_frequency_mhz
    t = np.arange(min(n_points, max(64, round(_LONGEST_S / dwell_time_s)))) * dwell_time_s
    ppm = 4.65 - scipy.fft.fftfreq(noise.taper.size, dwell_time_s) / f0 - offset_ppm
    span_hz = 2 * _WATER_HALF_PPM * f0
    centre = 4.65 + offset_ppm
    return SignBands(
        n_points=n_points,
        dwell_time_s=dwell_time_s,
        spectrometer_frequency_mhz=f0,
        offset_ppm=offset_ppm,
        phantom=phantom,
        water_line=np.exp(-np.pi * water_fwhm_hz * t).astype(np.complex128),
        lipid_line=np.exp(-np.pi * _LIPID_WIDTH_PPM * f0 * t).astype(np.complex128),
        water_hz=(hz_from_ppm(centre + _WATER_HALF_PPM, f0), hz_from_ppm(centre - _WATER_HALF_PPM, f0)),
        lipid_hz=(hz_from_ppm(_LIPID_LINE_PPM[1] + offset_ppm, f0), hz_from_ppm(_LIPID_LINE_PPM[0] + offset_ppm, f0)),
        late_bins=(ppm >= _LATE_PPM[0]) & (ppm <= _LATE_PPM[1]),
        block=max(1, int(1.0 / (12 * span_hz * dwell_time_s))),
        echo=echo_windows(n_points, dwell_time_s, f0, offset_ppm),
    )


@dataclass(frozen=True, eq=False)
class Line:
    """One damped line of known decay in a FID."""

    frequency_hz: float
    frequency_sd_hz: float
    phase_rad: float
    phase_sd_rad: float
    amplitude: float
    amplitude_sd: float


def strongest_line(
    fid: NDArray[np.complexfloating],
    noise_sd: float,
    decay: NDArray[np.complex128],
    band_hz: tuple[float, float],
    bands: SignBands,
) -> Line:
    """Maximum-likelihood frequency, phase and amplitude of the strongest line of a given decay in a band of a FID."""
    n, dt = decay.size, bands.dwell_time_s
    middle = 0.5 * (band_hz[0] + band_hz[1])
    t = np.arange(n) * dt
    carrier = decay * np.exp(2j * np.pi * middle * t)
    block = bands.block
    sums = block_sums(carrier, np.asarray(fid[:n], dtype=np.complex128), block, n // block)
    half = 0.5 * (band_hz[1] - band_hz[0])
    shift, value, _ = periodogram_peak(sums, 0.5 * (block - 1) * dt, block * dt, -half, half, 1.5, 0.0, 0.0)
    energy = decay.real**2
    s0, s1, s2 = (float(np.sum(t**k * energy)) for k in range(3))
    amplitude = abs(value) / s0
    spread = s0 * s2 - s1**2
    relative = noise_sd / amplitude if amplitude > 0 else float("inf")
    return Line(
        frequency_hz=middle + float(shift),
        frequency_sd_hz=float(relative * np.sqrt(s0 / spread) / (2 * np.pi)),
        phase_rad=float(np.angle(value)),
        phase_sd_rad=float(relative * np.sqrt(s2 / spread)),
        amplitude=float(amplitude),
        amplitude_sd=float(noise_sd / np.sqrt(s0)),
    )


def line_waveform(line: Line, decay: NDArray[np.complex128], dwell_time_s: float) -> NDArray[np.complex128]:
    """The line's time course (n,), amplitude 1, phase 0."""
    t = np.arange(decay.size) * dwell_time_s
    return np.asarray(decay * np.exp(2j * np.pi * line.frequency_hz * t))


@dataclass(frozen=True, eq=False)
class Measure:
    """Signs of one combined shot in the data's own units."""

    water: Line
    lipid: complex
    """Band amplitude of 0.8-1.8 ppm in the aligned shot."""
    lipid_sd: float
    late_energy: float
    echo_z: float | None
    """None: no other shot to compare with."""


def measure_shot(
    fid: NDArray[np.complexfloating],
    aligned: NDArray[np.complexfloating],
    noise_sd: float,
    noise: NoiseBand,
    bands: SignBands,
    amplitude: float = 1.0,
    others: Reference | None = None,
) -> Measure:
    """Signs of a combined FID (n_points,), given also with its frequency and phase taken away.

    `others`: the mean of other shots, `amplitude` times which this one is.
    """
    low, high = (edge + bands.offset_ppm for edge in _LIPID_PPM)
    f0, dt = bands.spectrometer_frequency_mhz, bands.dwell_time_s
    return Measure(
        water=strongest_line(fid, noise_sd, bands.water_line, bands.water_hz, bands),
        lipid=band_amplitude(aligned, dt, f0, (low, high)),
        lipid_sd=noise_sd * float(np.sqrt(band_fraction(bands.n_points, dt, f0, (low, high)))),
        late_energy=late_energy_z(fid, noise_sd, noise, bands.late_bins),
        echo_z=None
        if others is None
        else echo_z(aligned, amplitude * others.fid, np.hypot(noise_sd, amplitude * others.noise_sd), bands.echo),
    )


@dataclass(frozen=True, eq=False)
class Scale:
    """What signs are compared with: NAA (phantom: the largest line) of the reference."""

    height: float
    """Of the line in the spectrum (sum over points)."""
    amplitude: float
    """Of what lies within 0.1 ppm of it, at the first point."""
    phase_rad: float
    """Of the line."""


def scale_of(reference: NDArray[np.complexfloating], bands: SignBands, align_ppm: tuple[float, float]) -> Scale:
    """Height, amplitude and phase of NAA in a reference FID (n_points,), or of the largest line of a phantom."""
    f0, dt, offset = bands.spectrometer_frequency_mhz, bands.dwell_time_s, bands.offset_ppm
    low, high = align_ppm if bands.phantom else _NAA_PPM
    height, place, phase = tallest_line(reference, dt, f0, (low + offset, high + offset))
    around = band_amplitude(reference, dt, f0, (place - _NAA_HALF_PPM, place + _NAA_HALF_PPM))
    return Scale(height, float(np.real(around * np.exp(-1j * phase))), phase)
