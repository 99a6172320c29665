"""Framed files: what is written is read, what is torn is dropped, what failed to sync is forgotten."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from scanner_agent.durable import START, Files, Frame, FramedFile, has_kind, read_frame, read_frames
from scanner_agent.errors import SpoolError

KIND = b"test-kind"


def _open(path: Path, files: Files | None = None) -> tuple[FramedFile, list[Frame]]:
    file = FramedFile(path, KIND, files or Files())
    return file, list(file.recover())


def test_frames_come_back_in_order_and_appending_goes_on_after_recovery(tmp_path: Path) -> None:
    file, found = _open(tmp_path / "a")
    assert found == []
    for i in range(3):
        file.append(f"m{i}".encode(), bytes([i]) * i, bytes([i]) * 16)
    file.sync()
    file.close()
    file, found = _open(tmp_path / "a")
    assert [(f.meta, f.payload, f.tag) for f in found] == [
        (f"m{i}".encode(), bytes([i]) * i, bytes([i]) * 16) for i in range(3)
    ]
    file.append(b"m3")
    file.sync()
    file.close()
    assert len(_open(tmp_path / "a")[1]) == 4


def test_every_cut_of_the_file_gives_back_exactly_the_whole_frames_before_it(tmp_path: Path) -> None:
    file, _ = _open(tmp_path / "a")
    ends = [file.end.offset]
    for i in range(3):
        file.append(b"meta", bytes(i * 7))
        ends.append(file.end.offset)
    file.sync()
    file.close()
    whole = (tmp_path / "a").read_bytes()
    for size in range(len(whole) + 1):
        (tmp_path / "b").write_bytes(whole[:size])
        file, found = _open(tmp_path / "b")
        assert len(found) == sum(end <= size for end in ends[1:])
        assert (tmp_path / "b").stat().st_size == ends[len(found)]
        file.close()


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    file, _ = _open(tmp_path / "a")
    for i in range(3):
        file.append(b"meta", bytes(10), bytes([i]) * 16)
    file.sync()
    whole = bytearray((tmp_path / "a").read_bytes())
    for place in range(16, len(whole)):
        changed = whole.copy()
        changed[place] ^= 0x40
        (tmp_path / "b").write_bytes(changed)
        fd = os.open(tmp_path / "b", os.O_RDONLY)
        assert len(list(read_frames(fd))) == (place - 16) // ((len(whole) - 16) // 3)
        os.close(fd)
    file.close()


def test_swapped_and_repeated_frames_are_noticed(tmp_path: Path) -> None:
    file, _ = _open(tmp_path / "a")
    for i in range(3):
        file.append(bytes([i]))
    file.sync()
    file.close()
    whole = (tmp_path / "a").read_bytes()
    head, frames = whole[:16], [whole[16 + 33 * i : 16 + 33 * (i + 1)] for i in range(3)]
    for order, n_sound in (((1, 0, 2), 0), ((0, 0, 1), 1), ((0, 2), 1)):
        (tmp_path / "b").write_bytes(head + b"".join(frames[i] for i in order))
        file, found = _open(tmp_path / "b")
        assert len(found) == n_sound
        file.close()


def test_a_foreign_file_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"something else that is longer than a head")
    with pytest.raises(SpoolError, match="not a file of this program"):
        _open(tmp_path / "a")
    assert (tmp_path / "a").read_bytes().startswith(b"something else")


class _FailingFiles(Files):
    def __init__(self) -> None:
        self.fail_write = self.fail_sync = False

    def write(self, fd: int, parts: list[bytes], offset: int) -> None:
        if self.fail_write:
            super().write(fd, [b"".join(parts)[:10]], offset)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(fd, parts, offset)

    def sync(self, fd: int) -> None:
        if self.fail_sync:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync(fd)


def test_a_full_disk_leaves_no_half_frame(tmp_path: Path) -> None:
    files = _FailingFiles()
    file, _ = _open(tmp_path / "a", files)
    file.append(b"one")
    files.fail_write = True
    size = (tmp_path / "a").stat().st_size
    with pytest.raises(SpoolError, match="No space left"):
        file.append(b"two")
    assert (tmp_path / "a").stat().st_size == size
    files.fail_write = False
    file.append(b"three")
    file.sync()
    file.close()
    assert [f.meta for f in _open(tmp_path / "a")[1]] == [b"one", b"three"]


def test_what_failed_to_sync_is_forgotten(tmp_path: Path) -> None:
    files = _FailingFiles()
    file, _ = _open(tmp_path / "a", files)
    file.append(b"one")
    file.sync()
    file.append(b"two")
    files.fail_sync = True
    with pytest.raises(SpoolError):
        file.sync()
    file.roll_back()
    files.fail_sync = False
    file.append(b"three")
    file.sync()
    file.close()
    assert [f.meta for f in _open(tmp_path / "a")[1]] == [b"one", b"three"]


def test_a_disk_that_cannot_be_read_is_an_error_and_no_torn_tail(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)  # reading a folder fails as a broken disk does
    try:
        for read in (lambda: read_frame(fd, START, 10**6), lambda: has_kind(fd, KIND)):
            with pytest.raises(SpoolError, match="cannot read back"):
                read()
    finally:
        os.close(fd)
