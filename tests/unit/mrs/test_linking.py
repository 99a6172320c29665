"""ON brought onto OFF, against known truth."""

from __future__ import annotations

import numpy as np
import pytest

from scanner_agent.basis import load_basis
from scanner_agent.mrs.linking import EditShapes, link, make_linker, subtraction_artefact

F0, DWELL_S, N = 123.25, 5e-4, 2048
T = np.arange(N) * DWELL_S
AMOUNTS = {
    "NAA": 12.0,
    "NAAG": 1.5,
    "Cr": 9.5,
    "GPC": 1.8,
    "Glu": 11.0,
    "Gln": 3.0,
    "Ins": 7.0,
    "GABA": 1.8,
    "GSH": 1.5,
}


@pytest.fixture(scope="module")
def shapes():
    sets = {name: basis.resampled(N, DWELL_S, F0) for name, basis in load_basis("mega_te68_3t").items()}
    return EditShapes(on=sets["on"].fids, off=sets["off"].fids), sets["on"].names


def _pair(shapes, seed, sd, offset_ppm=0.0):
    """Noisy ON and OFF, ON shifted by 0.4 Hz and turned by 6 degrees; amounts that the link does not know."""
    rng = np.random.default_rng(seed)
    made, names = shapes
    decay = np.exp((2j * np.pi * (0.5 - offset_ppm * F0) - np.pi * 6.0) * T + 0.1j)
    amounts = np.array([AMOUNTS.get(name, 0.0) * rng.uniform(0.7, 1.3) for name in names])
    broad = 4.0 * np.exp((2j * np.pi * (4.65 - 3.0) * F0 - np.pi * 14.0) * T) * decay
    water = 5.0 * np.exp((2j * np.pi - np.pi * 7.0) * T + 1j) * decay
    on, off = amounts @ made.on * decay + broad + water, amounts @ made.off * decay
    noise = sd * (rng.normal(size=(2, N)) + 1j * rng.normal(size=(2, N)))
    return on * np.exp(1j * np.radians(6.0) + 2j * np.pi * 0.4 * T) + noise[0], off + noise[1]


def _errors(shapes, sd, known, offset_ppm=0.0, n=5):
    linker = make_linker(
        N, DWELL_S, F0, offset_ppm=offset_ppm, lines_ppm=(3.03, 3.22), shapes=shapes[0] if known else None
    )
    found = [link(*_pair(shapes, seed, sd, offset_ppm), sd, sd, linker) for seed in range(n)]
    return np.array([(f - 0.4, np.degrees(p) - 6.0) for f, p in found])


def test_the_link_is_right_without_noise(shapes):
    error = np.abs(_errors(shapes, 1e-4, known=True, n=2)).max(axis=0)
    assert error[0] < 0.02
    assert error[1] < 0.5


def test_all_lines_tell_more_than_choline_alone(shapes):
    known = np.sqrt(np.mean(_errors(shapes, 0.5, known=True) ** 2, axis=0))
    alone = np.sqrt(np.mean(_errors(shapes, 0.5, known=False) ** 2, axis=0))
    assert known[0] < 0.7 * alone[0] < 1.0
    assert known[1] < 0.7 * alone[1] < 10.0
    assert known[0] < 0.1
    assert known[1] < 2.0


def test_spectrum_off_its_place(shapes):
    error = _errors(shapes, 0.1, known=True, offset_ppm=-0.15, n=2)
    assert np.abs(error[:, 0]).max() < 0.05
    assert np.abs(error[:, 1]).max() < 1.0


def test_shapes_that_do_not_belong_do_no_harm(shapes):
    made, names = shapes
    wrong = EditShapes(on=made.on[::-1] * 1j, off=made.off * 1j), names
    linker = make_linker(N, DWELL_S, F0, offset_ppm=0.0, lines_ppm=(3.03, 3.22), shapes=wrong[0])
    frequency, phase = link(*_pair(shapes, 3, 0.2), 0.2, 0.2, linker)
    assert abs(frequency - 0.4) < 0.7
    assert abs(np.degrees(phase) - 6.0) < 16.0


def test_artefact_is_nothing_where_there_is_no_choline():
    nothing = np.zeros(N, dtype=np.complex128)
    assert subtraction_artefact(nothing, nothing, DWELL_S, F0) is None


def test_offset_of_the_editing_pulse_follows_the_drift(make_scan):
    scan = make_scan(edited=("on", "off"), n_shots=20, snr=8.0, drift_hz=0.5, offset_ppm=0.05)
    chain = scan.run(edited=True, edit_pulse_ppm=(1.9, 7.46))
    estimates = chain.refined(scan.shots).estimates
    error = np.array([e.edit_offset_hz for e in estimates]) - (scan.frequency_hz - 0.05 * scan.f0)
    # The places of the fixture's lines are 3.03 and 3.22 ppm, those of creatine and choline a little lower.
    assert abs(np.mean(error)) < 1.0
    assert np.std(error) < 1.5 * np.mean([e.edit_offset_sd_hz for e in estimates])
    assert make_scan(n_shots=3).run().estimates[-1].edit_offset_hz is None
