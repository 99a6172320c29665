"""From what a file holds to shots of known kind: water or metabolites, axis, edit conditions, damaged shots."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanner_agent.records import ShotKind
from scanner_agent.sources.content import MOVEMENT_NOTE, FileContent, ShotStack, refuse
from scanner_agent.sources.evidence import evidence, on_condition

UNSUPPRESSED_RATIO = 150.0
"""Water line over the highest narrow line at 1.2-3.6 ppm from which on a spectrum is unsuppressed: above 260 in the
water references of three scanners, where those lines are water's own side bands, below 80 with poor suppression."""
_ABSURD_AMPLITUDE = 1e18
"""Squares of larger numbers overflow 32-bit floats."""


def checked(path: Path, content: FileContent) -> FileContent:
    """The content with its kinds settled and all that can be checked without the rest of the scan checked.

    Raises:
        SourceError: No usable data at all, or a mirrored frequency axis.
    """
    notes = list(content.notes)
    stacks = dict(content.stacks)
    fields = dict(content.fields)
    for kind, stack in content.stacks.items():
        notes += _damage(path, kind, stack)
    water = stacks.get(ShotKind.WATER_REFERENCE)
    if water is not None and not content.written_by_us and _first_is_dummy(water):
        stacks[ShotKind.WATER_REFERENCE] = _with_dummy(water)
        notes.append("The first water reference shot is not in steady state: marked as dummy.")
    metabolite = stacks.get(ShotKind.METABOLITE)
    if metabolite is not None:
        dwell_time_s, frequency_mhz = (
            _number(path, fields, "dwell_time_s"),
            _number(path, fields, "spectrometer_frequency_mhz"),
        )
        seen = evidence(metabolite.data, dwell_time_s, frequency_mhz)
        if seen.axis == "mirrored":
            raise refuse(
                path,
                "its frequency axis is mirrored (metabolite lines lie above water)",
                "store the complex conjugate of the data",
            )
        looks_unsuppressed = seen.axis == "unclear" and seen.water_over_metabolites > UNSUPPRESSED_RATIO
        unsuppressed = content.water_suppressed is False and not (
            seen.axis == "right" and seen.water_over_metabolites < 20
        )
        if not content.written_by_us and (unsuppressed or (content.water_suppressed is None and looks_unsuppressed)):
            stacks[ShotKind.WATER_REFERENCE] = stacks.pop(ShotKind.METABOLITE)
            notes.append("The file holds unsuppressed water and no metabolite shots.")
        elif not content.written_by_us:
            if seen.axis == "unclear":
                notes.append(
                    "No metabolite line stands out by which the direction of the frequency axis could be checked."
                )
            stacks[ShotKind.METABOLITE] = labelled = _edit_labelled(
                metabolite, fields, dwell_time_s, frequency_mhz, notes
            )
            if len(labelled.details) == 1 and "shots_averaged" not in fields:
                fields["shots_averaged"] = True
    if fields.get("n_edit_conditions") == 2 and fields.get("sequence") == "PRESS" and not content.written_by_us:
        fields["sequence"] = "MEGA-PRESS"  # PRESS with an ON and an OFF is what the field calls so
    if fields.get("shots_averaged") is True and MOVEMENT_NOTE not in notes and not content.written_by_us:
        notes.append(MOVEMENT_NOTE)
    return replace(content, fields=fields, stacks=stacks, notes=tuple(notes))


def _number(path: Path, fields: dict[str, object], name: str) -> float:
    value = fields.get(name)
    if not isinstance(value, float) or not value > 0:
        raise refuse(
            path, f"it has no {name.rsplit('_', 1)[0].replace('_', ' ')}", "add it to the header, or convert again"
        )
    return value


def _damage(path: Path, kind: ShotKind, stack: ShotStack) -> list[str]:
    """Notes on shots of NaN, zeros or absurd size; a file of nothing else is refused."""
    if stack.data.size == 0:
        raise refuse(path, "holds no shots", "give the whole file")
    size = np.abs(stack.data).max(axis=(1, 2))
    zero = np.flatnonzero(size == 0)
    bad = np.flatnonzero(~(size < _ABSURD_AMPLITUDE))
    if zero.size + bad.size == len(stack.details):
        what = "zeros" if zero.size else "NaN, infinities or absurdly large numbers"
        raise refuse(path, f"all its {kind.value.replace('_', ' ')} shots hold {what}", "export the scan again")
    found = ((zero, "zeros only"), (bad, "NaN, infinities or absurdly large numbers"))
    name = kind.value.replace("_", " ").capitalize()
    return [f"{name} shots {_listed(which)} hold {what}." for which, what in found if which.size]


def _first_is_dummy(water: ShotStack) -> bool:
    """Whether the first of at least four unsuppressed shots is stronger than the others, which are alike."""
    if len(water.details) < 4 or any(one.is_dummy for one in water.details):
        return False
    sizes = np.linalg.norm(water.data[:, :, : water.data.shape[2] // 8], axis=(1, 2))
    if not np.isfinite(sizes).all():
        return False
    others = float(np.median(sizes[1:]))
    return bool(np.abs(sizes[1:] - others).max() < 0.05 * others and sizes[0] > 1.1 * others)


def _with_dummy(stack: ShotStack) -> ShotStack:
    return ShotStack(stack.data, (replace(stack.details[0], is_dummy=True), *stack.details[1:]))


def _listed(which: NDArray[np.intp]) -> str:
    shown = ", ".join(str(i) for i in which[:8])
    return shown + (f" and {which.size - 8} more" if which.size > 8 else "")


def _edit_labelled(
    stack: ShotStack, fields: dict[str, object], dwell_time_s: float, frequency_mhz: float, notes: list[str]
) -> ShotStack:
    """ON and OFF told apart by NAA where the file has two edit conditions without names."""
    if fields.get("n_edit_conditions") != 2 or any(one.edit_condition for one in stack.details):
        return stack
    on = on_condition(stack.data[0::2], stack.data[1::2], dwell_time_s, frequency_mhz)
    if on is None:
        notes.append("The file does not say which edit condition is ON, and NAA does not tell.")
        return stack
    notes.append("The file does not name its edit conditions: ON is the one in which NAA is saturated.")
    details = tuple(replace(one, edit_condition="on" if i % 2 == on else "off") for i, one in enumerate(stack.details))
    return ShotStack(stack.data, details)
