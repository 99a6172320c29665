"""How large the line's errors are, by S/N and linewidth: measured on simulated scans, for the sign model only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

REFERENCE_WIDTH_HZ = 6.3
WIDENINGS_HZ = np.arange(0.0, 41.0, 1.0)


@dataclass(frozen=True)
class Errors:
    """Measured errors of one shot: (value at S/N 1 and a line of 6.3 Hz, power of the linewidth)."""

    frequency_hz: tuple[float, float]
    phase_deg: tuple[float, float]
    amplitude: tuple[float, float]
    broadening_hz: tuple[float, float]
    water: tuple[float, float]
    lipid: tuple[float, float]


# S/N: height of the tNAA singlets over the noise, from the plan. From 24 PRESS and 12 MEGA-PRESS scans of the line.
PRESS = Errors((1.0, 0.6), (9.0, -0.75), (0.13, -0.65), (1.6, 0.0), (0.38, -0.35), (0.6, -0.75))
OFF = Errors((1.4, 0.5), (17.0, -0.55), (0.21, -0.5), (3.2, 0.5), (0.71, -0.3), (1.1, -0.7))
ON = Errors((1.6, 0.6), (22.0, -0.6), (0.28, -0.55), (5.0, 0.5), (0.71, -0.3), (1.1, -0.7))
# The signal chain's S/N of a shot counts what lies under NAA.
CHAIN_SNR = {False: (1.5, 0.32), True: (1.08, 0.12)}
MISFIT_SD, LOG_VARIANCE_SD = 0.083, 0.053
# Part of an echo's energy that the nearest cell holds; independent cells that noise has, over those counted.
ECHO_SEEN, ECHO_CELLS = 0.85, 0.65
# A Gaussian widening as the line's Lorentzian measure sees it.
BROADENING_SEEN, BROADENING_IN_AMPLITUDE, BROADENING_IN_MISFIT = 0.6, 0.2, 2.0
# %SD times LCModel's S/N at 6.3 Hz, and the power of the linewidth.
PERCENT_SD_PRESS = {
    "Glu": (82.6, 0.45),
    "Glx": (70.5, 0.42),
    "tNAA": (54.0, 0.55),
    "tCho": (62.0, 0.62),
    "Ins": (139.0, 0.48),
    "tCr": (48.0, 0.53),
}
PERCENT_SD_EDITED = {
    "GABA+": (551.0, 1.0),
    "Glx": (103.0, 0.3),
    "tNAA": (49.0, 0.0),
    "tCho": (71.0, 0.3),
    "tCr": (52.0, 0.0),
}
PLAN_PER_LCMODEL = {False: (1.72, -0.17), True: (2.07, 0.0)}
RESIDUAL_WATER_FIT = 0.5
# Lipid as fitted over tNAA: in still heads, per amount at 0.8-1.8 ppm, and the SD of the logs.
LIPID_FIT_LEAST, LIPID_FIT, LIPID_FIT_ERROR = 0.135, 1.25, (0.45, 0.35)
SUBTRACTION = 7.5
# Log-likelihood by which the line believes the data against the labels of ON and OFF.
SWAP_ODDS = 12.0
SNR_FIT_ERROR, WIDTH_FIT_ERROR, PERCENT_SD_FIT_ERROR = 0.04, 0.9, 0.1


def at(of: tuple[float, float], snr: float, width_hz: float) -> float:
    """An error at an S/N and a linewidth."""
    return float(of[0] * (width_hz / REFERENCE_WIDTH_HZ) ** of[1] / snr)
