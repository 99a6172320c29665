from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from scanner_agent.basis import BasisSet, load_basis
from scanner_agent.fit import REMEDIES, FitResult, FitSettings, PreparedBasis, fit_spectrum, prepare
from tests.support.spectra import BRAIN, make_fid

DWELL, POINTS, F0 = 0.0005, 2048, 123.2


@pytest.fixture(scope="module")
def basis() -> BasisSet:
    return load_basis("press_te35_3t")["main"]


@pytest.fixture(scope="module")
def prep(basis: BasisSet) -> PreparedBasis:
    return prepare(basis, DWELL, POINTS, F0, FitSettings())


def fit(fid: NDArray[np.complex128], prep: PreparedBasis, start: FitResult | None = None) -> FitResult:
    return fit_spectrum(fid, prep, dwell_time_s=DWELL, spectrometer_frequency_mhz=F0, start=start)


def test_amounts_offset_and_phase_are_found(basis: BasisSet, prep: PreparedBasis) -> None:
    result = fit(make_fid(basis, BRAIN, shift_hz=7.3, phase_deg=-140.0, noise_sd=0.15, seed=1), prep)
    assert result.flags == ()
    assert result.frequency_offset_hz == pytest.approx(7.3, abs=0.3)
    assert result.phase_deg == pytest.approx(-140.0, abs=4.0)
    for name, tolerance in (("tNAA", 0.04), ("tCr", 0.04), ("tCho", 0.06), ("Ins", 0.1), ("Glu", 0.1), ("Glx", 0.1)):
        parts = {"tNAA": ("NAA", "NAAG"), "tCr": ("Cr", "PCr"), "tCho": ("GPC", "PCh"), "Glx": ("Glu", "Gln")}
        truth = sum(BRAIN[part] for part in parts.get(name, (name,)))
        assert result.amounts[name] == pytest.approx(truth, rel=tolerance), name
    assert result.fit_quality == pytest.approx(1.0, abs=0.2)
    assert np.all(np.diff(result.ppm) > 0)
    assert result.ppm.shape == result.data.shape == result.fit.shape == result.baseline.shape


@pytest.mark.parametrize("offset_ppm", [-0.3, -0.17, 0.15, 0.3])
@pytest.mark.parametrize("phase_deg", [0.0, 95.0, 180.0])
def test_any_offset_and_phase(basis: BasisSet, prep: PreparedBasis, offset_ppm: float, phase_deg: float) -> None:
    fid = make_fid(basis, BRAIN, shift_hz=offset_ppm * F0, phase_deg=phase_deg, noise_sd=0.3, seed=2)
    result = fit(fid, prep)
    assert result.frequency_offset_hz == pytest.approx(offset_ppm * F0, abs=0.6)
    assert np.cos(np.deg2rad((result.phase_deg or 0.0) - phase_deg)) > 0.98


def test_conjugated_data_are_said_to_be_mirrored(basis: BasisSet, prep: PreparedBasis) -> None:
    fid = make_fid(basis, BRAIN, noise_sd=0.3, seed=3)
    assert "mirrored_axis" in fit(fid.conj(), prep).flags
    assert "mirrored_axis" not in fit(fid, prep).flags


def test_a_warm_start_ends_where_a_cold_one_does(basis: BasisSet, prep: PreparedBasis) -> None:
    first = fit(make_fid(basis, BRAIN, noise_sd=0.3, seed=4), prep)
    fid = make_fid(basis, BRAIN, noise_sd=0.3, seed=5)
    cold, warm = fit(fid, prep), fit(fid, prep, start=first)
    for name in ("tNAA", "tCr", "tCho", "Ins", "Glu"):
        assert abs(warm.amounts[name] - cold.amounts[name]) < 0.5 * cold.crlb_sd[name]


def test_the_same_input_gives_the_same_result(basis: BasisSet, prep: PreparedBasis) -> None:
    fid = make_fid(basis, BRAIN, noise_sd=0.3, seed=6)
    one, two = fit(fid, prep), fit(fid, prep)
    assert np.array_equal(one.amplitudes, two.amplitudes)
    assert np.array_equal(one.covariance, two.covariance)


