from __future__ import annotations

import numpy as np
import pytest

from scanner_agent.basis import load_basis
from scanner_agent.fit import (
    FitSettings,
    TissueFractions,
    WaterScaling,
    fit_spectrum,
    gaba_unit_area,
    gaussian_gaba,
    to_amounts,
)
from tests.support.spectra import BRAIN, make_fid

GRID = {"dwell_time_s": 0.0005, "spectrometer_frequency_mhz": 123.2}


def test_amounts_become_records_with_ratios() -> None:
    basis = load_basis("press_te35_3t")["main"]
    result = fit_spectrum(make_fid(basis, BRAIN, noise_sd=0.2, seed=1), basis, **GRID)
    water = WaterScaling(2 * 55_510.0, 123.2, 0.035, 3.0, TissueFractions(gm=0.6, wm=0.3, csf=0.1))
    amounts = {a.name: a for a in to_amounts(result, "main", ("Glu",), water=water)}
    assert {"tNAA", "tCr", "tCho", "Glx", "NAA", "Glu", "MM09"} <= set(amounts)
    assert amounts["Glu"].gated
    assert not amounts["Ins"].gated
    assert amounts["tCr"].ratio_to_tCr == 1.0
    assert amounts["tNAA"].ratio_to_tCr == pytest.approx(11.1 / 8.6, rel=0.05)
    assert 0 < (amounts["tNAA"].ratio_to_tCr_sd or 0) < 0.1
    assert amounts["MM09"].institutional_units is None
    assert amounts["tCr"].molal_mmol_per_kg is not None


def test_molal_of_plain_water_without_relaxation_is_the_amount() -> None:
    # One solute proton per kg against 2 protons of 55.51 mol of water; TE 0, TR infinite, no CSF.
    water = WaterScaling(2 * 55_510.0, 123.2, 1e-9, 1e9, TissueFractions(gm=1.0, wm=0.0, csf=0.0))
    assert water.molal(10.0) == pytest.approx(10.0, rel=1e-6)
    half_csf = WaterScaling(2 * 55_510.0, 123.2, 1e-9, 1e9, TissueFractions(gm=0.5, wm=0.0, csf=0.5))
    fraction = 0.5 * 0.97 / (0.5 * 0.97 + 0.5 * 0.78)
    assert half_csf.molal(10.0) == pytest.approx(10.0 / (1 - fraction), rel=1e-6)


def test_institutional_follows_lcmodel() -> None:
    assert WaterScaling(2.0, 123.2).institutional(1e-3) == pytest.approx(0.7 * 35.88)
    assert WaterScaling(2.0, 123.2, phantom=True).institutional(1e-3) == pytest.approx(55.556)
    assert WaterScaling(2.0, 123.2).molal(1.0) is None


def test_tissue_fractions_are_checked() -> None:
    with pytest.raises(ValueError, match="fractions"):
        TissueFractions(gm=0.5, wm=0.0, csf=0.0)


def test_gaussian_model_agrees_with_the_fit_on_a_difference() -> None:
    sets = load_basis("mega_te68_3t")
    difference = make_fid(sets["difference"], BRAIN, noise_sd=0.05, macromolecules={}, seed=2)
    off = make_fid(sets["off"], BRAIN, noise_sd=0.05, macromolecules={}, seed=3)
    off_fit = fit_spectrum(off, sets["off"], **GRID, settings=FitSettings())
    fit = fit_spectrum(difference, sets["difference"], **GRID, settings=FitSettings(edited=True))
    gaba = gaussian_gaba(fit, gaba_unit_area(sets["difference"]), off_fit)
    assert gaba is not None
    assert gaba.amount == pytest.approx(BRAIN["GABA"], rel=0.3)
    assert gaba.ratio_to_tCr == pytest.approx(BRAIN["GABA"] / 8.6, rel=0.3)
    assert gaba.fit_error_percent < 20
    by_name = {a.name: a for a in to_amounts(fit, "difference", ("GABA+",), tcr=off_fit)}
    assert by_name["GABA+"].ratio_to_tCr == pytest.approx(BRAIN["GABA"] / 8.6, rel=0.2)
    assert np.isfinite(by_name["Glx"].ratio_to_tCr_sd or np.nan)
