"""Density-matrix simulation of basis sets with strong coupling (product basis, exact lines).

Method: Levitt, Spin Dynamics (2008), chapters 14-16; coherence selection by zeroing all other orders (ideal crushers).
Frequencies are those of the stored convention (ppm = 4.65 - f/f0), observed order -1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from scanner_agent.basis.basis_set import BasisSet, LineList
from scanner_agent.basis.edit_pulses import EditPulse
from scanner_agent.basis.sequences import Condition, Delay, HardPulse, MegaPress, SelectivePulse, Sequence, Steam
from scanner_agent.basis.spin_operators import SpinBasis, hamiltonian_hz, rotation_x, spin_basis
from scanner_agent.basis.spin_systems import SpinGroup, SpinSystem
from scanner_agent.mrs.axes import hz_from_ppm

_MERGE_HZ = 0.005
"""Lines closer than this become one at their mean: over a second of FID the phase error is of second order, < 1e-3."""
_DROP = 1e-4
"""Lines that together hold less than this of a metabolite's protons are left out."""

Progress = Callable[[int, int, str], None]


def simulate_basis(
    sequence: Sequence,
    systems: Mapping[str, SpinSystem],
    *,
    spectrometer_frequency_mhz: float,
    n_points: int = 4096,
    dwell_time_s: float = 0.00025,
    name: str = "simulated",
    provenance: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> dict[str, BasisSet]:
    """Basis sets of all spectra of a sequence, keyed `main`, or `on`, `off` and `difference` (ON - OFF).

    FIDs are undamped, (n_metabolites, n_points), with their exact lines beside them. `progress(done, total, what)` is
    called after each metabolite. Raises `SourceError` if the sequence's times or pulses cannot be.
    """
    lines: dict[str, list[LineList]] = {condition: [] for condition in sequence.conditions}
    total = len(systems) * len(sequence.conditions)
    steps = itertools.product(systems.values(), sequence.conditions)
    for done, (system, condition) in enumerate(steps, start=1):
        lines[condition].append(simulate_lines(system, sequence, condition, spectrometer_frequency_mhz))
        if progress is not None:
            progress(done, total, f"{system.name} {condition}")
    if "on" in lines and "off" in lines:
        lines["difference"] = [_difference(on, off) for on, off in zip(lines["on"], lines["off"], strict=True)]
    edit = (sequence.on_ppm, sequence.off_ppm) if isinstance(sequence, MegaPress) else None
    facts = {"sources": "; ".join(sorted({s.source for s in systems.values()}))} | dict(provenance or {})
    return {
        spectrum: BasisSet(
            name=name,
            spectrum=spectrum,
            names=tuple(systems),
            fids=np.stack([line.fid(n_points, dwell_time_s) for line in of_kind]),
            dwell_time_s=dwell_time_s,
            spectrometer_frequency_mhz=spectrometer_frequency_mhz,
            echo_time_s=sequence.echo_time_s,
            sequence=sequence.name,
            mixing_time_s=sequence.mixing_time_s if isinstance(sequence, Steam) else None,
            edit_pulse_ppm=edit,
            lines=tuple(of_kind),
            provenance=facts,
        )
        for spectrum, of_kind in lines.items()
    }


def simulate_lines(
    system: SpinSystem, sequence: Sequence, condition: Condition, spectrometer_frequency_mhz: float
) -> LineList:
    """Lines of one metabolite at the first point of a sequence; n protons fully refocused add up to n."""
    frequencies, amplitudes = [], []
    for group in system.groups:
        for share, shifts_hz in _hetero_states(group):
            offsets = shifts_hz + np.array([hz_from_ppm(p, spectrometer_frequency_mhz) for p in group.shifts_ppm])
            frequency, amplitude = _group_lines(group, offsets, sequence, condition, spectrometer_frequency_mhz)
            frequencies.append(frequency)
            amplitudes.append(group.weight * share * amplitude)
    return _merged(np.concatenate(frequencies), np.concatenate(amplitudes), _DROP * system.n_protons)


def _group_lines(
    group: SpinGroup,
    offsets_hz: NDArray[np.float64],
    sequence: Sequence,
    condition: Condition,
    spectrometer_frequency_mhz: float,
) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """Frequencies (Hz) and amplitudes of one coupled group with its protons at `offsets_hz` (n_spins,)."""
    spins = _cached_basis(len(offsets_hz))
    hamiltonian = hamiltonian_hz(spins, offsets_hz, group.couplings_hz)
    energies, states = np.linalg.eigh(hamiltonian)
    # One proton's F-/2 gives a signal of 1/2; sequences without loss shall give 1 for each proton.
    start = spins.raising if sequence.start_order == 1 else spins.raising.T
    density = start.astype(np.complex128) / (2.0 ** (spins.n_spins - 1) * sequence.signal)
    for event in sequence.events(condition):
        if isinstance(event, Delay):
            density = _evolved(density, energies, states, event.seconds)
            continue
        if isinstance(event, HardPulse):
            density = _turned(density, spins, event.flip_deg)
        else:
            propagator = _selective_propagator(spins, hamiltonian, offsets_hz, event, spectrometer_frequency_mhz)
            density = propagator @ density @ propagator.conj().T
        density[spins.order != event.passes_order] = 0.0
    observed = states.T @ density @ states
    detector = states.T @ spins.raising @ states
    amplitudes = (observed * detector.T).ravel()
    # Element (r, s) of the density matrix turns with exp(-2 pi i (E_r - E_s) t).
    frequencies = (energies[None, :] - energies[:, None]).ravel()
    present = np.abs(amplitudes) > 1e-12
    return frequencies[present], amplitudes[present]


def _evolved(
    density: NDArray[np.complex128], energies: NDArray[np.float64], states: NDArray[np.float64], seconds: float
) -> NDArray[np.complex128]:
    """Free evolution in the eigenbasis of the Hamiltonian."""
    phase = np.exp(-2j * np.pi * energies * seconds)
    propagator = (states * phase) @ states.T
    return np.asarray(propagator @ density @ propagator.conj().T)


def _turned(density: NDArray[np.complex128], spins: SpinBasis, flip_deg: float) -> NDArray[np.complex128]:
    """Hard pulse about x; 180 degrees swaps up and down of every spin, which reverses the product basis."""
    if flip_deg == 180.0:
        return np.array(density[::-1, ::-1])
    rotation = rotation_x(spins.n_spins, math.radians(flip_deg))
    return np.asarray(rotation @ density @ rotation.conj().T)


def _selective_propagator(
    spins: SpinBasis,
    hamiltonian: NDArray[np.float64],
    offsets_hz: NDArray[np.float64],
    event: SelectivePulse,
    spectrometer_frequency_mhz: float,
) -> NDArray[np.complex128]:
    """Propagator (d, d) of an editing pulse.

    A shaped pulse goes step by step in the frame of its frequency, by symmetric splitting; the frame's own turn over
    the pulse is put back, and its phase does not matter, as only coherences whose order it leaves alone are kept. An
    ideal one turns the spins in its band in the middle of its duration.
    """
    if event.pulse.shape == "ideal":
        return _ideal_selective(spins, hamiltonian, offsets_hz, event, spectrometer_frequency_mhz)
    waveform = _cached_waveform(event.pulse)
    step = event.pulse.duration_s / len(waveform)
    frame = hz_from_ppm(event.ppm, spectrometer_frequency_mhz) * spins.total_z
    energies, states = np.linalg.eigh(hamiltonian - np.diag(frame))
    whole = (states * np.exp(-2j * np.pi * energies * step)) @ states.T
    half = (states * np.exp(-1j * np.pi * energies * step)) @ states.T
    propagator = half
    for k, amplitude in enumerate(waveform):
        rotation = rotation_x(spins.n_spins, 2.0 * np.pi * amplitude * step)
        propagator = (half if k == len(waveform) - 1 else whole) @ (rotation @ propagator)
    return np.asarray(np.exp(-2j * np.pi * frame * event.pulse.duration_s)[:, None] * propagator)


def _ideal_selective(
    spins: SpinBasis,
    hamiltonian: NDArray[np.float64],
    offsets_hz: NDArray[np.float64],
    event: SelectivePulse,
    spectrometer_frequency_mhz: float,
) -> NDArray[np.complex128]:
    """Free evolution for half of the pulse, 180 degrees for every spin in the band, the other half."""
    distance = np.abs(offsets_hz - hz_from_ppm(event.ppm, spectrometer_frequency_mhz))
    flips = sum(1 << (spins.n_spins - 1 - int(i)) for i in np.flatnonzero(distance <= event.pulse.bandwidth_hz / 2))
    energies, states = np.linalg.eigh(hamiltonian)
    half = (states * np.exp(-1j * np.pi * energies * event.pulse.duration_s)) @ states.T
    order = np.arange(len(energies)) ^ flips
    return np.asarray(half[:, order] @ half)


def _hetero_states(group: SpinGroup) -> Iterator[tuple[float, NDArray[np.float64]]]:
    """Share of the molecules and offset of each proton (Hz), for every state of the heteronuclear partners."""
    n_states = math.prod(len(partner.states) for partner in group.hetero)
    for numbers in itertools.product(*(partner.states for partner in group.hetero)):
        shifts = np.zeros(len(group.shifts_ppm))
        for number, partner in zip(numbers, group.hetero, strict=True):
            for proton, coupling in partner.couplings_hz.items():
                shifts[proton - 1] += number * coupling
        yield 1.0 / n_states, shifts


def _merged(frequencies: NDArray[np.float64], amplitudes: NDArray[np.complex128], drop: float) -> LineList:
    """Lines in ascending frequency, those that coincide added up, the weakest (together below `drop`) left out."""
    bins = np.rint(frequencies / _MERGE_HZ).astype(np.int64)
    _, place = np.unique(bins, return_inverse=True)
    weight = np.bincount(place, np.abs(amplitudes))
    centre = np.bincount(place, np.abs(amplitudes) * frequencies) / weight
    total = np.bincount(place, amplitudes.real) + 1j * np.bincount(place, amplitudes.imag)
    weakest = np.argsort(np.abs(total))
    n_out = int(np.searchsorted(np.cumsum(np.abs(total)[weakest]), drop))
    kept = np.sort(weakest[n_out:])
    # Rounded as in a file, so that a set is the same whether it was just made or read back.
    return LineList(
        centre[kept].astype(np.float32).astype(np.float64), total[kept].astype(np.complex64).astype(np.complex128)
    )


def _difference(on: LineList, off: LineList) -> LineList:
    """ON - OFF, not halved."""
    return _merged(
        np.concatenate([on.frequencies_hz, off.frequencies_hz]), np.concatenate([on.amplitudes, -off.amplitudes]), 0.0
    )


@lru_cache(maxsize=8)
def _cached_basis(n_spins: int) -> SpinBasis:
    return spin_basis(n_spins)


@lru_cache(maxsize=8)
def _cached_waveform(pulse: EditPulse) -> NDArray[np.float64]:
    return pulse.waveform_hz()
