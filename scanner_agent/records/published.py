"""JSON of the records, and the schema of what is published."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from scanner_agent.records.results import Assessment, Finding, ScanReport, SpectrumFrame
from scanner_agent.records.scan import ScanEnd, ScanHeader
from scanner_agent.records.service import Health, Placement, ScanSnapshot, Trigger

Published = Assessment | SpectrumFrame | ScanReport | Finding | Trigger | Health
PUBLISHED_RECORDS: tuple[type[Struct], ...] = (
    ScanHeader,
    ScanEnd,
    Assessment,
    SpectrumFrame,
    ScanSnapshot,
    ScanReport,
    Finding,
    Placement,
    Trigger,
    Health,
)


def to_json(record: Struct) -> bytes:
    """A record as indented JSON (UTF-8)."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1)


def schema_document() -> dict[str, object]:
    """JSON schema of every published record, as committed in `docs/schema.json`."""
    _, components = msgspec.json.schema_components(PUBLISHED_RECORDS)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": components}
