"""Sequences and spin physics against analytic results and the plain twin."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from scanner_agent.basis import COLLECTIONS, EditPulse, MegaPress, Press, SemiLaser, SpinGroup, SpinSystem, Steam
from scanner_agent.basis.edit_pulses import inversion_profile
from scanner_agent.basis.sequences import Delay, HardPulse, SelectivePulse
from scanner_agent.basis.simulation import simulate_basis, simulate_lines
from scanner_agent.basis.spin_systems import HeteroNucleus
from scanner_agent.errors import SourceError
from scanner_agent.mrs.axes import hz_from_ppm

_spec = importlib.util.spec_from_file_location(
    "density_matrix_twin", Path(__file__).parents[2] / "reference" / "density_matrix_twin.py"
)
twin = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(twin)

F0 = 123.2
BRAIN = COLLECTIONS["brain"]
STRONG = SpinSystem("ABX", "", (SpinGroup((2.284, 2.35, 3.01), {(1, 2): -14.0, (1, 3): 7.5, (2, 3): 6.1}),), "")


def twin_fid(group, sequence, condition, n_points, dwell_s):
    """FID of one group by the twin."""
    n = len(group.shifts_ppm)
    h = twin.hamiltonian([hz_from_ppm(p, F0) for p in group.shifts_ppm], group.couplings_hz)
    density = twin.excited(n, sequence.start_order) / sequence.signal
    now = 0.0
    for event in sequence.events(condition):
        if isinstance(event, Delay):
            density = twin.free(density, h, event.seconds)
            now += event.seconds
        elif isinstance(event, HardPulse):
            density = twin.select(twin.pulse(density, n, event.flip_deg), event.passes_order)
        else:
            assert isinstance(event, SelectivePulse)
            wave = event.pulse.waveform_hz()
            density = twin.shaped(density, h, wave, event.pulse.duration_s, hz_from_ppm(event.ppm, F0), now)
            density = twin.select(density, event.passes_order)
            now += event.pulse.duration_s
    return twin.fid(density, h, n_points, dwell_s)


@pytest.mark.parametrize(
    "sequence",
    [Press(0.035, 0.012), Press(0.144), Steam(0.011, 0.032), SemiLaser(0.028)],
    ids=["press35", "press144", "steam", "slaser"],
)
def test_hard_pulse_sequences_agree_with_the_twin(sequence):
    lines = simulate_lines(STRONG, sequence, "main", F0)
    expected = twin_fid(STRONG.groups[0], sequence, "main", 64, 0.001)
    np.testing.assert_allclose(lines.fid(64, 0.001), expected, atol=2e-3)


@pytest.mark.parametrize("condition", ["on", "off"])
def test_mega_press_agrees_with_the_twin(condition):
    """The splitting of the shaped pulse against exponentials of the whole Hamiltonian in four times finer steps."""
    sequence = MegaPress(pulse=EditPulse(0.014, 109.0, "gaussian"))
    group = SpinGroup((1.889, 3.013, 2.284), {(1, 2): 7.3, (1, 3): 7.4})
    lines = simulate_lines(SpinSystem("x", "", (group,), ""), sequence, condition, F0)
    expected = twin_fid(group, sequence, condition, 64, 0.001)
    np.testing.assert_allclose(lines.fid(64, 0.001), expected, atol=1e-2)


@pytest.mark.parametrize("name", sorted(BRAIN))
def test_nothing_is_lost_at_vanishing_echo_time(name):
    """PRESS of 10 microseconds brings back every proton of every metabolite in phase."""
    total = simulate_lines(BRAIN[name], Press(1e-5), "main", F0).amplitudes.sum()
    assert abs(total - BRAIN[name].n_protons) < 0.005 * BRAIN[name].n_protons


@pytest.mark.parametrize(("name", "protons"), [("NAA", 7), ("Cr", 5), ("Glu", 5), ("GABA", 6), ("Ins", 6), ("Glc", 7)])
def test_number_of_protons(name, protons):
    assert BRAIN[name].n_protons == pytest.approx(protons)


@pytest.mark.parametrize(
    "sequence", [Press(0.035, 0.01), Steam(0.02, 0.01), SemiLaser(0.03), MegaPress()], ids=lambda s: s.name
)
def test_a_singlet_keeps_its_protons_and_its_place(sequence):
    condition = sequence.conditions[-1]
    lines = simulate_lines(BRAIN["Cr"], sequence, condition, F0)
    np.testing.assert_allclose(lines.frequencies_hz, [hz_from_ppm(3.913, F0), hz_from_ppm(3.027, F0)], atol=0.01)
    np.testing.assert_allclose(np.abs(lines.amplitudes), [2.0, 3.0], atol=0.01)
    np.testing.assert_allclose(np.angle(lines.amplitudes), 0.0, atol=0.01)


def test_a_weak_doublet_follows_the_echo_formula():
    """AX under a spin echo of all spins: in phase cos(pi J TE), antiphase sin(pi J TE) (Levitt 2008, ch. 14)."""
    coupling, te = 7.0, 0.05
    system = SpinSystem("AX", "", (SpinGroup((1.0, 4.2), {(1, 2): coupling}),), "")
    lines = simulate_lines(system, Press(te), "main", 500.0)
    doublet = lines.amplitudes[lines.frequencies_hz > hz_from_ppm(2.6, 500.0)]
    assert doublet.sum().real == pytest.approx(np.cos(np.pi * coupling * te), abs=2e-3)
    assert abs(doublet[0] - doublet[1]) == pytest.approx(abs(np.sin(np.pi * coupling * te)), abs=2e-3)


def test_lactate_is_inverted_at_144_ms_and_upright_at_288():
    for te, sign in ((0.144, -1), (0.288, 1)):
        lines = simulate_lines(BRAIN["Lac"], Press(te), "main", 123.2)
        methyl = lines.amplitudes[lines.frequencies_hz > hz_from_ppm(2.0, 123.2)].sum().real
        assert methyl == pytest.approx(3.0 * sign, abs=0.1)


def test_phosphorus_splits_lines_but_is_refocused():
    """A proton pulse turns no phosphorus: the heteronuclear coupling splits the line and does not modulate the echo."""
    partner = HeteroNucleus("31P", (-0.5, 0.5), {1: 20.0})
    system = SpinSystem("PX", "", (SpinGroup((3.0,), hetero=(partner,)),), "")
    lines = simulate_lines(system, Press(0.037), "main", F0)
    np.testing.assert_allclose(np.diff(lines.frequencies_hz), 20.0, atol=0.01)
    np.testing.assert_allclose(lines.amplitudes, 0.5, atol=1e-6)


@pytest.mark.parametrize(
    "pulse",
    [EditPulse(), EditPulse(0.014, 109.0, "gaussian"), EditPulse(0.020, 62.0), EditPulse(0.030, 40.0, "gaussian")],
)
def test_edit_pulse_has_the_bandwidth_asked_for(pulse):
    half = pulse.bandwidth_hz / 2
    mz = inversion_profile(pulse.waveform_hz(), pulse.duration_s, np.array([0.0, half, -half, 8 * half]))
    assert mz[0] == pytest.approx(-1.0, abs=1e-6)
    np.testing.assert_allclose(mz[1:3], 0.0, atol=0.05)
    assert mz[3] > 0.98


def test_edit_pulse_that_cannot_be_is_refused():
    with pytest.raises(SourceError, match="cannot invert"):
        EditPulse(0.015, 20.0).waveform_hz()
    with pytest.raises(SourceError, match="no waveform"):
        EditPulse(shape="ideal").waveform_hz()


def test_mega_press_edits_gaba_and_saturates_naa():
    sets = simulate_basis(
        MegaPress(), {name: BRAIN[name] for name in ("NAA", "Cr", "GABA")}, spectrometer_frequency_mhz=F0
    )
    assert set(sets) == {"on", "off", "difference"}
    by_name = {kind: dict(zip(s.names, s.lines, strict=True)) for kind, s in sets.items()}

    def band(kind, name, low, high):
        lines = by_name[kind][name]
        inside = (lines.frequencies_hz < hz_from_ppm(low, F0)) & (lines.frequencies_hz > hz_from_ppm(high, F0))
        return lines.amplitudes[inside].sum()

    assert abs(band("on", "NAA", 1.95, 2.05)) < 0.1
    assert band("off", "NAA", 1.95, 2.05).real == pytest.approx(3.0, abs=0.01)
    assert abs(band("difference", "Cr", 2.9, 3.1)) < 0.05
    # ON: the 3.0 ppm triplet all but refocused (the band is finite); OFF at TE = 1/(2J): its outer lines inverted.
    assert band("on", "GABA", 2.8, 3.2).real == pytest.approx(1.9, abs=0.1)
    assert abs(band("off", "GABA", 2.8, 3.2).real) < 0.3
    np.testing.assert_allclose(sets["difference"].fids, sets["on"].fids - sets["off"].fids, atol=5e-3)


def test_ideal_editing_turns_whole_spins():
    lines = simulate_lines(BRAIN["NAA"], MegaPress(pulse=EditPulse(0.015, 60.0, "ideal")), "on", F0)
    near = np.abs(lines.frequencies_hz - hz_from_ppm(2.008, F0)) < 0.5
    assert np.abs(lines.amplitudes[near]).sum() < 1e-3


@pytest.mark.parametrize("sequence", [Press(0.01, 0.02), MegaPress(echo_time_s=0.03)], ids=["press", "mega"])
def test_times_that_do_not_fit_are_refused(sequence):
    with pytest.raises(SourceError, match="do not fit"):
        simulate_lines(BRAIN["Cr"], sequence, sequence.conditions[0], F0)


def test_couplings_to_protons_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="outside"):
        SpinGroup((1.0, 2.0), {(1, 3): 7.0})


def test_progress_counts_every_metabolite():
    seen = []
    simulate_basis(
        Press(0.03),
        {"Cr": BRAIN["Cr"], "Lac": BRAIN["Lac"]},
        spectrometer_frequency_mhz=F0,
        progress=lambda *a: seen.append(a),
    )
    assert seen == [(1, 2, "Cr main"), (2, 2, "Lac main")]
