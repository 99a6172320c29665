"""The rules: their run lengths, the self-starting monitor, alarms with change-point and cause."""

from __future__ import annotations

import numpy as np
import pytest

from scanner_agent.phantom import rules
from scanner_agent.phantom.evaluate import evaluate, evaluate_all
from scanner_agent.phantom.monitor import BASELINE_RUNS, watch
from scanner_agent.phantom.series import Event
from tests.support.phantom_runs import KEY, WEEK, make_runs


@pytest.fixture(scope="module")
def in_control() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.random.default_rng(11).standard_normal((1000, 2600))


@pytest.mark.parametrize("name", list(rules.RULES))
def test_in_control_run_length_is_the_nominal_one(name: str, in_control: np.ndarray) -> None:
    z = in_control
    broken = rules.RULES[name](z)
    # Censored exponential: time at risk over first signals.
    first = np.where(broken.any(axis=1), broken.argmax(axis=1) + 1, z.shape[1])
    estimate = first.sum() / broken.any(axis=1).sum()
    assert estimate == pytest.approx(rules.NOMINAL_RUN_LENGTH[name], rel=0.12)


def test_cusum_is_the_recursion() -> None:
    z = np.random.default_rng(2).standard_normal(200) + 0.3
    upper, lower = rules.cusum_sides(z)
    high = low = 0.0
    for i, value in enumerate(z):
        high, low = max(0.0, high + value - 0.5), max(0.0, low - value - 0.5)
        assert upper[i] == pytest.approx(high, abs=1e-9)
        assert lower[i] == pytest.approx(low, abs=1e-9)


def test_patterns_by_hand() -> None:
    z = np.array([0.0, 2.1, 0.0, 2.2, -2.1, -2.3, 3.2])
    assert list(np.flatnonzero(rules.western_electric_2_of_3(z))) == [3, 5]
    assert list(np.flatnonzero(rules.westgard_2_2s(z))) == [5]
    assert list(np.flatnonzero(rules.westgard_r_4s(z))) == [4, 6]
    assert list(np.flatnonzero(rules.shewhart_3s(z))) == [6]


@pytest.mark.parametrize("before", [20, 72])
def test_false_alarms_of_one_chart_hardly_depend_on_the_age_of_the_baseline(before: int) -> None:
    rng, charts = np.random.default_rng(before), 4000
    course = watch(rng.standard_normal((before + 52, charts)))
    assert np.count_nonzero(course.new_rule[before:] >= 0) / charts == pytest.approx(0.131, abs=0.02)


@pytest.mark.parametrize(("size", "within"), [(1.0, 10), (2.0, 3)])
def test_half_of_the_steps_are_found_in_time_with_two_years_of_baseline(size: float, within: int) -> None:
    before, charts = 104, 2000
    x = np.random.default_rng(3).standard_normal((before + within, charts))
    x[before:] -= size
    course = watch(x)
    calm = ~course.alarmed[before - 1]
    assert (course.new_rule[before:, calm] >= 0).any(axis=0).mean() > 0.51


def test_nothing_is_said_while_the_baseline_is_built() -> None:
    x = np.array([[100.0 if index == 12 else float(index % 3)] for index in range(BASELINE_RUNS)] + [[1.0]])
    course = watch(x)
    assert np.isnan(course.z[:BASELINE_RUNS]).all()
    assert (course.new_rule == -1).all()
    # The one wild run is not part of the baseline.
    assert course.centre[BASELINE_RUNS, 0] == pytest.approx(1.0, abs=0.2)


def test_a_false_alarm_ends_and_one_wild_run_is_no_state() -> None:
    x = np.random.default_rng(8).standard_normal((120, 1))
    x[50:60] *= 0.5
    x[60] = 8.0
    course = watch(x)
    assert course.new_rule[60, 0] == 0
    assert course.alarmed[60, 0]
    assert not course.alarmed[62, 0]
    step = watch(np.concatenate([x[:50], x[50:] + np.where(np.arange(70) < 12, 3.0, 0.0)[:, None]]))
    assert step.alarmed[55, 0]
    assert not step.alarmed[119, 0]


def test_the_frequency_s_steps_are_found_by_their_size_and_missing_runs_change_nothing() -> None:
    x = np.random.default_rng(9).standard_normal((60, 1))
    x[50] = 4.5
    steps = watch(x, None, np.array([True]))
    assert np.flatnonzero(steps.new_rule[:, 0] >= 0).tolist() == [50]
    gaps = np.insert(x, 30, np.nan, axis=0)
    with_gaps = watch(gaps, None, np.array([True]))
    assert np.isnan(with_gaps.z[30, 0])
    np.testing.assert_array_equal(np.delete(with_gaps.z, 30, axis=0), steps.z)


@pytest.mark.parametrize(
    ("cause", "change"),
    [
        ("shim", {"water_fwhm_hz": 0.7, "water_fwhm_fitted_hz": 0.7, "fwhm_hz": 0.7, "snr_reference": -0.55}),
        ("coil", {"snr_reference": -0.2, "water_amplitude_per_ml": -0.2}),
        ("gain", {"water_amplitude_per_ml": 0.15, "noise_sd": 0.15}),
        ("temperature", {"temperature_c": 3.0}),
        ("suppression", {"residual_water": 1.5}),
        ("content", {"Ace/water": -0.06, "Lac/water": -0.06}),
        ("frequency", {"centre_frequency_hz": 60.0}),
    ],
)
def test_a_change_is_found_dated_and_named(cause: str, change: dict[str, float]) -> None:
    evaluation = evaluate(KEY, make_runs(80, 5, change_at=60, change=change), [])
    found = [alarm for alarm in evaluation.alarms if alarm.raised >= 60]
    assert found[0].cause == cause
    assert found[0].raised <= 64
    assert 58 <= found[0].since <= 62


def test_an_event_begins_a_new_baseline() -> None:
    runs = make_runs(70, 6, change_at=40, change={"snr_reference": 0.5})
    event = Event(
        event_id="e", scanner=KEY.scanner, happened_at=runs[40].measured_at - WEEK / 2, logged_at=0.0, text="new coil"
    )
    evaluation = evaluate(KEY, runs, [event])
    assert not [alarm for alarm in evaluation.alarms if alarm.name == "snr_reference"]
    chart = evaluation.charts["snr_reference"]
    assert np.isnan(chart.z[40:60]).all()
    assert np.isfinite(chart.z[60:]).all()
    assert evaluate(KEY, runs[:50], [event]).charts["snr_reference"].state == "baseline building (10 of 20)"


def test_many_series_together_say_the_same_as_each_alone() -> None:
    groups = {
        KEY: make_runs(90, 1),
        type(KEY)("B", "c", "p", "q"): make_runs(60, 2, change_at=40, change={"Lac/Ace": 0.1}),
    }
    for one, key in zip(evaluate_all(groups, {}), groups, strict=True):
        alone = evaluate(key, groups[key], [])
        assert one.alarms == alone.alarms
        for name, chart in one.charts.items():
            np.testing.assert_array_equal(chart.z, alone.charts[name].z)
