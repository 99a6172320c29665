"""Water-scaled amounts: institutional (no tissue correction) and molal (tissue and relaxation corrected).

Molal: Gasparovic et al. 2006 (10.1002/mrm.20901), as written by Near et al. 2021 (10.1002/nbm.4257, eqs 4-6).
Institutional: LCModel's quick estimate with its usual water content and attenuation (Provencher, LCModel manual).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WATER_PROTONS = 2.0
PURE_WATER_MMOL_PER_KG = 55_510.0
PHANTOM_WATER_MMOL_PER_L = 55_556.0
WHITE_MATTER_WATER_MMOL_PER_L = 35_880.0
WATER_ATTENUATION = 0.7
"""LCModel's ATTH2O: water left at TE 30-35 ms; metabolites are taken as unattenuated (ATTMET 1)."""
WATER_DENSITY = {"gm": 0.78, "wm": 0.65, "csf": 0.97}
"""Relative density of MR-visible water (Ernst 1993 via Gasparovic 2006)."""
CSF_WATER_T1_T2_S = {1.5: (4.3, 2.0), 3.0: (4.47, 2.03), 7.0: (4.43, 1.05)}
WATER_T1_T2_S = {
    1.5: {"gm": (1.12, 0.095), "wm": (0.65, 0.08)},
    3.0: {"gm": (1.50, 0.088), "wm": (0.97, 0.073)},
    7.0: {"gm": (2.05, 0.050), "wm": (1.21, 0.055)},
}
"""T1 and T2 of tissue water, s, by field in tesla (FSL-MRS's table at 3 and 7 T, Stanisz 2005 at 1.5 T)."""
METABOLITE_T1_T2_S = {1.5: (1.25, 0.27), 3.0: (1.29, 0.194), 7.0: (1.43, 0.131)}
"""One T1 and T2, s, for all metabolites (FSL-MRS's lumped values; 1.5 T from the literature's middle)."""


@dataclass(frozen=True)
class TissueFractions:
    """Volume fractions of the voxel; they need not add to 1 exactly."""

    gm: float
    wm: float
    csf: float

    def __post_init__(self) -> None:
        """Refuse what is no fraction."""
        values = (self.gm, self.wm, self.csf)
        if min(values) < 0 or not 0.9 <= sum(values) <= 1.1 or self.csf >= 0.95:
            raise ValueError(f"tissue fractions {values} are not volume fractions of a voxel with tissue")


@dataclass(frozen=True)
class WaterScaling:
    """What turns an amount into a concentration."""

    water_amplitude: float
    """|FID(0)| of the unsuppressed water, at the gain and coil weights of the fitted spectrum."""
    spectrometer_frequency_mhz: float
    echo_time_s: float | None = None
    repetition_time_s: float | None = None
    tissue: TissueFractions | None = None
    phantom: bool = False

    def institutional(self, signal: float) -> float:
        """Concentration, mmol/L, of `signal`, the FID amplitude per proton; no tissue or relaxation correction."""
        per_proton = self.water_amplitude / WATER_PROTONS
        if self.phantom:
            return signal / per_proton * PHANTOM_WATER_MMOL_PER_L
        return signal / per_proton * WATER_ATTENUATION * WHITE_MATTER_WATER_MMOL_PER_L

    def molal(self, signal: float) -> float | None:
        """Concentration, mmol per kg of tissue water; None without tissue fractions, TE and TR."""
        if self.tissue is None or self.echo_time_s is None or self.repetition_time_s is None or self.phantom:
            return None
        field = min(WATER_T1_T2_S, key=lambda b: abs(b - self.spectrometer_frequency_mhz / 42.577))
        fractions = {"gm": self.tissue.gm, "wm": self.tissue.wm, "csf": self.tissue.csf}
        total = sum(fractions[k] * WATER_DENSITY[k] for k in fractions)
        relaxation = WATER_T1_T2_S[field] | {"csf": CSF_WATER_T1_T2_S[field]}
        water = sum(
            fractions[k] * WATER_DENSITY[k] / total * self._left(*relaxation[k]) for k in fractions
        )  # molal fractions times what relaxation leaves
        csf = fractions["csf"] * WATER_DENSITY["csf"] / total
        left = self._left(*METABOLITE_T1_T2_S[field])
        return signal / (self.water_amplitude / WATER_PROTONS) * PURE_WATER_MMOL_PER_KG * water / ((1.0 - csf) * left)

    def _left(self, t1_s: float, t2_s: float) -> float:
        echo, repetition = self.echo_time_s or 0.0, self.repetition_time_s or np.inf
        return float(np.exp(-echo / t2_s) * (1.0 - np.exp(-repetition / t1_s)))
