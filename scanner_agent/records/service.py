"""What goes to and fro around a scan: placement, snapshots, triggers, health."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from scanner_agent.records.results import Assessment, AssessmentPoint, LimitCheck, ScanReport, ShotTrack, SpectrumFrame
from scanner_agent.records.scan import ScanHeader
from scanner_agent.records.words import PLACEMENT_SCHEMA, Advice, FindingKind, Identifier, Initials, Sentence, Vector3


class PlacementResult(Struct, frozen=True, kw_only=True):
    """What a repeat localiser says about a voxel."""

    schema: str = PLACEMENT_SCHEMA
    """Name and version of this record."""
    state: Literal["moved", "not_moved", "cannot_judge"]
    """The answer; `cannot_judge` if the registration is not certain."""
    text: Sentence
    """The same for a person, one sentence."""
    reasons: tuple[Sentence, ...] = ()
    """Why it cannot be judged."""
    head_shift_mm: Vector3 | None = None
    """Shift of the tissue at the voxel's centre: right, front, head positive (RAS)."""
    head_rotation_deg: Vector3 | None = None
    """Rotation vector of the head about R, A, S axes, degrees."""
    centre_displacement_mm: float | None = None
    """Distance between the voxel's old and new centre."""
    corner_displacement_mm: tuple[float, ...] = ()
    """The same for the eight corners."""
    share_inside: float | None = None
    """Share (0-1) of the intended tissue that is still in the voxel as prescribed."""
    uncertainty_mm: float | None = None
    """Standard error of the displacement, from the disagreement of parts of the head."""
    new_position_mm: Vector3 | None = None
    """Centre of the voxel that holds the intended tissue now, RAS+."""
    new_size_mm: Vector3 | None = None
    """Its edge lengths."""
    new_orientation: tuple[Vector3, Vector3, Vector3] | None = None
    """Its rotation matrix by rows; columns are its axes."""
    consoles: dict[Sentence, Sentence] = {}
    """The new prescription as each vendor's console takes it."""
    evidence: dict[str, float] = {}
    """Numbers that the certainty rests on."""


class Placement(Struct, frozen=True, kw_only=True):
    """A localiser's result on the daemon's record, beside the scan's report: it is made of images, not of shots."""

    placement_id: Identifier
    """Chosen by who made it, unique for ever; what comes again under it is the same."""
    scan_id: Identifier | None = None
    """Scan whose voxel it is about; None: made before the spectroscopy."""
    made_at: Annotated[float, Meta(ge=0.0)]
    """When the daemon took it, Unix time in seconds."""
    initials: Initials
    """Who answers for it."""
    result: PlacementResult
    """The result itself."""


class ScanSnapshot(Struct, frozen=True, kw_only=True):
    """All a view needs that joins late or missed a message."""

    header: ScanHeader
    """The scan."""
    protocol: str
    """Protocol's name."""
    limits: tuple[LimitCheck, ...] = ()
    """Limits in force."""
    tracks: tuple[ShotTrack, ...] = ()
    """All shots so far."""
    assessments: tuple[AssessmentPoint, ...] = ()
    """The history so far."""
    assessment: Assessment | None = None
    """Last one."""
    frame: SpectrumFrame | None = None
    """Last one."""
    report: ScanReport | None = None
    """Once the scan has ended."""
    last_shot_at: float | None = None
    """When the last shot was acknowledged, Unix time in seconds."""
    placement: Placement | None = None
    """Latest result of a repeat localiser for this scan."""


class TriggerState(StrEnum):
    """Life of a trigger."""

    PROPOSED = "proposed"
    ACTIVE = "active"
    ACKNOWLEDGED = "acknowledged"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class Trigger(Struct, frozen=True, kw_only=True):
    """A request to the scanner side. Delivered at least once; the receiver knows it by its id."""

    trigger_id: Identifier
    """Unique for ever."""
    scan_id: str
    """Scan that caused it."""
    visit_id: str | None = None
    """Its visit, if it has one: some limits on triggers hold for a visit."""
    advice: Advice
    """What is asked for."""
    extend_shots: int | None = None
    """With `extend`."""
    reason: FindingKind | None
    """Cause."""
    text: str
    """For a person."""
    evidence: dict[str, float] = {}
    """Of the finding; from a localiser's result on, its numbers too."""
    placement_id: str | None = None
    """Localiser's result that it rests on, or that answered it."""
    state: TriggerState
    """Where it stands."""
    created_at: float
    """Unix time, seconds."""
    expires_at: float
    """Unix time, seconds."""


class Health(Struct, frozen=True, kw_only=True):
    """How the daemon is."""

    ready: bool
    """Worker compiled and following the spool."""
    state: Literal["starting", "ok", "degraded", "refusing"]
    """`refusing`: shots cannot be kept and are not acknowledged."""
    problems: tuple[str, ...] = ()
    """A sentence each."""
    scans_open: int
    """Scans under way."""
    shots_acknowledged: int
    """Since start."""
    shots_waiting: int
    """Spooled, not yet processed."""
    messages_refused: int
    """Since start."""
    worker_restarts: int
    """Since start."""
    version: str
    """Of this program."""
    at: float
    """Unix time, seconds."""
