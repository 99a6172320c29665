"""Append-only, hash-chained record of what was decided and changed: a changed line or a cut tail is found.

Each line is JSON with its number, the hash of the line before and its own. The head (number and hash of the last
line) goes into every report and the system journal: a file that was cut or rewritten as a whole does not reach it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from scanner_agent.durable import spool_errors
from scanner_agent.errors import SpoolError

_FIRST = "0" * 64
_TAIL_BYTES = 16 * 1024


class Head(NamedTuple):
    """Number and hash of the last line."""

    lines: int
    hash: str


def _hash(line: dict[str, object]) -> str:
    body = {key: value for key, value in line.items() if key != "hash"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class AuditLog:
    """The one writer."""

    def __init__(self, path: Path) -> None:
        """Open, drop a torn last line. Raises `SpoolError`."""
        self.path = path
        with spool_errors(f"cannot open {path.name}"):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            size = os.fstat(self._fd).st_size
            tail = os.pread(self._fd, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
            torn = len(tail) - (tail.rfind(b"\n") + 1)
            if torn:
                os.ftruncate(self._fd, size - torn)
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(directory)
            os.close(directory)
        self.head = read_head(path)

    def add(self, event: str, **details: object) -> Head:
        """Write a line, on disk when this returns. Raises `SpoolError`."""
        line: dict[str, object] = {
            "n": self.head.lines + 1,
            "at": round(time.time(), 3),
            "event": event,
            **details,
            "previous": self.head.hash,
        }
        line["hash"] = _hash(line)
        size = os.fstat(self._fd).st_size
        try:
            data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
            if os.write(self._fd, data) != len(data):
                raise OSError(28, "no space left")
            os.fdatasync(self._fd)
        except OSError as error:
            with spool_errors("cannot cut the audit record"):
                os.ftruncate(self._fd, size)
            raise SpoolError(f"cannot write the audit record: {error.strerror}") from error
        self.head = Head(self.head.lines + 1, str(line["hash"]))
        return self.head

    def last(self, event: str) -> dict[str, Any] | None:
        """The newest line of an event, if it is among the newest lines (16 KiB)."""
        lines = (_parsed(raw) for raw in reversed(_newest_lines(self.path)))
        return next((line for line in lines if line is not None and line.get("event") == event), None)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def read_head(path: Path) -> Head:
    """Head of a record that another process may be writing; (0, zeros) for an empty or absent one."""
    lines = _newest_lines(path)
    line = _parsed(lines[-1]) if lines else None
    return Head(int(line["n"]), str(line["hash"])) if line is not None else Head(0, _FIRST)


def _newest_lines(path: Path) -> list[bytes]:
    """The last 16 KiB in whole lines, oldest first (the first may lack its beginning)."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def verify(path: Path, known: Head | None = None) -> str | None:
    """What is wrong with a record, None if it is whole; `known` is a head that it must contain (from a report)."""
    previous, count = _FIRST, 0
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if lines[-1]:
        return f"line {len(lines)} is not complete"
    for number, raw in enumerate(lines[:-1], start=1):
        try:
            line = json.loads(raw)
        except ValueError:
            return f"line {number} is not JSON"
        if not isinstance(line, dict) or line.get("n") != number or line.get("previous") != previous:
            return f"line {number} does not follow the one before: something was removed, added or moved"
        if line.get("hash") != _hash(line):
            return f"line {number} was changed"
        if known is not None and number == known.lines and line["hash"] != known.hash:
            return f"line {number} is not the one that the report names"
        previous, count = str(line["hash"]), number
    if known is not None and count < known.lines:
        return f"the record ends at line {count}, the report names line {known.lines}: the tail was cut"
    return None
