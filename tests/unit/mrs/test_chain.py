"""The whole chain against known truth, and on bad input."""

from __future__ import annotations

import numpy as np
import pytest

from scanner_agent.errors import ProcessingError


def _errors(chain, scan):
    """Frequency (Hz) and phase (rad) errors, their common offset taken away."""
    estimates = chain.estimates
    frequency = np.array([e.frequency_hz for e in estimates]) - scan.frequency_hz
    phase = np.radians([e.phase_deg for e in estimates]) - scan.phase_rad
    phase = np.angle(np.exp(1j * (phase - np.angle(np.sum(np.exp(1j * phase))))))
    return frequency - np.median(frequency), phase


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"water": False, "noise": False},
        {"n_coils": 1, "water": False, "noise": False},
        {"n_coils": 32, "n_points": 2048, "dwell_time_s": 2.5e-4},
        {"f0": 63.9, "dwell_time_s": 1e-3},
        {"f0": 297.2, "n_points": 2048, "dwell_time_s": 1 / 6000, "width_hz": 10.0},
        {"offset_ppm": -0.18, "water": False},
        {"residual_water": 15.0},
    ],
    ids=str,
)
def test_follows_frequency_and_phase(make_scan, kind):
    scan = make_scan(n_shots=24, snr=8.0, **kind)
    chain = scan.run()
    frequency, phase = _errors(chain, scan)
    estimates = chain.estimates
    assert np.std(frequency) < 1.6 * np.median([e.frequency_sd_hz for e in estimates])
    assert np.std(phase) < 1.6 * np.radians(np.median([e.phase_sd_deg for e in estimates]))
    assert np.median([e.misfit for e in estimates]) == pytest.approx(1.0, abs=0.1)
    assert np.median([e.amplitude for e in estimates]) == pytest.approx(1.0, abs=0.1)
    assert all(e.weight > 0.9 for e in estimates)
    assert chain.reference_offset_ppm == pytest.approx(kind.get("offset_ppm", 0.0), abs=0.03)
    refined = chain.refined(scan.shots)
    frequency, _ = _errors(refined, scan)
    assert np.std(frequency) < 1.5 * np.median([e.frequency_sd_hz for e in refined.estimates])


@pytest.mark.parametrize("n_shots", [1, 2, 3])
def test_few_shots_and_no_references(make_scan, n_shots):
    scan = make_scan(n_shots=n_shots, water=False, noise=False)
    chain = scan.run()
    average = chain.average()
    assert set(average.fids) == {"main"}
    assert average.n_used == n_shots
    assert np.isfinite(average.fids["main"]).all()
    assert chain.refined(scan.shots).average().n_used == n_shots


def test_bad_shots_are_unusable_with_a_reason(make_scan):
    scan = make_scan(n_shots=20)
    scan.data[3] = np.nan
    scan.data[5] = 0
    scan.data[7] *= 0.3
    scan.data[8].real = np.clip(scan.data[8].real, -1.0, 1.0)
    chain = scan.run()
    estimates = chain.estimates
    assert [e.shot_index for e in estimates if not e.usable] == [3, 5, 8]
    assert "finite" in estimates[3].reason
    assert "zero" in estimates[5].reason
    assert "clipped" in estimates[8].reason
    assert estimates[7].usable
    assert estimates[7].weight == 0
    assert "weak" in estimates[7].reason
    assert set(chain.average().weights) == set(range(20)) - {3, 5, 8}
    assert chain.average().n_used == 16


def test_first_shot_bad_does_not_stop_the_chain(make_scan):
    scan = make_scan(n_shots=6, water=False, noise=False)
    scan.data[0] = np.nan
    chain = scan.run()
    assert [e.usable for e in chain.estimates] == [False] + [True] * 5


def test_wrong_shape_is_refused(make_scan):
    scan = make_scan(n_shots=1)
    with pytest.raises(ProcessingError, match="shape"):
        scan.chain().add(scan.data[0][:, :-1], shot_index=0)


def test_noisy_channel_is_left_out_of_its_shot_and_dead_channel_of_the_scan(make_scan):
    scan = make_scan(n_shots=12)
    for part in (scan.data, scan.water, scan.noise):
        part[..., 6, :] = 0
    scan.data[9, 2] += 30 * scan.data[9, 2].std() * np.random.default_rng(0).normal(size=1024)
    chain = scan.run()
    assert set(chain.coil_report.left_out) == {6}
    assert chain.coil_report.dropped_in_shots == {2: (9,)}
    assert chain.estimates[9].weight > 0.5
    assert np.isnan(chain.estimates[0].noise_log_variance[6])


