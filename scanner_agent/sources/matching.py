"""Water reference and noise scans matched to the scan they belong to: by coils, sampling, geometry and gain.

What makes the reference useless is refused, what makes it less useful is noted; nothing passes in silence.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanner_agent.records import ScanHeader
from scanner_agent.sources.content import FileContent, ShotDetails, ShotStack, plain_stack, refuse
from scanner_agent.sources.evidence import evidence
from scanner_agent.sources.geometry import angle_between_deg

LARGEST_SHIFT_MM = 2.0
"""Voxel centres further apart than this are two voxels (tenth of a common 20 mm edge)."""
LARGEST_SIZE_CHANGE_MM = 1.0
LARGEST_TURN_DEG = 3.0
SUPPRESSED_RATIO = 20.0
"""Water line over the highest clear metabolite line below which no spectrum is unsuppressed."""
_DWELL_TOLERANCE = 1e-3
_FREQUENCY_TOLERANCE = 1e-4
"""Relative; 13 kHz at 3 T tells another scanner or field from an adjusted frequency."""


def _check_sampling(path: Path, content: FileContent, header: ScanHeader, stack: ShotStack, what: str) -> None:
    n_coils = stack.data.shape[1]
    if n_coils != header.n_coils:
        raise refuse(
            path, f"the {what} has {n_coils} coils, the scan {header.n_coils}", f"give the {what} of this scan"
        )
    dwell_time_s = content.fields.get("dwell_time_s")
    if isinstance(dwell_time_s, float) and abs(dwell_time_s / header.dwell_time_s - 1.0) > _DWELL_TOLERANCE:
        raise refuse(
            path,
            f"the {what} was sampled at {1 / dwell_time_s:.0f} Hz, the scan at {1 / header.dwell_time_s:.0f} Hz",
            f"give a {what} of the same bandwidth",
        )
    frequency = content.fields.get("spectrometer_frequency_mhz")
    own = header.spectrometer_frequency_mhz
    if isinstance(frequency, float) and abs(frequency / own - 1.0) > _FREQUENCY_TOLERANCE:
        raise refuse(
            path, f"the {what} is of {frequency:.3f} MHz, the scan of {own:.3f} MHz", f"give the {what} of this scan"
        )


def matched_water(
    path: Path, content: FileContent, stack: ShotStack, header: ScanHeader
) -> tuple[ShotStack, list[str]]:
    """Water shots brought to the scan's point count, and what must be said about them.

    Raises:
        SourceError: Other coils, sampling, field or voxel than the scan's.
    """
    _check_sampling(path, content, header, stack, "water reference")
    seen = evidence(stack.data, header.dwell_time_s, header.spectrometer_frequency_mhz)
    if seen.axis == "right" and seen.water_over_metabolites < SUPPRESSED_RATIO:
        raise refuse(path, "holds water-suppressed shots, not a water reference", "give the unsuppressed scan")
    notes = _geometry_notes(path, content, header)
    gain = content.fields.get("receiver_gain")
    if isinstance(gain, float) and header.receiver_gain is not None:
        if gain != header.receiver_gain:
            notes.append(
                f"Receiver gain of the water reference ({gain:g}) and of the scan ({header.receiver_gain:g}) differ: "
                "no water scaling without correction."
            )
    else:
        notes.append("Receiver gain of scan and water reference is not told: taken as equal.")
    for name, label in (("echo_time_s", "Echo time"), ("sequence", "Sequence")):
        theirs, ours = content.fields.get(name), getattr(header, name)
        if theirs is not None and ours is not None and theirs != ours:
            notes.append(f"{label} of the water reference ({theirs}) is not that of the scan ({ours}).")
    data, cut = _to_points(stack.data, header.n_points)
    if cut:
        notes.append(f"Water reference of {stack.data.shape[2]} points was {cut} to the scan's {header.n_points}.")
    return ShotStack(data, stack.details), notes


def _to_points(data: NDArray[np.complex64], n_points: int) -> tuple[NDArray[np.complex64], str]:
    stored = data.shape[2]
    if stored == n_points:
        return data, ""
    if stored > n_points:
        return np.ascontiguousarray(data[:, :, :n_points]), "cut"
    return np.pad(data, ((0, 0), (0, 0), (0, n_points - stored))), "filled with zeros"


def _geometry_notes(path: Path, content: FileContent, header: ScanHeader) -> list[str]:
    position, size = content.fields.get("voxel_position_mm"), content.fields.get("voxel_size_mm")
    axes = content.fields.get("voxel_orientation")
    here = header.voxel_position_mm, header.voxel_size_mm, header.voxel_orientation
    if not (isinstance(position, tuple) and isinstance(size, tuple) and isinstance(axes, tuple)) or None in here:
        return ["Voxel of scan or water reference is not told: taken as the same."]
    remedy = "give the water reference of this voxel"
    shift = float(np.linalg.norm(np.subtract(position, here[0])))  # type: ignore[arg-type]
    if shift > LARGEST_SHIFT_MM:
        raise refuse(path, f"the water reference's voxel lies {shift:.1f} mm from the scan's", remedy)
    growth = float(np.abs(np.subtract(size, here[1])).max())  # type: ignore[arg-type]
    if growth > LARGEST_SIZE_CHANGE_MM:
        raise refuse(path, f"the water reference's voxel has an edge {growth:.1f} mm longer or shorter", remedy)
    turn = angle_between_deg(axes, here[2])  # type: ignore[arg-type]
    if turn > LARGEST_TURN_DEG:
        raise refuse(path, f"the water reference's voxel is turned by {turn:.0f} degrees", remedy)
    return []


def matched_noise(
    path: Path, content: FileContent, stack: ShotStack, header: ScanHeader
) -> tuple[ShotStack, list[str]]:
    """Noise cut into shots of the scan's length; what is left over at the end is dropped.

    Raises:
        SourceError: Other coils or sampling than the scan's, or too short for one shot.
    """
    _check_sampling(path, content, header, stack, "noise scan")
    n_coils, n_points = header.n_coils, header.n_points
    if stack.data.shape[2] == n_points:
        return stack, []
    row = stack.data.transpose(1, 0, 2).reshape(n_coils, -1)
    n_shots = row.shape[1] // n_points
    if n_shots == 0:
        raise refuse(path, f"the noise scan has {row.shape[1]} points, the scan {n_points}", "give a longer noise scan")
    cut = row[:, : n_shots * n_points].reshape(n_coils, n_shots, n_points).transpose(1, 0, 2)
    return plain_stack(cut), [f"Noise scan was cut into {n_shots} shots of {n_points} points."]


def renumbered(stacks: list[ShotStack]) -> ShotStack:
    """Stacks one after the other, numbered from 0."""
    details = [one for stack in stacks for one in stack.details]
    numbered = tuple(
        ShotDetails(i, d.edit_condition, d.n_excitations, d.phase_cycle_index, d.is_dummy, d.acquired_at)
        for i, d in enumerate(details)
    )
    return ShotStack(np.concatenate([stack.data for stack in stacks]), numbered)
