"""One scan from its files: header, and shots as often as they are asked for."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from scanner_agent.records import ScanHeader, Shot, ShotKind
from scanner_agent.sources.content import FileContent, ShotStack, refuse
from scanner_agent.sources.kinds import checked
from scanner_agent.sources.matching import matched_noise, matched_water
from scanner_agent.sources.nifti_writer import beside_path
from scanner_agent.sources.readers import read_file

CANONICAL_ORDER = (ShotKind.NOISE, ShotKind.WATER_REFERENCE, ShotKind.METABOLITE)
"""Order in which the kinds are given out and processed."""
_MOST_NOTES = 32


@dataclass(frozen=True)
class ScanSource:
    """A scan read from files."""

    header: ScanHeader
    stacks: dict[ShotKind, ShotStack]

    def shots(self) -> Iterator[Shot]:
        """All shots: noise, water references, metabolite shots, each kind by index."""
        for kind in CANONICAL_ORDER:
            stack = self.stacks.get(kind)
            if stack is None:
                continue
            for data, detail in zip(stack.data, stack.details, strict=True):
                yield Shot(
                    scan_id=self.header.scan_id,
                    shot_kind=kind,
                    shot_index=detail.shot_index,
                    data=data,
                    edit_condition=detail.edit_condition,
                    n_excitations=detail.n_excitations,
                    phase_cycle_index=detail.phase_cycle_index,
                    is_dummy=detail.is_dummy,
                    acquired_at=detail.acquired_at,
                    frequency_update_hz=detail.frequency_update_hz,
                )

    def n_shots(self, kind: ShotKind) -> int:
        """Number of shots of one kind."""
        stack = self.stacks.get(kind)
        return 0 if stack is None else len(stack.details)


@np.errstate(over="ignore", invalid="ignore")  # absurd numbers are looked for, and said
def open_scan(
    path: Path | str,
    *,
    water: Path | str | None = None,
    noise: Path | str | None = None,
    scan_id: str | None = None,
    phantom: bool | None = None,
) -> ScanSource:
    """Read a scan from NIfTI-MRS or a vendor's file.

    Args:
        path: The scan.
        water: File of its unsuppressed water reference, if that is a file of its own.
        noise: File of its noise scan, likewise.
        scan_id: Identity of the scan; None makes a new one.
        phantom: Whether it is a test object; None leaves what the file says.

    Returns:
        Header and shots in the NIfTI-MRS convention (ppm = 4.65 - f/f0), without any patient field.

    Raises:
        SourceError: One line with the file, what is wrong with it and what to do.
    """
    main = Path(path)
    content = checked(main, read_file(main))
    header = _header(main, content, scan_id if scan_id is not None else f"scan-{secrets.token_hex(8)}", phantom)
    stacks, notes = dict(content.stacks), list(header.source_notes)

    water_path = Path(water) if water is not None else _sibling(main, content, ShotKind.WATER_REFERENCE)
    if water_path is not None:
        other = read_file(water_path)
        # Only a file of several kinds says which of its shots are the water; else all are what the caller says.
        stack = other.stacks.get(ShotKind.WATER_REFERENCE) or other.stacks[ShotKind.METABOLITE]
        stack, said = matched_water(water_path, other, stack, header)
        if ShotKind.WATER_REFERENCE in stacks:
            notes.append("The water reference in the file was replaced by the one given.")
        stacks[ShotKind.WATER_REFERENCE] = stack
        notes += [] if other.written_by_us else said
    noise_path = Path(noise) if noise is not None else _sibling(main, content, ShotKind.NOISE)
    if noise_path is not None:
        other = read_file(noise_path)
        stack, said = matched_noise(noise_path, other, next(iter(other.stacks.values())), header)
        stacks[ShotKind.NOISE] = stack
        notes += [] if other.written_by_us else said
    return ScanSource(msgspec.structs.replace(header, source_notes=tuple(notes[:_MOST_NOTES])), stacks)


def _sibling(path: Path, content: FileContent, kind: ShotKind) -> Path | None:
    """File that `write_nifti_mrs` put beside `path` for one kind, if it is (still) there."""
    if kind not in content.beside:
        return None
    sibling = beside_path(path, kind)
    return sibling if sibling.is_file() else None


def _header(path: Path, content: FileContent, scan_id: str, phantom: bool | None) -> ScanHeader:
    fields = {name: value for name, value in content.fields.items() if value is not None}
    shapes = {stack.data.shape[1:] for stack in content.stacks.values()}
    if len(shapes) != 1:
        raise refuse(path, "its shots have different numbers of coils or points", "split it into files of one kind")
    ((fields["n_coils"], fields["n_points"]),) = shapes
    metabolite = content.stacks.get(ShotKind.METABOLITE)
    if metabolite is not None:
        fields.setdefault("n_shots_planned", len(metabolite.details))
    if phantom is not None:
        fields["is_phantom"] = phantom
    earlier = fields.get("source_notes")
    notes = (*(earlier if isinstance(earlier, tuple | list) else ()), *content.notes)
    fields["source_notes"] = [note[:200] for note in notes[:_MOST_NOTES]]
    fields["scan_id"] = scan_id
    try:
        return msgspec.convert(fields, ScanHeader)
    except msgspec.ValidationError as error:
        raise refuse(
            path, f"its header holds an impossible value ({error})", "put it right, or convert again"
        ) from None
