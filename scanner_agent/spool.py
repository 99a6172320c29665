"""Shots on disk before they are acknowledged: one append-only file per scan, synced in groups, sealed at the end.

File names are hashes of scan ids, so nothing that comes over the wire names a path. The suffix tells the state:
`.open` (shots may come), `.sealed` (the end is in it), `.done` (its report is in the journal). The ingest process is
the only writer; the worker and the commands read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scanner_agent.durable import (
    REAL_FILES,
    START,
    Files,
    Frame,
    FramedFile,
    Place,
    has_kind,
    private_directory,
    read_frame,
    read_frames,
    spool_errors,
)
from scanner_agent.errors import RemoteProtocolError, SpoolError
from scanner_agent.records import ScanEnd, ScanHeader, Shot, ShotKind
from scanner_agent.wire.codec import Limits, Range, content_digest, decode_request, encode_request, to_ranges

KIND = b"scan-agent-spool"
OPEN, SEALED, DONE = ".open", ".sealed", ".done"
_SUFFIXES = (OPEN, SEALED, DONE)
_FORGOTTEN = "forgotten.log"
_FINISHED_OPEN = 4
# What is on disk was checked when it came; a smaller limit set since then must not hide it.
_ON_DISK = Limits(max_payload_bytes=1 << 31)

Spooled = ScanHeader | Shot | ScanEnd
_CANONICAL = {ShotKind.NOISE: 0, ShotKind.WATER_REFERENCE: 1, ShotKind.METABOLITE: 2}


def scan_key(scan_id: str) -> str:
    """File name, without suffix, of a scan."""
    return hashlib.sha256(scan_id.encode()).hexdigest()[:32]


def decode_frame(frame: Frame) -> Spooled:
    """The message in a frame; raises `SpoolError` if it is none that this version knows."""
    try:
        record = decode_request([frame.meta, frame.payload] if frame.payload else [frame.meta], _ON_DISK)
    except RemoteProtocolError as error:
        raise SpoolError(f"a record of the spool cannot be read: {error}") from error
    if not isinstance(record, ScanHeader | Shot | ScanEnd):
        raise SpoolError("the spool holds a record that is neither header, shot nor end")
    return record


class ScanFile:
    """One scan's file for writing, with the identities it holds."""

    def __init__(self, path: Path, files: Files) -> None:
        self.file = FramedFile(path, KIND, files)
        self.header: ScanHeader | None = None
        self.end: ScanEnd | None = None
        self.digests: dict[tuple[str, int], bytes] = {}
        self.header_digest = self.end_digest = b""
        self.n_records = 0
        self.n_shots = 0
        """Metabolite shots."""
        self._highest = -1
        self.last_at = time.monotonic()
        self._unsynced: list[Spooled] = []
        for frame in self.file.recover():
            self._remember(decode_frame(frame), frame.tag)

    def _remember(self, record: Spooled, digest: bytes) -> None:
        if isinstance(record, Shot):
            self.digests[record.shot_kind.value, record.shot_index] = digest
            if record.shot_kind is ShotKind.METABOLITE:
                self.n_shots += 1
                self._highest = max(self._highest, record.shot_index)
        elif isinstance(record, ScanHeader):
            self.header, self.header_digest = record, digest
        else:
            self.end, self.end_digest = record, digest
        self.n_records += 1

    def known_digest(self, record: Spooled) -> bytes | None:
        """Digest of the record of the same identity that is here, if one is."""
        if isinstance(record, Shot):
            return self.digests.get((record.shot_kind.value, record.shot_index))
        return (self.header_digest if isinstance(record, ScanHeader) else self.end_digest) or None

    def append(self, record: Spooled, frames: list[bytes], digest: bytes) -> None:
        """Write a record, not yet synced; raises `SpoolError`."""
        self.file.append(frames[0], frames[1] if len(frames) == 2 else b"", digest)
        self._remember(record, digest)
        self._unsynced.append(record)
        self.last_at = time.monotonic()

    def sync(self) -> None:
        """All records are on disk when this returns; on `SpoolError` those since the last sync are forgotten."""
        try:
            self.file.sync()
        except SpoolError:
            for record in self._unsynced:
                if isinstance(record, Shot):
                    del self.digests[record.shot_kind.value, record.shot_index]
                    self.n_shots -= record.shot_kind is ShotKind.METABOLITE
                elif isinstance(record, ScanHeader):
                    self.header, self.header_digest = None, b""
                else:
                    self.end, self.end_digest = None, b""
            self.n_records -= len(self._unsynced)
            self._unsynced.clear()
            self.file.roll_back()
            raise
        self._unsynced.clear()

    def have(self) -> dict[str, tuple[Range, ...]]:
        """Shot indices here, as ranges per kind."""
        kinds: dict[str, list[int]] = {}
        for kind, index in sorted(self.digests):
            kinds.setdefault(kind, []).append(index)
        return {kind: to_ranges(indices) for kind, indices in kinds.items()}

    def gaps(self, up_to: int | None = None) -> tuple[Range, ...]:
        """Metabolite shots that are missing below the highest seen, or below `up_to`."""
        stop = self._highest + 1 if up_to is None else up_to
        if self.n_shots >= stop:  # the usual case, at no cost
            return ()
        return to_ranges([i for i in range(stop) if (ShotKind.METABOLITE.value, i) not in self.digests])


