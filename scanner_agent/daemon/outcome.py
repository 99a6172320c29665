"""What results lead to besides being shown: triggers and lines of the audit record. Follows the journal by cursor."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from scanner_agent.daemon.audit import AuditLog
from scanner_agent.daemon.trigger_rules import Occasion
from scanner_agent.daemon.triggers import TriggerBook
from scanner_agent.errors import SpoolError
from scanner_agent.journal import Entry, JournalReader
from scanner_agent.records import Assessment, Placement, ScanHeader, ScanReport
from scanner_agent.scan_protocol import ScanProtocol, match_protocol
from scanner_agent.spool import SpoolReader

log = logging.getLogger(__name__)
_BATCH = 50
_NOTE_EVERY_S = 10.0


class Outcome:
    """The one reader that acts. Entries come at least once; what is done for them is done once."""

    def __init__(self, state: Path, triggers: TriggerBook, audit: AuditLog, own: Sequence[ScanProtocol] = ()) -> None:
        self._own = own
        self._state, self._triggers, self._audit = state, triggers, audit
        self._reader = JournalReader(state / "journal", triggers.cursor)
        self._facts: dict[str, tuple[str | None, str]] = {}
        self._noted_at = time.monotonic()
        self._noted = triggers.cursor

    def follow(self, synced: int) -> bool:
        """Take up some entries up to a cursor; whether there are more. Raises `SpoolError`; call again later."""
        if self._reader.cursor > synced:  # the journal was removed and begun anew
            self._triggers.cursor = self._noted = 0
            self._reader.close()
            self._reader = JournalReader(self._state / "journal")
        try:
            for entry in self._reader.read(synced, _BATCH):
                self._act(entry)
                self._triggers.cursor = entry.cursor
        except SpoolError:
            self._reader.close()
            self._reader = JournalReader(self._state / "journal", self._triggers.cursor)  # tried again from here
            raise
        now = time.monotonic()
        if now - self._noted_at >= _NOTE_EVERY_S and self._noted != self._triggers.cursor:
            self.note()
        return self._reader.cursor < synced

    def note(self) -> None:
        """Put on disk how far this has come. Raises `SpoolError`."""
        self._noted_at = time.monotonic()
        self._noted = self._triggers.cursor
        self._triggers.note_cursor()

    def _act(self, entry: Entry) -> None:
        if entry.type not in ("header", "assessment", "report", "placement"):
            return
        record = entry.decoded()
        if isinstance(record, ScanHeader):
            self._facts[entry.scan_id] = self._facts_of(record)
        elif isinstance(record, Assessment | ScanReport) or (isinstance(record, Placement) and record.scan_id):
            visit_id, mode = self._fact(entry.scan_id, record)
            occasion = Occasion(entry.scan_id, visit_id, mode, at=entry.at, now=time.time())
            self._triggers.consider(record, occasion)
        if isinstance(record, ScanReport):
            self._audit_verdict(entry, record)
            self._facts.pop(entry.scan_id, None)

    def _audit_verdict(self, entry: Entry, report: ScanReport) -> None:
        """Once also when the daemon is killed: the cursor is noted at once, so only the newest line can come again."""
        newest = self._audit.last("verdict")
        if newest is None or (newest["scan_id"], newest["cursor"]) != (entry.scan_id, entry.cursor):
            verdict, advice = report.verdict.value, report.advice.value
            head = self._audit.add(
                "verdict", scan_id=entry.scan_id, verdict=verdict, advice=advice, cursor=entry.cursor
            )
            # Into the system's journal too: there it is out of reach of who rewrites the audit file.
            log.info("scan %s: %s; audit line %d, head %s", entry.scan_id, verdict, head.lines, head.hash)
        self._triggers.cursor = entry.cursor
        self.note()

    def _fact(self, scan_id: str, result: Assessment | ScanReport | Placement) -> tuple[str | None, str]:
        """Visit and trigger mode of a scan; read back from the spool after a restart in mid-scan."""
        if scan_id not in self._facts:
            header = result.scan if isinstance(result, ScanReport) else None
            if header is None:
                with contextlib.suppress(SpoolError):  # the spool file is gone: nothing is asked for in its name
                    header = self._spooled_header(scan_id)
            self._facts[scan_id] = (None, "off") if header is None else self._facts_of(header)
        return self._facts[scan_id]

    def _spooled_header(self, scan_id: str) -> ScanHeader | None:
        reader = SpoolReader(self._state / "spool", scan_id)
        try:
            first = reader.next()
        finally:
            reader.close()
        return first if isinstance(first, ScanHeader) else None

    def _facts_of(self, header: ScanHeader) -> tuple[str | None, str]:
        return header.visit_id, match_protocol(header, self._own).trigger_mode

    def close(self) -> None:
        """Close the journal."""
        self._reader.close()
