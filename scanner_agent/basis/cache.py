"""Simulated sets kept on disk under a name made from all that went into them."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from scanner_agent.basis.basis_set import BasisSet
from scanner_agent.basis.npz_format import read_npz, write_npz
from scanner_agent.basis.sequences import Sequence
from scanner_agent.basis.simulation import Progress, simulate_basis
from scanner_agent.basis.spin_systems import SpinSystem
from scanner_agent.errors import SourceError

SIMULATION_VERSION = 1
"""To be raised whenever the simulation gives other numbers for the same request: old files are then not found."""


def simulate_cached(
    sequence: Sequence,
    systems: Mapping[str, SpinSystem],
    *,
    cache_directory: Path | None,
    spectrometer_frequency_mhz: float,
    n_points: int = 4096,
    dwell_time_s: float = 0.00025,
    name: str = "simulated",
    provenance: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> dict[str, BasisSet]:
    """`simulate_basis`, or its earlier result for the very same request from `cache_directory`/basis.

    The result is the same number for number; None: nothing is kept. A damaged file is made again; a folder that
    cannot be written costs the simulation each time and nothing else.
    """
    request = (
        SIMULATION_VERSION,
        sequence,
        sorted((key, repr(system)) for key, system in systems.items()),
        tuple(systems),
        spectrometer_frequency_mhz,
        n_points,
        dwell_time_s,
        name,
        sorted((provenance or {}).items()),
    )
    path = None
    if cache_directory is not None:
        path = cache_directory / "basis" / f"{hashlib.sha256(repr(request).encode()).hexdigest()[:24]}.npz"
    if path is not None and path.exists():
        try:
            return {basis.spectrum: basis for basis in read_npz(path)}
        except SourceError:
            path.unlink(missing_ok=True)
    sets = simulate_basis(
        sequence,
        systems,
        spectrometer_frequency_mhz=spectrometer_frequency_mhz,
        n_points=n_points,
        dwell_time_s=dwell_time_s,
        name=name,
        provenance=provenance,
        progress=progress,
    )
    if path is not None:
        _keep(list(sets.values()), path)
    return sets


def _keep(sets: list[BasisSet], path: Path) -> None:
    """Write so that nobody ever reads half a file."""
    part = path.with_suffix(f".{os.getpid()}.part")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_npz(sets, part)
        part.replace(path)
