"""Runs as CSV: one line per run, a column per value and one for its standard error; read back without loss."""

from __future__ import annotations

import csv
import io
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from scanner_agent.errors import SourceError
from scanner_agent.phantom.series import Run, SeriesKey
from scanner_agent.phantom.values import Value, sort_key

_FIXED = (
    "run_id", "scanner", "coil", "phantom", "protocol", "measured_at", "logged_at", "scan_id", "corrects", "withdrawn",
    "note", "settings", "reasons",
)  # fmt: skip
_NEEDED = ("scanner", "coil", "phantom", "protocol", "measured_at")
_SD = " sd"
# A spreadsheet takes a cell that begins like this for a formula.
_FORMULA = ("=", "+", "-", "@")


def to_csv(runs: Sequence[Run]) -> str:
    """CSV text of these runs."""
    names = sorted({name for run in runs for name in run.values}, key=sort_key)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_FIXED, *(column for name in names for column in (name, name + _SD))])
    for run in runs:
        reasons = {name: value.reason for name, value in run.values.items() if value.value is None}
        fixed = [
            run.run_id, *(_text(part) for part in msgspec.structs.astuple(run.series)), _moment(run.measured_at),
            _moment(run.logged_at), run.scan_id or "", run.corrects or "", "yes" if run.withdrawn else "",
            _text(run.note), msgspec.json.encode(run.settings).decode(), msgspec.json.encode(reasons).decode(),
        ]  # fmt: skip
        cells: list[str] = []
        for name in names:
            value = run.values.get(name)
            cells += ["", ""] if value is None else [_number(value.value), _number(value.sd)]
        writer.writerow(fixed + cells)
    return out.getvalue()


def from_csv(text: str) -> list[Run]:
    """Runs of CSV text. A line without `run_id` gets one made of its content, so that a file read twice adds nothing.

    Needed columns: scanner, coil, phantom, protocol, measured_at (ISO 8601 or a date). Raises SourceError that names
    line and column.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    columns = reader.fieldnames or []
    absent = [name for name in _NEEDED if name not in columns]
    if absent:
        raise SourceError(f"the CSV file lacks the column {', '.join(absent)}")
    names = [c for c in columns if c not in _FIXED and not c.endswith(_SD)]
    return [_run(line, row, names) for line, row in enumerate(reader, start=2)]


def _run(line: int, row: dict[str, str], names: Sequence[str]) -> Run:
    if None in row or None in row.values():
        raise SourceError(f"line {line} has more or fewer cells than the first line")
    try:
        reasons = msgspec.json.decode(row.get("reasons") or "{}", type=dict[str, str | None])
        settings = msgspec.json.decode(row.get("settings") or "{}", type=dict[str, str | float | None])
        values = {}
        for name in names:
            value = _float(line, name, row[name])
            if value is None and name not in reasons and row.get("run_id"):
                continue  # this run never had it
            sd = _float(line, name + _SD, row.get(name + _SD, ""))
            values[name] = Value(
                value, sd, (reasons.get(name) or "empty in the imported file") if value is None else None
            )
        measured_at = _time(row["measured_at"])
        content = msgspec.json.encode([row[name] for name in _NEEDED] + [row[name] for name in names])
        return Run(
            run_id=row.get("run_id") or str(uuid.uuid5(uuid.NAMESPACE_OID, content.decode())),
            series=SeriesKey(*(_plain(row[name]) for name in _NEEDED[:4])),
            measured_at=measured_at,
            logged_at=_time(row["logged_at"]) if row.get("logged_at") else time.time(),
            values=values,
            settings=settings,
            scan_id=row.get("scan_id") or None,
            corrects=row.get("corrects") or None,
            withdrawn=row.get("withdrawn") == "yes",
            note=_plain(row.get("note", "")),
        )
    except (ValueError, msgspec.MsgspecError) as error:
        raise SourceError(f"line {line}: {error}") from error


def _text(text: str) -> str:
    return "'" + text if text.startswith(_FORMULA) else text


def _plain(text: str) -> str:
    return text[1:] if text[:1] == "'" and text[1:].startswith(_FORMULA) else text


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def _float(line: int, column: str, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        raise SourceError(f"line {line}, column {column}: {text!r} is no number") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise SourceError(f"line {line}, column {column}: {text!r}: leave the cell empty where nothing was measured")
    return value


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _time(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
