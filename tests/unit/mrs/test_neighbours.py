"""Shots too weak to be aligned by themselves, against known truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from scanner_agent.mrs import reference
from scanner_agent.mrs.align import BRAIN_LINES_PPM, align_band, locate_shot, make_template
from scanner_agent.mrs.prior import Prior, joined
from scanner_agent.mrs.reference import Aligner

F0, DWELL_S, N = 123.2, 5e-4, 1024
T = np.arange(N) * DWELL_S
LINES = ((2.01, 3.0), (3.03, 2.2), (3.22, 1.7), (3.93, 1.5))
# Noise SD at which NAA's S/N is 1 in one shot.
_UNIT_SD = 3.0 * float(np.sum(np.exp(-np.pi * 6.0 * T))) / np.sqrt(N)

Drawn = tuple[NDArray[np.complex64], NDArray[np.float64], NDArray[np.float64], float]


def _drawn(seed: int, snr: float, n: int, gain: Callable[[int], float] = lambda _: 1.0) -> Drawn:
    """Shots (n, N), their shifts (Hz: drift and a jitter of 0.3), phases (rad) and noise SD."""
    rng = np.random.default_rng(seed)
    clean = np.sum([a * np.exp((2j * np.pi * (4.65 - p) * F0 - np.pi * 6.0) * T) for p, a in LINES], axis=0)
    shift, phase, sd = 0.02 * np.arange(n) + 0.3 * rng.normal(size=n), 0.1 * rng.normal(size=n), _UNIT_SD / snr
    turn = np.exp(1j * (phase[:, None] + 2 * np.pi * shift[:, None] * T)) * np.array([[gain(i)] for i in range(n)])
    noise = rng.normal(size=(n, N)) + 1j * rng.normal(size=(n, N))
    return (clean * turn + sd * noise).astype(np.complex64), shift, phase, sd


def _aligned(drawn: Drawn, *, finish: bool) -> Aligner:
    aligner = Aligner(align_band(N, DWELL_S, F0, align_ppm=(1.8, 4.2), lines_ppm=BRAIN_LINES_PPM))
    for fid in drawn[0]:
        aligner.add(fid, drawn[3], True)
    if finish:
        aligner.finish([True] * len(drawn[0]), 2)
    return aligner


def _errors(aligner: Aligner, drawn: Drawn) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Errors of frequency (Hz) and their standard errors as told."""
    found = [a for a in aligner.found if a is not None]
    assert len(found) == len(drawn[0])
    error = np.array([a.frequency_hz for a in found]) - drawn[1]
    return error - np.median(error), np.array([a.frequency_sd_hz for a in found])


@pytest.mark.parametrize("finish", [False, True])
@pytest.mark.parametrize("snr", [0.8, 1.5])
def test_weak_shots_are_aligned_through_their_neighbours(snr: float, finish: bool) -> None:
    errors, tolds = [], []
    for seed in range(3):
        drawn = _drawn(seed, snr, 48)
        error, told = _errors(_aligned(drawn, finish=finish), drawn)
        errors.append(error)
        tolds.append(told)
    error, told = np.concatenate(errors), np.concatenate(tolds)
    # By themselves: 0.9 Hz and some shots far off at 1.5, most of them far off at 0.8.
    assert np.count_nonzero(np.abs(error) > 3.0) <= 5
    assert np.sqrt(np.mean(error**2)) < 0.95
    # The jitter that the sum cannot see is part of the error told.
    assert 0.6 < np.sqrt(np.mean(error**2) / np.mean(told**2)) < 1.3


