"""How often the worker has died on a scan: counted on disk, so that no crash of anything forgets it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from scanner_agent.durable import private_directory, spool_errors
from scanner_agent.spool import scan_key


class Tries(Struct, frozen=True, kw_only=True):
    """What happened to one scan."""

    count: int = 0
    """Crashes, hangs and exceptions while it was worked on."""
    kills: int = 0
    """Deaths of the worker by a signal from outside (an operator, the kernel short of memory), since any progress."""
    position: int = 0
    """Record of the spool at which the last kill came."""
    text: str = ""
    """What the last one was."""


MAX_KILLS_AT_ONE_PLACE = 5
"""Kills from outside are no fault of the scan, unless they come again and again at the same record."""


class TryBook:
    """The counts of all scans that are not finished."""

    def __init__(self, directory: Path) -> None:
        self._directory = private_directory(directory)

    def _path(self, scan_id: str) -> Path:
        return self._directory / f"{scan_key(scan_id)}.tries"

    def get(self, scan_id: str) -> Tries:
        """What is known of a scan."""
        try:
            return msgspec.json.decode(self._path(scan_id).read_bytes(), type=Tries)
        except (FileNotFoundError, msgspec.DecodeError):
            return Tries()

    def add(self, scan_id: str, position: int, text: str, *, from_outside: bool) -> Tries:
        """Count one more, on disk when this returns; raises `SpoolError`."""
        old = self.get(scan_id)
        if from_outside:
            kills = old.kills + 1 if old.position == position else 1
            new = Tries(count=old.count, kills=kills, position=position, text=text)
        else:
            new = Tries(count=old.count + 1, kills=old.kills, position=position, text=text)
        write_durably(self._path(scan_id), msgspec.json.encode(new))
        return new

    def work_started(self, scan_id: str) -> int | None:
        """Journal cursor before the scan's first entry; None if it was never begun."""
        try:
            return int(self._path(scan_id).with_suffix(".work").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def note_work(self, scan_id: str, cursor: int) -> None:
        """Put on disk where in the journal the scan begins; raises `SpoolError`."""
        write_durably(self._path(scan_id).with_suffix(".work"), str(cursor).encode())

    def clear(self, scan_id: str) -> None:
        """Forget a finished scan."""
        for path in (self._path(scan_id), self._path(scan_id).with_suffix(".work")):
            with contextlib.suppress(OSError):
                path.unlink()


def write_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a small file as a whole, on disk when this returns; raises `SpoolError`."""
    new = path.with_name(f"{path.name}.new")
    with spool_errors(f"cannot write {path.name}"):
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        try:
            if os.geteuid() == 0:  # a command run by root must not shut the daemon's user out
                owner = path.parent.stat()
                os.fchown(fd, owner.st_uid, owner.st_gid)
            os.write(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        new.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
