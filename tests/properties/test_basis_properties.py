"""What holds for any spin system and any set."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner_agent.basis import LineList, Press, SemiLaser, SpinGroup, SpinSystem, Steam
from scanner_agent.basis.simulation import simulate_lines
from scanner_agent.mrs.axes import hz_from_ppm

F0 = 123.2


@st.composite
def systems(draw):
    n = draw(st.integers(2, 4))
    shifts = tuple(draw(st.lists(st.floats(0.5, 8.0), min_size=n, max_size=n)))
    pairs = [(i, j) for i in range(1, n + 1) for j in range(i + 1, n + 1)]
    couplings = {pair: draw(st.floats(-18.0, 18.0)) for pair in pairs}
    return SpinSystem("x", "", (SpinGroup(shifts, couplings),), "")


SEQUENCES = st.one_of(
    st.builds(Press, st.floats(0.02, 0.2), st.floats(0.005, 0.02)),
    st.builds(Steam, st.floats(0.005, 0.1), st.floats(0.0, 0.1)),
    st.builds(SemiLaser, st.floats(0.02, 0.2)),
)


@settings(max_examples=30, deadline=None)
@given(systems(), SEQUENCES)
def test_no_more_signal_than_protons(system, sequence):
    """Pulses keep the norm of a density matrix, crushers lower it (Cauchy-Schwarz); STEAM is scaled by two."""
    fid = simulate_lines(system, sequence, "main", F0).fid(128, 0.002)
    assert np.abs(fid).max() <= system.n_protons / sequence.signal * 1.001


@settings(max_examples=30, deadline=None)
@given(systems())
def test_couplings_move_no_centre_of_gravity(system):
    """First moment of a spectrum excited at once: the mean of the shifts, whatever the couplings (Levitt 2008)."""
    lines = simulate_lines(system, Press(1e-6), "main", F0)
    centre = (lines.amplitudes * lines.frequencies_hz).sum().real / system.n_protons
    expected = np.mean([hz_from_ppm(s, F0) for s in system.groups[0].shifts_ppm])
    np.testing.assert_allclose(centre, expected, atol=1.0)


@settings(max_examples=25, deadline=None)
@given(systems(), SEQUENCES, st.floats(-0.5, 0.5))
def test_a_common_shift_moves_all_lines_and_changes_nothing_else(system, sequence, shift_ppm):
    """Echoes refocus any offset: a set does not depend on the carrier."""
    group = system.groups[0]
    moved = SpinSystem("x", "", (SpinGroup(tuple(s + shift_ppm for s in group.shifts_ppm), group.couplings_hz),), "")
    first = simulate_lines(system, sequence, "main", F0).fid(256, 0.0005)
    second = simulate_lines(moved, sequence, "main", F0).fid(256, 0.0005)
    turn = np.exp(-2j * np.pi * shift_ppm * F0 * np.arange(256) * 0.0005)
    np.testing.assert_allclose(second, first * turn, atol=0.02)


@settings(max_examples=25, deadline=None)
@given(systems())
def test_all_protons_come_back_at_once(system):
    total = simulate_lines(system, Press(1e-6), "main", F0).amplitudes.sum()
    np.testing.assert_allclose(total, system.n_protons, rtol=1e-2)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-2000, 2000), st.complex_numbers(max_magnitude=10)), min_size=1, max_size=20),
    st.integers(1, 300),
    st.floats(1e-5, 1e-3),
    st.floats(0.0, 20.0),
)
def test_fid_of_lines_is_their_sum(pairs, n_points, dwell_s, linewidth_hz):
    lines = LineList(np.array([f for f, _ in pairs]), np.array([a for _, a in pairs], dtype=complex))
    t = np.arange(n_points)[:, None] * dwell_s
    expected = (lines.amplitudes * np.exp((2j * np.pi * lines.frequencies_hz - np.pi * linewidth_hz) * t)).sum(axis=1)
    np.testing.assert_allclose(lines.fid(n_points, dwell_s, linewidth_hz), expected, atol=1e-8)
