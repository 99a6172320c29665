"""Putting a scan together: draws the person, the coils and what happens, and writes down the truth."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from scanner_agent.basis import BasisSet, load_basis
from scanner_agent.errors import ConfigError
from scanner_agent.records import ScanHeader
from scanner_agent.simulate.coils import head_array
from scanner_agent.simulate.physiology import Physiology, draw_physiology
from scanner_agent.simulate.plan import Event, Plan
from scanner_agent.simulate.relaxation import Timing, metabolite_weight
from scanner_agent.simulate.scan import Ingredients, ShotMaker, SimulatedScan, resampled
from scanner_agent.simulate.scenarios import SCENARIOS, Draw
from scanner_agent.simulate.setup import EditOrder, ScanSetup, Sequence, make_setup
from scanner_agent.simulate.subjects import Study, Subject, draw_subject, moved_content
from scanner_agent.simulate.truth import scan_truth
from scanner_agent.simulate.voxel import Sampling, draw_details, voxel_signals

SNR_NAA_PER_SNR_LCMODEL = 1.65
"""Height of the tNAA singlets over the noise for an S/N of 1 on LCModel's scale.

2 by definition, but LCModel's peak has macromolecules and Glu under it (measured: docs/measured.md).
"""
_STARTED_AT = 1_750_000_000.0


def simulate_scan(
    scenario: str = "still",
    *,
    seed: int,
    sequence: Sequence = "PRESS",
    n_coils: int = 32,
    n_points: int = 2048,
    dwell_time_s: float | None = None,
    spectrometer_frequency_mhz: float = 123.25,
    n_shots: int | None = None,
    severity: float | None = None,
    onset_shot: int | None = None,
    n_excitations: int = 1,
    n_water_shots: int | None = None,
    n_noise_shots: int = 1,
    echo_time_s: float | None = None,
    repetition_time_s: float | None = None,
    voxel_size_mm: tuple[float, float, float] | None = None,
    voxel_position_mm: tuple[float, float, float] = (0.0, 35.0, 25.0),
    edit_order: EditOrder = "alternating",
    phase_cycle_steps: int = 8,
    physiology: float = 1.0,
    snr_lcmodel: float | None = None,
    fwhm_hz: float | None = None,
    study: Study | None = None,
    basis: str | Path | None = None,
    scan_id: str | None = None,
) -> SimulatedScan:
    """A raw multi-coil scan of a head in which `scenario` happens.

    Args:
        scenario: One of `SCENARIOS`, or several joined by `+`.
        seed: Everything random follows from it and the other arguments.
        sequence: PRESS, STEAM or MEGA-PRESS.
        n_coils: Receive channels.
        n_points: Complex points.
        dwell_time_s: Seconds between points; default 2000 Hz of width (5000 Hz at 7 T).
        spectrometer_frequency_mhz: Field (63.9: 1.5 T, 123.25 or 127.7: 3 T, 297.2: 7 T).
        n_shots: Stored metabolite shots; default 64, edited 320 (ON and OFF together).
        severity: 0 mild … 1 severe; default drawn uniformly, for each scenario.
        onset_shot: First metabolite shot of what begins during the scan; default drawn from 20-75 % of it.
        n_excitations: Excitations summed in each stored shot.
        n_water_shots: Stored unsuppressed shots, default 8; 0: no water reference.
        n_noise_shots: Shots of noise alone.
        echo_time_s: TE; default by sequence and field.
        repetition_time_s: TR; default 3 s, edited 2 s, 7 T 5 s.
        voxel_size_mm: Edges; default 20 mm, edited 30 mm.
        voxel_position_mm: Centre (RAS+); default the anterior cingulate cortex.
        edit_order: How ON and OFF follow each other.
        phase_cycle_steps: Steps of the phase cycle, which residual water follows.
        physiology: Strength of respiration and pulse; 1 as in people, 0 none.
        snr_lcmodel: LCModel's S/N at the planned end if nothing goes wrong; default drawn as in `study`, scaled by
            voxel, echo and repetition time, excitations and field.
        fwhm_hz: Metabolite FWHM if nothing goes wrong; default drawn as in `study`, scaled with the field.
        study: Whose kept scans the person is drawn from: 1, 2, or 0 for the general population; default 1 for PRESS at
            3 T, else 0.
        basis: Basis set; default the shipped one for sequence, TE and field.
        scan_id: Default made of the scenario and the seed.

    Raises:
        ConfigError: An argument that makes no scan.
        SourceError: The basis set cannot be had.
    """
    setup = make_setup(
        sequence,
        n_coils=n_coils,
        n_points=n_points,
        dwell_time_s=dwell_time_s,
        spectrometer_frequency_mhz=spectrometer_frequency_mhz,
        n_shots=n_shots,
        n_excitations=n_excitations,
        n_water_shots=n_water_shots,
        n_noise_shots=n_noise_shots,
        echo_time_s=echo_time_s,
        repetition_time_s=repetition_time_s,
        voxel_size_mm=voxel_size_mm,
        voxel_position_mm=voxel_position_mm,
        edit_order=edit_order,
        phase_cycle_steps=phase_cycle_steps,
        basis=str(basis) if basis is not None else None,
    )
    drawn_from: Study = study if study is not None else 1 if sequence == "PRESS" and 0.9 < setup.field < 1.2 else 0
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence([seed, 17]).spawn(6)]
    subject = draw_subject(streams[0], drawn_from)
    array = head_array(n_coils, streams[1])
    body = draw_physiology(
        streams[2], setup.n_shots * n_excitations, setup.repetition_time_s, spectrometer_frequency_mhz, physiology
    )
    plan = _still_plan(setup, subject, body, streams[3])
    names = _scenario_names(scenario, setup)
    events = tuple(_apply(plan, name, severity, onset_shot, setup, streams[4]) for name in names)
    line = fwhm_hz if fwhm_hz is not None else subject.fwhm_hz * setup.field**0.8
    sampling = Sampling(n_points, setup.dwell_time_s, spectrometer_frequency_mhz)
    timing = Timing(setup.echo_time_s, setup.repetition_time_s, spectrometer_frequency_mhz)
    details = draw_details(streams[5], sampling, line)
    sets = basis_sets(setup)
    prescribed = voxel_signals(subject, sets, sampling, timing, details, line + plan.extra_fwhm_hz)
    moved = prescribed
    if plan.content_change > 0.0:
        other = moved_content(subject, streams[5], plan.content_change)
        moved = voxel_signals(other, sets, sampling, timing, details, line + plan.extra_fwhm_hz)
    planned = snr_lcmodel if snr_lcmodel is not None else subject.snr_lcmodel * _signal_scale(setup, timing, drawn_from)
    # The S/N is that of the person's own line: what widens it comes on top.
    narrow = prescribed if plan.extra_fwhm_hz == 0.0 else voxel_signals(subject, sets, sampling, timing, details, line)
    snr_naa = SNR_NAA_PER_SNR_LCMODEL * planned * prescribed.naa_height / narrow.naa_height
    parts = Ingredients(setup, plan, events, body, array, prescribed, moved, prescribed.fwhm_hz, snr_naa)
    identity = scan_id or f"sim-{scenario.replace('+', '.')}-{seed}"[:64]
    started = _STARTED_AT + 3600.0 * (seed % 100_000)
    maker = ShotMaker(identity, seed, started, parts)
    truth = scan_truth(scenario, seed, subject, parts, maker)
    return SimulatedScan(_header(identity, started, setup, parts), truth, maker)


@lru_cache(maxsize=8)
def _loaded(name: str, spectrometer_frequency_mhz: float) -> Mapping[str, BasisSet]:
    return load_basis(name, spectrometer_frequency_mhz)


@lru_cache(maxsize=4)
def basis_sets(setup: ScanSetup) -> Mapping[str, BasisSet]:
    """Basis sets of a scan, on its axis; kept for the next scan of the same setup."""
    return resampled(_loaded(setup.basis, setup.spectrometer_frequency_mhz), setup)


def _scenario_names(scenario: str, setup: ScanSetup) -> tuple[str, ...]:
    names = tuple(part.strip() for part in scenario.split("+"))
    for name in names:
        if name not in SCENARIOS:
            raise ConfigError(f"no scenario {name!r}; there are {', '.join(SCENARIOS)}")
        if SCENARIOS[name].edited_only and not setup.edited:
            raise ConfigError(f"scenario {name} needs sequence MEGA-PRESS, not {setup.sequence}")
    return names


def _apply(
    plan: Plan, name: str, severity: float | None, onset_shot: int | None, setup: ScanSetup, rng: np.random.Generator
) -> Event:
    drawn_size = float(rng.random())
    size = drawn_size if severity is None else severity
    if not 0.0 <= size <= 1.0:
        raise ConfigError(f"severity is {size}; it runs from 0 (mild) to 1 (severe)")
    drawn_onset = int(plan.n_shots * rng.uniform(0.2, 0.75))
    onset = drawn_onset if onset_shot is None else onset_shot
    if not 0 <= onset < plan.n_shots:
        raise ConfigError(f"onset_shot is {onset}; the scan has shots 0 to {plan.n_shots - 1}")
    own = np.random.default_rng(rng.integers(2**63))
    return SCENARIOS[name].apply(plan, Draw(own, size, onset * setup.n_excitations))


def _still_plan(setup: ScanSetup, subject: Subject, body: Physiology, rng: np.random.Generator) -> Plan:
    """A still head: physiology, the magnet's own small drift, residual water that follows the phase cycle."""
    n = setup.n_shots * setup.n_excitations
    index = np.arange(n)
    minutes = index * setup.repetition_time_s / 60.0
    # Hui et al. 2021: median 0.44 Hz in 5:20 min before fMRI, so about 0.1 Hz/min either way.
    drift = rng.normal(0.0, 0.1) * setup.field * minutes
    offset = rng.normal(0.0, 1.0) * setup.field
    turning = float(rng.uniform(0.1, 0.35)) * np.exp(
        2j * np.pi * (index % setup.phase_cycle_steps) / setup.phase_cycle_steps
    )
    # Suppression depends on the flip angle to first order, so it wanders with the load and breathes a little.
    wander = 0.04 * np.cumsum(rng.normal(0.0, 1.0 / np.sqrt(max(n, 1)), n)) + rng.normal(0.0, 0.02, n)
    water = subject.residual_water * np.exp(2j * np.pi * rng.random()) * (1.0 + wander + turning)
    plan = Plan(
        n=n,
        excitations_per_shot=setup.n_excitations,
        repetition_time_s=setup.repetition_time_s,
        field=setup.field,
        edited=setup.edited,
        n_coils=setup.n_coils,
        frequency_hz=offset + drift + body.frequency_hz,
        phase_deg=body.phase_deg.copy(),
        amplitude=body.amplitude.copy(),
        water=water,
        edit_efficiency=np.ones(n),
        swapped=np.zeros(n, dtype=bool),
    )
    plan.lipid += subject.lipid * np.exp(2j * np.pi * rng.random())
    return plan


