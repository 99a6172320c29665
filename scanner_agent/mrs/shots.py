"""What the signal chain says of each shot, of the coils, of the water reference and of an average."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

EditCondition = Literal["on", "off"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ShotEstimate:
    """One metabolite shot as measured against the running reference. None: could not be measured (see `reason`).

    A shot multiplied by exp(+2 pi i f t) has `frequency_hz` = +f. Every number carries its own standard error
    (`…_sd…`), derived from the thermal noise; real scatter between shots may be larger.
    """

    shot_index: int
    """Place in the order of acquisition, from 0."""
    edit_condition: EditCondition | None = None
    """As decided: from the data where that is possible, else as labelled."""
    usable: bool
    """False: never part of an average."""
    reason: str | None = None
    """Why it is not usable, or why its weight is zero."""
    weight: float = 0.0
    """Weight in the average, 0-1."""
    frequency_hz: float | None = None
    frequency_sd_hz: float | None = None
    phase_deg: float | None = None
    """At the first point of the FID, in (-180, 180]."""
    phase_sd_deg: float | None = None
    amplitude: float | None = None
    """Relative to the reference (1: the same)."""
    amplitude_sd: float | None = None
    broadening_hz: float | None = None
    """Lorentzian width beyond the reference's, Hz; negative: narrower."""
    broadening_sd_hz: float | None = None
    misfit: float | None = None
    """Reduced chi-square of the aligned shot against the reference over the alignment band; 1 is noise alone."""
    misfit_sd: float | None = None
    """SD that noise alone gives `misfit`."""
    residual_water: float | None = None
    """Amplitude of the residual water over the reference's NAA (phantom: largest line) amplitude."""
    residual_water_sd: float | None = None
    water_phase_deg: float | None = None
    """Phase of the residual water at the first point, degrees, after the shot's own phase was removed."""
    water_phase_sd_deg: float | None = None
    water_frequency_hz: float | None = None
    """Frequency of the residual water, Hz, as stored (0 Hz: 4.65 ppm), before any correction of this shot."""
    water_frequency_sd_hz: float | None = None
    lipid: float | None = None
    """Real signal at 0.8-1.8 ppm (macromolecules included) over that of NAA in the reference."""
    lipid_sd: float | None = None
    water_pattern_chi2: float | None = None
    """Reduced chi-square of the residual water's coil pattern against the voxel's; 1 is the same pattern."""
    lipid_pattern_chi2: float | None = None
    """The same for the band of 0.8-1.8 ppm."""
    pattern_chi2_sd: float | None = None
    """SD that noise alone gives both."""
    late_energy: float | None = None
    """Energy of the late FID beyond noise, as a z-score."""
    echo_z: float | None = None
    """Largest energy that this shot has within the FID (0.05-0.35 s) and the others have not, as a z-score."""
    noise_log_variance: NDArray[np.float64] | None = None
    """(n_coils,) natural logarithm of each channel's noise variance over the scan's own; NaN for channels left out."""
    noise_log_variance_sd: float | None = None
    """SD of each of them by chance."""
    snr: float | None = None
    """Height of NAA (phantom: largest line) in this shot over the SD of its noise (real part, no apodisation)."""
    edit_offset_hz: float | None = None
    """Edited scans: how far the lines lay from where the editing pulse expects them, Hz (sign as `frequency_hz`)."""
    edit_offset_sd_hz: float | None = None
    edit_log_odds: float | None = None
    """MEGA near 1.9 ppm: log-likelihood of NAA present (off) minus that of NAA saturated (on); None: unknown."""
    frequency_update_hz: float = 0.0
    """Announced by the scanner since the scan's start."""
    n_excitations: int = 1
    """Excitations summed in this frame."""
    phase_cycle_index: int | None = None
    """Step of the phase cycle."""
    is_dummy: bool = False
    """Before steady state."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WaterReference:
    """Unsuppressed water, all reference shots together, after coil combination."""

    fid: NDArray[np.complex128]
    """(n_points,) per excitation, before eddy-current correction."""
    corrected_fid: NDArray[np.complex128]
    """(n_points,) after it: phase 0 and frequency 0 throughout."""
    phase_rad: NDArray[np.float64]
    """(n_points,) smoothed phase that the correction takes away."""
    n_shots: int
    """Reference shots in it."""
    n_excitations: int
    """Excitations in them."""
    fwhm_hz: float | None
    """Full width at half maximum of the (eddy-current corrected) water line, Hz."""
    amplitude: float
    """Amplitude at the first point, per excitation."""
    frequency_hz: float
    """Offset from 4.65 ppm before the correction, Hz."""
    snr: float
    """Amplitude at the first point over the SD of the noise per real channel."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Average:
    """Weighted, aligned average per (sub-)spectrum. `difference` is ON - OFF, not halved."""

    fids: Mapping[str, NDArray[np.complex128]]
    """`main`, or `on`, `off`, `difference`: (n_points,) complex, on the scale of one excitation."""
    noise_sd: Mapping[str, float]
    """SD of the noise per real channel of each."""
    weights: Mapping[int, float]
    """Weight (0-1) of each shot in it, by shot_index."""
    n_used: int
    """Shots with a weight above zero."""
    n_effective: float
    """Shots of full weight that it is worth."""
    subtraction_artefact: float | None = None
    """Peak-to-peak of the difference spectrum at 3.16-3.29 ppm over tCho's height in OFF."""
    link_frequency_hz: float | None = None
    """Frequency by which the ON average was moved onto OFF, Hz."""
    link_phase_deg: float | None = None
    """Phase by which it was turned, degrees."""


@dataclass(frozen=True, kw_only=True)
class CoilReport:
    """What was found about the receive channels."""

    n_coils: int
    """Channels in the data."""
    left_out: Mapping[int, str] = field(default_factory=dict)
    """Channels left out of the whole scan, and why."""
    dropped_in_shots: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Channels left out of single shots: the shots (shot_index)."""
    noise_from: str = "unit variance"
    """Where the noise covariance comes from."""
    weights_from: str = "none yet"
    """Where the weights come from."""
    n_noise_samples: float = 0.0
    """Independent complex samples per channel behind the covariance."""
    noise_relative_sd: float | None = None
    """Relative standard error of the combined noise's SD, as known when the weights were made."""
    largest_noise_correlation: float | None = None
    """Largest absolute correlation between two channels."""


@dataclass(frozen=True, kw_only=True)
class EditOrder:
    """How ON and OFF shots follow each other, and how that is known."""

    decided_from: Literal["data", "labels", "nothing"]
    """`nothing`: neither labels nor data tell."""
    pattern: str | None = None
    """`alternating, on first`, `1-1-0-0`, `blocked`… where it is one of these."""
    agrees_with_labels: bool | None = None
    """False: the data contradict the labels, and were believed. None: no labels, or the data cannot tell."""
    log_odds: float | None = None
    """Log-likelihood by which the data prefer what was decided."""
    reason: str = ""
    """Why it cannot be told, or what was found."""
