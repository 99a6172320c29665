"""Start values: matched filter over referencing offset and phase, and whether the axis is mirrored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner_agent.fit.kernels import best_phase_and_shift
from scanner_agent.fit.prepare import STRONG, PreparedBasis

OFFSET_PPM = 0.32
"""Referencing offsets are looked for this far on both sides."""
BLANK_S = 0.006
"""First part of the FID that is left out: most of the broad signals are over by then."""
TEMPLATE_FWHM_HZ = 5.0
N_PHASES = 24
SHIFT_STEP_HZ = 1.2


@dataclass(frozen=True)
class StartValues:
    """Where the fit begins."""

    shift_hz: float
    """Offset in the stored convention: the FID is the basis times exp(+2 pi i shift t)."""
    phase_rad: float
    gain: float
    """Drop of the (noise-normalised) sum of squares by the best combination."""
    mirrored_gain: float
    """The same for the conjugated data."""


def _search(
    band_fid: NDArray[np.complex128],
    templates: NDArray[np.complex128],
    weight: NDArray[np.float64],
    prep: PreparedBasis,
) -> tuple[float, float, float]:
    n = band_fid.size
    step = prep.band_step_s
    length = n
    while 1.0 / (length * step) > SHIFT_STEP_HZ:
        length *= 2
    products = np.fft.fft(templates.conj() * (weight * band_fid), n=length, axis=-1)
    frequency = np.fft.fftfreq(length, step)
    order = np.argsort(frequency)
    inside = order[np.abs(frequency[order]) <= OFFSET_PPM * prep.spectrometer_frequency_mhz]
    stride = max(int(SHIFT_STEP_HZ * length * step), 1)
    inside = inside[::stride]
    gram = np.real((templates * weight) @ templates.conj().T)
    gram += 1e-9 * np.trace(gram) * np.eye(gram.shape[0])
    phases = 2 * np.pi * np.arange(N_PHASES) / N_PHASES
    shift, phase, gain = best_phase_and_shift(np.ascontiguousarray(products[:, inside].T), gram, phases)
    return float(frequency[inside[shift]]), float(phases[phase]), float(gain)


def find_start(band_fid: NDArray[np.complex128], mirrored: NDArray[np.complex128], prep: PreparedBasis) -> StartValues:
    """Best offset and phase for a spectrum.

    `band_fid` (n_band,): the data's band as an FID like `prep.columns`, in units where its spectrum has unit noise;
    `mirrored` the same of the conjugated data.
    """
    strong = [i for i, n in enumerate(prep.names[: prep.n_metabolites]) if n in STRONG or prep.settings.edited]
    if not strong:
        strong = list(range(prep.n_metabolites))
    time = prep.time_s
    weight = np.where(time >= BLANK_S, 1.0, 0.0)
    templates = prep.columns[strong] * np.exp(-np.pi * TEMPLATE_FWHM_HZ * np.abs(time))
    shift_hz, phase, gain = _search(band_fid, templates, weight, prep)
    _, _, mirrored_gain = _search(mirrored, templates, weight, prep)
    scale = float(time.size)
    return StartValues(shift_hz, phase, gain * scale, mirrored_gain * scale)
