"""What can happen to a scan. Each scenario changes the plan of a scan and says what it did.

Severity runs from 0 (mild) to 1 (severe); sizes are drawn around it. The ranges are those of the project's issue 5,
Hess et al. 2011 (5 degrees of nodding widen a 20 mm voxel's line by about 4 Hz), Hui et al. 2021
(10.1016/j.neuroimage.2021.118430, drift) and Harris et al. 2014 (10.1002/mrm.25009, drift after fMRI).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from scanner_agent.records import FindingKind
from scanner_agent.simulate.plan import Event, Plan
from scanner_agent.simulate.relaxation import first_shot_excess


@dataclass(frozen=True)
class Draw:
    """Randomness of one scenario in one scan."""

    rng: np.random.Generator
    """Its own stream."""
    severity: float
    """0 mild … 1 severe."""
    onset: int
    """Excitation it begins with, for what begins during the scan."""

    def between(self, mild: float, severe: float) -> float:
        """A size near the severity's place between two bounds, never beyond them."""
        place = float(np.clip(self.severity + self.rng.normal(0.0, 0.12), 0.0, 1.0))
        return mild + (severe - mild) * place

    def sign(self) -> float:
        """+1 or -1."""
        return 1.0 if self.rng.random() < 0.5 else -1.0

    def turn(self) -> complex:
        """A phase factor at random."""
        return complex(np.exp(2j * np.pi * self.rng.random()))


def _event(plan: Plan, name: str, first: int, last: int, **parameters: Any) -> Event:
    return Event(name, plan.shot_of(first), plan.shot_of(last), parameters)


def still(plan: Plan, _draw: Draw) -> Event:
    """Nothing but physiology and the magnet's own small drift."""
    return _event(plan, "still", 0, plan.n - 1)


def drift(plan: Plan, draw: Draw) -> Event:
    """Linear frequency drift of 0.2-3 Hz/min (at 3 T)."""
    rate = draw.sign() * draw.between(0.2, 3.0) * plan.field
    plan.frequency_hz += rate * plan.minutes
    return _event(plan, "drift", 0, plan.n - 1, rate_hz_per_min=rate)


def drift_exponential(plan: Plan, draw: Draw) -> Event:
    """Drift as gradients cool after fMRI or DTI: 3-20 Hz in all, with a time constant of 5-15 minutes."""
    total = draw.sign() * draw.between(3.0, 20.0) * plan.field
    tau = float(draw.rng.uniform(5.0, 15.0))
    plan.frequency_hz += total * (1.0 - np.exp(-plan.minutes / tau))
    return _event(plan, "drift_exponential", 0, plan.n - 1, total_hz=total, time_constant_min=tau)


def _new_pose(plan: Plan, draw: Draw, share: np.ndarray) -> dict[str, float]:
    """Move the head by `share` (n,) 0-1 of one pose change; what it changed, at full size."""
    shift = draw.sign() * draw.between(2.0, 8.0) * plan.field
    wider = draw.between(1.0, 5.0) * plan.field
    less = draw.between(0.95, 0.75)
    water = draw.between(1.5, 6.0)
    turn_deg = draw.sign() * float(draw.rng.uniform(40.0, 180.0))
    lipid = draw.between(0.05, 0.5) if draw.rng.random() < 0.6 else 0.0
    outside = draw.between(0.1, 0.5)
    plan.frequency_hz += shift * share
    # Widths add as Gaussians do, in `scan`; here the widening is the change of the full width.
    plan.broadening_hz += wider * share
    plan.amplitude *= 1.0 + (less - 1.0) * share
    old = plan.water.copy()
    moved = plan.water * water * (1.0 - outside) * np.exp(1j * np.deg2rad(turn_deg))
    plan.water = old * (1.0 - share) + moved * share
    plan.outside_water += np.abs(old) * water * outside * draw.turn() * share
    plan.outside_frequency_hz = float(draw.rng.normal(0.0, 8.0)) * plan.field
    plan.lipid += lipid * draw.turn() * share
    plan.content = np.maximum(plan.content, share)
    plan.loading = np.maximum(plan.loading, share)
    plan.content_change = max(plan.content_change, draw.between(0.15, 0.7))
    plan.head_shift_mm = draw.rng.normal(0.0, 1.0, 3) * draw.between(1.0, 5.0)
    plan.head_nod_deg = draw.sign() * draw.between(1.0, 7.0)
    return {
        "frequency_step_hz": shift,
        "broadening_hz": wider,
        "amplitude_factor": less,
        "residual_water_factor": water,
        "residual_water_turn_deg": turn_deg,
        "lipid_over_naa": lipid,
        "head_shift_mm": float(np.linalg.norm(plan.head_shift_mm)),
        "head_nod_deg": plan.head_nod_deg,
    }


