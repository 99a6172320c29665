"""Spurious echoes within the FID, and receive channels that are dead or noisy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from scanner_agent.mrs.chain import ScanChain
from scanner_agent.mrs.echo import EchoWindows, echo_windows, echo_z, z_of_largest
from scanner_agent.mrs.receiver import faulty_channels
from scanner_agent.records import ShotKind
from scanner_agent.simulate import SimulatedScan, simulate_scan

Fid = NDArray[np.complex128]
DWELL_S, F0 = 5e-4, 123.2


def chain_of(scan: SimulatedScan) -> ScanChain:
    h = scan.header
    chain = ScanChain(h.n_coils, h.n_points, h.dwell_time_s, h.spectrometer_frequency_mhz)
    for shot in scan.shots():
        if shot.shot_kind is ShotKind.NOISE:
            chain.add_noise(shot.data)
        elif shot.shot_kind is ShotKind.WATER_REFERENCE:
            chain.add_water_reference(shot.data)
        else:
            chain.add(shot.data, shot_index=shot.shot_index)
    return chain


def z_of(shot: Fid, others: Fid, windows: EchoWindows) -> float:
    z = echo_z(shot, others, 1.0, windows)
    assert z is not None
    return z


def noise(rng: np.random.Generator, n: int = 1024) -> Fid:
    return rng.normal(size=n) + 1j * rng.normal(size=n)


@pytest.mark.parametrize(("n", "dwell_s", "f0"), [(1024, 5e-4, 123.2), (4096, 8.3e-5, 297.2), (1024, 1e-3, 63.9)])
def test_noise_alone_passes_a_threshold_no_more_often_than_z_says(n: int, dwell_s: float, f0: float) -> None:
    rng, windows = np.random.default_rng(5), echo_windows(n, dwell_s, f0, 0.0)
    z = np.array([z_of(noise(rng, n), np.zeros(n, complex), windows) for _ in range(400)])
    assert -0.8 < z.mean() < 0.1
    assert np.count_nonzero(z > 2.0) <= 18  # 0.023 of 400, and 3 SD
    assert z.max() < 4.0


def test_an_echo_is_seen_wherever_it_lies_and_a_wider_line_is_none() -> None:
    rng, windows = np.random.default_rng(6), echo_windows(1024, DWELL_S, F0, 0.0)
    t = np.arange(1024) * DWELL_S
    usual = 40.0 * np.exp(2j * np.pi * 2.6 * F0 * t - np.pi * 6.0 * t)
    for at_s, hz in ((0.08, 100.0), (0.2, 300.0), (0.3, 480.0)):
        echo = 3.0 * np.exp(-0.5 * ((t - at_s) / 0.015) ** 2 + 2j * np.pi * hz * t)
        assert z_of(usual + echo + noise(rng), usual, windows) > 4.0
    assert z_of(usual * np.exp(-np.pi * 1.0 * t) + noise(rng), usual, windows) < 3.0


def test_fids_too_short_for_an_echo_have_no_sign() -> None:
    windows = echo_windows(64, DWELL_S, F0, 0.0)
    assert echo_z(np.ones(64, complex), np.zeros(64, complex), 1.0, windows) is None
    assert z_of_largest(1e9, 100.0) > 30.0
    assert z_of_largest(0.0, 100.0) < 0.0


def test_the_chain_sees_the_echo_from_its_first_shot_on() -> None:
    scan = simulate_scan("spurious_echo", seed=12, severity=1.0, onset_shot=12, n_shots=24, n_coils=4, n_points=1024)
    z = np.array([e.echo_z for e in chain_of(scan).estimates[1:]], dtype=float)
    assert z[:11].max() < 3.5
    assert np.count_nonzero(z[11:] > 4.0) >= 4


def test_a_low_gain_is_no_fault_a_dead_and_a_noisy_channel_are() -> None:
    rng = np.random.default_rng(7)
    variance = np.exp(rng.normal(0.0, 0.4, 16))
    pattern = np.sqrt(variance) * np.exp(rng.normal(0.0, 0.5, 16)) * np.exp(2j * np.pi * rng.random(16))
    assert faulty_channels(variance, pattern) == {}
    low = variance.copy(), pattern.copy()
    low[0][3] *= 0.1
    low[1][3] = np.sqrt(low[0][3]) * 1.2
    assert faulty_channels(*low) == {}
    variance[5], pattern[5] = 0.06, 0.01
    variance[9] = 30.0
    variance[10], pattern[10] = 5e-4, 0.05
    variance[12] = 0.0
    found = faulty_channels(variance, pattern)
    assert set(found) == {5, 9, 10, 12}
    assert found[5].startswith("dead")
    assert found[9].startswith("noisy")
    assert found[12] == "dead: no noise"
    assert faulty_channels(np.zeros(4), np.zeros(4, complex)) == {}


@pytest.mark.parametrize(("scenario", "severity"), [("coil_dead", 0.1), ("coil_noisy", 0.4)])
def test_a_channel_faulty_from_the_start_is_left_out_of_the_scan(scenario: str, severity: float) -> None:
    seed = next(
        s
        for s in range(50)
        if simulate_scan(scenario, seed=s, n_coils=8, n_points=1024).truth["events"][0]["first_shot"] == 0
    )
    scan = simulate_scan(scenario, seed=seed, severity=severity, n_coils=8, n_points=1024, n_shots=4)
    channel = scan.truth["events"][0]["parameters"]["channel"]
    assert set(chain_of(scan).coil_report.left_out) == {channel}
    still = simulate_scan("still", seed=seed, n_coils=8, n_points=1024, n_shots=4)
    assert not chain_of(still).coil_report.left_out
