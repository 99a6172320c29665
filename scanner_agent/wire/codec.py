"""The ingest protocol as a pure codec: what docs/wire.md says, and nothing else.

A message is one MessagePack map, and for a shot a second frame of raw little-endian complex64. Sizes and counts are
checked before anything is decoded; whatever breaks a rule is a `RemoteProtocolError` with a reason code.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgpack
import msgspec
import numpy as np
from msgspec import Meta, Struct

from scanner_agent.errors import RemoteProtocolError
from scanner_agent.records import EditCondition, Identifier, ScanEnd, ScanHeader, Shot, ShotKind

WIRE_VERSION = 1
MAX_META_BYTES = 16 * 1024
"""Longest first frame; the largest sound header takes less than half of it."""
MAX_PAYLOAD_BYTES = 32 * 1024 * 1024
"""Largest shot: e.g. 128 coils of 32768 points."""
MAX_SHOT_INDEX = 99_999
_MAX_ITEMS = 64
_MAX_TEXT = 1024
_MAX_DEPTH = 4

Buffer = bytes | memoryview
Range = tuple[int, int]
_T = TypeVar("_T")


class Limits(Struct, frozen=True, kw_only=True):
    """Sizes that are refused above, before decoding."""

    max_meta_bytes: int = MAX_META_BYTES
    """First frame, bytes."""
    max_payload_bytes: int = MAX_PAYLOAD_BYTES
    """Second frame, bytes."""


DEFAULT_LIMITS = Limits()


class StatusQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Asks what the daemon has of a scan, so that a sender can resume."""

    scan_id: Identifier
    """Scan."""


class Ping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Asks whether the daemon is there."""

    token: Annotated[str, Meta(max_length=64)] = ""
    """Comes back in the answer."""


class Ack(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="ack"):
    """The message named is on disk, synced."""

    of: str
    """`header`, `shot` or `end`."""
    scan_id: str
    """Scan."""
    shot_kind: str | None = None
    """Of a shot."""
    shot_index: int | None = None
    """Of a shot."""
    duplicate: bool = False
    """It was there already, with the same content."""
    missing: tuple[Range, ...] = ()
    """Gaps (first, last) in the metabolite shots up to now; send them (again) if they exist."""


class Refusal(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="refused"):
    """The message named was not kept."""

    of: str = ""
    """`header`, `shot`, `end` …; empty if it could not be told."""
    scan_id: str | None = None
    """Scan, if it could be told."""
    shot_kind: str | None = None
    """Of a shot."""
    shot_index: int | None = None
    """Of a shot."""
    reason: str
    """Code for machines, see docs/wire.md."""
    text: str
    """One line for a person."""
    retry: bool = False
    """True: the daemon's trouble, send again later. False: sending the same again will not help."""


class ScanStatus(Struct, frozen=True, kw_only=True, tag_field="type", tag="status"):
    """What the daemon has of a scan."""

    scan_id: str
    """Scan."""
    known: bool
    """Whether its header is here."""
    ended: bool
    """Whether its end is here."""
    have: dict[str, tuple[Range, ...]]
    """Ranges (first, last) of the shot indices on disk, per kind."""


class Pong(Struct, frozen=True, kw_only=True, tag_field="type", tag="pong"):
    """The daemon is there."""

    token: str
    """From the ping."""
    instance: str
    """Changes with every start of the daemon."""
    version: str
    """Of the daemon."""


Request = ScanHeader | Shot | ScanEnd | StatusQuery | Ping
Reply = Ack | Refusal | ScanStatus | Pong


