"""Append-only files that survive a crash: framed, checksummed, synced on request, recovered by dropping a torn tail.

A file begins with 16 bytes that name its kind. Each frame is 32 bytes of head (mark, length of meta, length of
payload, checksum, tag), the meta and the payload. The checksum (CRC-32) runs on from frame to frame, so that a
frame which is lost, doubled or out of place is seen as well as a changed one.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scanner_agent.errors import SpoolError

_HEAD = struct.Struct("<4sIII16s")
_LENGTHS = struct.Struct("<II16s")
_MARK = b"REC1"
_KIND_BYTES = 16
NO_TAG = bytes(16)
MAX_FRAME_BYTES = 256 * 1024 * 1024
"""Longest meta or payload that is believed when a file is read."""


class Files:
    """The few calls on the operating system that durability hangs on; tests put a lossy disk in their place."""

    def open(self, path: Path, *, create: bool) -> int:
        """A descriptor for reading and appending; a new file must not exist before."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0)
        return os.open(path, flags, 0o600)

    def write(self, fd: int, parts: list[bytes], offset: int) -> None:
        """All of `parts` at `offset`."""
        left = [memoryview(part) for part in parts if part]
        while left:
            done = os.pwritev(fd, left, offset)
            offset += done
            while left and done >= len(left[0]):
                done -= len(left.pop(0))
            if left:
                left[0] = left[0][done:]

    def sync(self, fd: int) -> None:
        """The file's data and size are on disk when this returns."""
        os.fdatasync(fd)

    def sync_directory(self, path: Path) -> None:
        """The names in a directory are on disk when this returns."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def truncate(self, fd: int, size: int) -> None:
        """Cut a file."""
        os.ftruncate(fd, size)

    def rename(self, old: Path, new: Path) -> None:
        """Rename within a directory."""
        old.rename(new)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def close(self, fd: int) -> None:
        """Close a descriptor."""
        os.close(fd)

    def free_bytes(self, path: Path) -> int:
        """Bytes an ordinary user can still write."""
        state = os.statvfs(path)
        return state.f_bavail * state.f_frsize


REAL_FILES = Files()


class Frame(NamedTuple):
    """One frame as read back."""

    offset: int
    meta: bytes
    payload: bytes
    tag: bytes
    checksum: int
    end: int


class Place(NamedTuple):
    """Where a frame begins and the checksum before it."""

    offset: int
    checksum: int


START = Place(_KIND_BYTES, 0)


def _checksum(before: int, meta: bytes, payload: bytes, tag: bytes) -> int:
    value = zlib.crc32(_LENGTHS.pack(len(meta), len(payload), tag), before)
    return zlib.crc32(payload, zlib.crc32(meta, value))


def read_frame(fd: int, place: Place, stop: int) -> Frame | None:
    """The frame at a place, or None where no whole and sound frame ends by `stop`. Raises `SpoolError`."""
    with spool_errors("cannot read back"):  # a disk that fails; what is there but wrong gives None
        head = os.pread(fd, _HEAD.size, place.offset)
        if len(head) < _HEAD.size:
            return None
        mark, n_meta, n_payload, checksum, tag = _HEAD.unpack(head)
        end = place.offset + _HEAD.size + n_meta + n_payload
        if mark != _MARK or max(n_meta, n_payload) > MAX_FRAME_BYTES or end > stop:
            return None
        meta = os.pread(fd, n_meta, place.offset + _HEAD.size)
        payload = os.pread(fd, n_payload, place.offset + _HEAD.size + n_meta)
    if len(meta) != n_meta or len(payload) != n_payload:
        return None
    if _checksum(place.checksum, meta, payload, tag) != checksum:
        return None
    return Frame(place.offset, meta, payload, tag, checksum, end)


def read_frames(fd: int, place: Place = START, stop: int | None = None) -> Iterator[Frame]:
    """Sound frames from a place on, up to the first that is not."""
    limit = os.fstat(fd).st_size if stop is None else stop
    while (frame := read_frame(fd, place, limit)) is not None:
        yield frame
        place = Place(frame.end, frame.checksum)


def has_kind(fd: int, kind: bytes) -> bool:
    """Whether a file begins as one of this kind does. Raises `SpoolError`."""
    with spool_errors("cannot read back"):
        return os.pread(fd, _KIND_BYTES, 0) == kind.ljust(_KIND_BYTES, b"\0")


class FramedFile:
    """The one writer of a framed file. Nothing counts as kept before `sync` has returned."""

    def __init__(self, path: Path, kind: bytes, files: Files = REAL_FILES) -> None:
        """Open an existing file or create one; call `recover` next. Raises `SpoolError`."""
        self.path, self._files, self._kind = path, files, kind
        create = not path.exists()
        with spool_errors(f"cannot open {path.name}"):
            self.fd = files.open(path, create=create)
            self.end = self._synced = Place(0, 0)
            if create:
                files.write(self.fd, [kind.ljust(_KIND_BYTES, b"\0")], 0)
                self.end = START
                self._synced = Place(0, 0)
                files.sync_directory(path.parent)

    def recover(self) -> Iterator[Frame]:
        """Go through all sound frames, then cut what follows the last. Must be run to its end before appending."""
        if os.fstat(self.fd).st_size < _KIND_BYTES:
            # A crash came between the file's creation and its first sync: it never held anything.
            with spool_errors(f"cannot begin {self.path.name}"):
                self._files.truncate(self.fd, 0)
                self._files.write(self.fd, [self._kind.ljust(_KIND_BYTES, b"\0")], 0)
        elif not has_kind(self.fd, self._kind):
            raise SpoolError(f"{self.path.name} is not a file of this program (or its first bytes are damaged)")
        self.end = START
        for frame in read_frames(self.fd):
            self.end = Place(frame.end, frame.checksum)
            yield frame
        with spool_errors(f"cannot cut the torn tail of {self.path.name}"):
            if os.fstat(self.fd).st_size > self.end.offset:
                self._files.truncate(self.fd, self.end.offset)
            self._files.sync(self.fd)
        self._synced = self.end

    @property
    def synced_size(self) -> int:
        """Bytes that are on disk for certain."""
        return self._synced.offset

    def append(self, meta: bytes, payload: bytes = b"", tag: bytes = NO_TAG) -> Place:
        """Write a frame, not yet synced; its place. Raises `SpoolError`, and then nothing of it remains."""
        checksum = _checksum(self.end.checksum, meta, payload, tag)
        head = _HEAD.pack(_MARK, len(meta), len(payload), checksum, tag)
        place = self.end
        try:
            self._files.write(self.fd, [head, meta, payload], place.offset)
        except OSError as error:
            with contextlib.suppress(OSError):  # a tail that cannot be cut now is cut by the next recovery
                self._files.truncate(self.fd, place.offset)
            raise SpoolError(f"cannot write {self.path.name}: {error.strerror}") from error
        self.end = Place(place.offset + len(head) + len(meta) + len(payload), checksum)
        return place

    def sync(self) -> None:
        """Everything appended is on disk when this returns. Raises `SpoolError`; call `roll_back` then."""
        if self._synced == self.end:
            return
        with spool_errors(f"cannot sync {self.path.name}"):
            self._files.sync(self.fd)
        self._synced = self.end

    def roll_back(self) -> None:
        """Forget what was appended since the last sync: after a failed sync nobody knows what the disk holds."""
        self.end = self._synced
        with spool_errors(f"cannot cut {self.path.name}"):
            self._files.truncate(self.fd, self.end.offset)

    def close(self) -> None:
        """Close the file."""
        self._files.close(self.fd)


@contextlib.contextmanager
def spool_errors(what: str) -> Iterator[None]:
    """Turn the operating system's errors into `SpoolError`."""
    try:
        yield
    except OSError as error:
        raise SpoolError(f"{what}: {error.strerror}") from error


def private_directory(path: Path) -> Path:
    """Make a directory that only its owner can enter. Raises `SpoolError`."""
    with spool_errors(f"cannot make the directory {path}"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_uid == os.geteuid():
            path.chmod(0o700)
    return path
