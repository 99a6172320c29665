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


# S/N: height of the tNAA singlets over the noise, from the plan. From 64 PRESS and 24 MEGA-PRESS scans of the line.
PRESS = Errors((0.93, 0.6), (9.0, -0.75), (0.13, -0.65), (2.0, 0.0), (0.38, -0.35), (0.6, -0.75))
OFF = Errors((1.25, 0.5), (16.0, -0.55), (0.195, -0.5), (2.9, 0.5), (0.65, -0.3), (1.0, -0.7))
ON = Errors((1.5, 0.6), (19.0, -0.6), (0.24, -0.55), (3.4, 0.5), (0.65, -0.3), (1.0, -0.7))
# The signal chain's S/N of a shot counts what lies under NAA.
CHAIN_SNR = {False: (1.5, 0.32), True: (1.08, 0.12)}
MISFIT_SD, LOG_VARIANCE_SD = 0.083, 0.053
# Part of an echo's energy that the nearest cell holds; independent cells that noise has, over those counted.
ECHO_SEEN, ECHO_CELLS = 0.85, 0.65
# A Gaussian widening as the line's Lorentzian measure sees it.
BROADENING_SEEN, BROADENING_IN_AMPLITUDE, BROADENING_IN_MISFIT = 0.6, 0.2, 2.0
# %SD (posterior, LCModel's scale) at S/N (LCModel) 1 and 6.3 Hz, its powers of the S/N and of the linewidth.
PERCENT_SD_PRESS = {
    "Glu": (35.9, -0.67, -0.14),
    "Glx": (27.4, -0.63, -0.08),
    "tNAA": (15.3, -0.51, 0.09),
    "tCho": (20.9, -0.59, -0.08),
    "Ins": (44.5, -0.64, -0.12),
    "tCr": (13.7, -0.52, -0.04),
}
PERCENT_SD_EDITED = {
    "GABA+": (550.0, -1.08, 0.15),
    "Glx": (71.0, -0.77, 0.25),
    "tNAA": (8.1, -0.38, 0.17),
    "tCho": (13.4, -0.46, 0.0),
    "tCr": (12.0, -0.51, 0.0),
}
PLAN_PER_LCMODEL = {False: (1.66, -0.09), True: (2.04, -0.12)}
RESIDUAL_WATER_FIT = 0.5
# Lipid as fitted over tNAA: in still heads, per amount at 0.8-1.8 ppm, and the SD of the logs.
LIPID_FIT_LEAST, LIPID_FIT, LIPID_FIT_ERROR = 0.135, 1.25, (0.45, 0.35)
SUBTRACTION = 3.6
# Log-likelihood by which the line believes the data against the labels of ON and OFF.
SWAP_ODDS = 12.0
# SDs of logs: S/N at tNAA 30 over the noise; without and with editing: width at 1; %SD of a scan against others; %SD on
# the way, at high S/N and beyond it at S/N (LCModel) 1: the difference is far noisier than OFF, whose S/N this is.
SNR_FIT_ERROR, WIDTH_FIT_ERROR = 0.05, {False: 0.5, True: 0.6}
PERCENT_SD_SCAN_ERROR = {False: 0.17, True: 0.22}
PERCENT_SD_FIT_ERROR = {False: (0.17, 0.0), True: (0.0, 4.0)}
# The same by the last pass over all shots: S/N, width, %SD beyond what follows from these.
LAST_PASS_ERROR = {False: (0.06, 0.01, 0.03), True: (0.08, 0.01, 0.05)}


def at(of: tuple[float, float], snr: float, width_hz: float) -> float:
    """An error at an S/N and a linewidth."""
    return float(of[0] * (width_hz / REFERENCE_WIDTH_HZ) ** of[1] / snr)
