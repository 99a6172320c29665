"""Answers on the control socket. A request id that comes again is answered again, not done again."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import msgspec

from scanner_agent.daemon.audit import AuditLog
from scanner_agent.daemon.board import Board
from scanner_agent.daemon.rates import Allowance
from scanner_agent.daemon.sockets import Received
from scanner_agent.daemon.triggers import TriggerBook
from scanner_agent.errors import RemoteProtocolError, SpoolError
from scanner_agent.journal import JournalReader
from scanner_agent.records import Health, Placement, ScanSnapshot
from scanner_agent.wire.control import (
    Acknowledge,
    AskAction,
    AskEntries,
    AskHealth,
    AskScans,
    AskSnapshot,
    AskTriggers,
    Confirm,
    ControlReply,
    ControlRequest,
    Note,
    TakePlacement,
    TriggerDone,
    decode_control,
    encode_control_reply,
)
from scanner_agent.wire.published import Publication

_REMEMBERED = 1000
_MOST_WAITING = 100
_Change = Acknowledge | Note | AskAction | Confirm | TriggerDone


class Control:
    """The control socket's logic, without the socket."""

    def __init__(
        self,
        board: Board,
        triggers: TriggerBook,
        audit: AuditLog,
        journal: Path,
        *,
        health: Callable[[], Health],
        cursor: Callable[[], int],
        keep: Callable[[Placement], None],
        rates: Allowance,
    ) -> None:
        """`keep` has a localiser's result put into the journal; `kept` is then to be called."""
        self._rates = rates
        self._board, self._triggers, self._audit, self._journal = board, triggers, audit, journal
        self._health, self._cursor, self._keep = health, cursor, keep
        self._waiting: OrderedDict[str, list[tuple[bytes, str]]] = OrderedDict()
        self._kept: OrderedDict[str, None] = OrderedDict()
        self._done: OrderedDict[tuple[bytes, str], ControlReply] = OrderedDict()
        self.refused = 0
        """Requests that were not understood or not allowed."""

    def handle(self, received: Received) -> bytes | None:
        """The answer to one message; None if it comes later, from `kept`."""
        request_id = ""
        try:
            request = decode_control(received.frames)
            request_id = request.request_id
            if not received.allowed:
                raise RemoteProtocolError("not_allowed", "this key may not use the control socket")
            if not self._rates.take(received.who):
                raise RemoteProtocolError("too_fast", "too many requests at once: wait a little")
            answer = self._answer(received, request)
            if answer is None:
                return None
            reply = answer
        except RemoteProtocolError as error:
            self.refused += 1
            reply = ControlReply(request_id=request_id, ok=False, reason=error.reason, text=str(error))
        except SpoolError as error:
            reply = ControlReply(request_id=request_id, ok=False, reason="not_kept", text=str(error))
        return encode_control_reply(reply)

    def _answer(self, received: Received, request: ControlRequest) -> ControlReply | None:
        if isinstance(request, AskSnapshot):
            return ControlReply(request_id=request.request_id, snapshot=self._snapshot(request.scan_id))
        if isinstance(request, AskScans):
            lines, before = self._board.lines(), self._board.placement
            return ControlReply(request_id=request.request_id, scans=lines, placement=before)
        if isinstance(request, AskHealth):
            return ControlReply(request_id=request.request_id, health=self._health())
        if isinstance(request, AskEntries):
            return self._entries(request)
        if isinstance(request, AskTriggers):
            return ControlReply(request_id=request.request_id, triggers=self._triggers.sign_up(received.peer))
        if isinstance(request, TakePlacement):
            kept = self._take_placement(received, request)
            return ControlReply(request_id=request.request_id) if kept else None
        return self._once(received, request)

    def _snapshot(self, scan_id: str | None) -> ScanSnapshot:
        snapshot = self._board.snapshot(scan_id)
        if snapshot is None:
            text = f"scan {scan_id} is not here" if scan_id else "no scan has come yet"
            raise RemoteProtocolError("unknown_scan", text)
        return snapshot

    def _entries(self, request: AskEntries) -> ControlReply:
        reader = JournalReader(self._journal, request.after)
        try:
            entries = list(reader.read(self._cursor(), request.limit))
        finally:
            reader.close()
        publications = tuple(
            Publication(type=e.type, scan_id=e.scan_id, cursor=e.cursor, at=e.at, record=e.record) for e in entries
        )
        return ControlReply(request_id=request.request_id, entries=publications, cursor=self._cursor())

    def _take_placement(self, received: Received, request: TakePlacement) -> bool:
        """Whether it is in the journal already; if not, it is on its way there."""
        if request.placement_id in self._kept:
            return True
        if request.scan_id is not None:
            self._snapshot(request.scan_id)  # refuses an unknown scan
        waiting = self._waiting.get(request.placement_id)
        if waiting is None:
            if len(self._waiting) >= _MOST_WAITING:
                raise RemoteProtocolError("not_kept", "too many results wait for the journal; send it again later")
            self._audit.add(
                "placement",
                key=received.key,
                placement_id=request.placement_id,
                scan_id=request.scan_id,
                initials=request.initials,
                text=request.result.text,
            )
            waiting = self._waiting[request.placement_id] = []
            self._keep(
                Placement(
                    placement_id=request.placement_id,
                    scan_id=request.scan_id,
                    made_at=time.time(),
                    initials=request.initials,
                    result=request.result,
                )
            )
        if (received.peer, request.request_id) not in waiting:
            waiting.append((received.peer, request.request_id))
        return False

    def kept(self, placement_id: str) -> list[tuple[bytes, bytes]]:
        """A localiser's result is in the journal: answers that wait for that, with the peers they are for."""
        self._kept[placement_id] = None
        while len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)
        peers = self._waiting.pop(placement_id, [])
        return [(peer, encode_control_reply(ControlReply(request_id=request_id))) for peer, request_id in peers]

    def _once(
        self, received: Received, request: Acknowledge | Note | AskAction | Confirm | TriggerDone
    ) -> ControlReply:
        """Requests that change something: on the audit record before they are answered."""
        key = (received.peer, request.request_id)
        if key in self._done:
            return self._done[key]
        if isinstance(request, TriggerDone):
            self._triggers.done(request.trigger_id)
        elif isinstance(request, Confirm):
            self._triggers.confirm(request.trigger_id, request.initials, accept=request.accept)
        else:
            self._snapshot(request.scan_id)  # refuses an unknown scan
            if isinstance(request, AskAction):
                self._triggers.ask(request.scan_id, request.initials, request.advice, request.extend_shots)
            else:
                details = {k: v for k, v in msgspec.to_builtins(request).items() if k not in ("type", "request_id")}
                event = "acknowledge" if isinstance(request, Acknowledge) else "note"
                self._audit.add(event, key=received.key, **details)
        reply = self._done[key] = ControlReply(request_id=request.request_id)
        while len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        return reply
