"""What is wrong, and why: each cause told by its pattern (docs/science.md, "Judgement"), with its evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from scanner_agent.judge.coils import coil_causes
from scanner_agent.judge.placement import causes_before_the_scan
from scanner_agent.judge.seen import Cause, Seen
from scanner_agent.judge.signs import ShotSigns
from scanner_agent.judgement_settings import JudgementSettings
from scanner_agent.records import Advice, FindingKind, Severity, counted


def all_causes(seen: Seen, motion: Sequence[Cause]) -> list[Cause]:
    """Every cause, the root of others before them; `motion`: those of sudden changes. Most important first."""
    coils = coil_causes(seen)
    before = causes_before_the_scan(seen) if seen.enough else []
    echo = [] if coils else _spurious_echo(seen)
    known = {cause.kind for cause in motion}
    found = [
        *coils,
        *_editing(seen),
        *[c for c in before if c.kind == FindingKind.VOXEL_DISPLACED],
        # A movement brings no echo, yet a strong echo spoils shots as a movement does.
        *echo,
        *motion,
        *[c for c in before if c.kind != FindingKind.VOXEL_DISPLACED and c.kind not in known],
        *(_drift(seen) if seen.enough else []),
        *(_fit(seen) if seen.enough else []),
        *_low_snr(seen),
        *_gaps(seen),
        *_averaged(seen),
    ]
    return sorted(_with_their_consequences(found), key=lambda cause: _ORDER[cause.severity])


_ECHO_SHOTS = 32
_ORDER = {Severity.STOP: 0, Severity.WATCH: 1, Severity.NOTE: 2}
_CONSEQUENCES = {
    FindingKind.COIL_FAULT: {FindingKind.LOW_SNR},
    FindingKind.VOXEL_DISPLACED: {FindingKind.POOR_SHIM, FindingKind.LOW_SNR},
    FindingKind.POOR_SHIM: {FindingKind.LOW_SNR},
    # The S/N of the limits is a peak over what the fit leaves, and fat leaves much.
    FindingKind.LIPID_CONTAMINATION: {FindingKind.LOW_SNR},
}


def _with_their_consequences(causes: list[Cause]) -> list[Cause]:
    """A cause weighs as much as what follows from it: broad lines, little signal."""
    stopped = {c.kind for c in causes if c.severity == Severity.STOP}
    return [
        replace(c, severity=Severity.STOP)
        if c.severity == Severity.WATCH and _CONSEQUENCES.get(c.kind, set()) & stopped
        else c
        for c in causes
    ]


def _low_snr(seen: Seen) -> list[Cause]:
    s, p, fit = seen.protocol.judgement, seen.noise_probability, seen.fit
    silent = seen.n_without_signal
    if silent >= 2 and silent > len(seen.signs):
        return [
            Cause(
                kind=FindingKind.LOW_SNR,
                severity=Severity.STOP if seen.enough_to_stop else Severity.WATCH,
                advice=Advice.REPEAT,
                first_shot=0,
                evidence={"shots_without_signal": float(silent), "shots_with_signal": float(len(seen.signs))},
                text=f"In {counted(silent)} no metabolite signal can be recognised. Check coil, voxel and transmit"
                " adjustment.",
            )
        ]
    if not seen.enough or p is None or p >= s.watch_probability or fit is None:
        return []
    lost = p < s.stop_probability and not seen.noise_can_extend and seen.enough_to_stop
    evidence: dict[str, float] = {"probability_pass": p, "probability_pass_limit": s.watch_probability}
    for limit in seen.limits:
        if limit.metric.startswith("snr") and limit.value is not None and limit.minimum is not None:
            evidence |= {limit.metric: limit.value, f"{limit.metric}_limit": limit.minimum}
        if limit.metric.startswith("percent_sd") and limit.value is not None and limit.maximum is not None:
            name = f"{limit.metric}_{limit.metabolite}"
            evidence |= {name: limit.value, f"{name}_limit": limit.maximum}
    help_ = "more shots can help" if seen.can_extend else "more shots cannot help"
    odds = "hardly" if p > s.stop_probability else "not"
    return [
        Cause(
            kind=FindingKind.LOW_SNR,
            severity=Severity.STOP if lost else Severity.WATCH,
            advice=Advice.EXTEND if seen.can_extend else Advice.REPEAT,
            first_shot=0,
            evidence=evidence,
            text=f"The signal is too weak: at the planned end the limits will {odds} be met, {help_}. Check coil, voxel"
            " size and transmit adjustment.",
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
    sure_travel = max(abs(drift.slope_hz_per_min) - 3 * drift.slope_sd, 0.0) * drift.scan_minutes
    sure = abs(drift.slope_hz_per_min) - 3 * drift.slope_sd > 0
    if sure and abs(drift.slope_hz_per_min) > s.drift_note_hz_per_min:
        watch = sure_travel > s.drift_watch_hz
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


def edited_wrongly(signs: ShotSigns, settings: JudgementSettings) -> bool:
    """Whether NAA contradicts the shot's edit condition."""
    if signs.edit_log_odds is None or signs.edit_condition is None:
        return False
    right = signs.edit_log_odds if signs.edit_condition == "off" else -signs.edit_log_odds
    return right < -settings.editing_wrong_log_odds


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
    wrong = seen.misedited
    if len(wrong) >= s.editing_wrong_shots:
        causes.append(
            Cause(
                kind=FindingKind.EDITING_ERROR,
                severity=Severity.WATCH,
                advice=Advice.CHECK_HARDWARE,
                first_shot=wrong[0],
                last_shot=wrong[-1],
                evidence={"n_shots": float(len(wrong))},
                text=f"In {counted(len(wrong))}, the first of them shot {wrong[0] + 1}, the editing pulse did not do"
                " what it should (NAA shows it). Check the transmitter and the sequence.",
            )
        )
    artefact = seen.fit.subtraction_artefact if seen.fit is not None else None
    noise = s.subtraction_noise / max(seen.fit.snr_lcmodel or 1.0, 1.0) if seen.fit is not None else 0.0
    if seen.enough and artefact is not None and artefact > max(s.subtraction_watch, noise):
        causes.append(
            Cause(
                kind=FindingKind.SUBTRACTION_ARTEFACT,
                severity=Severity.WATCH,
                advice=Advice.CONTINUE,
                first_shot=0,
                evidence={
                    "subtraction_artefact": artefact,
                    "subtraction_artefact_limit": max(s.subtraction_watch, noise),
                },
                text=f"Choline does not cancel in the difference spectrum ({100 * artefact:.0f} % is left): ON and OFF"
                " do not lie upon each other.",
            )
        )
    return causes


