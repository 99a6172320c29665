"""The truth about a simulated scan, as plain values for a JSON file beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner_agent.simulate.scan import Ingredients, ShotMaker
from scanner_agent.simulate.scenarios import SCENARIOS
from scanner_agent.simulate.subjects import Subject

TRUTH_SCHEMA = "scanner-agent/truth/1"


def scan_truth(scenario: str, seed: int, subject: Subject, parts: Ingredients, maker: ShotMaker) -> dict[str, Any]:
    """What was put into a scan.

    `shots` holds one list per quantity, by shot_index, lost shots included: `frequency_hz` in the stored convention
    and absolute (water at 4.65 ppm: 0), `phase_deg` and `amplitude` about the scan's own, `broadening_hz` beyond the
    prescribed voxel's line, `residual_water` as first point over NAA's, `damaged` where any excitation is spoilt.
    """
    setup, plan, voxel = parts.setup, parts.plan, parts.prescribed
    conditions = setup.edit_conditions()
    swapped = plan.per_shot(plan.swapped) > 0.5
    labels = [
        c if c is None or not flip else ("off" if c == "on" else "on")
        for c, flip in zip(conditions, swapped, strict=True)
    ]
    causes = [SCENARIOS[event.scenario].cause for event in parts.events]
    noise_sd = maker.noise_sd * maker.scale
    return {
        "schema": TRUTH_SCHEMA,
        "scenario": scenario,
        "seed": seed,
        "causes": [str(cause) for cause in causes if cause is not None],
        "events": [
            {
                "scenario": event.scenario,
                "first_shot": event.first_shot,
                "last_shot": event.last_shot,
                "parameters": event.parameters,
            }
            for event in parts.events
        ],
        "shots": {
            "frequency_hz": plan.per_shot(plan.frequency_hz).tolist(),
            "phase_deg": plan.per_shot(plan.phase_deg).tolist(),
            "amplitude": (plan.per_shot(plan.amplitude) * plan.signal_factor).tolist(),
            "broadening_hz": plan.per_shot(plan.broadening_hz).tolist(),
            "residual_water": np.abs(_per_shot_complex(parts, plan.water)).tolist(),
            "lipid_over_naa": np.abs(_per_shot_complex(parts, plan.lipid)).tolist(),
            "announced_hz": plan.per_shot(plan.announced_hz).tolist(),
            "gain": plan.per_shot(plan.gain).tolist(),
            "pose": plan.pose[:: plan.excitations_per_shot].tolist(),
            "damaged": (plan.per_shot(plan.damaged) > 0.0).tolist(),
            "missing": plan.missing.tolist(),
            "edit_condition": list(conditions),
            "edit_label": labels,
        },
        "subject": {
            "amounts_mm": dict(subject.amounts_mm),
            "macromolecules": dict(subject.macromolecules),
            "tissue": {"grey": subject.tissue.grey, "white": subject.tissue.white, "csf": subject.tissue.csf},
            "residual_water": subject.residual_water,
            "eddy_hz": list(subject.eddy_hz),
            "eddy_time_s": list(subject.eddy_time_s),
        },
        "physiology": {
            "frequency_sd_hz": parts.physiology.frequency_sd_hz,
            "phase_sd_deg": parts.physiology.phase_sd_deg,
            "respiration_hz": parts.physiology.respiration_hz,
            "pulse_hz": parts.physiology.pulse_hz,
        },
        "quality": {
            "snr_naa_planned": parts.snr_naa,
            "fwhm_hz": voxel.fwhm_hz,
            "fwhm_ppm": voxel.fwhm_hz / setup.spectrometer_frequency_mhz,
            "water_fwhm_hz": voxel.water_fwhm_hz,
        },
        "basis": setup.basis,
        "coils": {
            "noise_sd": (noise_sd * np.sqrt(np.real(np.diag(maker.covariance)))).tolist(),
            "noise_covariance": _complex((noise_sd**2) * maker.covariance),
            "sensitivity": _complex(maker.voxel),
        },
    }


def _per_shot_complex(parts: Ingredients, track: NDArray[np.complex128]) -> NDArray[np.complex128]:
    plan = parts.plan
    return np.asarray(plan.per_shot(track.real) + 1j * plan.per_shot(track.imag), dtype=np.complex128)


def _complex(values: NDArray[np.complex128]) -> dict[str, Any]:
    return {"real": np.real(values).tolist(), "imag": np.imag(values).tolist()}
