"""The journal: cursors without gaps, across segments, restarts and retention."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from scanner_agent.errors import SpoolError
from scanner_agent.journal import JournalReader, JournalWriter, last_cursor
from scanner_agent.records import Finding, FindingKind, Severity


def _finding(i: int) -> Finding:
    return Finding(kind=FindingKind.LOW_SNR, severity=Severity.NOTE, text=f"finding {i} " + "x" * 200)


def _write(journal: JournalWriter, first: int, n: int) -> None:
    for i in range(first, first + n):
        journal.append("scan", i, [(1, _finding(i))])


def test_entries_come_back_across_segments_and_restarts(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, segment_bytes=2000)
    _write(journal, 1, 25)
    journal.close()
    assert len(list(tmp_path.glob("*.journal"))) > 2
    journal = JournalWriter(tmp_path, segment_bytes=2000)
    assert journal.cursor == 25
    _write(journal, 26, 5)
    for after in (0, 1, 7, 8, 24, 29, 30):
        reader = JournalReader(tmp_path, after)
        entries = list(reader.read(30))
        assert [e.cursor for e in entries] == list(range(after + 1, 31))
        assert all(e.decoded() == _finding(e.cursor) for e in entries)
        reader.close()
    assert last_cursor(tmp_path) == 30
    journal.close()


def test_a_reader_goes_no_further_than_it_is_told_and_then_on(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, segment_bytes=1000)
    _write(journal, 1, 10)
    reader = JournalReader(tmp_path)
    assert [e.cursor for e in reader.read(4)] == [1, 2, 3, 4]
    assert list(reader.read(4)) == []
    _write(journal, 11, 10)
    assert [e.cursor for e in reader.read(20, limit=9)] == list(range(5, 14))
    assert [e.cursor for e in reader.read(20)] == list(range(14, 21))
    reader.close()
    journal.close()


def test_a_torn_tail_is_dropped_and_its_cursors_are_used_again(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path)
    _write(journal, 1, 3)
    journal.close()
    path = next(iter(tmp_path.glob("*.journal")))
    path.write_bytes(path.read_bytes()[:-5])
    journal = JournalWriter(tmp_path)
    assert journal.cursor == 2
    _write(journal, 3, 1)
    assert [e.cursor for e in JournalReader(tmp_path).read(3)] == [1, 2, 3]
    journal.close()


def test_an_entry_that_is_missing_in_the_middle_is_an_error(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path)
    _write(journal, 1, 3)
    path = next(iter(tmp_path.glob("*.journal")))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(SpoolError):
        list(JournalReader(tmp_path).read(3))
    journal.close()


def test_retention_keeps_what_a_reader_needs(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, segment_bytes=2000)
    _write(journal, 1, 30)
    assert journal.retain(needed_from=31, max_age_s=3600.0, max_bytes=10**9, now=time.time()) == 0
    removed = journal.retain(needed_from=15, max_age_s=1.0, max_bytes=10**9, now=time.time() + 10.0)
    assert removed > 0
    reader = JournalReader(tmp_path, 14)
    assert [e.cursor for e in reader.read(30)] == list(range(15, 31))
    reader.close()
    reader = JournalReader(tmp_path, 0)  # begins with what is left
    rest = [e.cursor for e in reader.read(30)]
    assert rest == list(range(rest[0], 31))
    assert rest[0] > 1
    reader.close()
    journal.close()


def test_retention_by_size_leaves_the_newest(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, segment_bytes=2000)
    _write(journal, 1, 30)
    assert journal.retain(needed_from=31, max_age_s=1e9, max_bytes=1, now=time.time()) > 2
    assert len(list(tmp_path.glob("*.journal"))) == 1
    assert last_cursor(tmp_path) == journal.cursor == 30
    journal.close()
