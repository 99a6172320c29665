"""The control protocol as a pure codec: requests with an id, one answer each."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from scanner_agent.errors import RemoteProtocolError
from scanner_agent.records import (
    Advice,
    FindingKind,
    Health,
    Identifier,
    Initials,
    Placement,
    PlacementResult,
    ScanSnapshot,
    Trigger,
    Verdict,
)
from scanner_agent.wire.codec import MAX_META_BYTES, WIRE_VERSION, Buffer, plain_error, unpack_map
from scanner_agent.wire.published import MAX_PUBLISHED_BYTES, Publication

RequestId = Annotated[str, Meta(min_length=1, max_length=64)]
NoteText = Annotated[str, Meta(min_length=1, max_length=500)]
ShotIndex = Annotated[int, Meta(ge=0, le=99_999)]


class _Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    request_id: RequestId
    """Comes back in the answer. The same id sent again is answered, not done, again."""


class AskSnapshot(_Request, frozen=True, kw_only=True, tag="snapshot"):
    """Everything known of a scan."""

    scan_id: Identifier | None = None
    """None: the scan that had a shot last."""


class AskScans(_Request, frozen=True, kw_only=True, tag="scans"):
    """The scans of late, the newest first."""


class AskHealth(_Request, frozen=True, kw_only=True, tag="health"):
    """How the daemon is."""


class AskEntries(_Request, frozen=True, kw_only=True, tag="entries"):
    """Journalled records, for a subscriber that missed some."""

    after: Annotated[int, Meta(ge=0)]
    """Cursor of the last record seen."""
    limit: Annotated[int, Meta(ge=1, le=200)] = 100
    """At most so many."""


class AskTriggers(_Request, frozen=True, kw_only=True, tag="triggers"):
    """Triggers that are proposed or active; ask again every few seconds to go on receiving new ones at once."""


class Acknowledge(_Request, frozen=True, kw_only=True, tag="acknowledge"):
    """A person has seen the verdict."""

    scan_id: Identifier
    """Scan."""
    initials: Initials
    """Who; initials, no name."""
    finding: FindingKind | None = None
    """Which finding; None: all."""


class Note(_Request, frozen=True, kw_only=True, tag="note"):
    """A remark for the record."""

    scan_id: Identifier
    """Scan."""
    initials: Initials
    """Who."""
    text: NoteText
    """No name or birth date of a patient."""
    first_shot: ShotIndex | None = None
    """With `last_shot`: the metabolite shots meant."""
    last_shot: ShotIndex | None = None
    """See `first_shot`."""


class AskAction(_Request, frozen=True, kw_only=True, tag="action"):
    """A person asks the scanner side for something: becomes an active trigger."""

    scan_id: Identifier
    """Scan."""
    initials: Initials
    """Who."""
    advice: Advice
    """What is asked for."""
    extend_shots: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    """With `extend`."""


class TakePlacement(_Request, frozen=True, kw_only=True, tag="placement"):
    """A repeat localiser's result for the record; answered when it is in the journal."""

    placement_id: Identifier
    """Chosen by you, unique for ever; the same one again is kept once."""
    scan_id: Identifier | None = None
    """Scan whose voxel it is about; None: made before the spectroscopy."""
    initials: Initials
    """Who answers for it."""
    result: PlacementResult
    """The result."""


class Confirm(_Request, frozen=True, kw_only=True, tag="confirm"):
    """A person confirms (or turns down) a proposed trigger."""

    trigger_id: Identifier
    """Which."""
    initials: Initials
    """Who."""
    accept: bool = True
    """False: it is withdrawn."""


class TriggerDone(_Request, frozen=True, kw_only=True, tag="trigger_done"):
    """The scanner side has taken over an active trigger; it is not sent again."""

    trigger_id: Identifier
    """Which."""


ControlRequest = (
    AskSnapshot
    | AskScans
    | AskHealth
    | AskEntries
    | AskTriggers
    | Acknowledge
    | Note
    | AskAction
    | TakePlacement
    | Confirm
    | TriggerDone
)


class ScanLine(Struct, frozen=True, kw_only=True):
    """One line of a list of scans."""

    scan_id: str
    """Scan."""
    visit_id: str | None = None
    """Visit."""
    verdict: Verdict | None = None
    """Latest."""
    ended: bool = False
    """Whether its report is there."""
    n_shots: int = 0
    """Metabolite shots acknowledged."""
    n_shots_planned: int | None = None
    """Planned."""
    last_shot_at: float | None = None
    """Unix time, seconds."""


class ControlReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Answer to one request. The field that holds the result is named like the request."""

    wire: int = WIRE_VERSION
    """Version of the protocol."""
    type: str = "reply"
    """`reply`, or `trigger` for a trigger that comes unasked."""
    request_id: str = ""
    """Of the request; empty if it could not be read or for what comes unasked."""
    ok: bool = True
    """Whether it was done."""
    reason: str = ""
    """Code if not, see docs/wire.md."""
    text: str = ""
    """One line for a person if not."""
    snapshot: ScanSnapshot | None = None
    """Answer to `snapshot`."""
    scans: tuple[ScanLine, ...] = ()
    """Answer to `scans`."""
    placement: Placement | None = None
    """With `scans`: the latest localiser's result that was made before the spectroscopy, of no scan."""
    health: Health | None = None
    """Answer to `health`."""
    entries: tuple[Publication, ...] = ()
    """Answer to `entries`."""
    cursor: int | None = None
    """With `entries`: cursor of the newest journalled record."""
    triggers: tuple[Trigger, ...] = ()
    """Answer to `triggers`; one in what comes unasked."""


_ENCODER = msgspec.msgpack.Encoder()
_REPLY = msgspec.msgpack.Decoder(ControlReply)


def encode_control(request: ControlRequest) -> bytes:
    """One frame."""
    return _ENCODER.encode({"wire": WIRE_VERSION, **msgspec.to_builtins(request)})


def decode_control(frames: list[bytes]) -> ControlRequest:
    """A request; raises `RemoteProtocolError`."""
    if len(frames) != 1:
        raise RemoteProtocolError("wrong_frames", f"a control request has one frame, not {len(frames)}")
    fields: dict[str, Any] = unpack_map(frames[0], MAX_META_BYTES)
    version = fields.pop("wire", None)
    if version != WIRE_VERSION or isinstance(version, bool):
        raise RemoteProtocolError("wrong_version", f"`wire` must be {WIRE_VERSION}, got {str(version)[:40]!r}")
    try:
        request: ControlRequest = msgspec.convert(fields, ControlRequest)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError("bad_field", plain_error(error)) from None
    return request


def encode_control_reply(reply: ControlReply) -> bytes:
    """One frame."""
    return _ENCODER.encode(reply)


def decode_control_reply(raw: Buffer) -> ControlReply:
    """An answer; raises `RemoteProtocolError`."""
    if memoryview(raw).nbytes > MAX_PUBLISHED_BYTES:
        raise RemoteProtocolError("too_large", "the answer is too large")
    try:
        return _REPLY.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError("bad_field", f"answer: {error}") from None
