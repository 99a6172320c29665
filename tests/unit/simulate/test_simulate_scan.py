"""Simulated scans hold what their truth says: shapes, order, noise, S/N, frequencies, and what each scenario does."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from scanner_agent.errors import ConfigError
from scanner_agent.mrs.axes import ppm_axis, spectrum, time_axis
from scanner_agent.records import ShotKind
from scanner_agent.simulate import SCENARIOS, SimulatedScan, simulate_scan

Complex = NDArray[np.complex128]


def complex_of(entry: Mapping[str, list[float]]) -> Complex:
    return np.asarray(entry["real"]) + 1j * np.asarray(entry["imag"])


def combined(scan: SimulatedScan) -> tuple[dict[ShotKind, Complex], float]:
    """All shots combined with the true patterns (unit gain for the voxel), and the combination's noise SD."""
    pattern = complex_of(scan.truth["coils"]["sensitivity"])
    covariance = complex_of(scan.truth["coils"]["noise_covariance"])
    solved = np.linalg.solve(covariance, pattern)
    weights = solved / (pattern.conj() @ solved)
    fids: dict[ShotKind, list[Complex]] = {kind: [] for kind in ShotKind}
    for shot in scan.shots():
        fids[shot.shot_kind].append(weights.conj() @ shot.data)
    return {k: np.array(v) for k, v in fids.items()}, float(np.sqrt(1.0 / np.real(pattern.conj() @ solved)))


def aligned(scan: SimulatedScan, fids: Complex) -> Complex:
    """Metabolite FIDs with the true frequencies and phases removed."""
    shots = scan.truth["shots"]
    kept = ~np.asarray(shots["missing"])
    times = time_axis(scan.header.n_points, scan.header.dwell_time_s)
    frequency = np.asarray(shots["frequency_hz"])[kept, None]
    phase = np.deg2rad(np.asarray(shots["phase_deg"])[kept, None])
    return fids * np.exp(-2j * np.pi * frequency * times - 1j * phase)


def peak_ppm(scan: SimulatedScan, fid: Complex, low: float, high: float) -> tuple[float, float]:
    """Place (ppm) and height of the highest point of the real spectrum between two shifts."""
    h = scan.header
    ppm = ppm_axis(h.n_points, h.dwell_time_s, h.spectrometer_frequency_mhz)
    inside = (ppm > low) & (ppm < high)
    real = spectrum(fid).real[inside]
    return float(ppm[inside][np.argmax(real)]), float(real.max())


def small(scenario: str = "still", **arguments: object) -> SimulatedScan:
    settings: dict[str, object] = {"seed": 7, "n_coils": 8, "n_points": 1024, **arguments}
    return simulate_scan(scenario, **settings)  # type: ignore[arg-type]


def test_shots_come_in_canonical_order_and_again_the_same() -> None:
    scan = small(n_shots=4, n_water_shots=2)
    first, second = list(scan.shots()), list(scan.shots())
    assert [(s.shot_kind, s.shot_index) for s in first] == [
        (ShotKind.NOISE, 0),
        (ShotKind.WATER_REFERENCE, 0),
        (ShotKind.WATER_REFERENCE, 1),
        *[(ShotKind.METABOLITE, k) for k in range(4)],
    ]
    for a, b in zip(first, second, strict=True):
        assert a.data.shape == (8, 1024)
        assert a.data.dtype == np.complex64
        np.testing.assert_array_equal(a.data, b.data)


def test_same_seed_same_scan_other_seed_other_scan() -> None:
    one, again, other = small(n_shots=2), small(n_shots=2), small(n_shots=2, seed=8)
    assert json.dumps(one.truth) == json.dumps(again.truth)
    np.testing.assert_array_equal(next(one.shots()).data, next(again.shots()).data)
    assert not np.array_equal(next(one.shots()).data, next(other.shots()).data)