class _ShotMeta(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    scan_id: Identifier
    shot_kind: ShotKind
    shot_index: Annotated[int, Meta(ge=0, le=MAX_SHOT_INDEX)]
    n_coils: Annotated[int, Meta(ge=1, le=256)]
    n_points: Annotated[int, Meta(ge=64, le=65536)]
    edit_condition: EditCondition | None = None
    n_excitations: Annotated[int, Meta(ge=1, le=4096)] = 1
    phase_cycle_index: Annotated[int, Meta(ge=0, le=4095)] | None = None
    is_dummy: bool = False
    acquired_at: Annotated[float, Meta(ge=0.0, le=1e11)] | None = None
    frequency_update_hz: Annotated[float, Meta(ge=-1e6, le=1e6)] = 0.0


_REQUESTS: dict[str, type[Struct]] = {
    "header": ScanHeader,
    "shot": _ShotMeta,
    "end": ScanEnd,
    "status": StatusQuery,
    "ping": Ping,
}


def unpack_map(raw: Buffer, max_bytes: int) -> dict[str, Any]:
    """One MessagePack map with bounded size, counts, text and depth; raises `RemoteProtocolError`."""
    size = memoryview(raw).nbytes
    if size > max_bytes:
        raise RemoteProtocolError("too_large", f"the first frame has {size} bytes, more than {max_bytes}")
    try:
        value = msgpack.unpackb(
            raw,
            raw=False,
            strict_map_key=True,
            max_str_len=_MAX_TEXT,
            max_bin_len=0,
            max_ext_len=0,
            max_array_len=_MAX_ITEMS,
            max_map_len=_MAX_ITEMS,
        )
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise RemoteProtocolError("not_messagepack", f"the first frame is not MessagePack as agreed: {error}") from None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise RemoteProtocolError("not_a_map", "the first frame must be a map with text keys")
    _check_values(value, _MAX_DEPTH)
    return value


def _check_values(value: object, depth: int) -> None:
    """Refuse nesting deeper than any record needs, and numbers that are not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise RemoteProtocolError("bad_field", "a number in the first frame is NaN or infinite")
    if not isinstance(value, dict | list):
        return
    if depth == 0:
        raise RemoteProtocolError("too_deep", f"the first frame nests deeper than {_MAX_DEPTH} levels")
    for item in value.values() if isinstance(value, dict) else value:
        _check_values(item, depth - 1)


def _convert(fields: dict[str, Any], record: type[_T]) -> _T:
    try:
        return msgspec.convert(fields, record)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError("bad_field", plain_error(error)) from None


def plain_error(error: msgspec.ValidationError) -> str:
    """msgspec's message with the field's bare name in front."""
    message = str(error)
    text, _, path = message.partition(" - at `")
    return f"{path.strip('`').removeprefix('$.')}: {text}" if path else text


def check_version(fields: dict[str, Any]) -> str:
    """Take `wire` and `type` out of a message; the type. Raises `RemoteProtocolError`."""
    version, kind = fields.pop("wire", None), fields.pop("type", None)
    if version != WIRE_VERSION or isinstance(version, bool):
        raise RemoteProtocolError("wrong_version", f"`wire` must be {WIRE_VERSION}, got {str(version)[:40]!r}")
    if not isinstance(kind, str):
        raise RemoteProtocolError("unknown_type", "`type` is missing or not text")
    return kind


def decode_request(frames: Sequence[Buffer], limits: Limits = DEFAULT_LIMITS) -> Request:
    """A request to the ingest socket; raises `RemoteProtocolError` on anything that is not sound.

    A shot's data are a read-only view of the second frame: (n_coils, n_points) complex64.
    """
    if not 1 <= len(frames) <= 2:
        raise RemoteProtocolError("wrong_frames", f"a message has one frame, or two for a shot, not {len(frames)}")
    if len(frames) == 2 and memoryview(frames[1]).nbytes > limits.max_payload_bytes:
        size = memoryview(frames[1]).nbytes
        raise RemoteProtocolError("too_large", f"the payload has {size} bytes, more than {limits.max_payload_bytes}")
    fields = unpack_map(frames[0], limits.max_meta_bytes)
    kind = check_version(fields)
    if kind not in _REQUESTS:
        raise RemoteProtocolError("unknown_type", f"`type` {kind[:40]!r} is not known here")
    if (kind == "shot") != (len(frames) == 2):
        raise RemoteProtocolError("wrong_frames", f"a message of type {kind} has {1 + (kind == 'shot')} frame(s)")
    record = _convert(fields, _REQUESTS[kind])
    if isinstance(record, _ShotMeta):
        return _with_payload(record, frames[1])
    assert isinstance(record, ScanHeader | ScanEnd | StatusQuery | Ping)
    return record


def identity_of(frames: Sequence[Buffer]) -> tuple[str, str | None, str | None, int | None]:
    """Type, scan, shot kind and index that a message claims, as far as they can be read: for the refusal of it."""
    try:
        fields = unpack_map(frames[0], MAX_META_BYTES) if frames else {}
    except RemoteProtocolError:
        fields = {}
    kind, scan_id = fields.get("type"), fields.get("scan_id")
    shot_kind, shot_index = fields.get("shot_kind"), fields.get("shot_index")
    return (
        kind if isinstance(kind, str) and kind in _REQUESTS else "",
        scan_id if isinstance(scan_id, str) and len(scan_id) <= 64 else None,
        shot_kind if isinstance(shot_kind, str) and shot_kind in set(ShotKind) else None,
        shot_index if isinstance(shot_index, int) and 0 <= shot_index <= MAX_SHOT_INDEX else None,
    )


def _with_payload(meta: _ShotMeta, payload: Buffer) -> Shot:
    wanted, got = meta.n_coils * meta.n_points * 8, memoryview(payload).nbytes
    if got != wanted:
        text = f"the payload has {got} bytes; {meta.n_coils} coils x {meta.n_points} points need {wanted}"
        raise RemoteProtocolError("payload_size", text)
    data = np.frombuffer(payload, dtype="<c8").reshape(meta.n_coils, meta.n_points)
    return Shot(
        scan_id=meta.scan_id,
        shot_kind=meta.shot_kind,
        shot_index=meta.shot_index,
        data=data.astype(np.complex64, copy=False),
        edit_condition=meta.edit_condition,
        n_excitations=meta.n_excitations,
        phase_cycle_index=meta.phase_cycle_index,
        is_dummy=meta.is_dummy,
        acquired_at=meta.acquired_at,
        frequency_update_hz=meta.frequency_update_hz,
    )


def _pack(kind: str, record: Struct) -> bytes:
    fields = {"wire": WIRE_VERSION, "type": kind, **msgspec.to_builtins(record)}
    return bytes(msgpack.packb(fields, use_bin_type=True))


def encode_request(request: Request) -> list[bytes]:
    """The frames of a request: one, or two for a shot (the second is little-endian complex64, coil by coil)."""
    if isinstance(request, Shot):
        if request.data.ndim != 2:
            raise ValueError(f"a shot's data must have the axes (n_coils, n_points), not {request.data.shape}")
        meta = _ShotMeta(
            scan_id=request.scan_id,
            shot_kind=request.shot_kind,
            shot_index=request.shot_index,
            n_coils=request.data.shape[0],
            n_points=request.data.shape[1],
            edit_condition=request.edit_condition,
            n_excitations=request.n_excitations,
            phase_cycle_index=request.phase_cycle_index,
            is_dummy=request.is_dummy,
            acquired_at=request.acquired_at,
            frequency_update_hz=request.frequency_update_hz,
        )
        return [_pack("shot", meta), np.ascontiguousarray(request.data, dtype="<c8").tobytes()]
    kinds: dict[type[Struct], str] = {record: kind for kind, record in _REQUESTS.items()}
    return [_pack(kinds[type(request)], request)]


def content_digest(frames: Sequence[bytes]) -> bytes:
    """16 bytes that tell whether two messages (as `encode_request` gives them) hold the same content."""
    digest = hashlib.blake2b(digest_size=16)
    for frame in frames:
        digest.update(len(frame).to_bytes(8, "little"))
        digest.update(frame)
    return digest.digest()


def encode_reply(reply: Reply) -> bytes:
    """One frame."""
    return bytes(msgpack.packb({"wire": WIRE_VERSION, **msgspec.to_builtins(reply)}, use_bin_type=True))


def decode_reply(raw: Buffer) -> Reply:
    """An answer of the ingest socket; raises `RemoteProtocolError`."""
    size = memoryview(raw).nbytes
    if size > 1 << 20:
        raise RemoteProtocolError("too_large", f"an answer of {size} bytes")
    try:
        fields = msgpack.unpackb(raw, raw=False)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise RemoteProtocolError("not_messagepack", f"the answer is not MessagePack: {error}") from None
    if not isinstance(fields, dict) or fields.pop("wire", None) != WIRE_VERSION:
        raise RemoteProtocolError("wrong_version", f"the answer does not speak wire version {WIRE_VERSION}")
    try:
        reply: Reply = msgspec.convert(fields, Reply)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError("bad_field", plain_error(error)) from None
    return reply


def to_ranges(indices: Sequence[int]) -> tuple[Range, ...]:
    """Sorted distinct indices as (first, last) ranges."""
    ranges: list[Range] = []
    for index in indices:
        if ranges and index == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], index)
        else:
            ranges.append((index, index))
    return tuple(ranges)
