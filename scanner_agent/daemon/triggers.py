"""Requests to the scanner side: proposed by a verdict, confirmed by a person (or by the protocol), kept until done.

The book is a framed file of its own: every change is on disk before it is told to anyone. When a verdict makes a
trigger is decided in `trigger_rules`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from scanner_agent.config import TriggerRules
from scanner_agent.daemon.audit import AuditLog
from scanner_agent.daemon.localiser_rules import decide_localiser, decide_placement
from scanner_agent.daemon.trigger_rules import OPEN, Decision, Occasion, decide
from scanner_agent.durable import REAL_FILES, Files, FramedFile
from scanner_agent.errors import RemoteProtocolError, SpoolError
from scanner_agent.records import Advice, Assessment, Placement, ScanReport, Trigger, TriggerState
from scanner_agent.spool import scan_key

KIND = b"scan-agent-trig"
SIGN_UP_S = 30.0


class TriggerBook:
    """All triggers that may still matter."""

    def __init__(self, path: Path, audit: AuditLog, rules: TriggerRules, files: Files = REAL_FILES) -> None:
        """Open and recover. Raises `SpoolError`."""
        self._rules = rules
        self._file = FramedFile(path, KIND, files)
        self._audit = audit
        self._triggers: dict[str, Trigger] = {}
        self.cursor = 0
        """Cursor of the last journal entry that was considered, as far as it is known after a crash."""
        for frame in self._file.recover():
            self.cursor = max(self.cursor, int.from_bytes(frame.payload, "little"))
            if not frame.meta:
                continue
            try:
                trigger = msgspec.msgpack.decode(frame.meta, type=Trigger)
            except msgspec.DecodeError as error:
                raise SpoolError(f"{path.name}: a trigger cannot be read: {error}") from error
            self._triggers[trigger.trigger_id] = trigger
        self._signed_up: dict[bytes, float] = {}
        self._taken: dict[str, set[str]] = {}
        self.tell: Callable[[Trigger], None] = lambda _trigger: None
        """Called after every change that is on disk."""

    def _put(self, trigger: Trigger, event: str, **details: object) -> None:
        self._audit.add(
            event, trigger_id=trigger.trigger_id, scan_id=trigger.scan_id, advice=trigger.advice.value, **details
        )
        self._file.append(msgspec.msgpack.encode(trigger), self.cursor.to_bytes(8, "little"))
        try:
            self._file.sync()
        except SpoolError:
            self._file.roll_back()
            raise
        self._triggers[trigger.trigger_id] = trigger
        self.tell(trigger)

    def _change(self, trigger: Trigger, state: TriggerState, **details: object) -> None:
        self._put(msgspec.structs.replace(trigger, state=state), f"trigger_{state.value}", **details)

    def consider(self, result: Assessment | ScanReport | Placement, occasion: Occasion) -> None:
        """Propose, activate or withdraw as a new result asks for. Raises `SpoolError`."""
        if isinstance(result, Placement):
            everything, new_id = self._all_and_new_id(occasion)
            self._carry_out(decide_placement(result, occasion, everything, new_id, self._rules))
            return
        for rule in (decide, decide_localiser):
            everything, new_id = self._all_and_new_id(occasion)
            self._carry_out(rule(result, occasion, everything, new_id, self._rules))

    def _all_and_new_id(self, occasion: Occasion) -> tuple[list[Trigger], str]:
        return list(self._triggers.values()), self._new_id(occasion.scan_id)

    def _carry_out(self, decision: Decision) -> None:
        for trigger in decision.withdrawn:
            self._change(trigger, TriggerState.WITHDRAWN)
        for trigger in decision.changed:
            event = "trigger_acknowledged" if trigger.state is TriggerState.ACKNOWLEDGED else "trigger_evidence"
            self._put(trigger, event, placement_id=trigger.placement_id)
        if decision.made is not None:
            cause = decision.made.reason
            self._put(decision.made, f"trigger_{decision.made.state.value}", cause=cause.value if cause else None)

    def _new_id(self, scan_id: str) -> str:
        number = sum(trigger.scan_id == scan_id for trigger in self._triggers.values()) + 1
        return f"{scan_key(scan_id)[:16]}.{number}"

    def note_cursor(self) -> None:
        """Put the cursor on record; after a crash at most what was considered since is considered again."""
        self._file.append(b"", self.cursor.to_bytes(8, "little"))
        self._file.sync()

    def ask(self, scan_id: str, initials: str, advice: Advice, extend_shots: int | None) -> None:
        """A person asks: active at once. Raises `SpoolError`, `RemoteProtocolError`."""
        mine = [t for t in self._triggers.values() if t.scan_id == scan_id]
        if any(t.state in OPEN and t.advice is advice and t.reason is None for t in mine):
            raise RemoteProtocolError("already_asked", f"{advice.value} has been asked for and is not done yet")
        now = time.time()
        trigger = Trigger(
            trigger_id=self._new_id(scan_id),
            scan_id=scan_id,
            advice=advice,
            extend_shots=extend_shots,
            reason=None,
            text=f"Asked for by {initials}.",
            state=TriggerState.ACTIVE,
            created_at=now,
            expires_at=now + self._rules.lifetime_s,
        )
        self._put(trigger, "trigger_asked", initials=initials)

    def confirm(self, trigger_id: str, initials: str, *, accept: bool) -> None:
        """A person decides on a proposed trigger. Raises `SpoolError`, `RemoteProtocolError`."""
        trigger = self._find(trigger_id)
        if trigger.state is not TriggerState.PROPOSED:
            raise RemoteProtocolError("not_proposed", f"trigger {trigger_id} is {trigger.state.value}")
        self._change(trigger, TriggerState.ACTIVE if accept else TriggerState.WITHDRAWN, initials=initials)

    def done(self, trigger_id: str) -> None:
        """The scanner side has it; saying so twice is harmless. Raises `SpoolError`, `RemoteProtocolError`."""
        trigger = self._find(trigger_id)
        if trigger.state is TriggerState.ACKNOWLEDGED:
            return
        if trigger.state is not TriggerState.ACTIVE:
            raise RemoteProtocolError("not_active", f"trigger {trigger_id} is {trigger.state.value}")
        self._change(trigger, TriggerState.ACKNOWLEDGED)

    def delivered(self, trigger_id: str, sink: str, required: frozenset[str]) -> None:
        """A sink has taken it over; acknowledged once all `required` ones have. Raises `SpoolError`."""
        trigger = self._triggers.get(trigger_id)
        if trigger is None or trigger.state is not TriggerState.ACTIVE:
            return
        taken = self._taken.setdefault(trigger_id, set())
        if sink not in taken:
            self._audit.add("trigger_delivered", trigger_id=trigger_id, scan_id=trigger.scan_id, sink=sink)
            taken.add(sink)
        if required <= taken:
            self._change(trigger, TriggerState.ACKNOWLEDGED, sinks=sorted(taken))
            del self._taken[trigger_id]

    def _find(self, trigger_id: str) -> Trigger:
        if trigger_id not in self._triggers:
            raise RemoteProtocolError("unknown_trigger", f"no trigger {trigger_id}")
        return self._triggers[trigger_id]

    def open_triggers(self) -> tuple[Trigger, ...]:
        """Triggers that are proposed or active."""
        return tuple(t for t in self._triggers.values() if t.state in OPEN)

    def sign_up(self, peer: bytes) -> tuple[Trigger, ...]:
        """A peer wants to be told of triggers for the next `SIGN_UP_S`; the open ones."""
        self._signed_up[peer] = time.monotonic() + SIGN_UP_S
        return self.open_triggers()

    def listeners(self) -> list[bytes]:
        """Peers that are signed up now."""
        now = time.monotonic()
        self._signed_up = {peer: until for peer, until in self._signed_up.items() if until > now}
        return list(self._signed_up)

    def expire(self) -> None:
        """Expire what is overdue. Raises `SpoolError`."""
        now = time.time()
        for trigger in list(self._triggers.values()):
            if trigger.state in OPEN and now > trigger.expires_at:
                self._change(trigger, TriggerState.EXPIRED)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