def test_noise_scan_has_the_true_covariance() -> None:
    scan = small(n_noise_shots=40, n_shots=1, n_water_shots=0)
    noise = np.concatenate([s.data for s in scan.shots() if s.shot_kind is ShotKind.NOISE], axis=1)
    measured = noise @ noise.conj().T / (2.0 * noise.shape[1])
    true = complex_of(scan.truth["coils"]["noise_covariance"])
    scale = np.sqrt(np.outer(np.diag(true).real, np.diag(true).real))
    assert np.max(np.abs(measured - true) / scale) < 0.03
    correlation = np.abs(true / scale) - np.eye(8)
    assert 0.2 < correlation.max() < 0.8


@pytest.mark.parametrize("sequence", ["PRESS", "MEGA-PRESS"])
def test_naa_lies_at_2_and_signal_to_noise_is_as_planned(sequence: str) -> None:
    scan = small(sequence=sequence, n_shots=64, physiology=0.3, n_points=2048)
    fids, noise_sd = combined(scan)
    labels = np.array([s.edit_condition == "on" for s in scan.shots() if s.shot_kind is ShotKind.METABOLITE])
    chosen = aligned(scan, fids[ShotKind.METABOLITE])[~labels]
    place, height = peak_ppm(scan, chosen.mean(axis=0), 1.9, 2.1)
    assert place == pytest.approx(2.008, abs=0.012)
    snr = height / (noise_sd * np.sqrt(scan.header.n_points / len(chosen)))
    # What lies under NAA (macromolecules, Glu) lifts the top above the singlets that the plan counts.
    assert 0.95 < snr / scan.truth["quality"]["snr_naa_planned"] < 1.45


def test_good_press_scan_has_the_first_study_s_signal_to_noise() -> None:
    planned = [small(seed=s, n_shots=64, n_water_shots=0).truth["quality"] for s in range(40)]
    snr = np.array([q["snr_naa_planned"] for q in planned])
    width = np.array([q["fwhm_ppm"] for q in planned])
    assert pytest.approx(snr.mean(), rel=0.1) == 16.85 * 1.65
    assert pytest.approx(width.mean(), rel=0.12) == 0.052


def test_water_reference_is_the_voxel_s_water() -> None:
    scan = small(n_shots=8)
    fids, _ = combined(scan)
    water = fids[ShotKind.WATER_REFERENCE].mean(axis=0)
    place, _ = peak_ppm(scan, water * np.exp(-1j * np.angle(water[0])), 4.0, 5.2)
    assert place == pytest.approx(4.65, abs=0.05)
    metabolite = aligned(scan, fids[ShotKind.METABOLITE]).mean(axis=0)
    assert 30.0 < abs(water[0]) / abs(metabolite[0]) < 1000.0


def test_residual_water_follows_the_phase_cycle() -> None:
    scan = small(n_shots=64, physiology=0.0)
    water = np.asarray(scan.truth["shots"]["residual_water"]).reshape(8, 8)
    assert np.ptp(water.mean(axis=0)) > 3.0 * np.std(water - water.mean(axis=0))


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_every_scenario_runs_mild_and_severe(scenario: str) -> None:
    edited = SCENARIOS[scenario].edited_only
    for severity in (0.0, 1.0):
        scan = small(
            scenario,
            sequence="MEGA-PRESS" if edited else "PRESS",
            n_shots=16,
            severity=severity,
            n_coils=4,
            n_points=512,
            onset_shot=6,
        )
        shots = [s for s in scan.shots() if s.shot_kind is ShotKind.METABOLITE]
        missing = sum(scan.truth["shots"]["missing"])
        assert len(shots) == 16 - missing
        assert all(np.all(np.isfinite(s.data)) for s in shots)
        assert scan.truth["events"][0]["scenario"] == scenario
        json.dumps(scan.truth, allow_nan=False)


