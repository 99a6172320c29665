"""Records: the committed JSON schema is the one the code gives; headers refuse absurd values with the field's name."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import msgspec
import pytest

from scanner_agent.records import PUBLISHED_RECORDS, ScanHeader, schema_document

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "schema.json"


def header(**changes: object) -> dict[str, object]:
    values: dict[str, object] = {
        "scan_id": "scan-1",
        "spectrometer_frequency_mhz": 123.25,
        "dwell_time_s": 5e-4,
        "n_coils": 32,
        "n_points": 2048,
    }
    return values | changes


def test_committed_schema_is_current() -> None:
    assert json.loads(SCHEMA.read_text()) == json.loads(msgspec.json.encode(schema_document())), (
        "the records changed: write docs/schema.json again with `python -m scanner_agent.records > docs/schema.json`"
    )


def test_every_field_of_every_record_has_a_docstring() -> None:
    source = Path(msgspec.inspect.type_info(ScanHeader).cls.__module__.replace(".", "/") + ".py")
    lines = (Path(__file__).resolve().parents[2] / source).read_text().splitlines()
    undocumented = [
        line.strip()
        for line, following in itertools.pairwise(lines)
        if line.startswith("    ")
        and ": " in line
        and line.strip().split(":")[0].isidentifier()
        and not line.strip().startswith(("def ", "return", '"""', "schemas", "_"))
        and not following.strip().startswith('"""')
    ]
    assert undocumented == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dwell_time_s", 0.0),
        ("dwell_time_s", None),
        ("spectrometer_frequency_mhz", -3.0),
        ("n_coils", 0),
        ("n_points", 10**9),
        ("echo_time_s", "soon"),
        ("scan_id", "../../etc/passwd"),
        ("scan_id", ""),
        ("n_shots_planned", 10**9),
    ],
)
def test_absurd_header_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert(header(**{field: value}), ScanHeader)


def test_unknown_header_field_is_refused_by_name() -> None:
    with pytest.raises(msgspec.ValidationError, match="patient_name"):
        msgspec.convert(header(patient_name="x"), ScanHeader)


@pytest.mark.parametrize("field", ["dwell_time_s", "spectrometer_frequency_mhz", "n_coils", "n_points", "scan_id"])
def test_missing_header_field_is_refused_by_name(field: str) -> None:
    values = header()
    del values[field]
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert(values, ScanHeader)


def test_records_are_frozen_and_round_trip() -> None:
    record = msgspec.convert(header(), ScanHeader)
    with pytest.raises(AttributeError):
        record.n_coils = 3  # type: ignore[misc]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=ScanHeader) == record
    assert all(issubclass(kind, msgspec.Struct) for kind in PUBLISHED_RECORDS)
