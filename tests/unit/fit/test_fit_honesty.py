"""Derivatives against differences, reported errors against observed ones, the shared reference set."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from scanner_agent.basis import load_basis
from scanner_agent.fit import FitSettings, fit_spectrum, prepare
from scanner_agent.fit import solver as solver_room
from scanner_agent.fit.parameters import N_GLOBAL, Parameters
from tests.support.spectra import BRAIN, make_fid

GRID = {"dwell_time_s": 0.0005, "spectrometer_frequency_mhz": 123.2}


def test_model_derivatives_agree_with_differences() -> None:
    basis = load_basis("press_te35_3t")["main"]
    prep = prepare(basis, 0.0005, 2048, 123.2, FitSettings())
    n, terms = prep.n_metabolites, prep.columns.shape[0]
    rng = np.random.default_rng(0)
    shared = np.array([0.2, 0.01, 1.5, 20.0, 1.7, 0.1])
    p = Parameters(shared, 0.3 * rng.standard_normal(n), 0.2 * rng.standard_normal(n), 1.0)
    spectrum = rng.standard_normal(prep.ppm.size) + 1j * rng.standard_normal(prep.ppm.size)
    problem = solver_room.Problem(prep, spectrum, 1.0, np.zeros((terms, terms)))
    linear = solver_room.evaluate(problem, p)
    analytic = solver_room.jacobian(problem, linear)
    vector = p.vector()
    # Phases act on the data; all other rows are derivatives of the fitted real spectrum, but for what rings before 0.
    for place in (*range(2, N_GLOBAL), N_GLOBAL + 4, N_GLOBAL + n + 4):
        step = np.zeros_like(vector)
        step[place] = 1e-5
        up = solver_room.assemble(problem, p.moved(vector + step)).terms.real
        down = solver_room.assemble(problem, p.moved(vector - step)).terms.real
        numeric = linear.amplitudes @ (up - down) / 2e-5
        np.testing.assert_allclose(analytic[place], numeric, atol=2e-3 * np.abs(numeric).max() + 1e-9)


def test_sampling_sd_is_the_scatter_over_noise() -> None:
    basis = load_basis("press_te35_3t")["main"]
    prep = prepare(basis, 0.0005, 2048, 123.2, FitSettings())
    clean = make_fid(basis, BRAIN)
    rng = np.random.default_rng(1)
    fits = []
    for _ in range(60):
        noise = rng.standard_normal((2, clean.size))
        fits.append(fit_spectrum(clean + noise[0] + 1j * noise[1], prep, **GRID))
    for name in ("tNAA", "tCr", "tCho", "Ins", "Glu", "Glx"):
        scatter = np.std([f.amounts[name] for f in fits], ddof=1)
        reported = np.sqrt(np.mean([f.crlb_sd[name] ** 2 for f in fits]))
        # 60 repetitions know a scatter to 9 %: three of those and the tenth that is claimed.
        assert 0.65 < reported / scatter < 1.5, name


def test_amounts_far_from_the_usual_are_not_fitted_away() -> None:
    basis = load_basis("press_te35_3t")["main"]
    prep = prepare(basis, 0.0005, 2048, 123.2, FitSettings())
    for factor in (0.3, 3.0):
        amounts = {**BRAIN, "Ins": factor * BRAIN["Ins"], "GABA": factor * BRAIN["GABA"]}
        found = fit_spectrum(make_fid(basis, amounts, noise_sd=0.4, seed=2), prep, **GRID)
        assert found.amounts["Ins"] == pytest.approx(amounts["Ins"], abs=0.1 * amounts["Ins"] + 0.3)
        assert found.amounts["GABA"] == pytest.approx(amounts["GABA"], abs=0.3 * amounts["GABA"] + 0.3)


def test_reference_spectra_come_out_better_than_lcmodel(shared_data: Path) -> None:
    folder = shared_data / "fit_reference"
    basis = load_basis(shared_data / "reference_basis" / "press_te35_3t_4000hz.basis")["main"]
    data = np.load(folder / "spectra.npz")
    truth = {row["id"]: row for row in csv.DictReader((folder / "truth.csv").read_text().splitlines())}
    lcmodel = {row["id"]: row for row in csv.DictReader((folder / "lcmodel.csv").read_text().splitlines())}
    dwell, f0 = float(data["dwell_time_s"]), float(data["spectrometer_frequency_mhz"])
    prep = prepare(basis, dwell, data["fid"].shape[1], f0, FitSettings())
    parts = {"tNAA": ("NAA", "NAAG"), "tCr": ("Cr", "PCr"), "tCho": ("GPC", "PCh"), "Ins": ("Ins",), "Glu": ("Glu",)}
    ours, theirs, snr, width = [], [], [], []
    for name, fid in zip(data["id"], data["fid"], strict=True):
        if not name.startswith("snr20"):
            continue
        found = fit_spectrum(fid, prep, dwell_time_s=dwell, spectrometer_frequency_mhz=f0)
        for metabolite, names in parts.items():
            true = sum(float(truth[name][n]) for n in names)
            ours.append(found.amounts[metabolite] / true)
            theirs.append(sum(float(lcmodel[name][n]) for n in names) / true)
        snr.append((found.snr_lcmodel or 0.0) / float(lcmodel[name]["snr_lcmodel"]))
        width.append((found.fwhm_ppm or 0.0) / float(lcmodel[name]["fwhm_ppm"]))
    error = np.std(np.array(ours) / np.median(ours))
    assert error < 1.0 * np.std(np.array(theirs) / np.median(theirs))
    assert np.median(ours) == pytest.approx(1.0, abs=0.03)
    assert np.median(snr) == pytest.approx(1.0, abs=0.1)
    assert np.median(width) == pytest.approx(1.0, abs=0.1)
