"""A file through the same pipeline that the daemon runs, in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from scanner_agent.errors import ProcessingError
from scanner_agent.pipeline import ScanPipeline, start_pipeline
from scanner_agent.records import EditCondition, EndStatus, ScanEnd, ScanReport, Shot, ShotKind
from scanner_agent.sources import ScanSource, open_scan, write_nifti_mrs


class Progress(Protocol):
    """Told how far the work is."""

    def __enter__(self) -> Progress:
        """Begin."""

    def __exit__(self, *exception: object) -> None:
        """End."""

    def step(self, text: str, done: int, total: int | None) -> None:
        """One step was made."""


@dataclass(frozen=True)
class Processed:
    """What came of a file."""

    source: ScanSource
    """Where the shots came from."""
    pipeline: ScanPipeline
    """After `finish`."""
    report: ScanReport
    """The result."""


def process_file(
    file: Path,
    *,
    water: Path | None = None,
    noise: Path | None = None,
    protocol: str | None = None,
    basis: str | None = None,
    phantom: bool | None = None,
    progress: Progress,
) -> Processed:
    """Read a file (with its water reference and noise scan), process it shot by shot, and report.

    Raises `SourceError` and `ConfigError`, one line each, for files, protocols and basis sets that cannot be used.
    """
    with progress:
        progress.step("reading", 0, None)
        source = open_scan(file, water=water, noise=noise, phantom=phantom)
        pipeline = start_pipeline(source.header, source.shots, protocol=protocol, basis=basis)
        total = sum(source.n_shots(kind) for kind in ShotKind)
        for done, shot in enumerate(source.shots(), start=1):
            pipeline.add(shot)
            progress.step("shots", done, total)
        progress.step("last pass", total, total)
        n_shots = source.n_shots(ShotKind.METABOLITE)
        report = pipeline.finish(ScanEnd(scan_id=source.header.scan_id, status=EndStatus.COMPLETE, n_shots=n_shots))
    return Processed(source, pipeline, report)


def write_average(path: Path, processed: Processed) -> tuple[Path, ...]:
    """Write the combined, aligned average that the report is of as NIfTI-MRS (edited scans: ON and OFF).

    Raises `ProcessingError` where there is none.
    """
    average = processed.pipeline.average
    if average is None:
        raise ProcessingError(f"{path.name} is not written: not one shot could be averaged")
    header = msgspec.structs.replace(
        processed.report.scan, n_coils=1, coil_combined=True, shots_averaged=True, eddy_current_corrected=True
    )
    kinds: tuple[EditCondition | None, ...] = ("on", "off") if "off" in average.fids else (None,)
    header = msgspec.structs.replace(header, n_shots_planned=len(kinds))
    shots = [
        Shot(
            scan_id=header.scan_id,
            shot_kind=ShotKind.METABOLITE,
            shot_index=index,
            data=average.fids[kind or "main"][np.newaxis].astype(np.complex64),
            edit_condition=kind,
            n_excitations=max(1, round(average.n_effective / len(kinds))),
        )
        for index, kind in enumerate(kinds)
    ]
    return write_nifti_mrs(path, header, shots)