def _damage(plan: Plan, draw: Draw, hit: np.ndarray) -> None:
    """Spoil excitations (indices) as movement during the crushers does: phase, amplitude, water, lipid."""
    spread = draw.between(45.0, 120.0)
    count = hit.size
    plan.phase_deg[hit] += draw.rng.normal(0.0, spread, count)
    plan.amplitude[hit] *= draw.rng.uniform(draw.between(0.6, 0.2), draw.between(0.9, 0.6), count)
    plan.water[hit] *= draw.rng.uniform(1.0, 4.0, count) * np.exp(2j * np.pi * draw.rng.random(count))
    plan.lipid[hit] += draw.between(0.0, 0.3) * draw.rng.random(count) * np.exp(2j * np.pi * draw.rng.random(count))
    plan.frequency_hz[hit] += draw.rng.normal(0.0, 1.5 * plan.field, count)
    plan.damaged[hit] = True


def motion_step(plan: Plan, draw: Draw) -> Event:
    """A new pose for the rest of the scan; often the shot in which it happens is spoilt as well."""
    share = (np.arange(plan.n) >= draw.onset).astype(np.float64)
    facts = _new_pose(plan, draw, share)
    plan.pose += share.astype(np.int64)
    if draw.rng.random() < 0.5:
        _damage(plan, draw, np.array([draw.onset]))
    return _event(plan, "motion_step", draw.onset, plan.n - 1, **facts)


def motion_slow(plan: Plan, draw: Draw) -> Event:
    """The head sinks into a new pose over a tenth to a third of the scan."""
    length = max(2, int(plan.n * float(draw.rng.uniform(0.1, 0.33))))
    share = np.clip((np.arange(plan.n) - draw.onset) / length, 0.0, 1.0)
    facts = _new_pose(plan, draw, share)
    plan.pose += (share >= 1.0).astype(np.int64)
    return _event(
        plan, "motion_slow", draw.onset, plan.n - 1, settled_at_shot=plan.shot_of(draw.onset + length), **facts
    )


def motion_burst(plan: Plan, draw: Draw) -> Event:
    """Some excitations in a row (a cough, a swallow, a look round) are spoilt; then the head is back."""
    least = 4 * plan.excitations_per_shot
    length = min(max(least, round(draw.between(0.06, 0.22) * plan.n)), plan.n - draw.onset)
    _damage(plan, draw, np.arange(draw.onset, draw.onset + length))
    return _event(plan, "motion_burst", draw.onset, draw.onset + length - 1, n_excitations=length)


def displaced_before(plan: Plan, draw: Draw) -> Event:
    """The head moved after placement and shim: from shot 1 on the wrong place, badly shimmed."""
    offset = draw.sign() * draw.between(4.0, 15.0) * plan.field
    wider = draw.between(2.5, 8.0) * plan.field
    less = draw.between(0.9, 0.6)
    water, outside = draw.between(1.5, 6.0), draw.between(0.05, 0.4)
    lipid = draw.between(0.1, 0.9)
    plan.frequency_hz += offset
    plan.prescan_offset_hz = offset
    plan.broadening_hz += wider
    plan.amplitude *= less
    plan.water *= water
    plan.outside_water += np.abs(plan.water) * outside * draw.turn()
    plan.outside_frequency_hz = float(draw.rng.normal(0.0, 8.0)) * plan.field
    plan.lipid += lipid * draw.turn()
    plan.content[:] = 1.0
    plan.loading[:] = 1.0
    plan.content_change = draw.between(0.3, 0.9)
    plan.head_shift_mm = draw.rng.normal(0.0, 1.0, 3) * draw.between(2.0, 8.0)
    plan.head_nod_deg = draw.sign() * draw.between(2.0, 10.0)
    plan.reference_broadening_hz, plan.reference_content, plan.reference_loading = wider, 1.0, 1.0
    return _event(
        plan,
        "displaced_before",
        0,
        plan.n - 1,
        frequency_offset_hz=offset,
        broadening_hz=wider,
        amplitude_factor=less,
        residual_water_factor=water,
        lipid_over_naa=lipid,
    )


def poor_shim(plan: Plan, draw: Draw) -> Event:
    """The shim never was good: NAA's line 7-13 Hz wider than the subject's best (at 3 T), water as well."""
    plan.extra_fwhm_hz = draw.between(7.0, 13.0) * plan.field
    factor = draw.between(1.2, 3.0)
    plan.water *= factor
    return _event(plan, "poor_shim", 0, plan.n - 1, broadening_hz=plan.extra_fwhm_hz, residual_water_factor=factor)


