"""What ingest knows of each scan of late, from the worker's results: it answers snapshots without any science."""

from __future__ import annotations

import time
from collections import OrderedDict

import msgspec

from scanner_agent.records import (
    Assessment,
    Placement,
    ScanEnd,
    ScanHeader,
    ScanReport,
    ScanSnapshot,
    ShotTrack,
    SpectrumFrame,
)
from scanner_agent.wire.control import ScanLine
from scanner_agent.wire.published import AnyRecord

MAX_SCANS = 50


class _Scan:
    def __init__(self, header: ScanHeader) -> None:
        self.snapshot = ScanSnapshot(header=header, protocol="")
        self.tracks: dict[int, ShotTrack] = {}
        self.n_shots = 0
        self.ended = False
        self.last_shot_at: float | None = None


class Board:
    """The latest scans, the last one touched at the end."""

    def __init__(self) -> None:
        self._scans: OrderedDict[str, _Scan] = OrderedDict()
        self._placements: OrderedDict[str | None, Placement] = OrderedDict()

    def shot_came(self, header: ScanHeader, n_shots: int) -> None:
        """Something of a scan was acknowledged."""
        scan = self._scans.get(header.scan_id)
        if scan is None:
            scan = self._add(header)
        scan.last_shot_at = time.time()
        self._scans.move_to_end(header.scan_id)
        scan.n_shots = n_shots

    def _add(self, header: ScanHeader) -> _Scan:
        scan = self._scans[header.scan_id] = _Scan(header)
        while len(self._scans) > MAX_SCANS:
            ended = next((scan_id for scan_id, old in self._scans.items() if old.ended), next(iter(self._scans)))
            del self._scans[ended]
        return scan

    def take(self, scan_id: str, record: AnyRecord) -> None:
        """Take in a result of the worker."""
        if isinstance(record, Placement):  # may be heard of before its scan is, after a restart
            self._placements[record.scan_id] = record
            self._placements.move_to_end(record.scan_id)
            while len(self._placements) > MAX_SCANS:
                self._placements.popitem(last=False)
            return
        scan = self._scans.get(scan_id)
        if scan is None:
            if isinstance(record, ScanReport):
                scan = self._add(record.scan)
            elif isinstance(record, ScanHeader):
                scan = self._add(record)
            elif isinstance(record, ScanSnapshot):  # a scan that pauses while the daemon is started again
                scan = self._add(record.header)
            else:
                return
        if isinstance(record, ScanSnapshot):
            scan.snapshot = msgspec.structs.replace(record, report=scan.snapshot.report)
            scan.tracks = {track.index: track for track in record.tracks}
        elif isinstance(record, Assessment):
            if record.track is not None:
                scan.tracks[record.track.index] = record.track
            scan.snapshot = msgspec.structs.replace(scan.snapshot, assessment=record)
        elif isinstance(record, SpectrumFrame):
            scan.snapshot = msgspec.structs.replace(scan.snapshot, frame=record)
        elif isinstance(record, ScanReport):
            scan.tracks = {track.index: track for track in record.shots}
            scan.snapshot = msgspec.structs.replace(
                scan.snapshot,
                report=record,
                limits=record.limits or scan.snapshot.limits,
                protocol=scan.snapshot.protocol or record.provenance.protocol,
            )
            scan.ended = True
        elif isinstance(record, ScanEnd):
            scan.ended = True

    def snapshot(self, scan_id: str | None) -> ScanSnapshot | None:
        """All of one scan (None: the one touched last), None if it is not here."""
        if scan_id is None:
            if not self._scans:
                return None
            scan_id = next(reversed(self._scans))
        scan = self._scans.get(scan_id)
        if scan is None:
            return None
        tracks = tuple(scan.tracks[index] for index in sorted(scan.tracks))
        return msgspec.structs.replace(
            scan.snapshot, tracks=tracks, last_shot_at=scan.last_shot_at, placement=self._placements.get(scan_id)
        )

    @property
    def placement(self) -> Placement | None:
        """Latest localiser's result that belongs to no scan."""
        return self._placements.get(None)

    def lines(self) -> tuple[ScanLine, ...]:
        """The scans, newest first."""
        return tuple(_line(scan) for scan in reversed(self._scans.values()))


def _line(scan: _Scan) -> ScanLine:
    header, report, assessment = scan.snapshot.header, scan.snapshot.report, scan.snapshot.assessment
    return ScanLine(
        scan_id=header.scan_id,
        visit_id=header.visit_id,
        verdict=report.verdict if report else assessment.verdict if assessment else None,
        ended=report is not None,
        n_shots=scan.n_shots,
        n_shots_planned=assessment.n_shots_planned if assessment else header.n_shots_planned,
        last_shot_at=scan.last_shot_at,
    )