def test_motion_step_does_what_the_truth_says() -> None:
    still, moved = small(n_shots=32), small("motion_step", n_shots=32, onset_shot=16, severity=0.5)
    facts = moved.truth["events"][0]["parameters"]
    change = np.asarray(moved.truth["shots"]["frequency_hz"]) - np.asarray(still.truth["shots"]["frequency_hz"])
    np.testing.assert_allclose(change[:16], 0.0, atol=1e-9)
    np.testing.assert_allclose(change[17:], facts["frequency_step_hz"], atol=1e-9)
    assert 2.0 <= abs(facts["frequency_step_hz"]) <= 8.0
    fids, _ = combined(moved)
    times = time_axis(1024, moved.header.dwell_time_s)
    # NAA of the later shots, uncorrected, lies where the step has put it: +f is lower ppm.
    late = fids[ShotKind.METABOLITE][20:].mean(axis=0) * np.exp(-2j * np.pi * change[20] * times)
    early = fids[ShotKind.METABOLITE][:16].mean(axis=0)
    assert peak_ppm(moved, late, 1.9, 2.1)[0] == pytest.approx(peak_ppm(moved, early, 1.9, 2.1)[0], abs=0.017)
    assert moved.truth["shots"]["pose"] == [0] * 16 + [1] * 16


def test_motion_burst_spoils_a_run_of_shots() -> None:
    truth = small("motion_burst", n_shots=64, onset_shot=20, severity=0.5).truth
    damaged = np.flatnonzero(truth["shots"]["damaged"])
    assert damaged.size >= 4
    np.testing.assert_array_equal(damaged, np.arange(20, 20 + damaged.size))
    assert truth["events"][0]["last_shot"] == damaged[-1]


def test_displaced_before_shows_in_header_and_water_reference() -> None:
    still, moved = small(n_shots=2), small("displaced_before", n_shots=2, severity=0.5)
    offset = moved.truth["events"][0]["parameters"]["frequency_offset_hz"]
    # The prescan saw the head in its old pose, and the shim reported a good line.
    expected = -(moved.truth["shots"]["frequency_hz"][0] - offset)
    assert moved.header.prescan_frequency_hz == pytest.approx(expected, abs=0.5)
    assert moved.header.shim_linewidth_hz == pytest.approx(still.header.shim_linewidth_hz, abs=0.3)
    widths = []
    for scan in (still, moved):
        fids, _ = combined(scan)
        water = np.abs(np.fft.fft(fids[ShotKind.WATER_REFERENCE][0], 8192)) ** 2
        widths.append(np.count_nonzero(water > water.max() / 2.0))
    assert widths[1] > 1.25 * widths[0]


def test_low_snr_and_gain_change_scale_as_told() -> None:
    still, weak = small(n_shots=2), small("low_snr", n_shots=2, severity=0.5)
    factor = weak.truth["events"][0]["parameters"]["signal_factor"]
    a = next(s for s in still.shots() if s.shot_kind is ShotKind.WATER_REFERENCE)
    b = next(s for s in weak.shots() if s.shot_kind is ShotKind.WATER_REFERENCE)
    assert np.abs(b.data[:, 0]).max() / np.abs(a.data[:, 0]).max() == pytest.approx(factor, rel=0.02)
    loud = small("gain_change", n_shots=8, onset_shot=4, severity=1.0)
    gain = loud.truth["events"][0]["parameters"]["gain_factor"]
    tails = [float(np.std(s.data[:, -100:])) for s in loud.shots() if s.shot_kind is ShotKind.METABOLITE]
    assert np.mean(tails[4:]) / np.mean(tails[:4]) == pytest.approx(gain, rel=0.05)


def test_dead_channel_is_silent() -> None:
    scan = small("coil_dead", n_shots=8, severity=1.0, onset_shot=3, seed=1)
    event = scan.truth["events"][0]
    channel = event["parameters"]["channel"]
    power = np.array([np.mean(np.abs(s.data) ** 2, axis=1) for s in scan.shots() if s.shot_kind is ShotKind.METABOLITE])
    after = power[event["first_shot"] :, channel].mean() / power[event["first_shot"] :].mean()
    assert after < 0.05


