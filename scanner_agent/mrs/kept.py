"""What the chain keeps of one shot, and what it tells of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanner_agent.mrs.align import Alignment
from scanner_agent.mrs.frame import Frame
from scanner_agent.mrs.shots import EditCondition, ShotEstimate
from scanner_agent.mrs.signs import Measure


@dataclass(eq=False)
class KeptShot:
    """What is kept of one shot: the combined FID and what was measured; raw channels are not."""

    place: int
    shot_index: int
    label: EditCondition | None
    n_excitations: int
    phase_cycle_index: int | None
    is_dummy: bool
    frequency_update_hz: float
    reason: str | None = None
    condition: EditCondition | None = None
    fid: NDArray[np.complex64] | None = None
    noise_sd: float = 0.0
    noise_log_variance: NDArray[np.float64] | None = None
    water_chi2: float | None = None
    lipid_chi2: float | None = None
    alignment: Alignment | None = None
    aligned: NDArray[np.complex64] | None = None
    position: int = -1
    measure: Measure | None = None
    naa_over_creatine: tuple[float, float] | None = None
    """With its standard error; edited scans."""
    log_odds: float | None = None
    weight: float = 0.0
    left_out: str | None = None


def estimate_of(
    kept: KeptShot,
    *,
    frame: Frame,
    log_variance_sd: float,
    pattern_chi2_sd: float | None,
) -> ShotEstimate:
    """What is told of a shot, in the scan's frame; the SDs are those of one frame's signs by chance."""
    scale, link, edit_place = frame.scales.get(kept.condition), frame.link, frame.edit_place
    found, measure = kept.alignment, kept.measure
    reason = kept.reason or ("dummy before steady state" if kept.is_dummy else None)
    if reason is None and (found is None or measure is None):
        reason = "no signal to align it on"
    common = ShotEstimate(
        shot_index=kept.shot_index,
        edit_condition=kept.condition,
        usable=reason is None,
        reason=reason or kept.left_out,
        weight=kept.weight if reason is None else 0.0,
        noise_log_variance=kept.noise_log_variance,
        noise_log_variance_sd=None if kept.noise_log_variance is None else log_variance_sd,
        water_pattern_chi2=kept.water_chi2,
        lipid_pattern_chi2=kept.lipid_chi2,
        pattern_chi2_sd=None if kept.water_chi2 is None else pattern_chi2_sd,
        edit_log_odds=kept.log_odds,
        frequency_update_hz=kept.frequency_update_hz,
        n_excitations=kept.n_excitations,
        phase_cycle_index=kept.phase_cycle_index,
        is_dummy=kept.is_dummy,
    )
    if kept.fid is None or found is None or measure is None or scale is None or scale.amplitude <= 0:
        return common
    link_hz, link_rad = link if kept.condition == "on" and link is not None else (0.0, 0.0)
    turned_rad = found.phase_rad + link_rad
    water = measure.water
    return replace(
        common,
        frequency_hz=found.frequency_hz + link_hz,
        frequency_sd_hz=found.frequency_sd_hz,
        edit_offset_hz=None if edit_place is None else edit_place[0] + found.frequency_hz + link_hz,
        edit_offset_sd_hz=None if edit_place is None else float(np.hypot(edit_place[1], found.frequency_sd_hz)),
        phase_deg=_degrees(turned_rad),
        phase_sd_deg=float(np.degrees(found.phase_sd_rad)),
        amplitude=found.amplitude,
        amplitude_sd=found.amplitude_sd,
        broadening_hz=found.broadening_hz,
        broadening_sd_hz=found.broadening_sd_hz,
        misfit=found.misfit,
        misfit_sd=found.misfit_sd,
        residual_water=water.amplitude / scale.amplitude,
        residual_water_sd=water.amplitude_sd / scale.amplitude,
        water_phase_deg=_degrees(water.phase_rad - turned_rad),
        water_phase_sd_deg=float(np.degrees(min(water.phase_sd_rad, np.pi))),
        water_frequency_hz=water.frequency_hz,
        water_frequency_sd_hz=water.frequency_sd_hz,
        lipid=float(np.real(measure.lipid * np.exp(-1j * (scale.phase_rad + link_rad)))) / scale.amplitude,
        lipid_sd=measure.lipid_sd / scale.amplitude,
        late_energy=measure.late_energy,
        echo_z=measure.echo_z,
        snr=found.amplitude * scale.height / (kept.noise_sd * float(np.sqrt(kept.fid.size))),
    )


def _degrees(radians: float) -> float:
    """In (-180, 180]."""
    return float(180.0 - np.degrees((np.pi - radians) % (2 * np.pi)))
