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
PHANTOM_TEMPLATE_FWHM_HZ = 2.0
CLEARLY_BETTER = 1.3
"""A metabolite starts away from its place if that meets the data this much better."""
MAX_TEMPLATES = 8
N_PHASES = 16
SHIFT_STEP_HZ = 1.8


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
    names = prep.names[: prep.n_metabolites]
    strong = [i for i, n in enumerate(names) if n in STRONG]
    if prep.settings.phantom or len(strong) < 2:
        strong = list(range(min(prep.n_metabolites, MAX_TEMPLATES)))
    # Strong lipid would otherwise be taken for NAA of a shifted spectrum.
    strong += [i for i, n in enumerate(prep.names) if n == "Lip13b"]
    time = prep.time_s
    weight = np.where(time >= BLANK_S, 1.0, 0.0)
    templates = prep.columns[strong] * np.exp(-np.pi * TEMPLATE_FWHM_HZ * np.abs(time))
    shift_hz, phase, gain = _search(band_fid, templates, weight, prep)
    _, _, mirrored_gain = _search(mirrored, templates, weight, prep)
    scale = float(time.size)
    return StartValues(shift_hz, phase, gain * scale, mirrored_gain * scale)


def individual_shifts(
    band_fid: NDArray[np.complex128], prep: PreparedBasis, start: StartValues, reach_ppm: float
) -> NDArray[np.float64]:
    """Shifts (n_metabolites,), Hz beyond the common one, at which each metabolite by itself meets the data best.

    For phantoms: their lines are narrower than what temperature and pH move them by, so that a descent from zero
    would not see them.
    """
    time = prep.time_s
    turn = np.exp(-1j * (start.phase_rad + 2 * np.pi * start.shift_hz * time))
    decay = np.where(time >= 0.0, np.exp(-np.pi * PHANTOM_TEMPLATE_FWHM_HZ * np.abs(time)), 0.0)
    products = (prep.columns[: prep.n_metabolites] * decay).conj() * (turn * band_fid)
    length = 4 * time.size
    score = np.fft.fft(products, n=length, axis=-1).real
    frequency = np.fft.fftfreq(length, prep.band_step_s)
    near = np.flatnonzero(np.abs(frequency) <= reach_ppm * prep.spectrometer_frequency_mhz)
    best = near[np.argmax(score[:, near], axis=1)]
    found = score[np.arange(best.size), best]
    return np.where(found > CLEARLY_BETTER * np.maximum(score[:, 0], 0.0), frequency[best], 0.0)
