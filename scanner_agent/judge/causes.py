"""What is wrong, and why: each cause told by its pattern (docs/science.md, "Judgement"), with its evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from scanner_agent.judge.drift import Drift
from scanner_agent.judge.signs import FitSummary, ScanContext, ShotSigns
from scanner_agent.judge.track import Event
from scanner_agent.records import Advice, FindingKind, LimitCheck, ScanHeader, Severity
from scanner_agent.scan_protocol import ScanProtocol

_RECENT_SHOTS = 16


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A finding in the making."""

    kind: FindingKind
    severity: Severity
    text: str
    advice: Advice
    blocking: bool = True
    """Whether it keeps the verdict from being good."""
    first_shot: int | None = None
    last_shot: int | None = None
    raised_at_shot: int | None = None
    """Where the cause itself knows it."""
    evidence: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """All that the causes are told from, of the pose that the scan is judged by."""

    header: ScanHeader
    protocol: ScanProtocol
    context: ScanContext
    signs: Sequence[ShotSigns]
    """Usable shots of the whole scan so far, in order."""
    fit: FitSummary | None
    limits: tuple[LimitCheck, ...]
    width_probability: float | None
    """Of meeting the limits on width at the end."""
    noise_probability: float | None
    """Of meeting those on S/N and %SD."""
    can_extend: bool | None
    n_missing: int
    longest_gap: int
    n_unusable: int
    n_planned: int
    events: Sequence[Event]
    drift: Drift | None
    enough: bool
    """Whether enough excitations are in for a word on the spectrum."""
    enough_to_stop: bool


def all_causes(seen: Seen) -> list[Cause]:
    """Every cause but movement, which the verdict weighs by what it leaves; most important first."""
    before = _before_the_scan(seen) if seen.enough else []
    found = [
        *_coils(seen),
        *_editing(seen),
        *before,
        *(_drift(seen) if seen.enough else []),
        *_spurious_echo(seen),
        *(_fit(seen) if seen.enough else []),
        *(_low_snr(seen) if seen.enough else []),
        *_gaps(seen),
        *_averaged(seen),
    ]
    order = {Severity.STOP: 0, Severity.WATCH: 1, Severity.NOTE: 2}
    return sorted(found, key=lambda cause: order[cause.severity])


def _median(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None and math.isfinite(v)]
    return float(np.median(known)) if known else None


def _excitations_back(signs: Sequence[ShotSigns], n: int) -> Sequence[ShotSigns]:
    """The last shots that hold at least n excitations."""
    total = 0
    for i in range(len(signs) - 1, -1, -1):
        total += signs[i].n_excitations
        if total >= n:
            return signs[i:]
    return signs


def _before_the_scan(seen: Seen) -> list[Cause]:
    """Displacement, shim, lipid and water suppression: what was wrong when the scan began."""
    s, fit, header = seen.protocol.judgement, seen.fit, seen.header
    recent = _excitations_back(seen.signs, _RECENT_SHOTS)
    water = _median([x.residual_water for x in recent])
    if water is None and fit is not None:
        water = fit.residual_water_ratio
    lipid = fit.lipid_ratio if fit is not None and fit.lipid_ratio is not None else _median([x.lipid for x in recent])
    offset = _offset(seen)
    water_fwhm = seen.context.water_fwhm_hz
    broad = seen.width_probability is not None and seen.width_probability < s.watch_probability
    water_broad = water_fwhm is not None and water_fwhm > s.water_fwhm_watch_hz
    evidence: dict[str, float] = {}
    signs: list[str] = []
    if offset is not None and abs(offset) > s.offset_suspicious_hz:
        signs.append(f"the frequency lies {abs(offset):.0f} Hz from the prescan's")
        evidence |= {"frequency_offset_hz": offset, "frequency_offset_hz_limit": s.offset_suspicious_hz}
    shim = header.shim_linewidth_hz
    if shim is not None and water_fwhm is not None:
        if water_fwhm / shim > s.water_over_shim_suspicious:
            signs.append(f"water is {water_fwhm:.1f} Hz wide where the shim reported {shim:.1f} Hz")
            evidence |= {"water_over_shim": water_fwhm / shim, "water_over_shim_limit": s.water_over_shim_suspicious}
    elif broad or water_broad:
        signs.append("the lines are broad")
    placement = bool(signs)
    lipid_high = lipid is not None and lipid > s.lipid_watch
    water_high = water is not None and water > s.residual_water_watch
    if lipid_high and lipid is not None:
        signs.append(f"lipid is {lipid:.1f} times NAA")
        evidence |= {"lipid_ratio": lipid, "lipid_ratio_limit": s.lipid_watch}
    if water_high and water is not None:
        signs.append(f"water is suppressed badly ({water:.0f} times NAA is left)")
        evidence |= {"residual_water_ratio": water, "residual_water_ratio_limit": s.residual_water_watch}
    causes: list[Cause] = []
    if placement and len(signs) >= s.displaced_min_signs:
        causes.append(
            Cause(
                kind=FindingKind.VOXEL_DISPLACED,
                severity=Severity.WATCH,
                advice=Advice.REPRESCRIBE,
                first_shot=0,
                evidence=evidence,
                text=f"From the first shot on {_and(signs)}: consistent with a head that moved after the voxel was"
                " placed. This is no proof: repeat the localiser to be sure.",
            )
        )
    if broad or water_broad:
        causes.append(_shim(seen, broad=broad, displaced=bool(causes)))
    if lipid_high and lipid is not None:
        causes.append(
            Cause(
                kind=FindingKind.LIPID_CONTAMINATION,
                severity=Severity.WATCH,
                advice=Advice.REPRESCRIBE,
                first_shot=0,
                evidence={"lipid_ratio": lipid, "lipid_ratio_limit": s.lipid_watch},
                text=f"Fat is {lipid:.1f} times as strong as NAA: the voxel may touch scalp or bone."
                " Move it inwards or check the saturation bands.",
            )
        )
    if water_high and water is not None:
        causes.append(
            Cause(
                kind=FindingKind.WATER_SUPPRESSION,
                severity=Severity.WATCH,
                advice=Advice.REPEAT,
                first_shot=0,
                evidence={"residual_water_ratio": water, "residual_water_ratio_limit": s.residual_water_watch},
                text=f"Water is {water:.0f} times as strong as NAA: the suppression is poor. Repeat the water"
                " suppression adjustment.",
            )
        )
    return causes


