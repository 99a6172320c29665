"""The audit record's head goes where who rewrites the record cannot reach it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from scanner_agent.config import TriggerRules
from scanner_agent.daemon.audit import AuditLog, Head, verify
from scanner_agent.daemon.outcome import Outcome
from scanner_agent.daemon.triggers import TriggerBook
from scanner_agent.journal import JournalWriter
from tests.support import faults, live


def test_each_verdict_is_audited_once_and_its_head_goes_to_the_system_s_journal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    journal = JournalWriter(tmp_path / "journal")
    for name in ("one", "two"):
        scan = live.header(name)
        journal.append(name, 1, [(1, scan), (2, faults.uninterrupted(scan, 2))])
    audit = AuditLog(tmp_path / "audit.jsonl")
    book = TriggerBook(tmp_path / "triggers.log", audit, TriggerRules())
    outcome = Outcome(tmp_path, book, audit)
    outcome.follow(journal.cursor)
    outcome.follow(journal.cursor)  # nothing new
    outcome.close()
    book.close()
    journal.close()
    said = [record.getMessage() for record in caplog.records if "audit line" in record.getMessage()]
    assert len(said) == audit.head.lines == 2
    assert said[-1].endswith(f"audit line 2, head {audit.head.hash}")
    audit.close()
    head = Head(2, audit.head.hash)
    assert verify(audit.path, head) is None
    audit.path.write_bytes(audit.path.read_bytes().splitlines(keepends=True)[0])
    assert "the tail was cut" in (verify(audit.path, head) or "")


def test_a_verdict_is_audited_once_though_the_daemon_is_killed_after_it(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path / "journal")
    ends: list[int] = []
    for name in ("one", "two"):
        scan = live.header(name)
        journal.append(name, 1, [(1, scan), (2, faults.uninterrupted(scan, 2))])
        ends.append(journal.cursor)
    journal.close()
    counts = []
    for known in (ends[0], ends[1], ends[1]):  # each time as after a kill: nothing is closed in order
        audit = AuditLog(tmp_path / "audit.jsonl")
        Outcome(tmp_path, TriggerBook(tmp_path / "triggers.log", audit, TriggerRules()), audit).follow(known)
        counts.append(audit.head.lines)
    assert counts == [1, 2, 2]


def test_a_verdict_whose_cursor_was_not_noted_is_not_audited_again(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path / "journal")
    scan = live.header("one")
    journal.append("one", 1, [(1, scan), (2, faults.uninterrupted(scan, 2))])
    journal.close()
    for number in range(2):  # killed between the line and the cursor: the book of the second is as if never written
        audit = AuditLog(tmp_path / "audit.jsonl")
        book = TriggerBook(tmp_path / f"triggers-{number}.log", audit, TriggerRules())
        Outcome(tmp_path, book, audit).follow(journal.cursor)
        audit.close()
    assert audit.head.lines == 1
