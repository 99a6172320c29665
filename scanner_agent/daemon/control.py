"""Answers on the control socket. A request id that comes again is answered again, not done again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import msgspec

from scanner_agent.daemon.audit import AuditLog
from scanner_agent.daemon.board import Board
from scanner_agent.daemon.sockets import Received
from scanner_agent.daemon.triggers import TriggerBook
from scanner_agent.errors import RemoteProtocolError, SpoolError
from scanner_agent.journal import JournalReader
from scanner_agent.records import Health, ScanSnapshot
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
    TriggerDone,
    decode_control,
    encode_control_reply,
)
from scanner_agent.wire.published import Publication

_REMEMBERED = 1000
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
    ) -> None:
        self._board, self._triggers, self._audit, self._journal = board, triggers, audit, journal
        self._health, self._cursor = health, cursor
        self._done: OrderedDict[tuple[bytes, str], ControlReply] = OrderedDict()
        self.refused = 0
        """Requests that were not understood or not allowed."""

    def handle(self, received: Received) -> bytes:
        """The answer to one message."""
        request_id = ""
        try:
            request = decode_control(received.frames)
            request_id = request.request_id
            if not received.allowed:
                raise RemoteProtocolError("not_allowed", "this key may not use the control socket")
            reply = self._answer(received, request)
        except RemoteProtocolError as error:
            self.refused += 1
            reply = ControlReply(request_id=request_id, ok=False, reason=error.reason, text=str(error))
        except SpoolError as error:
            reply = ControlReply(request_id=request_id, ok=False, reason="not_kept", text=str(error))
        return encode_control_reply(reply)

    def _answer(self, received: Received, request: ControlRequest) -> ControlReply:
        if isinstance(request, AskSnapshot):
            return ControlReply(request_id=request.request_id, snapshot=self._snapshot(request.scan_id))
        if isinstance(request, AskScans):
            return ControlReply(request_id=request.request_id, scans=self._board.lines())
        if isinstance(request, AskHealth):
            return ControlReply(request_id=request.request_id, health=self._health())
        if isinstance(request, AskEntries):
            return self._entries(request)
        if isinstance(request, AskTriggers):
            return ControlReply(request_id=request.request_id, triggers=self._triggers.sign_up(received.peer))
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
