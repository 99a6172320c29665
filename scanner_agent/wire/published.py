"""What the publish socket sends and the journal keeps: records with their topic and place in the order."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec import Struct

from scanner_agent.errors import RemoteProtocolError
from scanner_agent.records import (
    Assessment,
    Finding,
    Health,
    Placement,
    ScanEnd,
    ScanHeader,
    ScanReport,
    ScanSnapshot,
    SpectrumFrame,
    Trigger,
)
from scanner_agent.wire.codec import WIRE_VERSION

Buffer = bytes | memoryview
MAX_PUBLISHED_BYTES = 64 * 1024 * 1024
"""A report of 100,000 shots stays below."""


class Heartbeat(Struct, frozen=True, kw_only=True):
    """Once a second, whatever else happens."""

    at: float
    """Unix time, seconds."""
    interval_s: float
    """Time until the next."""
    journal_cursor: int
    """Cursor of the last journal record that was published; less seen means a message was missed."""


AnyRecord = (
    ScanHeader
    | ScanSnapshot
    | Assessment
    | SpectrumFrame
    | Finding
    | ScanEnd
    | ScanReport
    | Placement
    | Trigger
    | Health
    | Heartbeat
)
RECORD_TYPES: dict[str, type[Struct]] = {
    "header": ScanHeader,
    "snapshot": ScanSnapshot,
    "assessment": Assessment,
    "frame": SpectrumFrame,
    "finding": Finding,
    "end": ScanEnd,
    "report": ScanReport,
    "placement": Placement,
    "trigger": Trigger,
    "health": Health,
    "heartbeat": Heartbeat,
}
_NAMES = {record: name for name, record in RECORD_TYPES.items()}
_T = TypeVar("_T", bound=Struct)


class Publication(Struct, frozen=True, kw_only=True):
    """One published message."""

    wire: int = WIRE_VERSION
    """Version of the protocol."""
    type: str
    """Name of the record: a key of `RECORD_TYPES`."""
    scan_id: str | None = None
    """Scan concerned."""
    instance: str = ""
    """Changes with every start of the daemon; sequence numbers begin again then."""
    sequence: int = 0
    """Counts the messages of this topic; a step of more than one means that some were missed."""
    cursor: int | None = None
    """Place in the journal; None for what is not kept (frames, health, heartbeats)."""
    at: float = 0.0
    """Unix time, seconds."""
    record: msgspec.Raw
    """The record itself."""

    def decoded(self) -> AnyRecord:
        """The record; raises `RemoteProtocolError`."""
        return decode_record(self.type, self.record)


def _plain_number(value: Any) -> Any:
    """NumPy's scalars as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} cannot be published")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_plain_number)
_DECODERS: dict[str, msgspec.msgpack.Decoder[Any]] = {
    name: msgspec.msgpack.Decoder(record) for name, record in RECORD_TYPES.items()
}
_PUBLICATION = msgspec.msgpack.Decoder(Publication)


def record_name(record: AnyRecord) -> str:
    """Name of a record's type on the wire."""
    return _NAMES[type(record)]


def encode_record(record: AnyRecord) -> bytes:
    """A record alone."""
    return _ENCODER.encode(record)


def decode_record(name: str, raw: Buffer) -> AnyRecord:
    """A record alone; raises `RemoteProtocolError`."""
    decoder = _DECODERS.get(name)
    if decoder is None:
        raise RemoteProtocolError("unknown_type", f"records of type {name[:40]!r} are not known here")
    try:
        record: AnyRecord = decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError("bad_field", f"{name}: {error}") from None
    return record


def topic_of(name: str, scan_id: str | None) -> str:
    """`assessment/SCAN`, or `health` for what belongs to no scan."""
    return name if scan_id is None else f"{name}/{scan_id}"


def encode_publication(publication: Publication) -> list[bytes]:
    """Two frames: topic, and the whole as one MessagePack map."""
    topic = topic_of(publication.type, publication.scan_id)
    return [topic.encode(), _ENCODER.encode(publication)]


def decode_publication(frames: list[bytes]) -> Publication:
    """The reverse of `encode_publication`; raises `RemoteProtocolError`."""
    if len(frames) != 2 or len(frames[1]) > MAX_PUBLISHED_BYTES:
        raise RemoteProtocolError("wrong_frames", "a publication has two frames of bounded size")
    try:
        publication = _PUBLICATION.decode(frames[1])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError("bad_field", f"publication: {error}") from None
    if publication.wire != WIRE_VERSION:
        raise RemoteProtocolError("wrong_version", f"the daemon speaks wire version {publication.wire}")
    return publication
