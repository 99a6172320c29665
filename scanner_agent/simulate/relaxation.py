"""How echo time, repetition time and field weigh signals: mono-exponential T1 and T2 (docs/science.md 6.4 and 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from scanner_agent.simulate.subjects import Tissue

_REFERENCE_TE_S, _REFERENCE_TR_S, _REFERENCE_MHZ = 0.035, 3.0, 123.25
_WATER_MMOL_PER_KG = 55510.0
_WATER_DENSITY = {"grey": 0.78, "white": 0.65, "csf": 0.97}
"""Visible water per volume (Near et al. 2021, 10.1002/nbm.4257)."""
_MM_T2_S = 0.035

# T1 (s), T2 (s) in grey matter at 3 T (science.md 6.4: the values Gannet collects).
_METABOLITES_3T: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "NAA": (1.47, 0.30),
        "NAAG": (1.47, 0.30),
        "Cr": (1.46, 0.155),
        "PCr": (1.46, 0.155),
        "GPC": (1.30, 0.22),
        "PCh": (1.30, 0.22),
        "Glu": (1.23, 0.18),
        "Gln": (1.23, 0.18),
        "GABA": (1.31, 0.088),
        "GSH": (0.40, 0.12),
        "Lac": (1.50, 0.24),
    }
)
_LUMPED_3T = (1.29, 0.194)
# Water: T1, T2 by tissue at 3 T and 7 T (FSL-MRS's table).
_WATER_3T = {"grey": (1.50, 0.088), "white": (0.97, 0.073), "csf": (4.47, 2.03)}
_WATER_7T = {"grey": (2.05, 0.050), "white": (1.21, 0.055), "csf": (4.43, 1.05)}


@dataclass(frozen=True)
class Timing:
    """What of the sequence weighs the signal."""

    echo_time_s: float
    """TE, seconds."""
    repetition_time_s: float
    """TR, seconds."""
    spectrometer_frequency_mhz: float
    """Field."""


def _weight(timing: Timing, t1_s: float, t2_s: float) -> float:
    saturation = 1.0 - np.exp(-timing.repetition_time_s / t1_s)
    return float(saturation * np.exp(-timing.echo_time_s / t2_s))


def _field_scaled(t1_s: float, t2_s: float, spectrometer_frequency_mhz: float) -> tuple[float, float]:
    """T1 and T2 carried from 3 T to another field as the lumped metabolites' (7 T: 1.43 and 0.131 s)."""
    power = np.log(spectrometer_frequency_mhz / _REFERENCE_MHZ) / np.log(297.2 / _REFERENCE_MHZ)
    return float(t1_s * (1.43 / 1.29) ** power), float(t2_s * (0.131 / 0.194) ** power)


def metabolite_weight(name: str, timing: Timing) -> float:
    """Signal of a metabolite relative to the reference conditions (TE 35 ms, TR 3000 ms, 3 T)."""
    at_3t = _METABOLITES_3T.get(name, _LUMPED_3T)
    here = _weight(timing, *_field_scaled(*at_3t, timing.spectrometer_frequency_mhz))
    return here / _weight(Timing(_REFERENCE_TE_S, _REFERENCE_TR_S, _REFERENCE_MHZ), *at_3t)


def macromolecule_weight(timing: Timing, reference_te_s: float = _REFERENCE_TE_S) -> float:
    """Signal of macromolecules relative to that at `reference_te_s` (T2 about 35 ms)."""
    return float(np.exp(-(timing.echo_time_s - reference_te_s) / _MM_T2_S))


def water_amount(tissue: Tissue, timing: Timing) -> float:
    """Apparent water of a voxel, mmol per litre, relaxation included (per two protons)."""
    share = np.clip((timing.spectrometer_frequency_mhz - 123.25) / (297.2 - 123.25), -0.4, 1.0)
    fractions = {"grey": tissue.grey, "white": tissue.white, "csf": tissue.csf}
    total = 0.0
    for name, fraction in fractions.items():
        (t1_a, t2_a), (t1_b, t2_b) = _WATER_3T[name], _WATER_7T[name]
        t1, t2 = t1_a + share * (t1_b - t1_a), t2_a + share * (t2_b - t2_a)
        total += fraction * _WATER_DENSITY[name] * _weight(timing, float(t1), float(t2))
    return _WATER_MMOL_PER_KG * total


def first_shot_excess(t1_s: float, repetition_time_s: float) -> float:
    """Signal of the first excitation over that in steady state: nothing is saturated yet."""
    return float(1.0 / (1.0 - np.exp(-repetition_time_s / t1_s)))
