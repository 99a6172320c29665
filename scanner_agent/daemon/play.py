"""Plays a scan to the daemon as a scanner would: a shot each TR, or faster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import NamedTuple, Protocol

from scanner_agent.records import EndStatus, ScanHeader, Shot, ShotKind
from scanner_agent.wire import ClientKeys, Refusal, ShotSender

_DEFAULT_TR_S = 2.0


class Source(Protocol):
    """A scan whose shots can be gone through more than once."""

    @property
    def header(self) -> ScanHeader:
        """Its header."""

    def shots(self) -> Iterable[Shot]:
        """Its shots in canonical order."""


class Progress(Protocol):
    """Shows how far it is."""

    def __enter__(self) -> object:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def step(self, text: str, done: int, total: int | None) -> None:
        """So far."""


class Played(NamedTuple):
    """What came of it."""

    acknowledged: int
    refused: list[Refusal]
    seconds: float


def play(
    source: Source,
    url: str,
    *,
    speed: float | None,
    progress: Progress,
    keys: ClientKeys | None = None,
    stop: threading.Event | None = None,
    on_shot: Callable[[Shot], None] = lambda _shot: None,
) -> Played:
    """Send a whole scan; shots that the daemon already has are passed over.

    speed: 1 is one shot each TR (2 s where the header has none), None is as fast as the daemon acknowledges.
    `stop`: set it to abort the scan. Raises `RefusedError`, `DeliveryError`, `SourceError`.
    """
    began = time.monotonic()
    pause_s = 0.0 if speed is None else (source.header.repetition_time_s or _DEFAULT_TR_S) / speed
    halt = stop or threading.Event()
    with progress, ShotSender(source.header, url, keys=keys) as sender:
        here = _identities(sender)
        total = source.header.n_shots_planned
        wanted: set[tuple[str, int]] = set()
        due = time.monotonic()
        for shot in source.shots():
            wanted.add((shot.shot_kind.value, shot.shot_index))
            if (shot.shot_kind.value, shot.shot_index) in here:
                continue
            while (left := due - time.monotonic()) > 0 and not halt.is_set():
                sender.pump(min(left, 0.1))
            if halt.is_set():
                break
            sender.send(shot)
            on_shot(shot)
            due += pause_s
            done = shot.shot_index + 1 if shot.shot_kind is ShotKind.METABOLITE else 0
            progress.step(f"{shot.shot_kind.value.replace('_', ' ')} shots sent", done, total)
        if halt.is_set():
            sender.end(EndStatus.ABORTED, "stopped by the sender")
        else:
            sender.flush()
            _send_missing(sender, source, wanted)
            n_shots = sum(kind == ShotKind.METABOLITE.value for kind, _ in wanted)
            sender.end(n_shots=n_shots)
        return Played(sender.acknowledged, list(sender.refused), time.monotonic() - began)


def _identities(sender: ShotSender) -> set[tuple[str, int]]:
    have = sender.status().have
    return {(kind, i) for kind, ranges in have.items() for first, last in ranges for i in range(first, last + 1)}


def _send_missing(sender: ShotSender, source: Source, wanted: set[tuple[str, int]]) -> None:
    """Send once more what the daemon still lacks, refused shots aside."""
    refused = {(refusal.shot_kind, refusal.shot_index) for refusal in sender.refused}
    missing = wanted - _identities(sender) - refused
    if not missing:
        return
    for shot in source.shots():
        if (shot.shot_kind.value, shot.shot_index) in missing:
            sender.send(shot)
    sender.flush()
