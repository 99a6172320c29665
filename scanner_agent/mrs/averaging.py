"""Weighted averages of aligned shots, per sub-spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner_agent.mrs.kernels import rotated
from scanner_agent.mrs.linking import Linker, link, subtraction_artefact
from scanner_agent.mrs.shots import Average, EditCondition
from scanner_agent.mrs.weights import effective_number


@dataclass(frozen=True, eq=False)
class AlignedShot:
    """What an average needs of one shot."""

    shot_index: int
    condition: EditCondition | None
    fid: NDArray[np.complex64]
    """(n_points,) aligned."""
    noise_sd: float
    weight: float
    phase_cycle_index: int | None


def _balanced(shots: Sequence[AlignedShot]) -> NDArray[np.float64]:
    """Weights (n_shots,) with every step of the phase cycle given the same total: what it cancels stays cancelled.

    Only where each step still has shots worth half of the best step's; a step that is missing cannot be made up for.
    """
    weights = np.array([shot.weight for shot in shots], dtype=np.float64)
    steps = {shot.phase_cycle_index for shot in shots}
    if None in steps or len(steps) < 2:
        return weights
    totals = {step: sum(s.weight for s in shots if s.phase_cycle_index == step) for step in steps}
    least, most = min(totals.values()), max(totals.values())
    if least <= 0.0 or least < 0.5 * most:
        return weights
    return np.asarray(weights * np.array([least / totals[shot.phase_cycle_index] for shot in shots]))


def _mean(shots: Sequence[AlignedShot]) -> tuple[NDArray[np.complex128], float, NDArray[np.float64]] | None:
    """Weighted mean FID, its noise SD per real channel, and the weights; None if nothing weighs."""
    weights = _balanced(shots)
    total = float(np.sum(weights))
    if total <= 0:
        return None
    fid = np.zeros(shots[0].fid.size, dtype=np.complex128)
    for weight, shot in zip(weights, shots, strict=True):
        if weight > 0:
            fid += weight * shot.fid
    noise = float(np.sqrt(np.sum((weights * np.array([s.noise_sd for s in shots])) ** 2)))
    return fid / total, noise / total, weights


def average_of(
    shots: Sequence[AlignedShot],
    *,
    linker: Linker | None,
    dwell_time_s: float,
    spectrometer_frequency_mhz: float,
    offset_ppm: float,
) -> Average:
    """Average(s) of aligned shots; with both edit conditions also their difference, ON moved onto OFF first."""
    fids: dict[str, NDArray[np.complex128]] = {}
    noise: dict[str, float] = {}
    weights: dict[int, float] = {}
    effective: list[float] = []
    conditions: tuple[EditCondition | None, ...] = (None, "off", "on")
    for condition in conditions:
        chosen = [s for s in shots if s.condition == condition]
        mean = _mean(chosen) if chosen else None
        if mean is None:
            continue
        name = "main" if condition is None else condition
        fids[name], noise[name] = mean[0], mean[1]
        weights.update({s.shot_index: float(w) for s, w in zip(chosen, mean[2], strict=True)})
        effective.append(effective_number(mean[2]))
    artefact = frequency = phase = None
    if "on" in fids and "off" in fids and linker is not None:
        frequency, phase_rad = link(fids["on"], fids["off"], noise["on"], noise["off"], linker)
        moved = rotated(fids["on"], frequency, phase_rad, dwell_time_s)
        phase = float(np.degrees(phase_rad))
        fids["on"] = moved
        fids["difference"] = moved - fids["off"]
        noise["difference"] = float(np.hypot(noise["on"], noise["off"]))
        artefact = subtraction_artefact(
            fids["difference"], fids["off"], dwell_time_s, spectrometer_frequency_mhz, offset_ppm
        )
    return Average(
        fids=fids,
        noise_sd=noise,
        weights=dict(sorted(weights.items())),
        n_used=sum(1 for w in weights.values() if w > 0),
        n_effective=float(sum(effective)),
        subtraction_artefact=artefact,
        link_frequency_hz=frequency,
        link_phase_deg=phase,
    )
