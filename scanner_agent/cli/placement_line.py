"""Placement checks in the line: which scan a localiser belongs to, and its result on the daemon's record."""

from __future__ import annotations

import time

from scanner_agent.errors import ScannerAgentError
from scanner_agent.records import PlacementResult, ScanHeader
from scanner_agent.wire import ClientKeys
from scanner_agent.wire.follow import ControlClient

_STALE_S = 600.0


class Line:
    """One watch's dealings with the daemon. A daemon that is away is said, and ends nothing."""

    def __init__(
        self, url: str, scan_id: str | None, initials: str, keys: ClientKeys | None, patience_s: float = 60.0
    ) -> None:
        """`scan_id`: the scan that all results belong to; None: found anew for each. `patience_s`: for the journal."""
        self._url, self._scan_id, self._initials, self._keys = url, scan_id, initials, keys
        self._began, self._patience_s = time.monotonic(), patience_s

    def scan_now(self) -> ScanHeader | None:
        """The scan that a localiser made now belongs to: under way, or with a shot since this watch began.

        A watch is begun for one planning volume. An older scan may be another patient's: None rather than that.
        """
        try:
            with ControlClient(self._url, keys=self._keys) as control:
                if self._scan_id is not None:
                    return control.snapshot(self._scan_id).header
                now = control.health().at
                began = now - (time.monotonic() - self._began)
                for line in control.scans():
                    since = began if line.ended else min(began, now - _STALE_S)
                    if line.last_shot_at is not None and line.last_shot_at >= since:
                        return control.snapshot(line.scan_id).header
        except ScannerAgentError as error:
            print(f"the daemon cannot be asked: {error}")
        return None

    def put(self, scan: ScanHeader | None, result: PlacementResult) -> str:
        """Put a result on record; what became of it, for a person."""
        scan_id = self._scan_id or (scan.scan_id if scan is not None else None)
        try:
            with ControlClient(self._url, keys=self._keys) as control:
                control.placement(scan_id, self._initials, result, patience_s=self._patience_s)
        except ScannerAgentError as error:
            return f"not on record: {error}"
        return "on record, of no scan (before the spectroscopy)" if scan_id is None else f"on record of scan {scan_id}"
