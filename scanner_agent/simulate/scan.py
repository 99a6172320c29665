"""`simulate_scan`: a scanner and a head, as header, shots and the truth about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner_agent.basis import BasisSet
from scanner_agent.records import ScanHeader, Shot, ShotKind
from scanner_agent.simulate.coils import CoilArray, noise_covariances, region_sensitivity
from scanner_agent.simulate.physiology import Physiology
from scanner_agent.simulate.plan import Event, Plan
from scanner_agent.simulate.setup import ScanSetup
from scanner_agent.simulate.voxel import Complex, Sampling, VoxelSignals

_FULL_SCALE = 3e-3
"""Unsuppressed water's first point over all channels: the size that Siemens raw data have."""
# GABA+ against the offset of the spectrum from the editing pulse, Hz at 3 T (15 ms pulse; docs/science.md 5).
_EDIT_OFFSET_HZ = (-40.0, -20.0, -10.0, -5.0, 0.0, 5.0, 10.0, 20.0)
_EDIT_EFFICIENCY = (0.3, 0.72, 0.88, 0.95, 1.0, 1.04, 1.06, 1.05)
_KIND_STREAM = {ShotKind.NOISE: 1, ShotKind.WATER_REFERENCE: 2, ShotKind.METABOLITE: 3}


@dataclass(frozen=True, eq=False)
class Ingredients:
    """Everything drawn and computed before the first shot."""

    setup: ScanSetup
    plan: Plan
    events: tuple[Event, ...]
    physiology: Physiology
    array: CoilArray
    prescribed: VoxelSignals
    """Voxel as prescribed."""
    moved: VoxelSignals
    """The same voxel after the head has moved in it."""
    fwhm_hz: float
    """Metabolite line of the prescribed voxel, all scenarios' shim errors in it."""
    snr_naa: float
    """Planned: height of tNAA over the noise, all excitations averaged, nothing gone wrong."""


