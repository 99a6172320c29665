"""Random lives of triggers: results, people, power cuts of the daemon, crashes of the sink, lost and doubled messages.

The daemon's side is the real book on a disk that loses what was not synced; the scanner's side is a client that keeps
the ids it has acted on. Tests run some lives, `benchmarks/triggers.py` runs thousands.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scanner_agent.config import TriggerRules
from scanner_agent.daemon.audit import AuditLog
from scanner_agent.daemon.trigger_rules import Occasion
from scanner_agent.daemon.triggers import TriggerBook
from scanner_agent.errors import RemoteProtocolError
from scanner_agent.records import (
    Advice,
    Assessment,
    Finding,
    FindingKind,
    Quality,
    Severity,
    Trigger,
    TriggerState,
    Verdict,
)
from tests.support.lossy import LossyFiles

RULES = TriggerRules(max_per_scan=3, max_per_visit=4, cool_down_s=0.0, lifetime_s=1e6)
_KINDS = list(FindingKind)[:4]


@dataclass
class Life:
    """What happened in one run."""

    acted: Counter[str] = field(default_factory=Counter)
    """How often the scanner's side acted on each id."""
    told_active: dict[str, Trigger] = field(default_factory=dict)
    """Triggers that were told to be active, by id."""
    final: dict[str, TriggerState] = field(default_factory=dict)
    """Last state told of each."""
    left_open: int = 0
    restarts: int = 0
    crashes: int = 0
    lost: int = 0
    doubled: int = 0
    reused_ids: int = 0
    """Ids under which two different requests were told."""


