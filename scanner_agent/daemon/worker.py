"""The worker process: follows the spool, runs the pipeline, keeps the results in the journal.

It holds nothing that cannot be made again from the spool. Started anew, it works through the open scans from their
first shot and journals only what is not in the journal yet.
"""

from __future__ import annotations

import logging
import queue
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from scanner_agent.config import AgentConfig
from scanner_agent.daemon.audit import read_head
from scanner_agent.daemon.failed import failed_assessment, failed_report
from scanner_agent.daemon.link import ChildLink, Message
from scanner_agent.daemon.recorder import Recorder
from scanner_agent.daemon.tries import TryBook
from scanner_agent.errors import SpoolError
from scanner_agent.journal import JournalReader, JournalWriter
from scanner_agent.records import (
    Assessment,
    Placement,
    ScanEnd,
    ScanHeader,
    ScanReport,
    ScanSnapshot,
    Shot,
    ShotKind,
    SpectrumFrame,
)
from scanner_agent.scan_protocol import load_protocols
from scanner_agent.spool import Spooled, SpoolReader
from scanner_agent.wire.published import AnyRecord, decode_record, encode_record, record_name

log = logging.getLogger(__name__)
FRAME_INTERVAL_S = 0.5
_RETRY_S = 1.0
_RETAIN_S = 60.0
_ALIVE_S = 0.25


class Pipeline(Protocol):
    """One scan's processing."""

    def add(self, shot: Shot) -> Sequence[Assessment]:
        """Take one shot."""

    def frame(self) -> SpectrumFrame | None:
        """The spectrum now."""

    def snapshot(self) -> ScanSnapshot:
        """Everything now."""

    def finish(self, end: ScanEnd) -> ScanReport:
        """The report."""


class Pipelines(Protocol):
    """Makes pipelines."""

    def warm_up(self, progress: Callable[[str], None]) -> None:
        """Compile everything."""

    def start(self, header: ScanHeader, replay: Callable[[], Iterator[Shot]]) -> Pipeline:
        """Begin a scan."""


class _Work:
    """One scan under way."""

    def __init__(self, scan_id: str, directory: Path) -> None:
        self.scan_id = scan_id
        self.reader = SpoolReader(directory, scan_id)
        self.size = 0
        self.ended = False
        """Whether its end is on disk."""
        self.header: ScanHeader | None = None
        self.pipeline: Pipeline | None = None
        self.journalled = (0, 0)
        """Last (record, count) that is in the journal."""
        self.findings: set[tuple[str, str]] = set()
        self.frame_at = 0.0
        self.frame_due = False
        self.given_up: str | None = None
        self.last_shot: int | None = None


