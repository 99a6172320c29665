"""A worker with a small pipeline instead of the real one. Run as a script with the link's file descriptor.

A header's `scanner` field can ask for trouble: `raise 5`, `segfault 5`, `hang 5` at metabolite shot 5; with `stop 5`
the verdict is stop from there on.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np

from scanner_agent.daemon.worker import run
from scanner_agent.records import (
    Advice,
    Assessment,
    Finding,
    FindingKind,
    Provenance,
    Quality,
    ScanEnd,
    ScanHeader,
    ScanReport,
    ScanSnapshot,
    Severity,
    Shot,
    ShotKind,
    ShotTrack,
    SpectrumFrame,
    Timing,
    Verdict,
)

_MOVED = Finding(kind=FindingKind.MOTION_DURING_SCAN, severity=Severity.STOP, first_shot=0, text="The head moved.")


class FakePipeline:
    """The verdict is good when there is enough signal; the report depends on every sample of every shot."""

    def __init__(self, header: ScanHeader, replay: Callable[[], Iterator[Shot]]) -> None:
        self.header, self.replay = header, replay
        self.tracks: list[ShotTrack] = []
        self.assessment: Assessment | None = None
        what, _, at = (header.scanner or "").partition(" ")
        self._stops_at = int(at) if what == "stop" else None
        self.calls = False

    def _trouble(self, shot: Shot) -> None:
        what, _, at = (self.header.scanner or "").partition(" ")
        if what not in ("raise", "segfault", "hang") or int(at) != shot.shot_index:
            return
        if what == "raise":
            raise ValueError("asked to fail")
        if what == "segfault":
            ctypes.string_at(8)
        threading.Event().wait()

    def add(self, shot: Shot) -> list[Assessment]:
        if shot.shot_kind is not ShotKind.METABOLITE:
            return []
        self._trouble(shot)
        energy = float(np.mean(np.abs(shot.data) ** 2))
        if self._stops_at is not None and shot.shot_index >= self._stops_at:
            self.calls = True
        self.tracks.append(ShotTrack(index=shot.shot_index, used=energy > 0, amplitude=energy))
        self.assessment = Assessment(
            scan_id=self.header.scan_id,
            shot_index=shot.shot_index,
            n_shots_used=len(self.tracks),
            n_shots_left_out=0,
            n_shots_planned=self.header.n_shots_planned,
            verdict=Verdict.STOP if self.calls else Verdict.COLLECTING,
            advice=Advice.REPEAT if self.calls else Advice.CONTINUE,
            advice_text="Repeat it." if self.calls else "Go on.",
            findings=(_MOVED,) if self.calls else (),
            quality=Quality(n_shots_used=len(self.tracks)),
            track=self.tracks[-1],
        )
        return [self.assessment]

    def frame(self) -> SpectrumFrame | None:
        return SpectrumFrame(scan_id=self.header.scan_id, shot_index=len(self.tracks) - 1, parts=())

    def snapshot(self) -> ScanSnapshot:
        return ScanSnapshot(header=self.header, protocol="fake", tracks=tuple(self.tracks), assessment=self.assessment)

    def _replayed(self) -> Iterator[ShotTrack]:
        what, _, seconds = (self.header.scanner or "").partition(" ")
        for shot in self.replay():
            if what == "slow":
                threading.Event().wait(float(seconds))
            if shot.shot_kind is ShotKind.METABOLITE:
                yield ShotTrack(index=shot.shot_index, used=True, amplitude=float(np.mean(np.abs(shot.data) ** 2)))

    def finish(self, end: ScanEnd) -> ScanReport:
        tracks = tuple(self._replayed())
        return ScanReport(
            scan=self.header,
            end=end,
            verdict=Verdict.STOP if self.calls else Verdict.GOOD,
            advice=Advice.REPEAT if self.calls else Advice.CONTINUE,
            advice_text="Repeat it." if self.calls else "Done.",
            findings=(_MOVED,) if self.calls else (),
            quality=Quality(n_shots_used=len(tracks), noise_sd=float(sum(t.amplitude or 0.0 for t in tracks))),
            shots=tracks,
            timing=Timing(total_ms=1.0),
            provenance=Provenance(version="fake", protocol="fake", protocol_hash="", basis=None, basis_hash=None),
        )


class FakePipelines:
    def warm_up(self, progress: Callable[[str], None]) -> None:
        progress("warming up")

    def start(self, header: ScanHeader, replay: Callable[[], Iterator[Shot]]) -> FakePipeline:
        return FakePipeline(header, replay)


if __name__ == "__main__":
    run(int(sys.argv[1]), lambda _config: FakePipelines())
