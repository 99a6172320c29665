"""Every record that crosses a room: frozen, typed, documented field by field.

Missing is `None`, never 0, NaN or 999; a record with optional measurements carries `missing`, which says why.
Arrays of published records are plain lists so that MessagePack and JSON readers need nothing of ours.
"""

from __future__ import annotations

from scanner_agent.records.published import (
    PUBLISHED_RECORDS,
    Published,
    schema_document,
    to_json,
)
from scanner_agent.records.results import (
    Assessment,
    AssessmentPoint,
    Finding,
    Forecast,
    Interval,
    LimitCheck,
    MetaboliteAmount,
    Provenance,
    Quality,
    ScanReport,
    Segment,
    ShotTrack,
    SpectrumFrame,
    SpectrumPart,
    Timing,
    WindowPoint,
)
from scanner_agent.records.scan import (
    EndStatus,
    ScanEnd,
    ScanHeader,
    Shot,
)
from scanner_agent.records.service import (
    Health,
    Placement,
    PlacementResult,
    ScanSnapshot,
    Trigger,
    TriggerState,
)
from scanner_agent.records.words import (
    PLACEMENT_SCHEMA,
    REPORT_SCHEMA,
    Advice,
    EditCondition,
    FindingKind,
    Identifier,
    Initials,
    Sentence,
    Severity,
    ShortText,
    ShotKind,
    Vector3,
    Verdict,
    counted,
)

__all__ = [
    "PLACEMENT_SCHEMA",
    "PUBLISHED_RECORDS",
    "REPORT_SCHEMA",
    "Advice",
    "Assessment",
    "AssessmentPoint",
    "EditCondition",
    "EndStatus",
    "Finding",
    "FindingKind",
    "Forecast",
    "Health",
    "Identifier",
    "Initials",
    "Interval",
    "LimitCheck",
    "MetaboliteAmount",
    "Placement",
    "PlacementResult",
    "Provenance",
    "Published",
    "Quality",
    "ScanEnd",
    "ScanHeader",
    "ScanReport",
    "ScanSnapshot",
    "Segment",
    "Sentence",
    "Severity",
    "ShortText",
    "Shot",
    "ShotKind",
    "ShotTrack",
    "SpectrumFrame",
    "SpectrumPart",
    "Timing",
    "Trigger",
    "TriggerState",
    "Vector3",
    "Verdict",
    "WindowPoint",
    "counted",
    "schema_document",
    "to_json",
]
