"""Anything finite gives a result, finite in all its numbers; warnings count as errors."""

from __future__ import annotations

import numpy as np
import pytest

from scanner_agent.basis import load_basis
from scanner_agent.fit import (
    FitSettings,
    PreparedBasis,
    fit_spectrum,
    gaba_unit_area,
    gaussian_gaba,
    prepare,
    to_amounts,
)

POINTS, DWELL, F0 = 1024, 0.0005, 123.2
TIME = np.arange(POINTS) * DWELL
RNG = np.random.default_rng(0)
STRANGE = {
    "constant": np.ones(POINTS),
    "first point": np.eye(1, POINTS)[0],
    "last point": np.eye(1, POINTS, POINTS - 1)[0],
    "one point": np.eye(1, POINTS, 500)[0],
    "tone": np.exp(2j * np.pi * 300 * TIME),
    "growing": np.exp(5 * TIME),
    "alternating": (-1.0) ** np.arange(POINTS),
    "second half zero": np.r_[RNG.standard_normal(POINTS // 2), np.zeros(POINTS // 2)],
    "tiny": 1e-90 * RNG.standard_normal(POINTS),
    "big": 1e90 * RNG.standard_normal(POINTS),
    "denormal": np.full(POINTS, 1e-310),
    "water alone": 1e6 * np.exp(-30 * TIME),
    "heavy tails": RNG.standard_cauchy(POINTS),
    "ramp": np.arange(POINTS, dtype=float),
}


@pytest.fixture(scope="module", params=["brain", "phantom", "edited", "no macromolecules", "one metabolite"])
def prep(request: pytest.FixtureRequest) -> PreparedBasis:
    settings = {
        "brain": FitSettings(),
        "phantom": FitSettings(phantom=True, ppm_range=(0.8, 4.3)),
        "edited": FitSettings(edited=True),
        "no macromolecules": FitSettings(macromolecules=False),
        "one metabolite": FitSettings(metabolites=("NAA",), ppm_range=(1.5, 2.5)),
    }[request.param]
    name = {"phantom": "phantom_press_te30_3t", "edited": "mega_te68_3t"}.get(request.param, "press_te35_3t")
    basis = load_basis(name)["difference" if settings.edited else "main"]
    return prepare(basis, DWELL, POINTS, F0, settings)


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("noise_sd", [None, 1e-30])
def test_strange_input_gives_a_finite_result(prep: PreparedBasis, kind: str, noise_sd: float | None) -> None:
    fid = STRANGE[kind].astype(np.complex128)
    result = fit_spectrum(fid, prep, dwell_time_s=DWELL, spectrometer_frequency_mhz=F0, noise_sd=noise_sd)
    for numbers in (result.amounts, result.crlb_sd, result.posterior_sd, result.percent_sd, result.percent_sd_lcmodel):
        assert all(value is None or np.isfinite(value) for value in numbers.values())
    if result.amounts:
        to_amounts(result, "main")
        gaussian_gaba(result, gaba_unit_area(prep.basis))
        again = fit_spectrum(fid, prep, dwell_time_s=DWELL, spectrometer_frequency_mhz=F0, start=result)
        assert np.all(np.isfinite(again.amplitudes))