def test_same_shots_same_bits(make_scan):
    scan = make_scan(n_shots=12, n_coils=4)
    first, second = scan.run(), scan.run()
    one, two = first.refined(scan.shots), second.refined(scan.shots)
    assert np.array_equal(one.average().fids["main"], two.average().fids["main"])
    assert [e.frequency_hz for e in one.estimates] == [e.frequency_hz for e in two.estimates]


def test_average_of_named_shots_and_noise(make_scan):
    scan = make_scan(n_shots=16)
    chain = scan.run()
    average = chain.average(range(4, 12))
    assert set(average.weights) == set(range(4, 12))
    tail = average.fids["main"][512:]
    assert average.noise_sd["main"] == pytest.approx(np.std(tail.real), rel=0.1)
    assert average.noise_sd["main"] == pytest.approx(np.sqrt(2) * chain.average().noise_sd["main"], rel=0.02)


def test_raw_data_are_not_kept(make_scan):
    scan = make_scan(n_shots=16, n_coils=16)
    chain = scan.run()
    assert chain._start_raw == []
    assert all(k.fid.ndim == 1 for k in chain._kept)


@pytest.mark.parametrize(
    "pattern", [("on", "off"), ("off", "on"), ("on", "on", "off", "off"), ("on",) * 12 + ("off",) * 12]
)
@pytest.mark.parametrize("label", ["true", "none", "swapped"])
def test_edit_order_is_found_in_the_data(make_scan, pattern, label):
    scan = make_scan(edited=pattern, label=label, n_shots=24, snr=5.0)
    chain = scan.run(edited=True, edit_pulse_ppm=(1.9, 7.46))
    assert [e.edit_condition for e in chain.estimates] == scan.conditions
    assert chain.edit_order.agrees_with_labels is {"true": True, "none": None, "swapped": False}[label]
    average = chain.refined(scan.shots).average()
    assert set(average.fids) == {"on", "off", "difference"}
    assert average.n_effective == pytest.approx(24, abs=1.5)


def test_water_only_data_do_not_tell_the_order(make_scan):
    scan = make_scan(edited=("on", "off"), label="none", lines=((9.0, 1e-6),), n_shots=16, snr=1e-6)
    scan.data[:] += (1000 * scan.data.std() * np.exp(-np.arange(1024) / 100)).astype(np.complex64)
    chain = scan.run(edited=True, edit_pulse_ppm=(1.9, 7.46))
    assert chain.edit_order.decided_from == "nothing"
    assert {e.edit_condition for e in chain.estimates} == {None}


def test_missing_editing_pulse_is_noticed(make_scan):
    scan = make_scan(edited=("on", "off"), n_shots=24, snr=8.0)
    other = make_scan(edited=("off", "off"), n_shots=24, snr=8.0)
    scan.data[10] = other.data[10]
    chain = scan.run(edited=True, edit_pulse_ppm=(1.9, 7.46))
    assert "editing pulse" in chain.estimates[10].reason
    average = chain.average()
    assert average.weights[10] == 0
    assert average.weights[11] == 0


def test_later_shots_are_only_looked_at_and_still_tell(make_scan):
    scan = make_scan(edited=("on", "off"), n_shots=36, snr=8.0)
    other = make_scan(edited=("off", "on"), n_shots=36, snr=8.0)
    scan.data[30] = other.data[30]
    chain = scan.run(edited=True, edit_pulse_ppm=(1.9, 7.46))
    assert chain._order.is_sure
    assert len(chain._order._asked) < 30
    off = [k.naa_over_creatine[0] for k in chain._kept if k.condition == "off"]
    assert chain._order._off_ratio == pytest.approx(max(np.median(off), 1.2), rel=0.1)
    odds = np.array([e.edit_log_odds for e in chain.estimates])
    on = np.array([c == "on" for c in scan.conditions])
    usual = np.arange(36) != 30
    assert odds[on & usual].max() < -2.0
    assert odds[~on].min() > 8.0
    assert "editing pulse" in chain.estimates[30].reason


def test_a_swap_on_the_way_is_seen_after_the_order_was_sure(make_scan):
    scan = make_scan(edited=("on", "off"), n_shots=48, snr=8.0)
    scan.labels = [*scan.labels[:24], *reversed(scan.labels[24:])]
    chain = scan.run(edited=True, edit_pulse_ppm=(1.9, 7.46))
    odds = np.array([e.edit_log_odds for e in chain.estimates])
    on = np.array([c == "on" for c in scan.conditions])
    assert odds[on].max() < 0.0 < odds[~on].min()
    # What contradicts the labels is asked again before it is believed.
    assert not chain._order.is_sure
