"""Results on disk, in order, each with a cursor: the store, triggers and faces read on from where they were.

Segments are named by the cursor of their first entry. One process writes (the worker); everyone else reads, and only
up to a cursor that the writer has called synced, so that no reader ever holds what a power cut then takes back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
from msgspec import Struct

from scanner_agent.durable import (
    REAL_FILES,
    START,
    Files,
    FramedFile,
    Place,
    private_directory,
    read_frame,
    spool_errors,
)
from scanner_agent.errors import RemoteProtocolError, SpoolError
from scanner_agent.wire.published import AnyRecord, decode_record, encode_record, record_name

KIND = b"scan-agent-jrnl"
SEGMENT_BYTES = 16 * 1024 * 1024


class Entry(Struct, frozen=True, kw_only=True):
    """One journalled record."""

    cursor: int
    """Place in the journal, from 1, without gaps."""
    at: float
    """Unix time, seconds."""
    scan_id: str
    """Scan concerned."""
    step: tuple[int, int]
    """(record of the spool after which it was made, count within that step): the same after a restart."""
    type: str
    """Name of the record."""
    record: msgspec.Raw
    """The record, MessagePack."""

    def decoded(self) -> AnyRecord:
        """The record; raises `SpoolError`."""
        try:
            return decode_record(self.type, self.record)
        except RemoteProtocolError as error:
            raise SpoolError(f"journal entry {self.cursor} cannot be read: {error}") from error


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Entry)


def _decode(meta: bytes) -> Entry:
    try:
        return _DECODER.decode(meta)
    except msgspec.DecodeError as error:
        raise SpoolError(f"a journal entry cannot be read: {error}") from error


def _segments(directory: Path) -> list[tuple[int, Path]]:
    return sorted((int(path.stem), path) for path in directory.glob("*.journal"))


class JournalWriter:
    """The one writer."""

    def __init__(self, directory: Path, files: Files = REAL_FILES, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Open, recover the last segment, sync it. Raises `SpoolError`."""
        self.directory, self._files, self._segment_bytes = private_directory(directory), files, segment_bytes
        segments = _segments(directory)
        first = segments[-1][0] if segments else 1
        self._file = FramedFile(directory / f"{first:016d}.journal", KIND, files)
        self.cursor = first - 1
        """Cursor of the last entry, synced."""
        for frame in self._file.recover():
            self.cursor = _decode(frame.meta).cursor

    def append(self, scan_id: str, position: int, records: Sequence[tuple[int, AnyRecord]]) -> list[Entry]:
        """Keep the records of one step, (count within the step, record) each; synced when this returns.

        Raises `SpoolError`; then none of them is kept.
        """
        if not records:
            return []
        if self._file.end.offset > self._segment_bytes:
            self._rotate()
        entries = [
            Entry(
                cursor=self.cursor + 1 + i,
                at=time.time(),
                scan_id=scan_id,
                step=(position, count),
                type=record_name(record),
                record=msgspec.Raw(encode_record(record)),
            )
            for i, (count, record) in enumerate(records)
        ]
        try:
            for entry in entries:
                self._file.append(_ENCODER.encode(entry))
            self._file.sync()
        except SpoolError:
            self._file.roll_back()
            raise
        self.cursor = entries[-1].cursor
        return entries

    def _rotate(self) -> None:
        new = FramedFile(self.directory / f"{self.cursor + 1:016d}.journal", KIND, self._files)
        self._file.close()
        self._file = new
        for _ in new.recover():
            raise SpoolError(f"{new.path.name} was not empty")

    def retain(self, needed_from: int, max_age_s: float, max_bytes: int, now: float) -> int:
        """Remove whole segments that no reader (cursor `needed_from` and up) needs, if they are old or too many.

        How many were removed. Raises `SpoolError`.
        """
        segments = [(first, path, path.stat()) for first, path in _segments(self.directory)]
        total = sum(state.st_size for _, _, state in segments)
        removed = 0
        for (_, path, state), (following, _, _) in pairwise(segments):
            if following > needed_from or (now - state.st_mtime <= max_age_s and total <= max_bytes):
                break
            with spool_errors(f"cannot remove {path.name}"):
                self._files.unlink(path)
            total -= state.st_size
            removed += 1
        return removed

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class JournalReader:
    """Reads entries in order; remembers its place."""

    def __init__(self, directory: Path, after: int = 0) -> None:
        """Begin behind cursor `after`."""
        self.directory = directory
        self.cursor = after
        """Cursor of the last entry given."""
        self._fd: int | None = None
        self._place = START
        self._first = 0

    def read(self, up_to: int, limit: int = 1000) -> Iterator[Entry]:
        """Entries after the last one given, up to a cursor; entries that retention removed are passed over.

        Raises `SpoolError` if an entry that should be there is damaged.
        """
        given = 0
        while self.cursor < up_to and given < limit:
            entry = self._next()
            if entry is None:
                raise SpoolError(f"journal entry {self.cursor + 1} cannot be read")
            if entry.cursor <= self.cursor:
                continue
            self.cursor = entry.cursor
            given += 1
            yield entry

    def _next(self) -> Entry | None:
        for _ in range(2):
            if self._fd is None and not self._open_segment():
                return None
            assert self._fd is not None
            frame = read_frame(self._fd, self._place, os.fstat(self._fd).st_size)
            if frame is not None:
                self._place = Place(frame.end, frame.checksum)
                return _decode(frame.meta)
            if not any(first > self._first for first, _ in _segments(self.directory)):
                return None
            self.close()
        return None

    def _open_segment(self) -> bool:
        """Open the segment that holds the next cursor, or the first one after it."""
        segments = _segments(self.directory)
        fitting = [item for item in segments if item[0] <= self.cursor + 1 and item[0] > self._first]
        later = [item for item in segments if item[0] > max(self.cursor + 1, self._first)]
        if not fitting and not later:
            return False
        self._first, path = fitting[-1] if fitting else later[0]
        with spool_errors(f"cannot open {path.name}"):
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._place = START
        return True

    def close(self) -> None:
        """Close the open segment."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def last_cursor(directory: Path) -> int:
    """Cursor of the last whole entry on disk (0: none); for readers while no writer runs."""
    segments = _segments(directory)
    cursor = segments[-1][0] - 1 if segments else 0
    reader = JournalReader(directory, cursor)
    try:
        while (entry := reader._next()) is not None:
            cursor = entry.cursor
    finally:
        reader.close()
    return cursor
