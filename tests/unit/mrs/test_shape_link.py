"""The link by shapes against a twin that writes every column out and differentiates numerically."""

from __future__ import annotations

import numpy as np
import pytest

from scanner_agent.basis import load_basis
from scanner_agent.mrs.shape_link import EditShapes, ShapeLink
from tests.reference.shape_link import PlainLink

F0, DWELL_S, N = 123.25, 5e-4, 2048
T = np.arange(N) * DWELL_S
USUAL = {"NAA": 12.0, "NAAG": 1.5, "Cr": 9.5, "GPC": 1.8, "Glu": 11.0, "Gln": 3.0, "Ins": 7.0, "GABA": 1.8}


@pytest.fixture(scope="module")
def shapes():
    sets = {name: basis.resampled(N, DWELL_S, F0) for name, basis in load_basis("mega_te68_3t").items()}
    return EditShapes(on=sets["on"].fids, off=sets["off"].fids), sets["on"].names


def _pair(shapes, seed, sd, offset_ppm=0.0):
    """ON (shifted by 0.4 Hz, turned by 0.1 rad) and OFF with broad lines, water and noise that the seed draws."""
    rng = np.random.default_rng(seed)
    made, names = shapes
    amounts = np.array([USUAL.get(name, 1.0) * rng.uniform(0.7, 1.3) for name in names])
    place = rng.uniform(-1, 1) - offset_ppm * F0
    decay = np.exp(1j * rng.uniform(-3, 3) + (2j * np.pi * place - np.pi * rng.uniform(3, 9)) * T)
    broad = 4.0 * np.exp((2j * np.pi * 1.65 * F0 - np.pi * 14.0) * T)
    water = rng.normal(scale=8.0) * np.exp((2j * np.pi - np.pi * 7.0) * T + 1j)
    on, off = (amounts @ made.on + broad + water) * decay, (amounts @ made.off + 0.3 * water) * decay
    noise = sd * (rng.normal(size=(2, N)) + 1j * rng.normal(size=(2, N)))
    return on * np.exp(0.1j + 2j * np.pi * 0.4 * T) + noise[0], off + noise[1]


def _both(shapes, offset_ppm=0.0):
    made = shapes[0]
    return (
        ShapeLink(made, N, DWELL_S, F0, offset_ppm),
        PlainLink(made.on, made.off, DWELL_S, F0, offset_ppm),
    )


@pytest.mark.parametrize(("sd", "offset_ppm"), [(0.02, 0.0), (0.3, -0.15), (2.0, 0.0)])
def test_same_link_as_with_every_column_written_out(shapes, sd, offset_ppm):
    fast, plain = _both(shapes, offset_ppm)
    for seed in (71, 72):
        on, off = _pair(shapes, seed, sd, offset_ppm)
        found, (x, amounts, _) = fast.fit_off(off), plain.fit_off(off)
        error = np.array([found.phase_rad, found.shift_hz, found.width_hz]) - x
        # The descent ends where nothing that matters is left: 1e-4 of such an error of 0.01 rad, 0.1 Hz.
        assert np.abs(error).max() < 3e-4 * sd
        assert found.amounts == pytest.approx(amounts, abs=1e-4 * max(sd, 0.1) * np.abs(amounts).max())
        frequency, phase = fast.link(on, off, np.sqrt(2) * sd, 0.35, 0.12)
        exact_frequency, exact_phase = plain.link(on, off, np.sqrt(2) * sd, 0.35, 0.12)
        assert abs(frequency - exact_frequency) < 1e-6 * max(sd, 0.1)
        assert abs(phase - exact_phase) < 1e-6 * max(sd, 0.1)


def test_minimum_and_slope_are_those_of_the_plain_model(shapes):
    fast, plain = _both(shapes)
    _, off = _pair(shapes, 81, 0.5)
    data = fast._without_water(plain.rows(off[: plain.t.size]))
    x, step = np.array([0.4, 0.6, 5.0]), 1e-5
    found = fast._step(x, data)
    amounts, left = plain.parts(x, off)
    assert found.cost == pytest.approx(left @ left, rel=1e-9)
    assert found.amounts == pytest.approx(amounts, rel=1e-7)
    moves = [(plain.parts(x + step * e, off)[1] - plain.parts(x - step * e, off)[1]) / (2 * step) for e in np.eye(3)]
    assert found.gradient == pytest.approx(-np.array(moves) @ left, rel=1e-6)
    assert found.curvature == pytest.approx(np.array(moves) @ np.array(moves).T, rel=1e-6)


def test_noise_alone_and_nothing_stay_within_bounds(shapes):
    fast, plain = _both(shapes)
    rng = np.random.default_rng(91)
    for _ in range(2):
        on, off = rng.normal(size=(2, N)) + 1j * rng.normal(size=(2, N))
        found = fast.fit_off(off)
        assert found is not None
        assert abs(found.shift_hz) <= 15.0
        assert 0.0 <= found.width_hz <= 40.0
        # Many minima, all of them poor: none may be much worse than the twin's.
        assert fast._step(
            np.array([found.phase_rad, found.shift_hz, found.width_hz]),
            fast._without_water(plain.rows(off[: plain.t.size])),
        ).cost == pytest.approx(plain.fit_off(off)[2], rel=0.03)
        frequency, phase = fast.link(on, off, np.sqrt(2), 0.35, 0.12)
        assert abs(frequency - 0.35) <= 0.6
        assert abs(phase - 0.12) <= 0.25
    nothing = np.zeros(N, dtype=np.complex128)
    assert fast.fit_off(nothing) is None
    assert fast.link(nothing, nothing, 1.0, 0.35, 0.12) == (0.35, 0.12)
    assert fast.link(nothing, nothing, 0.0, 0.35, 0.12) == (0.35, 0.12)