def _spurious_echo(seen: Seen) -> list[Cause]:
    """Energy that the other shots have not: surely in some shots, or a little in many."""
    s = seen.protocol.judgement
    recent = seen.signs[-_ECHO_SHOTS:]
    late = [x for x in recent if max(x.late_energy or 0.0, x.echo_z or 0.0) > s.late_energy_z]
    known = [(x.shot_index, x.echo_z) for x in recent if x.echo_z is not None]
    # No shot alone decides the sum.
    total = sum(min(z, 2 * s.late_energy_z) for _, z in known) / math.sqrt(max(len(known), 1))
    often = len(late) >= max(2.0, s.spurious_echo_fraction * len(recent))
    if not often and (total <= s.echo_sum_z or not seen.enough):
        return []
    shots = [x.shot_index for x in late] or [shot for shot, z in known if z > 1.0]
    return [
        Cause(
            kind=FindingKind.SPURIOUS_ECHO,
            severity=Severity.WATCH,
            advice=Advice.REPRESCRIBE,
            first_shot=shots[0],
            last_shot=shots[-1],
            evidence={
                "late_energy_z": max(max(x.late_energy or 0.0, x.echo_z or 0.0) for x in recent),
                "late_energy_z_limit": s.late_energy_z,
                "shots_fraction": len(late) / len(recent),
                "shots_fraction_limit": s.spurious_echo_fraction,
                "echo_sum_z": total,
                "echo_sum_z_limit": s.echo_sum_z,
            },
            text="Late in the signal there is energy that no metabolite leaves there, another in every shot: an echo"
            " from outside the voxel. Turn the voxel or change the order of the slice gradients.",
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
        trusted = fit.snr_lcmodel is not None and fit.snr_lcmodel >= s.fit_trusted_snr
        return [
            Cause(
                kind=FindingKind.FIT_FAILED,
                severity=Severity.NOTE if trusted else Severity.WATCH,
                advice=Advice.CONTINUE,
                first_shot=0,
                evidence={"fit_quality": fit.fit_quality, "fit_quality_limit": s.fit_quality_watch},
                text="The fit leaves more than noise, but little of the whole: small amounts are less sure than told."
                if trusted
                else "The fit leaves much more than noise: its amounts and their errors are not to be trusted.",
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
            text=f"{counted(seen.n_missing)} did not arrive and {seen.n_unusable} could not be used.",
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