class Unfinished(NamedTuple):
    """A scan that has no report yet."""

    header: ScanHeader
    size: int
    """Bytes on disk, synced."""
    ended: bool
    n_records: int
    """Records on disk (of an ended scan: about)."""


class Spool:
    """All scans on disk, for the one process that writes them."""

    def __init__(self, directory: Path, files: Files = REAL_FILES) -> None:
        """Open the spool and recover what was under way. Raises `SpoolError`."""
        self.directory, self.files = private_directory(directory), files
        self.scans: dict[str, ScanFile] = {}
        self._dirty: set[str] = set()
        self._forgotten = FramedFile(directory / _FORGOTTEN, b"scan-agent-gone", files)
        self._gone = {frame.meta.decode() for frame in self._forgotten.recover()}
        self.problems: dict[str, str] = {}
        for path in sorted(directory.glob(f"*{OPEN}")):
            try:
                self._load(path)
            except SpoolError as error:
                self.problems[path.stem] = f"spool file {path.name}: {error}"

    def _load(self, path: Path) -> ScanFile | None:
        scan = ScanFile(path, self.files)
        if scan.header is None:  # nothing of it was ever acknowledged
            scan.file.close()
            with spool_errors(f"cannot remove {path.name}"):
                self.files.unlink(path)
            return None
        self.scans[path.stem] = scan
        if scan.end is not None and path.suffix == OPEN:
            self._rename(path.stem, SEALED)
        return scan

    def find(self, scan_id: str) -> ScanFile | None:
        """A scan that is here, sealed ones read back from disk when asked for; raises `SpoolError`."""
        key = scan_key(scan_id)
        if key in self.scans:
            return self.scans[key]
        for suffix in _SUFFIXES:
            path = self.directory / f"{key}{suffix}"
            with spool_errors("the spool cannot be looked into"):
                there = path.exists()
            if there:
                if key in self.problems:
                    raise SpoolError(self.problems[key])
                self._close_finished()
                return self._load(path)
        return None

    def _close_finished(self) -> None:
        """Keep few finished scans open: they were read back only because something of them was sent again."""
        finished = [key for key, scan in self.scans.items() if scan.file.path.suffix == DONE]
        for key in finished[: len(finished) - _FINISHED_OPEN]:
            self._drop(key)

    def was_forgotten(self, scan_id: str) -> bool:
        """Whether this scan was here and has been removed by the retention rules."""
        return scan_key(scan_id) in self._gone

    def put(self, record: Spooled) -> bool:
        """Write one record, to be kept by the next `sync`; True if the same was here already.

        Raises `RemoteProtocolError` (`conflict`: same identity, other content) and `SpoolError`.
        """
        key = scan_key(record.scan_id)
        frames = encode_request(record)
        digest = content_digest(frames)
        scan = self.find(record.scan_id)
        if scan is None:
            scan = self.scans[key] = ScanFile(self.directory / f"{key}{OPEN}", self.files)
        known = scan.known_digest(record)
        if known is not None:
            if known != digest:
                raise RemoteProtocolError("conflict", f"{_name(record)} is here already with other content")
            return True
        scan.append(record, frames, digest)
        self._dirty.add(key)
        return False

    def sync(self) -> dict[str, str]:
        """Sync every scan written to; seal those that ended. Failures by key: their unsynced records are gone."""
        failed: dict[str, str] = {}
        for key in sorted(self._dirty):
            scan = self.scans[key]
            try:
                scan.sync()
                if scan.end is not None:
                    self._rename(key, SEALED)
            except SpoolError as error:
                failed[key] = str(error)
                if scan.header is None:
                    self._drop(key)
        self._dirty.clear()
        return failed

    def _drop(self, key: str) -> None:
        self.scans.pop(key).file.close()

    def _rename(self, key: str, suffix: str) -> None:
        scan = self.scans[key]
        new = self.directory / f"{key}{suffix}"
        with spool_errors(f"cannot rename {scan.file.path.name}"):
            self.files.rename(scan.file.path, new)
            self.files.sync_directory(self.directory)
        scan.file.path = new

    def probe(self) -> None:
        """Raise `SpoolError` if the disk cannot be written to now."""
        path = self.directory / "probe"
        with spool_errors("the spool's disk cannot be written to"):
            path.write_bytes(b"probe")
            self.files.sync_directory(self.directory)
            path.unlink()

    def mark_done(self, scan_id: str) -> None:
        """The scan's report is safe: it need not be worked on again. Raises `SpoolError`."""
        key = scan_key(scan_id)
        if key in self.scans:
            self._rename(key, DONE)
            self._drop(key)
            return
        path = self.directory / f"{key}{SEALED}"
        if path.exists():
            with spool_errors(f"cannot rename {path.name}"):
                self.files.rename(path, path.with_suffix(DONE))
                self.files.sync_directory(self.directory)

    def unfinished(self) -> list[Unfinished]:
        """Scans without a report: ended ones first, then those under way. Of ended ones only the header is read."""
        found = []
        for path in sorted(self.directory.glob(f"*{SEALED}")):
            if path.stem in self.scans or path.stem in self.problems:
                continue
            try:
                reader = SpoolReader.at(path)
                header = reader.next()
                reader.close()
            except SpoolError as error:
                self.problems[path.stem] = f"spool file {path.name}: {error}"
                continue
            if isinstance(header, ScanHeader):
                size = path.stat().st_size
                about = 2 + size // (8 * header.n_coils * header.n_points)
                found.append(Unfinished(header, size, ended=True, n_records=about))
        for scan in self.scans.values():
            if scan.file.path.suffix != DONE and scan.header is not None and scan.file.synced_size:
                ended = scan.end is not None
                found.append(Unfinished(scan.header, scan.file.synced_size, ended=ended, n_records=scan.n_records))
        return sorted(found, key=lambda item: not item.ended)

    def forget(self, path: Path) -> None:
        """Remove a finished scan for good; its id stays taken. Raises `SpoolError`."""
        self._forgotten.append(path.stem.encode())
        self._forgotten.sync()
        self._gone.add(path.stem)
        if path.stem in self.scans:
            self._drop(path.stem)
        with spool_errors(f"cannot remove {path.name}"):
            self.files.unlink(path)

    def retain(self, max_age_s: float, max_bytes: int, now: float) -> int:
        """Remove finished scans that are too old, then the oldest while there is too much; how many went."""
        done = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in self.directory.glob(f"*{DONE}"))
        total = sum(path.stat().st_size for suffix in _SUFFIXES for path in self.directory.glob(f"*{suffix}"))
        removed = 0
        for modified, size, path in done:
            if now - modified > max_age_s or total > max_bytes:
                self.forget(path)
                total -= size
                removed += 1
        return removed

    def close(self) -> None:
        """Close all files."""
        for scan in self.scans.values():
            scan.file.close()
        self._forgotten.close()