class ShotMaker:
    """Plays a plan: makes any shot of a scan from its kind and index, reproducibly and in any order."""

    def __init__(self, scan_id: str, seed: int, started_at: float, parts: Ingredients) -> None:
        """Compute the coil patterns and noise mixing that all shots share."""
        self._scan_id, self._seed, self._started_at = scan_id, seed, started_at
        self.parts = parts
        self._setup, self._plan = parts.setup, parts.plan
        self._conditions = parts.setup.edit_conditions()
        setup, plan, array = parts.setup, parts.plan, parts.array
        self._sampling = Sampling(setup.n_points, setup.dwell_time_s, setup.spectrometer_frequency_mhz)
        self._times = self._sampling.times_s
        centre = np.asarray(setup.voxel_position_mm)
        voxel = region_sensitivity(array, centre, setup.voxel_size_mm)
        unit = 1.0 / float(np.linalg.norm(voxel))
        # Tissue that leaves one side of the voxel moves the centroid of its signal a little.
        nudge = np.array([0.6, -0.7, 0.4]) * plan.content_change
        self.voxel = voxel * unit
        self.moved_voxel = region_sensitivity(array, centre + nudge, setup.voxel_size_mm) * unit
        scalp = _towards_scalp(centre)
        self.scalp = _same_loudness(region_sensitivity(array, scalp, (15.0, 6.0, 15.0)))
        self.outside = _same_loudness(region_sensitivity(array, centre + np.array([25.0, 20.0, -30.0]), (30, 30, 30)))
        self.sinus = _same_loudness(region_sensitivity(array, np.array([10.0, 75.0, -35.0]), (15.0, 15.0, 15.0)))
        self.covariance, self.moved_covariance = noise_covariances(array, plan.head_shift_mm, plan.head_nod_deg)
        self._mixing = np.linalg.cholesky(self.covariance)
        self._moved_mixing = np.linalg.cholesky(self.moved_covariance)
        signal = parts.prescribed
        self._scale = _FULL_SCALE / float(np.abs(signal.water[0]))
        # Best combination: S/N = height * sqrt(g^H Psi^-1 g) / (sigma sqrt(n_points)) per excitation.
        best = float(np.sqrt(np.real(self.voxel.conj() @ np.linalg.solve(self.covariance, self.voxel))))
        used = plan.n / (2.0 if setup.edited else 1.0)
        self.noise_sd = signal.naa_height * best * np.sqrt(used / setup.n_points) / parts.snr_naa
        """SD per real channel of one excitation where the covariance is 1, before the overall scale."""

    @property
    def n_shots(self) -> int:
        """Shots of all kinds that arrive."""
        return self._setup.n_noise_shots + self._setup.n_water_shots + int(np.count_nonzero(~self._plan.missing))

    @property
    def scale(self) -> float:
        """From the simulation's mmol/L to stored numbers."""
        return self._scale

    def make(self, kind: ShotKind, index: int) -> Shot:
        """One shot."""
        rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence([self._seed, _KIND_STREAM[kind], index])))
        setup, plan = self._setup, self._plan
        per_shot = setup.n_excitations
        if kind is ShotKind.METABOLITE:
            span = range(index * per_shot, (index + 1) * per_shot)
            data = self._noise(rng, float(plan.loading[span.start]), per_shot, plan.coil_noise[span.start])
            for excitation in span:
                data += self._metabolite(excitation)
            data *= self._scale * float(np.mean(plan.gain[span.start : span.stop]))
            labelled = self._conditions[index]
            if labelled is not None and plan.swapped[span.start]:
                labelled = "off" if labelled == "on" else "on"
            return self._shot(
                kind,
                index,
                data,
                edit_condition=labelled,
                phase_cycle_index=span.start % setup.phase_cycle_steps if per_shot == 1 else None,
                frequency_update_hz=float(plan.announced_hz[span.start]),
            )
        data = self._noise(rng, plan.reference_loading, per_shot, plan.reference_coil_noise)
        if kind is ShotKind.WATER_REFERENCE:
            data += per_shot * self._water(rng)
        return self._shot(kind, index, data * self._scale)

    def all_shots(self) -> Iterator[Shot]:
        """Canonical order: noise, water reference, metabolite; those that got lost are left out."""
        for index in range(self._setup.n_noise_shots):
            yield self.make(ShotKind.NOISE, index)
        for index in range(self._setup.n_water_shots):
            yield self.make(ShotKind.WATER_REFERENCE, index)
        for index in range(self._setup.n_shots):
            if not self._plan.missing[index]:
                yield self.make(ShotKind.METABOLITE, index)

    def _shot(self, kind: ShotKind, index: int, data: NDArray[np.complexfloating], **fields: Any) -> Shot:
        setup = self._setup
        before = {ShotKind.NOISE: -120.0, ShotKind.WATER_REFERENCE: -60.0, ShotKind.METABOLITE: 0.0}[kind]
        interval = setup.repetition_time_s * setup.n_excitations
        return Shot(
            scan_id=self._scan_id,
            shot_kind=kind,
            shot_index=index,
            data=np.ascontiguousarray(data, dtype=np.complex64),
            n_excitations=setup.n_excitations if kind is not ShotKind.NOISE else 1,
            acquired_at=self._started_at + before + index * interval,
            **fields,
        )

    def _noise(
        self, rng: np.random.Generator, loading: float, excitations: int, factors: NDArray[np.float64]
    ) -> NDArray[np.complex64]:
        """Correlated noise (n_coils, n_points) of a sum of excitations."""
        shape = (self._setup.n_coils, 2 * self._setup.n_points)
        white = rng.standard_normal(shape, dtype=np.float32).view(np.complex64)
        mixing = self._mixing + loading * (self._moved_mixing - self._mixing)
        mixing = factors[:, None] * mixing * (self.noise_sd * np.sqrt(excitations))
        return np.asarray(mixing.astype(np.complex64) @ white, dtype=np.complex64)

    def _water(self, rng: np.random.Generator) -> NDArray[np.complex64]:
        """Unsuppressed water (n_coils, n_points) of one excitation."""
        plan, parts = self._plan, self.parts
        moved = plan.reference_content > 0.5
        signals = parts.moved if moved else parts.prescribed
        pattern = self.moved_voxel if moved else self.voxel
        frequency = plan.frequency_hz[0] + 0.2 * rng.standard_normal()
        turn = np.exp(2j * np.pi * frequency * self._times + 1j * np.deg2rad(1.5 * rng.standard_normal()))
        factor = plan.reference_amplitude * plan.signal_factor
        fid = factor * signals.water * turn * self._widening(plan.reference_broadening_hz)
        pattern = pattern * plan.reference_coil_signal
        return np.asarray(np.outer(pattern, fid), dtype=np.complex64)

    def _metabolite(self, excitation: int) -> NDArray[np.complex64]:
        """Everything from the head (n_coils, n_points) in one excitation."""
        plan, parts, times = self._plan, self.parts, self._times
        content = float(plan.content[excitation])
        fid = (1.0 - content) * self._tissue(parts.prescribed, excitation)
        if content > 0.0:
            fid = fid + content * self._tissue(parts.moved, excitation)
        fid = fid * (plan.amplitude[excitation] * plan.signal_factor)
        naa = parts.prescribed.naa_first_point * plan.signal_factor
        fid = fid + naa * plan.water[excitation] * parts.prescribed.residual
        frequency = plan.frequency_hz[excitation]
        turn = np.exp(2j * np.pi * frequency * times + 1j * np.deg2rad(plan.phase_deg[excitation]))
        turn *= self._widening(float(plan.broadening_hz[excitation]))
        voxel = self.voxel + content * (self.moved_voxel - self.voxel)
        patterns, fids = [voxel], [fid * turn]
        if plan.outside_water[excitation] != 0.0:
            offset = np.exp(2j * np.pi * plan.outside_frequency_hz * times)
            patterns.append(self.outside)
            fids.append(naa * plan.outside_water[excitation] * parts.prescribed.residual * offset * turn)
        if plan.lipid[excitation] != 0.0:
            patterns.append(self.scalp)
            fids.append(plan.signal_factor * plan.lipid[excitation] * parts.prescribed.lipid * turn)
        if plan.echo[excitation] != 0.0:
            patterns.append(self.sinus)
            fids.append(naa * plan.echo[excitation] * self._echo)
        mixing = (np.stack(patterns, axis=1) * plan.coil_signal[excitation][:, None]).astype(np.complex64)
        return np.asarray(mixing @ np.stack(fids).astype(np.complex64), dtype=np.complex64)

    def _tissue(self, signals: VoxelSignals, excitation: int) -> Complex:
        """Tissue FID in the condition that was really played."""
        if not self._setup.edited:
            return signals.tissue["main"]
        condition = self._conditions[excitation // self._setup.n_excitations]
        if condition == "off":
            return signals.tissue["off"]
        played = float(self._plan.edit_efficiency[excitation])
        # Stored frequencies run against physical ones: a spectrum at +f lies below the pulse.
        offset = -float(self._plan.frequency_hz[excitation]) / self._setup.field
        reached = played * float(np.interp(offset, _EDIT_OFFSET_HZ, _EDIT_EFFICIENCY))
        return signals.tissue["off"] + reached * signals.tissue["edit"] + played * signals.tissue["saturation"]

    def _widening(self, wider_hz: float) -> NDArray[np.float64] | float:
        """Gaussian decay (n_points,) that widens the metabolites' line by `wider_hz` (widths add in squares)."""
        if wider_hz <= 0.0:
            return 1.0
        gauss = np.sqrt((self.parts.fwhm_hz + wider_hz) ** 2 - self.parts.fwhm_hz**2)
        return np.asarray(np.exp(-((np.pi * gauss * self._times) ** 2) / (4.0 * np.log(2.0))), dtype=np.float64)

    @cached_property
    def _echo(self) -> Complex:
        """Spurious echo (n_points,), peak 1."""
        plan, times = self._plan, self._times
        envelope = np.exp(-0.5 * ((times - plan.echo_time_s) / plan.echo_width_s) ** 2)
        return np.asarray(envelope * np.exp(2j * np.pi * plan.echo_frequency_hz * times), dtype=np.complex128)


@dataclass(frozen=True, eq=False)
class SimulatedScan:
    """A scan that never was. `shots()` may be called again and gives the same shots."""

    header: ScanHeader
    """As the scanner would announce it."""
    truth: dict[str, Any]
    """What was put in, as JSON-able values."""
    maker: ShotMaker
    """Plays the plan."""

    @property
    def n_shots(self) -> int:
        """Shots of all kinds that `shots()` gives."""
        return self.maker.n_shots

    def shots(self) -> Iterator[Shot]:
        """Noise, water-reference, then metabolite shots, made one at a time (memory stays flat)."""
        return self.maker.all_shots()


def _towards_scalp(centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Point of the scalp (mm) nearest in direction to a voxel's centre (above it, for one in the middle)."""
    axes = np.array([78.0, 98.0, 91.0])
    direction = centre / axes
    length = float(np.linalg.norm(direction))
    direction = direction / length if length > 0.05 else np.array([0.0, 0.0, 1.0])
    return np.asarray(direction * axes, dtype=np.float64)


def _same_loudness(pattern: Complex) -> Complex:
    """Pattern of unit norm: amounts from elsewhere are given as what the array hears of them."""
    return pattern / float(np.linalg.norm(pattern))


def resampled(sets: Mapping[str, BasisSet], setup: ScanSetup) -> dict[str, BasisSet]:
    """Basis sets on the scan's axis, without the difference."""
    return {
        name: one.resampled(setup.n_points, setup.dwell_time_s, setup.spectrometer_frequency_mhz)
        for name, one in sets.items()
        if name != "difference"
    }
