"""The forecast: laws of growth, limits in probability, how many shots are still needed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from msgspec import structs

from scanner_agent.judge import FitSummary
from scanner_agent.judge.forecast import check_limits, expect, forecast, probability_pass, shots_needed, snr_growth
from scanner_agent.scan_protocol import load_protocol

PROTOCOL = load_protocol("press_te35_tr3000_3t")
SETTINGS = PROTOCOL.judgement
FIT = FitSummary(
    shots=frozenset(range(16)),
    n_effective=16.0,
    snr_lcmodel=8.0,
    snr_naa=17.0,
    fwhm_hz=6.5,
    fwhm_ppm=0.053,
    percent_sd_lcmodel={"Glu": 18.0},
    percent_sd={"Glu": 16.0},
    fit_quality=1.1,
)


def test_noise_averages_out_and_what_the_model_leaves_does_not() -> None:
    assert snr_growth(1.1, 16, 64, SETTINGS) == pytest.approx(2.0)
    assert 1.0 < snr_growth(4.0, 16, 64, SETTINGS) < 1.2
    assert snr_growth(None, 16, 16, SETTINGS) == 1.0


def test_the_interval_holds_the_expected_value_and_closes_at_the_end() -> None:
    early = forecast(FIT, PROTOCOL, 64, 64.0, 1.0, None)
    assert early.snr_lcmodel is not None
    assert early.snr_lcmodel.low < early.snr_lcmodel.expected < early.snr_lcmodel.high
    assert early.snr_lcmodel.expected == pytest.approx(16.0)
    done = expect(FIT, "fwhm_hz", None, 16.0, SETTINGS)
    assert done is not None
    assert done.log_sd == 0.0


def test_what_the_last_pass_adds_stays_until_the_end() -> None:
    last_but_one = replace(FIT, n_effective=63.0)
    for metric, of_last_pass in (
        ("snr_lcmodel", SETTINGS.forecast_snr_sd_last),
        ("fwhm_hz", SETTINGS.forecast_fwhm_sd_last),
        ("percent_sd_lcmodel", SETTINGS.forecast_percent_sd_sd_last),
    ):
        found = expect(last_but_one, metric, "Glu", 64.0, SETTINGS)
        assert found is not None
        assert of_last_pass < found.log_sd < 1.5 * of_last_pass


def test_weak_scans_lie_further_from_the_usual() -> None:
    edited = load_protocol("mega_te68_3t").judgement
    few = replace(FIT, shots=frozenset(range(16)), n_effective=16.0, percent_sd_lcmodel={"GABA+": 90.0})

    def log_sd(snr: float) -> float:
        found = expect(replace(few, snr_lcmodel=snr), "percent_sd_lcmodel", "GABA+", 320.0, edited)
        assert found is not None
        return found.log_sd

    assert log_sd(2.0) > 1.7 * log_sd(9.0)


def test_probability_falls_from_one_to_zero_as_the_fit_gets_worse() -> None:
    chances = [
        probability_pass(replace(FIT, snr_lcmodel=s, percent_sd_lcmodel={"Glu": 144.0 / s}), PROTOCOL, 64.0)
        for s in (10.0, 4.5, 4.0, 3.5, 2.0)
    ]
    assert all(p is not None for p in chances)
    assert chances == sorted(chances, reverse=True)
    assert chances[0] == pytest.approx(1.0, abs=1e-3)
    assert chances[-1] == pytest.approx(0.0, abs=1e-3)


def test_shots_needed_reach_the_limit_and_broad_lines_never_do() -> None:
    weak = replace(FIT, snr_lcmodel=7.0, n_effective=64.0, shots=frozenset(range(64)), percent_sd_lcmodel={"Glu": 15.0})
    extra = shots_needed(weak, PROTOCOL, 64.0, 1.0, None)
    assert extra is not None
    assert 7.0 * math.sqrt((64 + extra) / 64) > 8.0
    assert shots_needed(replace(weak, fwhm_ppm=0.12), PROTOCOL, 64.0, 1.0, None) is None
    assert shots_needed(FIT, PROTOCOL, 64.0, 1.0, None) == 0


def test_a_number_that_is_missing_is_told_and_gives_no_probability() -> None:
    blind = forecast(replace(FIT, fwhm_ppm=None), PROTOCOL, 64, 64.0, 1.0, None)
    assert blind.probability_pass is None
    assert "probability_pass" in blind.missing
    checks = check_limits(replace(FIT, fwhm_ppm=None), PROTOCOL, None)
    assert [c.met for c in checks] == [True, None, True]
    assert forecast(None, PROTOCOL, 64, 64.0, 1.0, None).missing


def test_a_metabolite_that_few_shots_hardly_show_is_forecast_from_the_s_n_as_well() -> None:
    edited = load_protocol("mega_te68_3t").judgement
    seen = {"percent_sd_lcmodel": {"GABA+": 90.0}}
    few = replace(FIT, shots=frozenset(range(16)), n_effective=16.0, snr_lcmodel=9.0, **seen)
    found = expect(few, "percent_sd_lcmodel", "GABA+", 320.0, edited)
    alone = expect(few, "percent_sd_lcmodel", "GABA+", 320.0, structs.replace(edited, forecast_percent_sd_usual={}))
    assert found is not None
    assert alone is not None
    usual = edited.forecast_percent_sd_usual["GABA+"] * (9.0 * math.sqrt(20.0)) ** -edited.forecast_percent_sd_power
    assert min(usual, alone.value) < found.value < max(usual, alone.value)
    assert found.log_sd < alone.log_sd
    done = expect(few, "percent_sd_lcmodel", "GABA+", 16.0, edited)
    assert done is not None
    assert (done.value, done.log_sd) == (pytest.approx(90.0), 0.0)


def test_what_is_usual_does_not_stand_in_for_a_fit() -> None:
    edited = load_protocol("mega_te68_3t").judgement
    assert expect(replace(FIT, percent_sd_lcmodel={}), "percent_sd_lcmodel", "GABA+", 320.0, edited) is None