def _name(record: Spooled) -> str:
    if isinstance(record, Shot):
        return f"{record.shot_kind.value} shot {record.shot_index} of {record.scan_id}"
    return f"the {'header' if isinstance(record, ScanHeader) else 'end'} of {record.scan_id}"


class SpoolReader:
    """One scan's file for reading, while it may still grow."""

    def __init__(self, directory: Path, scan_id: str) -> None:
        """Open it in whatever state it is; raises `SpoolError`."""
        self.fd = _open_any(directory, scan_id)
        self._next = START
        self.position = 0
        """Records read so far."""
        self._shots: dict[tuple[int, int], Place] = {}

    @classmethod
    def at(cls, path: Path) -> SpoolReader:
        """Open a file by its path; raises `SpoolError`."""
        reader = cls.__new__(cls)
        with spool_errors(f"cannot open {path.name}"):
            reader.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        reader._next, reader.position, reader._shots = START, 0, {}
        if not has_kind(reader.fd, KIND):
            reader.close()
            raise SpoolError(f"{path.name} is not a spool file")
        return reader

    def next(self, stop: int | None = None) -> Spooled | None:
        """The next record that ends at or before byte `stop` (None: the end of the file), or None."""
        limit = os.fstat(self.fd).st_size if stop is None else stop
        frame = read_frame(self.fd, self._next, limit)
        if frame is None:
            return None
        record = decode_frame(frame)
        if isinstance(record, Shot):
            self._shots[_CANONICAL[record.shot_kind], record.shot_index] = self._next
        self._next = Place(frame.end, frame.checksum)
        self.position += 1
        return record

    @property
    def offset(self) -> int:
        """Bytes read so far."""
        return self._next.offset

    def replay(self) -> Iterator[Shot]:
        """The shots read so far in canonical order (noise, water reference, metabolite; each by index)."""
        size = os.fstat(self.fd).st_size
        for key in sorted(self._shots):
            frame = read_frame(self.fd, self._shots[key], size)
            if frame is None:
                raise SpoolError("a record of the spool has changed since it was written")
            record = decode_frame(frame)
            assert isinstance(record, Shot)
            yield record

    def torn_bytes(self) -> int:
        """Bytes after the last sound record; call after `next` has returned None."""
        return os.fstat(self.fd).st_size - self._next.offset

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)


