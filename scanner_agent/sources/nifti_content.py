"""An array with NIfTI-MRS dimensions and header extension -> `FileContent`: of files, and of what spec2nii makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner_agent.mrs.axes import time_axis
from scanner_agent.records import EditCondition, ShotKind
from scanner_agent.sources.content import FileContent, ShotDetails, ShotStack, refuse
from scanner_agent.sources.geometry import place_of_affine
from scanner_agent.sources.nifti_header import (
    OurKey,
    centre_offset_ppm,
    edit_labels,
    header_fields,
    our_key,
    water_suppressed,
)

_SHOT_TAGS = ("DIM_MEAS", "DIM_DYN", "DIM_PHASE_CYCLE", "DIM_EDIT")
"""Dimensions that make shots, slowest first: dynamic by dynamic, its edit conditions in turn."""


def content_of_array(
    path: Path,
    stored: NDArray[Any],
    extension: dict[str, Any],
    affine: NDArray[np.float64] | None,
    dwell_time_s: float,
) -> FileContent:
    """Content of data in NIfTI-MRS dimensions (x, y, z, points, dim_5, dim_6, dim_7).

    Args:
        path: File they come from, for messages.
        stored: Complex, 4 to 7 dimensions, NIfTI-MRS convention.
        extension: Checked header extension.
        affine: (4, 4) voxel to scanner coordinates; None if not known.
        dwell_time_s: Seconds.

    Raises:
        SourceError: A kind of data that is not supported.
    """
    ours = our_key(path, extension)
    shots, sizes = _shots(path, stored, extension)
    fields = header_fields(extension)
    notes: list[str] = []
    place = None if affine is None else place_of_affine(affine)
    if place is None:
        notes.append("The file does not say where the voxel lies.")
    else:
        fields.update(place.fields())
    offset_ppm = centre_offset_ppm(extension)
    if offset_ppm:
        turn = time_axis(shots.shape[-1], dwell_time_s) * -offset_ppm * float(str(fields["spectrometer_frequency_mhz"]))
        shots = (shots * np.exp(2j * np.pi * turn)).astype(np.complex64)
        notes.append(
            f"The receiver was centred at {4.65 + offset_ppm:.2f} ppm; the axis was moved to 4.65 ppm at 0 Hz."
        )

    fields["dwell_time_s"] = dwell_time_s
    fields["coil_combined"] = "DIM_COIL" not in sizes
    details = _details(path, extension, sizes, fields) if ours is None else _our_details(path, ours, shots.shape[0])
    suppressed = water_suppressed(extension)
    kind = ShotKind.METABOLITE
    if ours is not None:
        fields.update(ours.header)
        kind = ours.kind
        notes = []
    return FileContent(
        fields=fields,
        stacks={kind: ShotStack(shots, details)},
        notes=tuple(notes),
        water_suppressed=suppressed,
        written_by_us=ours is not None,
        beside=ours.beside if ours is not None else (),
    )


def _shots(path: Path, stored: NDArray[Any], extension: dict[str, Any]) -> tuple[NDArray[np.complex64], dict[str, int]]:
    """(n_shots, n_coils, n_points) in order of acquisition, and the size of each named dimension."""
    if not 4 <= stored.ndim <= 7:
        raise refuse(path, f"has {stored.ndim} dimensions, not 4 to 7", "convert it again")
    if stored.shape[:3] != (1, 1, 1):
        raise refuse(path, f"holds {np.prod(stored.shape[:3])} voxels", "only single-voxel scans can be judged")
    tags: list[str] = []
    for place in range(5, 8):
        tag = extension.get(f"dim_{place}")
        size = stored.shape[place - 1] if stored.ndim >= place else 1
        if tag is None:
            if size > 1:
                raise refuse(path, f"dimension {place} ({size} entries) is not named in the header", f"add dim_{place}")
            tag = f"unnamed {place}"
        elif tag not in (*_SHOT_TAGS, "DIM_COIL") and size > 1:
            raise refuse(path, f"has a {str(tag)[:20]} dimension", "only shots of a single voxel can be judged")
        elif tag in tags:
            raise refuse(path, f"names {tag} twice", "put the header right")
        tags.append(str(tag))
    spatial_free = stored.reshape(stored.shape[3:] + (1,) * (7 - stored.ndim))
    order = [1 + tags.index(tag) for tag in _SHOT_TAGS if tag in tags]
    coil = [1 + tags.index("DIM_COIL")] if "DIM_COIL" in tags else []
    rest = [axis for axis in (1, 2, 3) if axis not in order + coil]
    ordered = spatial_free.transpose(*order, *rest, *coil, 0)
    n_points, n_coils = stored.shape[3], spatial_free.shape[coil[0]] if coil else 1
    sizes: dict[str, int] = {
        tag: spatial_free.shape[1 + tags.index(tag)] for tag in tags if tag in (*_SHOT_TAGS, "DIM_COIL")
    }
    return np.ascontiguousarray(ordered.reshape(-1, n_coils, n_points), dtype=np.complex64), sizes


def _dimension_header(extension: dict[str, Any], tag: str) -> dict[str, Any]:
    for place in range(5, 8):
        if extension.get(f"dim_{place}") == tag:
            header = extension.get(f"dim_{place}_header", {})
            return header if isinstance(header, dict) else {}
    return {}


def _details(
    path: Path, extension: dict[str, Any], sizes: dict[str, int], fields: dict[str, object]
) -> tuple[ShotDetails, ...]:
    """Labels of shots in the order of `_shots`, from the dimensions alone. Adds what is edited to `fields`."""
    shape = tuple(sizes.get(tag, 1) for tag in _SHOT_TAGS)
    n_shots = int(np.prod(shape))
    n_edit = shape[3]
    phase_steps = np.broadcast_to(np.arange(shape[2])[None, None, :, None], shape).reshape(-1)
    conditions: list[EditCondition | None]
    if n_edit > 1:
        labels, pulse = edit_labels(extension, _dimension_header(extension, "DIM_EDIT"), n_edit)
        conditions = [labels[i % n_edit] for i in range(n_shots)]
    else:
        # Conditions may also be told along the dynamics: one label for each.
        told = _dimension_header(extension, "DIM_DYN").get("EditCondition")
        distinct = list(dict.fromkeys(told)) if isinstance(told, list) and len(told) == shape[1] else []
        n_edit = max(len(distinct), 1)
        labels, pulse = edit_labels(extension, {"EditCondition": distinct}, n_edit)
        by_name = dict(zip(distinct, labels, strict=True)) if n_edit == 2 else {}
        dynamics = np.broadcast_to(np.arange(shape[1])[None, :, None, None], shape).reshape(-1)
        conditions = [by_name[told[d]] if by_name and isinstance(told, list) else None for d in dynamics]
    fields["n_edit_conditions"] = n_edit
    if pulse is not None:
        fields["edit_pulse_ppm"] = pulse
    if n_edit > 16:
        raise refuse(path, f"has {n_edit} edit conditions", "put the header right")
    return tuple(
        ShotDetails(i, conditions[i], phase_cycle_index=int(phase_steps[i]) if shape[2] > 1 else None)
        for i in range(n_shots)
    )


def _our_details(path: Path, ours: OurKey, n_shots: int) -> tuple[ShotDetails, ...]:
    """Details of the shots as `write_nifti_mrs` stored them."""
    columns = {name: column for name, column in ours.shots.items() if name in ShotDetails.__dataclass_fields__}
    if any(len(column) != n_shots for column in columns.values()) or "shot_index" not in columns:
        raise refuse(path, "its table of shots does not fit its data", "export the scan again")
    return tuple(ShotDetails(**{name: column[i] for name, column in columns.items()}) for i in range(n_shots))
