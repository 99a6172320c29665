"""What is said of a scan that cannot be processed: `cannot_judge`, with the reason."""

from __future__ import annotations

from collections.abc import Iterable

from scanner_agent import __version__
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
    Severity,
    Timing,
    Verdict,
)
from scanner_agent.scan_protocol import ScanProtocol, match_protocol

_ADVICE = "The program cannot judge this scan: look at the spectrum on the console."


def _finding(reason: str, shot_index: int | None) -> Finding:
    return Finding(
        kind=FindingKind.FIT_FAILED, severity=Severity.WATCH, raised_at_shot=shot_index, text=f"{_ADVICE} ({reason})"
    )


def failed_assessment(header: ScanHeader, shot_index: int | None, reason: str) -> Assessment:
    """Said at once, while the scan may still go on."""
    return Assessment(
        scan_id=header.scan_id,
        shot_index=shot_index,
        n_shots_used=0,
        n_shots_left_out=0,
        n_shots_planned=header.n_shots_planned,
        verdict=Verdict.CANNOT_JUDGE,
        advice=Advice.CONTINUE,
        advice_text=_ADVICE,
        quality=Quality(missing={"all": reason}),
        findings=(_finding(reason, shot_index),),
    )


def failed_report(header: ScanHeader, end: ScanEnd, reason: str, own: Iterable[ScanProtocol] = ()) -> ScanReport:
    """Said at the end. `own`: a site's own protocols."""
    protocol = match_protocol(header, own)
    return ScanReport(
        scan=header,
        end=end,
        verdict=Verdict.CANNOT_JUDGE,
        advice=Advice.CONTINUE,
        advice_text=_ADVICE,
        quality=Quality(missing={"all": reason}),
        findings=(_finding(reason, None),),
        notes=(reason,),
        timing=Timing(total_ms=0.0),
        provenance=Provenance(
            version=__version__,
            protocol=protocol.name,
            protocol_hash=protocol.content_hash(),
            basis=None,
            basis_hash=None,
        ),
    )