def test_edit_orders_and_swapped_labels() -> None:
    orders = {
        "alternating": ["on", "off", "on", "off"],
        "reversed": ["off", "on", "off", "on"],
        "blocked": ["on", "on", "off", "off"],
        "1-1-0-0": ["on", "on", "off", "off"],
    }
    for order, expected in orders.items():
        scan = small(sequence="MEGA-PRESS", n_shots=4, edit_order=order, n_points=512)
        assert [s.edit_condition for s in scan.shots() if s.shot_kind is ShotKind.METABOLITE] == expected
    swapped = small("swapped_edit_order", sequence="MEGA-PRESS", n_shots=16, n_points=512, onset_shot=8)
    first = swapped.truth["events"][0]["first_shot"]
    pairs = list(zip(swapped.truth["shots"]["edit_condition"], swapped.truth["shots"]["edit_label"], strict=True))
    assert all((played == label) == (k < first) for k, (played, label) in enumerate(pairs))


def test_edited_scan_shows_gaba_and_no_naa_in_on() -> None:
    scan = small(sequence="MEGA-PRESS", n_shots=64, physiology=0.0, n_points=2048)
    fids, _ = combined(scan)
    shots = aligned(scan, fids[ShotKind.METABOLITE])
    on, off = shots[0::2].mean(axis=0), shots[1::2].mean(axis=0)
    assert peak_ppm(scan, on, 1.95, 2.06)[1] < 0.15 * peak_ppm(scan, off, 1.95, 2.06)[1]
    difference = peak_ppm(scan, on - off, 2.9, 3.1)[1]
    assert 0.03 < difference / peak_ppm(scan, off, 2.9, 3.1)[1] < 0.15


def test_frames_of_eight_excitations_hold_their_sum() -> None:
    single = small(n_shots=16, physiology=0.0, snr_lcmodel=30.0)
    frames = small(n_shots=2, n_excitations=8, n_water_shots=1, physiology=0.0, snr_lcmodel=30.0)
    one = [s for s in single.shots() if s.shot_kind is ShotKind.METABOLITE]
    eight = [s for s in frames.shots() if s.shot_kind is ShotKind.METABOLITE]
    assert len(eight) == 2
    assert all(s.n_excitations == 8 and s.phase_cycle_index is None for s in eight)
    summed = np.sum([s.data for s in one[:8]], axis=0)
    np.testing.assert_allclose(np.std(eight[0].data[:, -200:]), np.std(summed[:, -200:]), rtol=0.1)


@pytest.mark.parametrize(
    ("sequence", "frequency"), [("PRESS", 63.9), ("PRESS", 297.2), ("STEAM", 297.2), ("STEAM", 127.7)]
)
def test_other_fields_and_sequences(sequence: str, frequency: float) -> None:
    scan = small(sequence=sequence, spectrometer_frequency_mhz=frequency, n_coils=1, n_points=2048, physiology=0.2)
    fids, _ = combined(scan)
    place, _ = peak_ppm(scan, aligned(scan, fids[ShotKind.METABOLITE]).mean(axis=0), 1.9, 2.1)
    assert place == pytest.approx(2.008, abs=0.015)


def test_scenarios_combine() -> None:
    truth = small("motion_step+lipid", n_shots=16, severity=0.8).truth
    assert [e["scenario"] for e in truth["events"]] == ["motion_step", "lipid"]
    assert truth["causes"] == ["motion_during_scan", "lipid_contamination"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"scenario": "earthquake"}, "earthquake"),
        ({"scenario": "swapped_edit_order"}, "MEGA-PRESS"),
        ({"severity": 1.5}, "severity"),
        ({"onset_shot": 99, "n_shots": 8}, "onset_shot"),
        ({"sequence": "CSI"}, "CSI"),
        ({"sequence": "MEGA-PRESS", "n_shots": 7}, "even"),
        ({"n_coils": 0}, "n_coils"),
        ({"edit_order": "random"}, "random"),
    ],
)
def test_what_makes_no_scan_is_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        small(**arguments)