def _signal_scale(setup: ScanSetup, timing: Timing, study: Study) -> float:
    """S/N of this scan over that of the study's own protocol, all else equal."""
    te, tr, excitations, volume_ml = (0.035, 2.0, 128, 9.0) if study == 2 else (0.035, 3.0, 64, 8.0)
    here = setup.volume_ml * metabolite_weight("NAA", timing)
    there = volume_ml * metabolite_weight("NAA", Timing(te, tr, 123.25))
    used = setup.n_shots * setup.n_excitations / (2.0 if setup.edited else 1.0)
    halved = 0.5 if setup.sequence == "STEAM" else 1.0
    return float(halved * here / there * np.sqrt(used / excitations) * setup.field**0.7)


def _header(scan_id: str, started_at: float, setup: ScanSetup, parts: Ingredients) -> ScanHeader:
    plan = parts.plan
    before = float(np.mean(plan.frequency_hz[:1])) - plan.prescan_offset_hz
    return ScanHeader(
        scan_id=scan_id,
        spectrometer_frequency_mhz=setup.spectrometer_frequency_mhz,
        dwell_time_s=setup.dwell_time_s,
        n_coils=setup.n_coils,
        n_points=setup.n_points,
        sequence=setup.sequence,
        echo_time_s=setup.echo_time_s,
        repetition_time_s=setup.repetition_time_s,
        mixing_time_s=setup.mixing_time_s,
        n_shots_planned=setup.n_shots,
        n_edit_conditions=2 if setup.edited else 1,
        edit_pulse_ppm=setup.edit_pulse_ppm,
        edit_pulse_bandwidth_hz=(66.0 if setup.echo_time_s > 0.075 else 87.0) if setup.edited else None,
        # A line at the stored frequency f lies f below the centre: the prescan would say -f.
        prescan_frequency_hz=round(-before, 2),
        shim_linewidth_hz=round(parts.prescribed.water_fwhm_hz, 2),
        transmit_reference=230.0,
        receiver_gain=1.0,
        voxel_position_mm=setup.voxel_position_mm,
        voxel_size_mm=setup.voxel_size_mm,
        voxel_orientation=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        is_phantom=False,
        scanner="simulated",
        coil_name=f"{setup.n_coils}-channel loop array",
        started_at=started_at,
    )