def _offset(seen: Seen) -> float | None:
    """Distance of the spectrum from where the prescan put it, stored convention, Hz."""
    measured = seen.fit.frequency_offset_hz if seen.fit is not None else None
    if measured is None:
        measured = seen.context.water_frequency_hz
    if measured is None:
        return None
    # On the spectrometer's scale a higher frequency is a higher shift: stored as its negative.
    return measured + (seen.header.prescan_frequency_hz or 0.0)


def _shim(seen: Seen, *, broad: bool, displaced: bool) -> Cause:
    s = seen.protocol.judgement
    evidence: dict[str, float] = {}
    if seen.fit is not None and seen.fit.fwhm_hz is not None:
        evidence["fwhm_hz"] = seen.fit.fwhm_hz
    for limit in seen.limits:
        if limit.metric in ("fwhm_hz", "fwhm_ppm") and limit.value is not None and limit.maximum is not None:
            evidence |= {limit.metric: limit.value, f"{limit.metric}_limit": limit.maximum}
    if seen.context.water_fwhm_hz is not None:
        evidence |= {"water_fwhm_hz": seen.context.water_fwhm_hz, "water_fwhm_hz_limit": s.water_fwhm_watch_hz}
    hopeless = (
        broad
        and seen.enough_to_stop
        and seen.width_probability is not None
        and seen.width_probability < s.stop_probability
    )
    width = f"{evidence['fwhm_hz']:.1f} Hz" if "fwhm_hz" in evidence else "too wide"
    return Cause(
        kind=FindingKind.POOR_SHIM,
        severity=Severity.STOP if hopeless else Severity.WATCH,
        advice=Advice.REPRESCRIBE if displaced else Advice.RESHIM,
        first_shot=0,
        evidence=evidence,
        text=f"The lines are broad ({width}): the shim is poor. More shots cannot mend this; shim again and restart.",
    )


def _low_snr(seen: Seen) -> list[Cause]:
    s, p, fit = seen.protocol.judgement, seen.noise_probability, seen.fit
    if p is None or p >= s.watch_probability or fit is None:
        return []
    lost = p < s.stop_probability and seen.can_extend is False and seen.enough_to_stop
    evidence: dict[str, float] = {"probability_pass": p, "probability_pass_limit": s.watch_probability}
    for limit in seen.limits:
        if limit.metric.startswith("snr") and limit.value is not None and limit.minimum is not None:
            evidence |= {limit.metric: limit.value, f"{limit.metric}_limit": limit.minimum}
        if limit.metric.startswith("percent_sd") and limit.value is not None and limit.maximum is not None:
            name = f"{limit.metric}_{limit.metabolite}"
            evidence |= {name: limit.value, f"{name}_limit": limit.maximum}
    return [
        Cause(
            kind=FindingKind.LOW_SNR,
            severity=Severity.STOP if lost else Severity.WATCH,
            advice=Advice.EXTEND if seen.can_extend else Advice.REPEAT,
            first_shot=0,
            evidence=evidence,
            text="The signal is too weak: at the planned end the limits will "
            + ("hardly" if p > s.stop_probability else "not")
            + " be met"
            + (", more shots can help." if seen.can_extend else " and more shots cannot help.")
            + " Check coil, voxel size and transmit adjustment.",
        )
    ]


