"""The words that records are written in: verdicts, advice, causes, checked texts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta

REPORT_SCHEMA = "scanner-agent/report/1"
PLACEMENT_SCHEMA = "scanner-agent/placement/1"

Identifier = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$")]
ShortText = Annotated[str, Meta(max_length=200)]
Sentence = Annotated[str, Meta(max_length=500, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""Shown to people as it comes: nothing that a terminal would obey."""
Initials = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]{1,8}$")]
EditCondition = Literal["on", "off"]
Vector3 = tuple[float, float, float]


class ShotKind(StrEnum):
    """What a shot was acquired for."""

    METABOLITE = "metabolite"
    WATER_REFERENCE = "water_reference"
    NOISE = "noise"


class Verdict(StrEnum):
    """The one large state. `COLLECTING` is never final."""

    COLLECTING = "collecting"
    GOOD = "good"
    WATCH = "watch"
    STOP = "stop"
    CANNOT_JUDGE = "cannot_judge"


class Advice(StrEnum):
    """What to do now."""

    CONTINUE = "continue"
    EXTEND = "extend"
    RESHIM = "reshim"
    REPRESCRIBE = "represcribe"
    LOCALISE = "localise"
    """Repeat the localiser; asked of the scanner side only, never the advice of a verdict."""
    REPEAT = "repeat"
    CHECK_HARDWARE = "check_hardware"
    WAIT_FOR_DRIFT = "wait_for_drift"


class FindingKind(StrEnum):
    """The causes that the judgement tells apart."""

    MOTION_DURING_SCAN = "motion_during_scan"
    VOXEL_DISPLACED = "voxel_displaced"
    POOR_SHIM = "poor_shim"
    LOW_SNR = "low_snr"
    FREQUENCY_DRIFT = "frequency_drift"
    MOVEMENT_NOT_OBSERVABLE = "movement_not_observable"
    LIPID_CONTAMINATION = "lipid_contamination"
    WATER_SUPPRESSION = "water_suppression"
    SPURIOUS_ECHO = "spurious_echo"
    COIL_FAULT = "coil_fault"
    EDITING_ERROR = "editing_error"
    SUBTRACTION_ARTEFACT = "subtraction_artefact"
    FIT_FAILED = "fit_failed"
    DATA_GAP = "data_gap"


class Severity(StrEnum):
    """How much a finding weighs; "flagged" means watch or stop."""

    NOTE = "note"
    WATCH = "watch"
    STOP = "stop"


def counted(n: int, what: str = "shot") -> str:
    """`1 shot`, `2 shots`: how texts for people count."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