def low_snr(plan: Plan, draw: Draw) -> Event:
    """Signal at 0.4-0.22 of what it should be (edited: 0.25-0.12), in all channels, lines as narrow as ever.

    The mild end misses the limits by a third; edited scans are planned with more S/N in hand.
    """
    plan.signal_factor *= draw.between(0.25, 0.12) if plan.edited else draw.between(0.40, 0.22)
    return _event(plan, "low_snr", 0, plan.n - 1, signal_factor=plan.signal_factor)


def lipid(plan: Plan, draw: Draw) -> Event:
    """Scalp lipid of 0.8-8 times NAA's first point, from near the skull, breathing with the head."""
    amount = float(np.exp(np.log(0.8) + (np.log(8.0) - np.log(0.8)) * draw.between(0.0, 1.0)))
    breathing = 1.0 + 0.05 * draw.rng.standard_normal(plan.n)
    plan.lipid += amount * breathing * draw.turn() * np.exp(1j * np.deg2rad(draw.rng.normal(0.0, 4.0, plan.n)))
    return _event(plan, "lipid", 0, plan.n - 1, lipid_over_naa=amount)


def water_suppression_loss(plan: Plan, draw: Draw) -> Event:
    """From one excitation on the water suppression works badly, and unsteadily."""
    late = np.arange(plan.n) >= draw.onset
    factor = float(np.exp(draw.between(np.log(6.0), np.log(60.0))))
    unsteady = 1.0 + draw.between(0.02, 0.15) * draw.rng.standard_normal(plan.n)
    plan.water = np.where(late, plan.water * factor * unsteady * draw.turn(), plan.water)
    return _event(plan, "water_suppression_loss", draw.onset, plan.n - 1, residual_water_factor=factor)


def spurious_echo(plan: Plan, draw: Draw) -> Event:
    """Unsuppressed water from outside refocused late in the FID, turning with the phase cycle."""
    amount = float(np.exp(draw.between(np.log(0.3), np.log(6.0))))
    # The phase cycle takes out what turns with it; the rest survives in the average.
    steps = 0.4 + 0.6 * np.exp(2j * np.pi * 0.25 * np.arange(plan.n))
    unsteady = 1.0 + 0.2 * draw.rng.standard_normal(plan.n)
    late = np.arange(plan.n) >= draw.onset
    plan.echo += np.where(late, amount * steps * unsteady * draw.turn(), 0.0)
    plan.echo_time_s = float(draw.rng.uniform(0.06, 0.3))
    plan.echo_width_s = float(draw.rng.uniform(0.006, 0.025))
    plan.echo_frequency_hz = float(draw.rng.uniform(0.0, 3.0)) * 123.25 * plan.field
    return _event(
        plan,
        "spurious_echo",
        draw.onset,
        plan.n - 1,
        amplitude_over_naa=amount,
        echo_time_s=plan.echo_time_s,
        echo_frequency_hz=plan.echo_frequency_hz,
    )


def _coil_event(plan: Plan, draw: Draw, name: str, signal: float, noise: float) -> Event:
    """A channel whose signal and noise change: in half of the scans from the start, else from the onset."""
    channel = int(draw.rng.integers(plan.n_coils))
    first = 0 if draw.rng.random() < 0.5 else draw.onset
    plan.coil_signal[first:, channel] *= signal
    plan.coil_noise[first:, channel] *= noise
    if first == 0:
        plan.reference_coil_signal[channel] *= signal
        plan.reference_coil_noise[channel] *= noise
    return _event(plan, name, first, plan.n - 1, channel=channel, signal_factor=signal, noise_factor=noise)


def coil_dead(plan: Plan, draw: Draw) -> Event:
    """One channel loses its signal and most of its noise."""
    return _coil_event(plan, draw, "coil_dead", draw.between(0.05, 0.0), draw.between(0.3, 0.02))


def coil_noisy(plan: Plan, draw: Draw) -> Event:
    """One channel's noise grows 4-40 times (a loose plug, a failing preamplifier)."""
    return _coil_event(plan, draw, "coil_noisy", 1.0, float(np.exp(draw.between(np.log(4.0), np.log(40.0)))))


def swapped_edit_order(plan: Plan, draw: Draw) -> Event:
    """Labels tell ON for OFF: over the whole scan, or from the onset on (a shot was lost on the way)."""
    first = 0 if draw.rng.random() < 0.5 else draw.onset
    plan.swapped[first:] = ~plan.swapped[first:]
    return _event(plan, "swapped_edit_order", first, plan.n - 1)


def dropped_edit_pulse(plan: Plan, draw: Draw) -> Event:
    """From the onset on the editing pulse is played too weakly (0.5 of its effect) or not at all."""
    left = draw.between(0.5, 0.0)
    plan.edit_efficiency[draw.onset :] *= left
    return _event(plan, "dropped_edit_pulse", draw.onset, plan.n - 1, edit_efficiency=left)


