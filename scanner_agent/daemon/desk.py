"""Ingest's dealings with the worker: what it is told, what it brings back, what it failed on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from scanner_agent.config import AgentConfig
from scanner_agent.daemon.board import Board
from scanner_agent.daemon.link import Message
from scanner_agent.daemon.problems import Problems
from scanner_agent.daemon.publisher import Publisher
from scanner_agent.daemon.supervisor import Supervisor
from scanner_agent.daemon.tries import TryBook
from scanner_agent.errors import SpoolError
from scanner_agent.journal import Entry
from scanner_agent.records import Placement
from scanner_agent.spool import DONE, Spool, Unfinished
from scanner_agent.wire.published import decode_record, encode_record

log = logging.getLogger(__name__)


class Desk:
    """One worker's work: the spool is its queue, so all it is ever told is how far each scan's file goes."""

    def __init__(
        self,
        config: AgentConfig,
        command: Sequence[str],
        *,
        spool: Spool,
        tries: TryBook,
        board: Board,
        publisher: Publisher,
        problems: Problems,
    ) -> None:
        self.supervisor = Supervisor(config, tries, command)
        self._spool, self._tries, self._board = spool, tries, board
        self._publisher, self._problems = publisher, problems
        self._processed: dict[str, int] = {}
        self._spooled: dict[str, int] = {}
        self._dead: set[str] = set()
        self.finished: Callable[[], None] = lambda: None
        """Called when a scan has its report."""
        self._placements: dict[str, bytes] = {}
        self.kept: Callable[[Placement], None] = lambda _placement: None
        """Called when a localiser's result is in the journal."""

    def tell(self, scan_ids: Sequence[str], *, now: bool) -> None:
        """Say how far the files of these scans go. `now`: something has just come of them."""
        for scan_id in scan_ids:
            try:
                self._tell_one(scan_id, now=now)
            except SpoolError as error:
                self._problems.set("spool", str(error))

    def _tell_one(self, scan_id: str, *, now: bool) -> None:
        scan = self._spool.find(scan_id)
        if scan is None or scan.header is None or scan.file.path.suffix == DONE:
            return
        if now:
            self._board.shot_came(scan.header, scan.n_shots)
        ended = scan.end is not None
        self._send(Unfinished(scan.header, scan.file.synced_size, ended=ended, n_records=scan.n_records))

    def _send(self, scan: Unfinished) -> None:
        scan_id = scan.header.scan_id
        self._spooled[scan_id] = scan.n_records
        link = self.supervisor.link
        if link is None or scan_id in self._dead:
            return
        reason = self.supervisor.give_up_reason(scan_id) if scan_id not in self._processed else None
        self._processed.setdefault(scan_id, 0)
        link.send({"type": "scan", "scan_id": scan_id, "size": scan.size, "ended": scan.ended, "give_up": reason})

    def keep(self, placement: Placement) -> None:
        """Have a localiser's result put into the journal, by the next worker if this one dies."""
        self._placements[placement.placement_id] = encode_record(placement)
        self._send_placement(placement.placement_id)

    def _send_placement(self, placement_id: str) -> None:
        link = self.supervisor.link
        if link is not None:
            link.send({"type": "placement", "record": self._placements[placement_id]})

    def take_results(self) -> None:
        """Everything that the worker has said."""
        link = self.supervisor.link
        if link is None:
            return
        if link.backlog:
            link.flush()
        for message in link.receive():
            self.supervisor.take(message)
            self._take(message)

    def _take(self, message: Message) -> None:
        kind = message["type"]
        if kind == "begin":
            self._processed[message["scan_id"]] = message["position"]
        elif kind == "entry":
            entry = msgspec.msgpack.decode(message["entry"], type=Entry)
            record = entry.decoded()
            self._board.take(entry.scan_id, record)
            self._publisher.send(entry.type, entry.scan_id or None, bytes(entry.record), entry.cursor)
            if isinstance(record, Placement):
                self._placements.pop(record.placement_id, None)
                self.kept(record)
        elif kind in ("recent", "recall"):
            self._board.take(message["scan_id"], decode_record(message["name"], message["record"]))
            if kind == "recent" and message["name"] == "frame":
                self._publisher.send("frame", message["scan_id"], message["record"])
        elif kind == "done":
            self._done(message["scan_id"])
        elif kind == "failed":
            self._failed(message["scan_id"], message["position"], message["text"])
        elif kind == "problem":
            self._problems.set(message["what"], message["text"])
        elif kind == "ready":
            self._publisher.cursor = max(self._publisher.cursor, message["cursor"])

    def _done(self, scan_id: str) -> None:
        try:
            self._spool.mark_done(scan_id)
        except SpoolError as error:
            self._problems.set("spool", str(error))
            return
        self._tries.clear(scan_id)
        self._processed.pop(scan_id, None)
        self._spooled.pop(scan_id, None)
        self.finished()

    def _failed(self, scan_id: str, position: int, text: str) -> None:
        """The pipeline raised: count it, then have it tried again, or given up."""
        log.warning("scan %s failed at record %d: %s", scan_id, position, text)
        if self.supervisor.give_up_reason(scan_id) is not None:
            self._dead.add(scan_id)  # not even giving up worked
            self._problems.set(f"scan {scan_id}", f"scan {scan_id} cannot be read back: {text}")
            return
        self.supervisor.blame(scan_id, position, text)
        self._processed.pop(scan_id, None)
        self.tell([scan_id], now=False)

    def look_after(self) -> None:
        """Bury a dead worker, start a new one when it is time, and give it everything that is not finished."""
        if self.supervisor.is_dead():
            self.take_results()  # what it said before it died
            self.supervisor.bury()
            log.warning("%s", self.supervisor.trouble)
        if self.supervisor.start_if_due():
            self._processed.clear()
            self._dead.clear()
            for scan in self._spool.unfinished():
                self._send(scan)
            for placement_id in self._placements:
                self._send_placement(placement_id)

    @property
    def n_waiting(self) -> int:
        """Records on disk that the worker has not begun with."""
        return sum(max(0, n - self._processed.get(scan_id, 0)) for scan_id, n in self._spooled.items())
