"""The sign model says of a scan what its plan holds, with errors of the size it claims, and what the line says."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from scanner_agent.mrs.chain import ScanChain
from scanner_agent.records import ShotKind
from scanner_agent.simulate import SimulatedScan, simulate_scan
from scanner_agent.simulate.sign_model import SignModel


def scan_of(scenario: str = "still", **arguments: object) -> SimulatedScan:
    settings: dict[str, object] = {"seed": 31, "n_coils": 8, "n_points": 1024, **arguments}
    return simulate_scan(scenario, **settings)  # type: ignore[arg-type]


def column(model: SignModel, name: str) -> NDArray[np.float64]:
    return np.array([getattr(estimate, name) for estimate in model.estimates], dtype=np.float64)


def test_errors_are_of_the_size_they_claim() -> None:
    pulls: list[float] = []
    for seed in range(12):
        scan = scan_of(seed=seed)
        model = SignModel(scan, seed)
        error = column(model, "frequency_hz") - np.asarray(scan.truth["shots"]["frequency_hz"])
        pulls.extend((error - error.mean()) / column(model, "frequency_sd_hz"))
    assert np.std(pulls) == pytest.approx(1.0, abs=0.08)


def test_motion_step_shows_in_frequency_amplitude_width_and_water() -> None:
    scan = scan_of("motion_step", onset_shot=30, severity=0.7)
    model = SignModel(scan, 1)
    step = scan.truth["events"][0]["parameters"]["frequency_step_hz"]
    frequency, amplitude = column(model, "frequency_hz"), column(model, "amplitude")
    assert frequency[32:].mean() - frequency[:30].mean() == pytest.approx(step, abs=0.8)
    assert amplitude[32:].mean() < 0.95 * amplitude[:30].mean()
    assert column(model, "water_pattern_chi2")[32:].mean() > 1.5


def test_fits_grow_with_the_root_of_the_shots() -> None:
    model = SignModel(scan_of(), 2)
    some, many = model.fit(range(16)), model.fit(range(64))
    assert some is not None
    assert many is not None
    assert many.snr_lcmodel / some.snr_lcmodel == pytest.approx(2.0, rel=0.12)
    assert many.percent_sd_lcmodel["Glu"] < some.percent_sd_lcmodel["Glu"]
    assert model.fit(()) is None


def test_swapped_labels_are_noticed() -> None:
    scan = scan_of("swapped_edit_order", sequence="MEGA-PRESS", n_shots=32, onset_shot=0, severity=0.5)
    model = SignModel(scan, 3)
    assert model.edit_order_agrees(1) is None
    assert model.edit_order_agrees(32) is False
    assert SignModel(scan_of(sequence="MEGA-PRESS", n_shots=32), 3).edit_order_agrees(32) is True


def test_labels_swapped_on_the_way_contradict_single_shots_and_the_settled_ones_are_right() -> None:
    scan = scan_of("swapped_edit_order", sequence="MEGA-PRESS", n_shots=64, onset_shot=40, severity=0.5, seed=7)
    first = scan.truth["events"][0]["first_shot"]
    model = SignModel(scan, 3)
    labels = scan.truth["shots"]["edit_label"]
    assert [e.edit_condition for e in model.estimates][:first] == labels[:first]
    model_odds = column(model, "edit_log_odds")
    supports = np.where(np.array(labels) == "on", -model_odds, model_odds)
    assert (np.mean(supports[first:]) < 0.0) == (first > 0 or model.edit_order_agrees(64) is False)
    if first == 0:
        assert [e.edit_condition for e in model.settled()] == scan.truth["shots"]["edit_condition"]


def test_echo_and_gain_are_told_as_the_chain_tells_them() -> None:
    echo = SignModel(scan_of("spurious_echo", onset_shot=20, severity=1.0), 5)
    z = np.array([e.echo_z for e in echo.estimates[1:]], dtype=np.float64)
    assert z[:19].max() < 4.0
    assert np.count_nonzero(z[19:] > 4.0) >= 5
    scan = scan_of("gain_change", onset_shot=30, severity=1.0, seed=2)
    gain = np.asarray(scan.truth["shots"]["gain"])
    sd = column(SignModel(scan, 5), "amplitude_sd")
    assert sd[40] / sd[10] == pytest.approx(gain[40] / gain[10], rel=1e-6)


def test_noisy_channel_of_the_noise_scan_is_left_out() -> None:
    for seed in range(20):
        scan = scan_of("coil_noisy", seed=seed, severity=1.0)
        event = scan.truth["events"][0]
        left_out = SignModel(scan, seed).coils_left_out
        assert (event["parameters"]["channel"] in left_out) == (event["first_shot"] == 0)


def test_model_agrees_with_the_signal_chain() -> None:
    scan = scan_of(n_points=2048, seed=33)
    header = scan.header
    chain = ScanChain(
        header.n_coils, header.n_points, header.dwell_time_s, header.spectrometer_frequency_mhz, edited=False
    )
    for shot in scan.shots():
        if shot.shot_kind is ShotKind.NOISE:
            chain.add_noise(shot.data)
        elif shot.shot_kind is ShotKind.WATER_REFERENCE:
            chain.add_water_reference(shot.data, shot.n_excitations)
        else:
            chain.add(shot.data, shot_index=shot.shot_index, phase_cycle_index=shot.phase_cycle_index)
    model = SignModel(scan, 4)
    for name, ratio in (
        ("frequency_sd_hz", 2.0),
        ("phase_sd_deg", 1.6),
        ("amplitude_sd", 1.6),
        ("residual_water_sd", 1.6),
        ("residual_water", 1.7),
        ("lipid_sd", 1.6),
        ("snr", 1.5),
    ):
        line = float(np.median([getattr(e, name) for e in chain.estimates]))
        assert 1.0 / ratio < float(np.median(column(model, name))) / line < ratio, name