@pytest.mark.parametrize("finish", [False, True])
def test_shots_that_lost_their_signal_follow_the_others(finish: bool) -> None:
    weak = range(20, 24)
    drawn = _drawn(8, 6.0, 32, lambda i: 0.15 if i in weak else 1.0)
    aligner = _aligned(drawn, finish=finish)
    error, told = _errors(aligner, drawn)
    strong = [i for i in range(32) if i not in weak]
    assert np.abs(error[weak.start : weak.stop]).max() < 1.5
    assert min(told[weak.start : weak.stop]) > max(told[i] for i in strong)
    assert np.std(error[strong]) < 1.5 * np.mean(told[strong])
    phases = np.array([a.phase_rad for a in aligner.found if a is not None]) - drawn[2]
    assert np.abs(phases[weak.start : weak.stop] - np.median(phases)).max() < 0.5


def test_strong_shots_ask_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(reference, "prior_of", asked)
    drawn = _drawn(9, 4.0, 24)
    error, _ = _errors(_aligned(drawn, finish=True), drawn)
    assert np.std(error) < 0.5


def test_a_weak_shot_that_speaks_for_another_place_is_believed() -> None:
    drawn = _drawn(10, 2.2, 32)
    away = drawn[0].copy()
    away[25] *= np.exp(2j * np.pi * 9.0 * T)
    away[28] *= np.exp(2j)
    found = _aligned((away, *drawn[1:]), finish=True).found
    usual = float(np.median([a.frequency_hz for a in found if a is not None]))
    assert found[25] is not None
    assert found[28] is not None
    assert found[25].frequency_hz - usual == pytest.approx(9.0, abs=2.0)
    assert found[28].phase_rad == pytest.approx(2.0, abs=0.5)


def test_joined_is_between_the_two_by_their_information() -> None:
    own = np.array([[0.8, -0.05], [-0.05, 0.03]])

    def prior(sd_hz: float, sd_rad: float, trust: float = 1.0) -> Prior:
        return Prior(frequency_hz=2.0, frequency_sd_hz=sd_hz, phase_rad=0.3, phase_sd_rad=sd_rad, trust=trust)

    frequency, phase, covariance = joined(1.0, 0.1, own, prior(0.5, 0.1, 0.0))
    assert (frequency, phase) == pytest.approx((1.0, 0.1))
    assert covariance == pytest.approx(own)
    frequency, phase, covariance = joined(1.0, 0.1, own, prior(1e3, 1e3))
    assert (frequency, phase) == pytest.approx((1.0, 0.1), abs=1e-4)
    frequency, phase, covariance = joined(1.0, 0.1, own, prior(1e-3, 1e-3))
    assert (frequency, phase) == pytest.approx((2.0, 0.3), abs=1e-4)
    assert np.all(np.diag(covariance) < 2e-6)
    # Against draws: the mean's covariance is that of its error.
    rng = np.random.default_rng(1)
    errors = []
    for e in rng.multivariate_normal([0.0, 0.0], own, size=4000):
        truth = rng.normal([2.0, 0.3], [0.5, 0.1])
        f, p, covariance = joined(truth[0] + e[0], truth[1] + e[1], own, prior(0.5, 0.1, 0.5))
        errors.append((f - truth[0], p - truth[1]))
    assert np.cov(np.array(errors).T) == pytest.approx(covariance, rel=0.12)


def test_a_wide_prior_does_not_reach_beyond_the_range() -> None:
    # Where residual water of the shot, turned into the metabolites' band, would be the higher peak.
    band = align_band(N, DWELL_S, F0, align_ppm=(1.8, 4.2), lines_ppm=BRAIN_LINES_PPM)
    template = make_template(_drawn(11, 100.0, 1)[0][0], _UNIT_SD / 100, band)
    fids, _, _, sd = _drawn(12, 2.2, 1)
    shot = fids[0] + 60.0 * np.exp(-np.pi * 8.0 * T + 1j)
    beyond = locate_shot(shot, sd, template, -60.0)
    assert beyond is not None
    assert beyond.frequency_hz < -40.0
    prior = Prior(frequency_hz=-10.0, frequency_sd_hz=15.0, phase_rad=0.0, phase_sd_rad=2.0, trust=0.1)
    found = locate_shot(shot, sd, template, 0.0, prior)
    assert found is not None
    assert abs(found.frequency_hz) < 3.0
