"""What a reader makes of one file, before it becomes a header and shots."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanner_agent.errors import SourceError
from scanner_agent.records import EditCondition, ShotKind

MOVEMENT_NOTE = "The file holds only the average of its shots: movement during the scan cannot be seen in it."
"""Fixed note on every scan whose shots were averaged before this program saw them."""

LARGEST_FILE_BYTES = 8 * 1024**3
"""No spectroscopy file is larger; one that is is not read into memory."""


@dataclass(frozen=True)
class ShotDetails:
    """What is known of one stored shot beside its data; fields as in `records.Shot`."""

    shot_index: int
    edit_condition: EditCondition | None = None
    n_excitations: int = 1
    phase_cycle_index: int | None = None
    is_dummy: bool = False
    acquired_at: float | None = None
    frequency_update_hz: float = 0.0


@dataclass(frozen=True)
class ShotStack:
    """Shots of one kind in order of acquisition."""

    data: NDArray[np.complex64]
    """(n_shots, n_coils, n_points), NIfTI-MRS convention."""
    details: tuple[ShotDetails, ...]
    """One for each shot."""


def plain_stack(data: NDArray[np.complexfloating], n_excitations: int = 1) -> ShotStack:
    """Stack of (n_shots, n_coils, n_points) without anything to say of single shots."""
    stored = np.ascontiguousarray(data, dtype=np.complex64)
    return ShotStack(stored, tuple(ShotDetails(i, n_excitations=n_excitations) for i in range(stored.shape[0])))


def summed(stack: ShotStack, n_excitations: int) -> ShotStack:
    """Stack of frames that are means over `n_excitations`, as the sums that `records.Shot` means."""
    details = tuple(replace(one, n_excitations=n_excitations) for one in stack.details)
    return ShotStack(stack.data * np.float32(n_excitations), details)


MEANS_NOTE = "The file stores means over excitations: they were multiplied by their number, to be sums."
"""Note on frames that `summed` changed."""


@dataclass(frozen=True)
class FileContent:
    """One file as read: header fields by their names in `records.ScanHeader`, and shots by kind."""

    fields: dict[str, object]
    stacks: dict[ShotKind, ShotStack]
    notes: tuple[str, ...] = ()
    water_suppressed: bool | None = None
    """Whether the file says that its (metabolite) shots are water suppressed; None: it does not say."""
    written_by_us: bool = False
    """True for NIfTI-MRS files of `write_nifti_mrs`: axis and kinds are then as recorded."""
    beside: tuple[ShotKind, ...] = field(default=())
    """Kinds that `write_nifti_mrs` put into files beside this one."""


def refuse(path: Path, what: str, remedy: str) -> SourceError:
    """One-line error: file, what is wrong, what to do."""
    text = f"{path.name}: {what}; {remedy}"
    return SourceError(" ".join(text.split()))