def test_the_scale_of_the_data_does_not_matter(basis: BasisSet, prep: PreparedBasis) -> None:
    fid = make_fid(basis, BRAIN, noise_sd=0.3, seed=7)
    one, two = fit(fid, prep), fit(1e-7 * fid, prep)
    assert two.amounts["tNAA"] == pytest.approx(1e-7 * one.amounts["tNAA"], rel=1e-3)
    assert two.percent_sd["Glu"] == pytest.approx(one.percent_sd["Glu"], rel=1e-2)


@pytest.mark.parametrize("bad", ["nan", "inf", "zero", "short", "huge"])
def test_bad_input_is_a_flag(prep: PreparedBasis, bad: str) -> None:
    fid = np.random.default_rng(0).standard_normal(POINTS) + 0j
    if bad == "short":
        fid = fid[:100]
    elif bad == "zero":
        fid *= 0.0
    else:
        fid[3] = {"nan": np.nan, "inf": np.inf, "huge": 1e200}[bad]
    result = fit(fid, prep)
    assert result.flags == ("bad_input",)
    assert result.snr_lcmodel is None


def test_noise_alone_has_no_signal(prep: PreparedBasis) -> None:
    flagged = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        fid = rng.standard_normal(POINTS) + 1j * rng.standard_normal(POINTS)
        flagged += "no_signal" in fit(fid, prep).flags
    assert flagged >= 7


def test_residual_water_hardly_matters(basis: BasisSet, prep: PreparedBasis) -> None:
    fid = make_fid(basis, BRAIN, noise_sd=0.15, seed=8)
    time = np.arange(POINTS) * DWELL
    water = 600.0 * np.exp(1j * 0.7 + 2j * np.pi * 2.5 * time - np.pi * 7.0 * time)
    dry, wet = fit(fid, prep), fit(fid + water, prep)
    for name in ("tNAA", "tCr", "tCho", "Ins", "Glu"):
        assert wet.amounts[name] == pytest.approx(dry.amounts[name], abs=1.0 * dry.crlb_sd[name]), name


def test_missing_macromolecules_are_noticed(basis: BasisSet) -> None:
    fid = make_fid(basis, BRAIN, noise_sd=0.15, seed=9)
    result = fit(fid, prepare(basis, DWELL, POINTS, F0, FitSettings(macromolecules=False)))
    assert "wrong_model" in result.flags


def test_phantom_of_acetate_and_lactate() -> None:
    basis = load_basis("phantom_press_te30_3t")["main"]
    prep = prepare(basis, DWELL, POINTS, F0, FitSettings(phantom=True))
    fid = make_fid(
        basis, {"Ace": 10.0, "Lac": 5.0}, lorentz_hz=1.0, gauss_hz=1.5, shift_hz=0.15 * F0, noise_sd=0.2,
        macromolecules={}, seed=10,
    )  # fmt: skip
    result = fit(fid, prep)
    assert result.names == ("Ace", "Lac")
    assert result.amounts["Ace"] == pytest.approx(10.0, rel=0.02)
    assert result.amounts["Lac"] == pytest.approx(5.0, rel=0.05)
    assert result.frequency_offset_hz == pytest.approx(0.15 * F0, abs=0.4)


def test_difference_spectrum_gives_gaba_plus() -> None:
    basis = load_basis("mega_te68_3t")["difference"]
    prep = prepare(basis, DWELL, POINTS, F0, FitSettings(edited=True))
    fid = make_fid(basis, BRAIN, noise_sd=0.1, macromolecules={}, seed=11)
    result = fit(fid, prep)
    assert {"GABA+", "Glx"} <= set(result.amounts)
    assert result.amounts["GABA+"] == pytest.approx(BRAIN["GABA"], rel=0.15)
    assert result.amounts["Glx"] == pytest.approx(BRAIN["Glu"] + BRAIN["Gln"], rel=0.1)


def test_names_that_the_basis_lacks_are_flagged(basis: BasisSet) -> None:
    settings = FitSettings(metabolites=("NAA", "Cr", "GPC", "Unobtainium"))
    result = fit(make_fid(basis, BRAIN, noise_sd=0.3), prepare(basis, DWELL, POINTS, F0, settings))
    assert "basis_incomplete" in result.flags


def test_every_flag_has_a_remedy(basis: BasisSet, prep: PreparedBasis) -> None:
    result = fit(make_fid(basis, BRAIN, noise_sd=0.3).conj(), prep)
    assert len(result.remedies()) == len(result.flags) > 0
    assert all(len(text) > 20 for text in REMEDIES.values())
