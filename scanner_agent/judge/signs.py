"""What the judgement is told: the signs of each shot, the numbers of a fit, and what is known of the scan as a whole.

The field names of `ShotSigns` are those of the signal chain's estimates, so that the pipeline copies them over by name.
Shots are counted from 0 here and in all records; texts for people count from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

EditCondition = Literal["on", "off"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ShotSigns:
    """One metabolite shot against the scan's reference. None: could not be measured. `…_sd…`: its error from noise."""

    shot_index: int
    """Place in the order of acquisition, from 0."""
    usable: bool = True
    """False: never part of an average."""
    reason: str | None = None
    """Why it is not usable."""
    weight: float = 1.0
    """Weight that the signal chain gave it, 0-1."""
    edit_condition: EditCondition | None = None
    """As decided by the signal chain."""
    edit_log_odds: float | None = None
    """Log-likelihood of NAA present (off) minus that of NAA saturated (on) in this shot; None if it cannot be told."""
    edit_offset_hz: float | None = None
    """Edited scans: how far the lines lay from where the editing pulse expects them, Hz."""
    edit_offset_sd_hz: float | None = None
    frequency_hz: float | None = None
    """A shot multiplied by exp(+2 pi i f t) has +f."""
    frequency_sd_hz: float | None = None
    phase_deg: float | None = None
    phase_sd_deg: float | None = None
    amplitude: float | None = None
    """Relative to the reference."""
    amplitude_sd: float | None = None
    broadening_hz: float | None = None
    """Width beyond the reference's, Hz."""
    broadening_sd_hz: float | None = None
    misfit: float | None = None
    """Reduced chi-square against the reference; 1 is noise alone."""
    misfit_sd: float | None = None
    residual_water: float | None = None
    """Amplitude of the residual water over NAA's in the reference."""
    residual_water_sd: float | None = None
    water_phase_deg: float | None = None
    """Phase of the residual water after the shot's own phase was removed."""
    water_phase_sd_deg: float | None = None
    lipid: float | None = None
    """Signal at 0.8-1.8 ppm over NAA's in the reference."""
    lipid_sd: float | None = None
    water_pattern_chi2: float | None = None
    """Reduced chi-square of the residual water's coil pattern against the voxel's; 1 is the same pattern."""
    lipid_pattern_chi2: float | None = None
    pattern_chi2_sd: float | None = None
    late_energy: float | None = None
    """Energy of the late FID beyond noise, z."""
    echo_z: float | None = None
    """Largest energy that this shot has within the FID and the others have not, z; an echo is another in each shot."""
    noise_log_variance: NDArray[np.float64] | None = None
    """(n_coils,) log of each channel's noise variance over the scan's own; NaN where a channel is left out."""
    noise_log_variance_sd: float | None = None
    snr: float | None = None
    """Height of NAA over the noise's SD in this shot."""
    frequency_update_hz: float = 0.0
    """Change of the centre frequency that the scanner announced, since the scan's start."""
    n_excitations: int = 1
    """Excitations summed in this stored frame."""
    phase_cycle_index: int | None = None
    is_dummy: bool = False


@dataclass(frozen=True, kw_only=True)
class FitSummary:
    """The fit of one average: of which shots, and what came out. A number that is None could not be had."""

    shots: frozenset[int]
    """Shots (shot_index) in the average that was fitted. A fit over two poses is not used for the verdict."""
    n_effective: float
    """Shots of full weight that the average is worth."""
    snr_lcmodel: float | None = None
    snr_naa: float | None = None
    fwhm_hz: float | None = None
    fwhm_ppm: float | None = None
    percent_sd_lcmodel: Mapping[str, float] = field(default_factory=dict)
    """By metabolite or sum (GABA+ and Glx of the difference in edited scans). Missing: not found or not fitted."""
    not_found: frozenset[str] = frozenset()
    """Metabolites and sums that were fitted and came out as nothing: their %SD is beyond any limit."""
    percent_sd: Mapping[str, float] = field(default_factory=dict)
    fit_quality: float | None = None
    """FQN."""
    flags: tuple[str, ...] = ()
    """What the fit says of itself."""
    failed: bool = False
    """True if the fit gave no usable result."""
    frequency_offset_hz: float | None = None
    """Offset of the whole spectrum from the transmitter's reference, Hz."""
    residual_water_ratio: float | None = None
    lipid_ratio: float | None = None
    """Lipid (macromolecules taken off) over tNAA."""
    subtraction_artefact: float | None = None
    """Of the difference spectrum at 3.16-3.29 ppm over tCho in OFF."""


@dataclass(frozen=True, kw_only=True)
class ScanContext:
    """What is known of the scan beside its shots; may grow as the scan goes on."""

    water_fwhm_hz: float | None = None
    """Width of the unsuppressed water, Hz; None: no reference (yet)."""
    water_frequency_hz: float | None = None
    """Its offset from the transmitter, Hz."""
    coils_left_out: Mapping[int, str] = field(default_factory=dict)
    """Receive channels that the signal chain left out, and why."""
    edit_order_agrees: bool | None = None
    """False: the data contradict the labels of ON and OFF. None: nothing to compare."""
    edit_order_decided_from: Literal["data", "labels", "nothing"] | None = None
    edit_order_reason: str = ""
    fit_unavailable: str | None = None
    """Why there is no fit (no basis set, …); None: there is one, or will be."""
