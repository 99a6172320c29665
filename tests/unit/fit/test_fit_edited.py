"""Fits of GABA-edited differences: voxels of the simulator, whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scanner_agent.basis import load_basis
from scanner_agent.fit import FitResult, FitSettings, fit_spectrum, prepare
from scanner_agent.fit.macromolecules import edited_terms
from scanner_agent.simulate.relaxation import Timing, macromolecule_weight, metabolite_weight
from scanner_agent.simulate.subjects import draw_subject
from scanner_agent.simulate.voxel import Sampling, draw_details, voxel_signals

SAMPLING = Sampling(2048, 0.0005, 123.25)
TIMING = Timing(0.068, 2.0, 123.25)


def difference_fit(seed: int, noise_over_naa: float) -> tuple[FitResult, float, float]:
    """Fit of one random voxel's difference with its true GABA+ and Glx; noise SD of the FID over NAA's first point."""
    rng = np.random.default_rng(seed)
    sets = load_basis("mega_te68_3t")
    person = replace(draw_subject(rng, 0), eddy_hz=(0.0, 0.0))
    details = draw_details(rng, SAMPLING, person.fwhm_hz)
    grid = (SAMPLING.n_points, SAMPLING.dwell_time_s, SAMPLING.spectrometer_frequency_mhz)
    played = {name: sets[name].resampled(*grid) for name in ("on", "off")}
    voxel = voxel_signals(person, played, SAMPLING, TIMING, details, person.fwhm_hz)
    noise = rng.standard_normal((2, SAMPLING.n_points)) * noise_over_naa * voxel.naa_first_point
    fid = voxel.tissue["edit"] + voxel.tissue["saturation"] + noise[0] + 1j * noise[1]
    prep = prepare(sets["difference"], grid[1], grid[0], grid[2], FitSettings(edited=True))
    found = fit_spectrum(fid, prep, dwell_time_s=grid[1], spectrometer_frequency_mhz=grid[2])
    amount = {n: person.amounts_mm[n] * metabolite_weight(n, TIMING) for n in ("GABA", "Glu", "Gln")}
    co_edited = person.macromolecules["MM3co"] * macromolecule_weight(TIMING, TIMING.echo_time_s)
    return found, amount["GABA"] + co_edited, amount["Glu"] + amount["Gln"]


def test_gaba_and_glx_of_simulated_voxels_are_unbiased() -> None:
    gaba, glx = [], []
    for seed in range(8):
        found, true_gaba, true_glx = difference_fit(seed, 0.002)
        assert "not_converged" not in found.flags
        gaba.append(found.amounts["GABA+"] / true_gaba)
        glx.append(found.amounts["Glx"] / true_glx)
    # One by one they scatter by 2 %.
    assert np.median(gaba) == pytest.approx(1.0, abs=0.03)
    assert np.median(glx) == pytest.approx(1.0, abs=0.03)


def test_symmetric_editing_has_no_co_edited_macromolecule() -> None:
    plain = {t.name for t in edited_terms(123.25, (1.9, 7.46))}
    symmetric = {t.name for t in edited_terms(123.25, (1.9, 1.5))}
    assert "MM3co" in plain
    assert "MM3co" not in symmetric
    assert {"MM09", "MM20"} <= symmetric