def _drift(seen: Seen) -> list[Cause]:
    s, drift = seen.protocol.judgement, seen.drift
    if drift is None:
        return []
    causes: list[Cause] = []
    if seen.protocol.edited and drift.offset_now_hz is not None:
        off = abs(drift.offset_now_hz)
        if off - 1.645 * drift.offset_sd_hz > s.editing_drift_watch_hz:
            severe = off - 1.645 * drift.offset_sd_hz > s.editing_drift_stop_hz
            causes.append(
                Cause(
                    kind=FindingKind.FREQUENCY_DRIFT,
                    severity=Severity.STOP if severe else Severity.WATCH,
                    advice=Advice.WAIT_FOR_DRIFT,
                    first_shot=drift.first_shot,
                    last_shot=drift.last_shot,
                    evidence={
                        "editing_offset_hz": drift.offset_now_hz,
                        "editing_offset_hz_limit": s.editing_drift_stop_hz if severe else s.editing_drift_watch_hz,
                        "drift_hz_per_min": drift.slope_hz_per_min,
                    },
                    text=f"The frequency lies {off:.0f} Hz from where the editing pulses are: GABA is edited less, and"
                    " no later correction brings it back. Set the frequency again; if it goes on, wait for the drift to"
                    " end.",
                )
            )
            return causes
    travel = abs(drift.slope_hz_per_min) * drift.scan_minutes
    sure = abs(drift.slope_hz_per_min) - 3 * drift.slope_sd > 0
    if sure and abs(drift.slope_hz_per_min) > s.drift_note_hz_per_min:
        watch = travel > s.drift_watch_hz
        causes.append(
            Cause(
                kind=FindingKind.FREQUENCY_DRIFT,
                severity=Severity.WATCH if watch else Severity.NOTE,
                advice=Advice.WAIT_FOR_DRIFT,
                blocking=watch,
                first_shot=drift.first_shot,
                last_shot=drift.last_shot,
                evidence={
                    "drift_hz_per_min": drift.slope_hz_per_min,
                    "drift_hz_per_min_limit": s.drift_note_hz_per_min,
                    "travel_hz": travel,
                    "travel_hz_limit": s.drift_watch_hz,
                },
                text=f"The frequency drifts by {drift.slope_hz_per_min:+.1f} Hz a minute, smoothly: the magnet, no"
                " movement. The shots are aligned one by one.",
            )
        )
    return causes


def _coils(seen: Seen) -> list[Cause]:
    s = seen.protocol.judgement
    faults = dict(seen.context.coils_left_out)
    evidence: dict[str, float] = {}
    rows = [x.noise_log_variance for x in seen.signs if x.noise_log_variance is not None]
    first: int | None = 0 if faults else None
    if len(rows) >= 4:
        recent = np.array(rows[-4:])
        recent = recent - np.nanmedian(recent, axis=1, keepdims=True)
        sd = max((x.noise_log_variance_sd or 0.05 for x in seen.signs[-4:]), default=0.05)
        level = np.median(recent, axis=0)
        for coil in np.flatnonzero(np.abs(np.nan_to_num(level)) > max(s.coil_noise_log_step, 5 * sd)):
            faults.setdefault(int(coil), f"noise {'up' if level[coil] > 0 else 'down'}")
            evidence |= {"noise_log_variance": float(level[coil]), "noise_log_variance_limit": s.coil_noise_log_step}
            first = seen.signs[-4].shot_index if first is None else first
    if not faults:
        return []
    evidence["n_channels"] = float(len(faults))
    named = ", ".join(f"{coil + 1} ({why})" for coil, why in sorted(faults.items())[:4])
    return [
        Cause(
            kind=FindingKind.COIL_FAULT,
            severity=Severity.WATCH,
            advice=Advice.CHECK_HARDWARE,
            first_shot=first,
            evidence=evidence,
            text=f"Receive channel {named} is faulty{' and is left out' if seen.context.coils_left_out else ''}:"
            " check the coil's plug, and have the coil tested.",
        )
    ]