def _open_any(directory: Path, scan_id: str) -> int:
    """A scan's file under whichever name it has now; the writer may rename it meanwhile, in this order."""
    key = scan_key(scan_id)
    for suffix in (*_SUFFIXES, *_SUFFIXES):
        try:
            return os.open(directory / f"{key}{suffix}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise SpoolError(f"cannot open {key}{suffix}: {error.strerror}") from error
    raise SpoolError(f"scan {scan_id} is not in the spool")


def list_scans(directory: Path) -> list[Path]:
    """Every scan's file, oldest first."""
    dated = []
    for path in (path for suffix in _SUFFIXES for path in directory.glob(f"*{suffix}")):
        with contextlib.suppress(FileNotFoundError):  # the daemon renames and removes meanwhile
            dated.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(dated)]


class ScanSummary(NamedTuple):
    """One line of a list of spooled scans."""

    scan_id: str
    state: str
    modified: float
    n_bytes: int
    n_shots: dict[str, int]


def summary(path: Path) -> ScanSummary:
    """What a file holds; raises `SpoolError`."""
    reader = SpoolReader.at(path)
    try:
        scan_id, n_shots = "?", dict[str, int]()
        while (record := reader.next()) is not None:
            scan_id = record.scan_id
            if isinstance(record, Shot):
                n_shots[record.shot_kind.value] = n_shots.get(record.shot_kind.value, 0) + 1
        state = os.fstat(reader.fd)
        return ScanSummary(scan_id, path.suffix.removeprefix("."), state.st_mtime, state.st_size, n_shots)
    finally:
        reader.close()


def damaged_at(path: Path) -> int | None:
    """Byte at which a file stops being sound, None if it is sound to its end; raises `SpoolError`."""
    reader = SpoolReader.at(path)
    try:
        end = START.offset
        for frame in read_frames(reader.fd):
            decode_frame(frame)
            end = frame.end
        return None if end == os.fstat(reader.fd).st_size else end
    finally:
        reader.close()