class Worker:
    """Runs until ingest goes away."""

    def __init__(self, config: AgentConfig, link: ChildLink, pipelines: Pipelines) -> None:
        self._config, self._link, self._pipelines = config, link, pipelines
        self._own = load_protocols(config.protocol_directories)
        self._spool = config.state / "spool"
        self._tries = TryBook(config.state / "work")
        self._journal = JournalWriter(config.state / "journal")
        self._works: dict[str, _Work] = {}
        self._placements: list[Placement] = []
        self._finished: deque[str] = deque(maxlen=1000)
        self._last_steps: dict[str, tuple[int, int]] = {}
        self._indexed_from: int | None = None
        self._recorder: Recorder | None = None
        self._said: dict[str, str | None] = {}
        self._retained_at = self._alive_at = time.monotonic()

    def run(self) -> None:
        """Compile, say that it is ready, then work for ever."""
        url = self._config.store_url
        if url is not None:
            self._recorder = Recorder(self._config.state / "journal", url, self._journal.cursor, self._store_problem)
            self._recorder.start()
        self._recall()
        self._pipelines.warm_up(lambda text: self._link.send({"type": "progress", "text": text}))
        self._link.send({"type": "ready", "cursor": self._journal.cursor})
        while True:
            self._take_messages()
            self._keep_placements()
            if not self._work_once():
                self._link.send({"type": "idle"})
                self._wait()

    def _recall(self) -> None:
        """Tell ingest the latest reports and localisers' results, for whoever asks for them; only the newest part of
        the journal is read.
        """
        reader = JournalReader(self._config.state / "journal", max(0, self._journal.cursor - 2000))
        entries = [e for e in reader.read(self._journal.cursor, 2000) if e.type in ("report", "placement")]
        reader.close()
        for kind in ("report", "placement"):  # a scan is known by its report
            for entry in [e for e in entries if e.type == kind][-20:]:
                record = bytes(entry.record)
                self._link.send({"type": "recall", "scan_id": entry.scan_id, "name": kind, "record": record})

    def _wait(self) -> None:
        """Until ingest says something; frames held back are sent when their time has come."""
        due = [work for work in self._works.values() if work.frame_due]
        try:
            message = self._link.inbox.get(timeout=FRAME_INTERVAL_S if due else 60.0)
        except queue.Empty:
            for work in due:
                self._send_frame(work)
            self._retain()
        else:
            self._take(message)

    def _take_for(self, seconds: float) -> None:
        """Let time pass (no event tells that a disk is well again), but go on hearing ingest."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                self._take(self._link.inbox.get(timeout=left))
            except queue.Empty:
                return

    def _take_messages(self) -> None:
        while True:
            try:
                self._take(self._link.inbox.get_nowait())
            except queue.Empty:
                return

    def _take(self, message: Message) -> None:
        if message["type"] == "placement":
            record = decode_record("placement", message["record"])
            assert isinstance(record, Placement)
            self._placements.append(record)
            return
        scan_id = message["scan_id"]
        if scan_id in self._finished:  # ingest had not heard of it yet when it wrote
            return
        work = self._works.get(scan_id)
        if work is None:
            try:
                work = _Work(scan_id, self._spool)
                work.journalled = self._journalled(scan_id)
            except SpoolError as error:
                self._link.send({"type": "failed", "scan_id": scan_id, "position": 0, "text": str(error)})
                return
            self._works[scan_id] = work
        work.size, work.ended = message["size"], message["ended"]
        if message["give_up"] is not None:
            work.given_up = message["give_up"]

    def _journalled(self, scan_id: str) -> tuple[int, int]:
        """Last step of a scan that an earlier worker put into the journal."""
        after = self._tries.work_started(scan_id)
        if after is None:
            self._tries.note_work(scan_id, self._journal.cursor)
            return (0, 0)
        if self._indexed_from is None or after < self._indexed_from:
            self._index(after)
        return self._last_steps.get(scan_id, (0, 0))

    def _index(self, after: int) -> None:
        """Read the journal from a cursor on, once for all scans that began behind it."""
        reader = JournalReader(self._config.state / "journal", after)
        try:
            for entry in reader.read(self._journal.cursor, 1 << 60):
                self._last_steps[entry.scan_id] = max(entry.step, self._last_steps.get(entry.scan_id, (0, 0)))
        finally:
            reader.close()
        self._indexed_from = after

    def _work_once(self) -> bool:
        """A record of each scan under way, and of the oldest of those that have ended; whether there was any.

        Ended scans one after the other: all at once, none would be done before the last, or before the next crash.
        """
        waiting = [work for work in self._works.values() if work.reader.offset < work.size]
        ended = [work for work in waiting if work.ended]
        for work in [*(work for work in waiting if not work.ended), *ended[:1]]:
            self._step(work)
        return bool(waiting)

    def _step(self, work: _Work) -> None:
        position = work.reader.position + 1
        self._link.send({"type": "begin", "scan_id": work.scan_id, "position": position})
        try:
            record = work.reader.next(work.size)
            if record is None:
                raise SpoolError("the spool file is damaged")
            results = self._results(work, record)
        except Exception as error:
            # The one catch-all of this process: whatever it was, it is this scan's, and others go on.
            log.exception("scan %s, record %d", work.scan_id, position)
            self._drop(work)
            text = f"{type(error).__name__}: {error}"[:200]
            self._link.send({"type": "failed", "scan_id": work.scan_id, "position": position, "text": text})
            return
        self._keep(work, position, results)
        if isinstance(record, Shot) and record.shot_kind is ShotKind.METABOLITE:
            work.last_shot = record.shot_index
            work.frame_due = True
            if time.monotonic() - work.frame_at >= FRAME_INTERVAL_S:
                self._send_frame(work)
        elif isinstance(record, ScanEnd):
            self._drop(work)
            self._finished.append(work.scan_id)
            self._last_steps.pop(work.scan_id, None)
            self._link.send({"type": "done", "scan_id": work.scan_id})
            self._retain()

    def _drop(self, work: _Work) -> None:
        work.reader.close()
        work.pipeline = None  # it holds its shots by way of this work: a ring that the collector would find late
        del self._works[work.scan_id]

    def _results(self, work: _Work, record: Spooled) -> list[AnyRecord]:
        """What one record of the spool brings about."""
        if isinstance(record, ScanHeader):
            work.header = record
            if work.given_up is not None:
                return [record]
            work.pipeline = self._pipelines.start(record, lambda: self._replay(work))
            return [record, work.pipeline.snapshot()]
        assert work.header is not None
        if work.given_up is not None:
            return self._given_up(work, record, work.given_up)
        assert work.pipeline is not None
        if isinstance(record, ScanEnd):
            report = work.pipeline.finish(record)
            return [record, *self._new_findings(work, report), self._with_audit(report)]
        results: list[AnyRecord] = []
        for assessment in work.pipeline.add(record):
            results += [assessment, *self._new_findings(work, assessment)]
        return results

    def _replay(self, work: _Work) -> Iterator[Shot]:
        """The scan's shots again, while ingest is told that this long step goes on."""
        for shot in work.reader.replay():
            if time.monotonic() - self._alive_at >= _ALIVE_S:
                self._alive_at = time.monotonic()
                self._link.send({"type": "alive"})
            yield shot

    def _given_up(self, work: _Work, record: Spooled, reason: str) -> list[AnyRecord]:
        assert work.header is not None
        if isinstance(record, ScanEnd):
            return [record, self._with_audit(failed_report(work.header, record, reason, self._own))]
        if isinstance(record, Shot) and record.shot_kind is ShotKind.METABOLITE:
            return [failed_assessment(work.header, record.shot_index, reason)]
        return []

    def _new_findings(self, work: _Work, result: Assessment | ScanReport) -> list[AnyRecord]:
        new = [f for f in result.findings if (f.kind.value, f.severity.value) not in work.findings]
        work.findings |= {(f.kind.value, f.severity.value) for f in new}
        return list(new)

    def _with_audit(self, report: ScanReport) -> ScanReport:
        head = read_head(self._config.state / "audit.jsonl")
        provenance = msgspec.structs.replace(report.provenance, audit_head=head.hash, audit_count=head.lines)
        return msgspec.structs.replace(report, provenance=provenance)

    def _keep(self, work: _Work, position: int, results: Sequence[AnyRecord]) -> None:
        """Journal what is not there yet, then tell ingest. Waits while the disk will not take it."""
        new = [(i, record) for i, record in enumerate(results, start=1) if (position, i) > work.journalled]
        if not new:
            return
        while True:
            try:
                entries = self._journal.append(work.scan_id, position, new)
                break
            except SpoolError as error:
                self._say("journal", f"results cannot be kept: {error}")
                self._link.send({"type": "idle"})
                self._take_for(_RETRY_S)
        self._say("journal", None)
        self._last_steps[work.scan_id] = entries[-1].step
        for entry in entries:
            self._link.send({"type": "entry", "entry": msgspec.msgpack.encode(entry)})
        if self._recorder is not None:
            self._recorder.journal_grew(self._journal.cursor)

    def _keep_placements(self) -> None:
        """Journal what localisers told: of step 0, as no record of the spool brought it about."""
        while self._placements:
            placement = self._placements[0]
            try:
                (entry,) = self._journal.append(placement.scan_id or "", 0, [(0, placement)])
            except SpoolError as error:
                self._say("journal", f"results cannot be kept: {error}")
                self._take_for(_RETRY_S)
                return
            del self._placements[0]
            self._say("journal", None)
            self._link.send({"type": "entry", "entry": msgspec.msgpack.encode(entry)})
            if self._recorder is not None:
                self._recorder.journal_grew(self._journal.cursor)

    def _send_frame(self, work: _Work) -> None:
        work.frame_at, work.frame_due = time.monotonic(), False
        if work.pipeline is None:
            return
        frame = work.pipeline.frame()
        for record in (work.pipeline.snapshot(), frame):
            if record is not None:
                name = record_name(record)
                self._link.send(
                    {"type": "recent", "scan_id": work.scan_id, "name": name, "record": encode_record(record)}
                )

    def _store_problem(self, text: str | None) -> None:
        self._say("store", text)

    def _say(self, what: str, text: str | None) -> None:
        """Tell ingest of trouble, or of its end, once."""
        if self._said.get(what) != text:
            self._said[what] = text
            self._link.send({"type": "problem", "what": what, "text": text})

    def _retain(self) -> None:
        """Now and then, remove journal segments that are old, or too many, and that nobody needs any more."""
        if time.monotonic() - self._retained_at < _RETAIN_S:
            return
        self._retained_at = time.monotonic()
        stored = self._journal.cursor if self._recorder is None else self._recorder.cursor
        if stored is None:
            return
        # A scan under way may have to be taken up again from its first entry.
        begun = [self._tries.work_started(scan_id) for scan_id in self._works]
        needed = min([stored, *(cursor for cursor in begun if cursor is not None)])
        rules = self._config.spool
        try:
            self._journal.retain(needed, rules.max_age_days * 86_400.0, rules.journal_max_bytes, time.time())
        except SpoolError as error:
            self._say("retention", str(error))


def run(fd: int, make_pipelines: Callable[[AgentConfig], Pipelines]) -> None:
    """The process: the first message of ingest is the configuration."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    link = ChildLink(fd)
    first = link.inbox.get(timeout=60.0)
    config = msgspec.json.decode(first["config"], type=AgentConfig)
    Worker(config, link, make_pipelines(config)).run()


class _LazyPipelines:
    """The real ones, with the site's own protocols.

    The science is imported when it is first needed, so that trouble there is told like any other.
    """

    def __init__(self, config: AgentConfig) -> None:
        self._own = load_protocols(config.protocol_directories)

    def warm_up(self, progress: Callable[[str], None]) -> None:
        """Import and compile everything that a scan needs."""
        progress("loading the signal chain and the fit")
        from scanner_agent.pipeline import ScanPipelines

        self._real = ScanPipelines(self._own)
        self._real.warm_up(progress)

    def start(self, header: ScanHeader, replay: Callable[[], Iterator[Shot]]) -> Pipeline:
        """Begin a scan with the protocol and basis that its header calls for."""
        return self._real.start(header, replay)


if __name__ == "__main__":
    run(int(sys.argv[1]), _LazyPipelines)