def _editing(seen: Seen) -> list[Cause]:
    if not seen.protocol.edited:
        return []
    s, c = seen.protocol.judgement, seen.context
    causes: list[Cause] = []
    if c.edit_order_agrees is False:
        causes.append(
            Cause(
                kind=FindingKind.EDITING_ERROR,
                severity=Severity.WATCH,
                advice=Advice.CONTINUE,
                first_shot=0,
                text="ON and OFF are labelled the wrong way round: NAA is saturated in the shots called OFF. The data"
                " are believed; check the sequence's settings before the next scan.",
            )
        )
    wrong = [
        x.shot_index
        for x in seen.signs
        if x.edit_log_odds is not None
        and x.edit_condition is not None
        and (x.edit_log_odds if x.edit_condition == "off" else -x.edit_log_odds) < -12.0
    ]
    if len(wrong) >= 2:
        causes.append(
            Cause(
                kind=FindingKind.EDITING_ERROR,
                severity=Severity.WATCH,
                advice=Advice.CHECK_HARDWARE,
                first_shot=wrong[0],
                last_shot=wrong[-1],
                evidence={"n_shots": float(len(wrong))},
                text=f"In {len(wrong)} shots, the first of them shot {wrong[0] + 1}, the editing pulse did not do what"
                " it should (NAA shows it). Check the transmitter and the sequence.",
            )
        )
    artefact = seen.fit.subtraction_artefact if seen.fit is not None else None
    if seen.enough and artefact is not None and artefact > s.subtraction_watch:
        causes.append(
            Cause(
                kind=FindingKind.SUBTRACTION_ARTEFACT,
                severity=Severity.WATCH,
                advice=Advice.CONTINUE,
                first_shot=0,
                evidence={"subtraction_artefact": artefact, "subtraction_artefact_limit": s.subtraction_watch},
                text=f"Choline does not cancel in the difference spectrum ({100 * artefact:.0f} % is left): ON and OFF"
                " do not lie upon each other.",
            )
        )
    return causes


def _spurious_echo(seen: Seen) -> list[Cause]:
    s = seen.protocol.judgement
    recent = [x for x in seen.signs[-32:] if x.late_energy is not None]
    high = [x for x in recent if x.late_energy is not None and x.late_energy > s.late_energy_z]
    if len(high) < 2 or len(high) < s.spurious_echo_fraction * len(recent):
        return []
    return [
        Cause(
            kind=FindingKind.SPURIOUS_ECHO,
            severity=Severity.WATCH,
            advice=Advice.REPRESCRIBE,
            first_shot=high[0].shot_index,
            last_shot=high[-1].shot_index,
            evidence={
                "late_energy_z": max(x.late_energy or 0.0 for x in high),
                "late_energy_z_limit": s.late_energy_z,
                "shots_fraction": len(high) / len(recent),
                "shots_fraction_limit": s.spurious_echo_fraction,
            },
            text="Late in the signal there is energy that no metabolite leaves there: an echo from outside the voxel."
            " Turn the voxel or change the order of the slice gradients.",
        )
    ]


def _fit(seen: Seen) -> list[Cause]:
    s, fit = seen.protocol.judgement, seen.fit
    if fit is None:
        return []
    if fit.failed:
        return [
            Cause(
                kind=FindingKind.FIT_FAILED,
                severity=Severity.WATCH,
                advice=Advice.CONTINUE,
                first_shot=0,
                text=f"The spectrum cannot be fitted{f' ({fit.flags[0]})' if fit.flags else ''}: nothing can be said of"
                " it.",
            )
        ]
    if fit.fit_quality is not None and fit.fit_quality > s.fit_quality_watch:
        return [
            Cause(
                kind=FindingKind.FIT_FAILED,
                severity=Severity.WATCH,
                advice=Advice.CONTINUE,
                first_shot=0,
                evidence={"fit_quality": fit.fit_quality, "fit_quality_limit": s.fit_quality_watch},
                text="The fit leaves much more than noise: its amounts and their errors are not to be trusted.",
            )
        ]
    return []


def _gaps(seen: Seen) -> list[Cause]:
    s = seen.protocol.judgement
    lost = seen.n_missing + seen.n_unusable
    if not lost:
        return []
    bad = seen.longest_gap > s.max_segment_gap_shots or lost > s.max_missing_fraction * seen.n_planned
    return [
        Cause(
            kind=FindingKind.DATA_GAP,
            severity=Severity.WATCH if bad else Severity.NOTE,
            advice=Advice.CONTINUE,
            blocking=lost > s.max_missing_fraction * seen.n_planned,
            evidence={
                "shots_missing": float(seen.n_missing),
                "shots_unusable": float(seen.n_unusable),
                "shots_limit": s.max_missing_fraction * seen.n_planned,
            },
            text=f"{seen.n_missing} shots did not arrive and {seen.n_unusable} could not be used.",
        )
    ]


def _averaged(seen: Seen) -> list[Cause]:
    if not seen.header.shots_averaged:
        return []
    return [
        Cause(
            kind=FindingKind.MOVEMENT_NOT_OBSERVABLE,
            severity=Severity.NOTE,
            advice=Advice.CONTINUE,
            blocking=False,
            text="The file holds only the average of its shots: whether the head moved cannot be seen in it.",
        )
    ]


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
