"""The audit chain: whole, changed, cut, rewritten."""

from __future__ import annotations

import json
from pathlib import Path

from scanner_agent.daemon.audit import AuditLog, Head, read_head, verify


def _log(path: Path, n: int = 5) -> Head:
    log = AuditLog(path)
    for i in range(n):
        log.add("note", text=f"line {i} with ü", count=i)
    head = log.head
    log.close()
    return head


def test_a_whole_record_is_whole_and_goes_on_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    _log(path)
    head = _log(path)
    assert head.lines == 10
    assert read_head(path) == head
    assert verify(path, head) is None


def test_a_changed_removed_moved_or_added_line_is_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    _log(path)
    lines = path.read_bytes().splitlines(keepends=True)
    for number in range(5):
        changed = json.loads(lines[number])
        changed["text"] = "something else"
        path.write_bytes(b"".join([*lines[:number], json.dumps(changed).encode() + b"\n", *lines[number + 1 :]]))
        assert verify(path) == f"line {number + 1} was changed"
    for number in range(4):
        path.write_bytes(b"".join([*lines[:number], *lines[number + 1 :]]))
        assert verify(path) is not None
        path.write_bytes(b"".join([*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]]))
        assert verify(path) is not None
    path.write_bytes(b"".join([*lines, lines[-1]]))
    assert verify(path) is not None


def test_a_cut_tail_is_found_by_the_head_that_a_report_holds(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    head = _log(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]))
    assert verify(path) is None
    assert "the tail was cut" in (verify(path, head) or "")
    path.unlink()
    _log(path, 7)  # written anew as a whole
    assert "not the one" in (verify(path, head) or "")


def test_a_torn_last_line_is_dropped_when_the_daemon_starts(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    head = _log(path)
    with path.open("ab") as file:
        file.write(b'{"n": 6, "ev')
    assert "not complete" in (verify(path) or "")
    assert read_head(path) == head
    log = AuditLog(path)
    assert log.head == head
    log.add("note")
    log.close()
    assert verify(path, head) is None
