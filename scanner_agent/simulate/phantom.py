"""`simulate_phantom`: a test object of known content at a known temperature, seen by the same scanner.

Contents: the common Siemens sphere (sodium acetate, lithium lactate) and GE's "Braino" (docs/science.md 9). Water moves
by -0.010 ppm per degree (Hindman 1966, 10.1063/1.1726676), so that lines referenced to it seem to shift.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np

from scanner_agent.errors import ConfigError
from scanner_agent.records import ScanHeader
from scanner_agent.simulate.coils import head_array
from scanner_agent.simulate.physiology import draw_physiology
from scanner_agent.simulate.plan import Plan
from scanner_agent.simulate.relaxation import Timing
from scanner_agent.simulate.scan import Ingredients, ShotMaker, SimulatedScan
from scanner_agent.simulate.setup import ScanSetup, make_setup
from scanner_agent.simulate.simulate import basis_sets
from scanner_agent.simulate.subjects import Subject, Tissue
from scanner_agent.simulate.truth import scan_truth
from scanner_agent.simulate.voxel import Draws, Sampling, voxel_signals

PhantomKind = Literal["acetate_lactate", "brain"]

CONTENTS_MM: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "acetate_lactate": MappingProxyType({"Ace": 100.0, "Lac": 100.0}),
        "brain": MappingProxyType({"NAA": 12.5, "Cr": 10.0, "Cho": 3.0, "Ins": 7.5, "Glu": 12.5, "Lac": 5.0}),
    }
)
"""Amounts by kind, mmol/L."""
_BASIS = {"acetate_lactate": "phantom_press_te30", "brain": "brain_phantom_press_te30"}
_WATER_MM = 55_000.0
_WATER_PPM_PER_DEGREE = -0.010
_STARTED_AT = 1_700_000_000.0


def simulate_phantom(
    kind: PhantomKind = "acetate_lactate",
    *,
    seed: int,
    temperature_c: float = 21.5,
    n_coils: int = 20,
    n_points: int = 2048,
    dwell_time_s: float = 1.0 / 1200.0,
    spectrometer_frequency_mhz: float = 123.25,
    n_shots: int = 4,
    n_water_shots: int = 1,
    repetition_time_s: float = 2.0,
    fwhm_hz: float = 2.0,
    water_offset_hz: float = 0.0,
    drift_hz_per_min: float = 0.0,
    snr_naa: float = 600.0,
    contents_mm: Mapping[str, float] | None = None,
    residual_water: float = 1.0,
    scanner: str = "Siemens (simulated)",
    started_at: float = _STARTED_AT,
    scan_id: str | None = None,
) -> SimulatedScan:
    """A PRESS TE 30 ms scan of a phantom.

    Args:
        kind: What the phantom is.
        seed: Everything random follows from it and the other arguments.
        temperature_c: Of the phantom, degrees C; 37 would put water at 4.65 ppm.
        n_coils: Receive channels.
        n_points: Complex points.
        dwell_time_s: Seconds between points.
        spectrometer_frequency_mhz: Field; a shipped basis set near it is taken.
        n_shots: Metabolite shots.
        n_water_shots: Unsuppressed shots; 0: none.
        repetition_time_s: TR.
        fwhm_hz: Linewidth of the singlets.
        water_offset_hz: Where water lies, Hz in the stored convention (0: on the centre frequency).
        drift_hz_per_min: Of the magnet.
        snr_naa: Height of the main singlet over the noise after all shots.
        contents_mm: Other amounts than `CONTENTS_MM`, mmol/L.
        residual_water: First point over that of the main singlet.
        scanner: As the header names it.
        started_at: Unix time.
        scan_id: Default made of the kind and the seed.

    Raises:
        ConfigError: An argument that makes no scan.
    """
    if kind not in CONTENTS_MM:
        raise ConfigError(f"no phantom {kind!r}; there are {', '.join(CONTENTS_MM)}")
    contents = dict(CONTENTS_MM[kind] if contents_mm is None else contents_mm)
    if not {"NAA", "Ace"} & set(contents):
        raise ConfigError("a phantom needs NAA or Ace: their singlet is what its S/N is measured on")
    field = "1p5t" if spectrometer_frequency_mhz < 90.0 else "3t"
    setup = make_setup(
        "PRESS",
        n_coils=n_coils,
        n_points=n_points,
        dwell_time_s=dwell_time_s,
        spectrometer_frequency_mhz=spectrometer_frequency_mhz,
        n_shots=n_shots,
        n_excitations=1,
        n_water_shots=n_water_shots,
        n_noise_shots=1,
        echo_time_s=0.03,
        repetition_time_s=repetition_time_s,
        voxel_size_mm=None,
        voxel_position_mm=(0.0, 0.0, 0.0),
        edit_order="alternating",
        phase_cycle_steps=4,
        basis=f"{_BASIS[kind]}_{field}",
    )
    drawing, of_coils, of_body = (np.random.default_rng(s) for s in np.random.SeedSequence([seed, 29]).spawn(3))
    content = _content(contents, fwhm_hz, snr_naa, residual_water, drawing)
    water_ppm = 4.65 + _WATER_PPM_PER_DEGREE * (temperature_c - 37.0)
    # Water lies on the centre; a line at p ppm then seems to lie at p - (water_ppm - 4.65).
    seeming = (water_ppm - 4.65) * spectrometer_frequency_mhz
    draws = Draws(
        shift_hz=dict.fromkeys(contents, seeming),
        width_hz={},
        macromolecule_width=1.0,
        baseline=np.zeros(n_points, dtype=np.complex128),
        residual_lines=((0.0, 0.0, 1.0 + 0.0j),),
        lipid_offset_hz=0.0,
    )
    sampling = Sampling(n_points, dwell_time_s, spectrometer_frequency_mhz)
    # Relaxation of the solution is left out: contents are apparent ones.
    timing = Timing(0.035, 3.0, 123.25)
    voxel = voxel_signals(content, basis_sets(setup), sampling, timing, draws, fwhm_hz)
    body = draw_physiology(of_body, n_shots, repetition_time_s, spectrometer_frequency_mhz, 0.0)
    plan = _plan(setup, water_offset_hz, drift_hz_per_min, residual_water * np.exp(2j * np.pi * drawing.random()))
    array = head_array(n_coils, of_coils)
    parts = Ingredients(setup, plan, (), body, array, voxel, voxel, voxel.fwhm_hz, snr_naa)
    identity = scan_id or f"sim-phantom-{kind}-{seed}"
    maker = ShotMaker(identity, seed, started_at, parts)
    truth = scan_truth(f"phantom:{kind}", seed, content, parts, maker)
    truth["phantom"] = {"kind": kind, "temperature_c": temperature_c, "water_ppm": water_ppm}
    header = ScanHeader(
        scan_id=identity,
        spectrometer_frequency_mhz=spectrometer_frequency_mhz,
        dwell_time_s=dwell_time_s,
        n_coils=n_coils,
        n_points=n_points,
        sequence="PRESS",
        echo_time_s=setup.echo_time_s,
        repetition_time_s=repetition_time_s,
        n_shots_planned=n_shots,
        prescan_frequency_hz=round(-water_offset_hz, 2),
        shim_linewidth_hz=round(voxel.water_fwhm_hz, 2),
        receiver_gain=1.0,
        voxel_position_mm=setup.voxel_position_mm,
        voxel_size_mm=setup.voxel_size_mm,
        voxel_orientation=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        is_phantom=True,
        scanner=scanner,
        coil_name=f"{n_coils}-channel loop array",
        started_at=started_at,
    )
    return SimulatedScan(header, truth, maker)


def _content(
    amounts_mm: Mapping[str, float],
    fwhm_hz: float,
    snr_naa: float,
    residual_water: float,
    drawing: np.random.Generator,
) -> Subject:
    """What fills the sphere: a solution, no macromolecules and no fat."""
    return Subject(
        amounts_mm=MappingProxyType(dict(amounts_mm)),
        macromolecules=MappingProxyType({}),
        lipid=0.0,
        tissue=Tissue(0.0, 0.0, 1.0),
        fwhm_hz=fwhm_hz,
        gaussian_share=0.4,
        asymmetry=float(drawing.uniform(-0.2, 0.2)),
        snr_lcmodel=snr_naa / 2.0,
        residual_water=residual_water,
        eddy_hz=(float(drawing.normal(0.0, 2.0)), float(drawing.normal(0.0, 0.5))),
        eddy_time_s=(0.01, 0.06),
        water_mm=_WATER_MM,
    )


def _plan(setup: ScanSetup, water_offset_hz: float, drift_hz_per_min: float, water: complex) -> Plan:
    """Nothing moves: the magnet drifts, and residual water turns with the phase cycle."""
    index = np.arange(setup.n_shots)
    turning = 0.1 * np.exp(2j * np.pi * (index % setup.phase_cycle_steps) / setup.phase_cycle_steps)
    return Plan(
        n=setup.n_shots,
        excitations_per_shot=1,
        repetition_time_s=setup.repetition_time_s,
        field=setup.field,
        edited=False,
        n_coils=setup.n_coils,
        frequency_hz=(water_offset_hz + drift_hz_per_min * index * setup.repetition_time_s / 60.0).astype(np.float64),
        phase_deg=np.zeros(setup.n_shots),
        amplitude=np.ones(setup.n_shots),
        water=water * (1.0 + turning),
        edit_efficiency=np.ones(setup.n_shots),
        swapped=np.zeros(setup.n_shots, dtype=bool),
    )