class Campaign:
    """One life, decided by its seed."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng, self.folder, self.life = random.Random(seed), folder, Life()
        self.files = LossyFiles()
        self.journal: list[tuple[str, Assessment]] = []
        self.acted: set[str] = set()
        self.to_client: list[Trigger] = []
        self.to_daemon: list[str] = []
        self._open()

    def _open(self) -> None:
        self.audit = AuditLog(self.folder / "audit.jsonl")
        self.book = TriggerBook(self.folder / "triggers.log", self.audit, RULES, self.files)
        self.book.tell = self._tell

    def _tell(self, trigger: Trigger) -> None:
        if trigger.state is TriggerState.ACTIVE:
            before = self.life.told_active.setdefault(trigger.trigger_id, trigger)
            self.life.reused_ids += (before.reason, before.scan_id) != (trigger.reason, trigger.scan_id)
        self.life.final[trigger.trigger_id] = trigger.state
        self._post(self.to_client, trigger)

    def _post(self, queue: list[Any], message: object) -> None:
        """Into the network, which loses, doubles and reorders."""
        fate = self.rng.random()
        if fate < 0.2:
            self.life.lost += 1
            return
        queue.insert(self.rng.randint(0, len(queue)), message)
        if fate > 0.8:
            self.life.doubled += 1
            queue.append(message)

    def run(self, n_steps: int) -> Life:
        """Live, then let everything that is open come to its end over a network that works."""
        steps = (self._result, self._result, self._follow, self._person, self._network, self._network, self._poll,
                 self._power_cut, self._client_crash)  # fmt: skip
        for _ in range(n_steps):
            self.rng.choice(steps)()
        self._follow()
        for trigger in self.book.open_triggers():
            if trigger.state is TriggerState.PROPOSED:
                self.book.confirm(trigger.trigger_id, "ab", accept=False)
        self._calm()
        self.life.left_open = len(self.book.open_triggers())
        self.book.close()
        self.audit.close()
        return self.life

    def _calm(self) -> None:
        """A network that works: the client polls until nothing is open."""
        for _ in range(20):
            self.to_client += self.book.open_triggers()
            while self.to_client or self.to_daemon:
                self._deliver(reliable=True)

    def _result(self) -> None:
        """The worker puts a result into the journal, whatever happens to the daemon's front."""
        rng = self.rng
        advice = rng.choices((Advice.REPEAT, Advice.EXTEND, Advice.CONTINUE), (8, 1, 1))[0]
        verdict = rng.choices((Verdict.STOP, Verdict.WATCH, Verdict.GOOD, Verdict.CANNOT_JUDGE), (12, 1, 1, 1))[0]
        finding = Finding(kind=rng.choice(_KINDS), severity=Severity.STOP, text="made up")
        scan_id = f"s{rng.randint(1, 6)}"
        n_seen = len(self.journal)
        assessment = Assessment(
            scan_id=scan_id,
            shot_index=n_seen,
            n_shots_used=n_seen,
            n_shots_left_out=0,
            n_shots_planned=None,
            verdict=verdict,
            advice=advice,
            advice_text="made up",
            quality=Quality(),
            findings=(finding,),
        )
        self.journal.append((scan_id, assessment))
        if rng.random() < 0.7:
            self._follow()

    def _follow(self) -> None:
        """The front takes up the journal from where it knows that it came to."""
        for cursor in range(self.book.cursor, len(self.journal)):
            scan_id, assessment = self.journal[cursor]
            mode = "ask" if scan_id == "s1" else "auto"
            visit_id = "visit" if scan_id in ("s1", "s2") else None
            self.book.consider(assessment, Occasion(scan_id, visit_id, mode, at=0.0, now=0.0))
            self.book.cursor = cursor + 1
        if self.rng.random() < 0.3:
            self.book.note_cursor()

    def _person(self) -> None:
        for trigger in self.book.open_triggers():
            if trigger.state is TriggerState.PROPOSED and self.rng.random() < 0.7:
                self.book.confirm(trigger.trigger_id, "ab", accept=self.rng.random() < 0.8)
        if self.rng.random() < 0.2:
            with contextlib.suppress(RemoteProtocolError):  # asked for already
                self.book.ask("s1", "ab", Advice.REPEAT, None)

    def _network(self) -> None:
        self._deliver(reliable=False)

    def _deliver(self, *, reliable: bool) -> None:
        if self.to_client and (reliable or self.rng.random() < 0.5):
            self._client_gets(self.to_client.pop(0))
        elif self.to_daemon:
            self._daemon_gets(self.to_daemon.pop(0))

    def _client_gets(self, trigger: Trigger) -> None:
        """Acts once for each id, on disk together with the act; then says so."""
        if trigger.state is not TriggerState.ACTIVE:
            return
        if trigger.trigger_id not in self.acted:
            self.acted.add(trigger.trigger_id)
            self.life.acted[trigger.trigger_id] += 1
        self._post(self.to_daemon, trigger.trigger_id)

    def _daemon_gets(self, trigger_id: str) -> None:
        with contextlib.suppress(RemoteProtocolError):  # withdrawn meanwhile
            self.book.done(trigger_id)

    def _poll(self) -> None:
        for trigger in self.book.open_triggers():
            self._post(self.to_client, trigger)

    def _power_cut(self) -> None:
        """The daemon dies; of its files only what was synced is certain."""
        self.life.restarts += 1
        self.files.cut_power(self.rng)
        self.audit.close()
        self.to_client.clear()
        self._open()

    def _client_crash(self) -> None:
        self.life.crashes += 1
        self.to_client.clear()
        self.to_daemon.clear()


def faults(life: Life) -> list[str]:
    """What went wrong in a life; empty if nothing did."""
    found = [f"{trigger_id} acted on {n} times" for trigger_id, n in life.acted.items() if n > 1]
    found += [f"{trigger_id} acted on, never active" for trigger_id in life.acted if trigger_id not in life.told_active]
    if life.reused_ids:
        found.append(f"{life.reused_ids} ids used twice")
    for trigger_id, state in life.final.items():
        if state is TriggerState.ACKNOWLEDGED and not life.acted[trigger_id]:
            found.append(f"{trigger_id} acknowledged, never acted on")
    if life.left_open:
        found.append(f"{life.left_open} left open")
    return found