def gain_change(plan: Plan, draw: Draw) -> Event:
    """The receiver gain changes by 1.2-3 or its inverse: signal and noise alike."""
    factor = draw.between(1.2, 3.0) ** draw.sign()
    plan.gain[draw.onset :] *= factor
    return _event(plan, "gain_change", draw.onset, plan.n - 1, gain_factor=factor)


def missing_shots(plan: Plan, draw: Draw) -> Event:
    """Some shots never arrive: one run, and a few single ones."""
    count = max(1, round(draw.between(0.03, 0.25) * plan.n_shots))
    first = min(plan.shot_of(draw.onset), max(plan.n_shots - count, 1))
    plan.missing[first : first + count] = True
    singles = draw.rng.choice(np.arange(1, plan.n_shots), size=max(1, count // 3), replace=False)
    plan.missing[singles] = True
    gone = np.flatnonzero(plan.missing)
    return Event("missing_shots", int(gone[0]), int(gone[-1]), {"shots": [int(k) for k in gone]})


def no_dummy(plan: Plan, draw: Draw) -> Event:
    """No shot was spent on reaching steady state: the first are stronger and their water is not yet suppressed."""
    excess = first_shot_excess(1.4, plan.repetition_time_s) - 1.0
    settle = np.exp(-np.arange(plan.n) / draw.between(0.4, 0.9))
    factor = draw.between(2.0, 6.0)
    plan.amplitude *= 1.0 + excess * settle
    plan.water *= 1.0 + (factor - 1.0) * settle
    last = min(plan.n - 1, 2)
    return _event(plan, "no_dummy", 0, last, first_shot_amplitude=1.0 + excess, residual_water_factor=factor)


def scanner_f0_update(plan: Plan, draw: Draw) -> Event:
    """The magnet drifts and the scanner follows at times, announcing each step: stored frequencies jump back."""
    rate = draw.sign() * draw.between(0.8, 3.0) * plan.field
    plan.frequency_hz += rate * plan.minutes
    count = int(draw.rng.integers(1, 4))
    at = np.unique(np.maximum(1, np.round(plan.n * (np.arange(count) + draw.rng.uniform(0.7, 1.3)) / (count + 1.0))))
    announced = np.zeros(plan.n)
    for excitation in at.astype(int):
        excitation -= excitation % plan.excitations_per_shot
        announced[excitation:] = -rate * plan.minutes[excitation]
    plan.frequency_hz += announced
    plan.announced_hz += announced
    first = int(np.argmax(announced != 0.0))
    return _event(plan, "scanner_f0_update", first, plan.n - 1, rate_hz_per_min=rate, updates=int(at.size))


@dataclass(frozen=True)
class Scenario:
    """One scenario of the catalogue."""

    apply: Callable[[Plan, Draw], Event]
    """Changes the plan."""
    cause: FindingKind | None
    """The finding that is right about it; None: nothing is wrong."""
    edited_only: bool = False
    """Happens in MEGA-PRESS only."""

    @property
    def text(self) -> str:
        """What it is, one line."""
        return (self.apply.__doc__ or "").split("\n")[0]


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        "still": Scenario(still, None),
        "drift": Scenario(drift, FindingKind.FREQUENCY_DRIFT),
        "drift_exponential": Scenario(drift_exponential, FindingKind.FREQUENCY_DRIFT),
        "motion_step": Scenario(motion_step, FindingKind.MOTION_DURING_SCAN),
        "motion_burst": Scenario(motion_burst, FindingKind.MOTION_DURING_SCAN),
        "motion_slow": Scenario(motion_slow, FindingKind.MOTION_DURING_SCAN),
        "displaced_before": Scenario(displaced_before, FindingKind.VOXEL_DISPLACED),
        "poor_shim": Scenario(poor_shim, FindingKind.POOR_SHIM),
        "low_snr": Scenario(low_snr, FindingKind.LOW_SNR),
        "lipid": Scenario(lipid, FindingKind.LIPID_CONTAMINATION),
        "water_suppression_loss": Scenario(water_suppression_loss, FindingKind.WATER_SUPPRESSION),
        "spurious_echo": Scenario(spurious_echo, FindingKind.SPURIOUS_ECHO),
        "coil_dead": Scenario(coil_dead, FindingKind.COIL_FAULT),
        "coil_noisy": Scenario(coil_noisy, FindingKind.COIL_FAULT),
        "swapped_edit_order": Scenario(swapped_edit_order, FindingKind.EDITING_ERROR, edited_only=True),
        "dropped_edit_pulse": Scenario(dropped_edit_pulse, FindingKind.EDITING_ERROR, edited_only=True),
        "gain_change": Scenario(gain_change, None),
        "missing_shots": Scenario(missing_shots, FindingKind.DATA_GAP),
        "no_dummy": Scenario(no_dummy, None),
        "scanner_f0_update": Scenario(scanner_f0_update, None),
    }
)
