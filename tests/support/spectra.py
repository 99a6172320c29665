"""Synthetic spectra with known amounts, for tests and benchmarks of the fit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scanner_agent.basis import BasisSet
from scanner_agent.fit.macromolecules import IN_VIVO_TERMS, gaussian_fid

BRAIN = {
    "NAA": 9.6, "NAAG": 1.5, "Cr": 4.6, "PCr": 4.0, "GPC": 1.1, "PCh": 0.5, "Glu": 10.5, "Gln": 2.6, "Ins": 6.4,
    "GABA": 1.5, "GSH": 1.6, "Asp": 2.2, "Asc": 1.1, "Tau": 1.4, "Lac": 0.7, "sIns": 0.3, "PE": 1.4,
}  # fmt: skip
"""Amounts of one healthy voxel, mM."""
MACROMOLECULES = {"MM09": 7.0, "MM12": 2.4, "MM14": 4.5, "MM17": 2.2, "MM20": 10.0}


def make_fid(
    basis: BasisSet,
    amounts: Mapping[str, float],
    *,
    n_points: int = 2048,
    dwell_time_s: float = 0.0005,
    frequency_mhz: float = 123.2,
    lorentz_hz: float = 1.6,
    gauss_hz: float = 4.0,
    shift_hz: float = 0.0,
    phase_deg: float = 0.0,
    noise_sd: float = 0.0,
    macromolecules: Mapping[str, float] = MACROMOLECULES,
    seed: int = 0,
) -> NDArray[np.complex128]:
    """FID (n_points,) of the amounts, one line shape for all metabolites, with white noise."""
    time = np.arange(n_points) * dwell_time_s
    present = [name for name in amounts if name in basis.names]
    set_ = basis.subset(present).resampled(n_points, dwell_time_s, frequency_mhz)
    fid = np.array([amounts[name] for name in present]) @ set_.fids
    fid = fid * np.exp(-np.pi * lorentz_hz * time - np.pi**2 * gauss_hz**2 * time**2 / (4 * np.log(2)))
    for term in IN_VIVO_TERMS:
        if term.name in macromolecules:
            fid = fid + macromolecules[term.name] * gaussian_fid(term, time, frequency_mhz)
    fid = fid * np.exp(2j * np.pi * shift_hz * time + 1j * np.deg2rad(phase_deg))
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((2, n_points)) * noise_sd
    return np.asarray(fid + noise[0] + 1j * noise[1])
