"""NIfTI-MRS files -> `FileContent`. Data are taken as stored: `nifti_mrs`'s own `[...]` access would conjugate them."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from scanner_agent.mrs.axes import time_axis
from scanner_agent.records import EditCondition, ShotKind
from scanner_agent.sources.content import LARGEST_FILE_BYTES, FileContent, ShotDetails, ShotStack, refuse
from scanner_agent.sources.geometry import place_of_affine
from scanner_agent.sources.nifti_header import (
    OurKey,
    centre_offset_ppm,
    edit_labels,
    header_fields,
    our_key,
    parse_extension,
    water_suppressed,
)

_MRS_EXTENSION_CODE = 44
_SHOT_TAGS = ("DIM_MEAS", "DIM_DYN", "DIM_PHASE_CYCLE", "DIM_EDIT")
"""Dimensions that make shots, slowest first: dynamic by dynamic, its edit conditions in turn."""
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}


def read_nifti_mrs(path: Path) -> FileContent:
    """Read one NIfTI-MRS file of a single voxel: any order of coil, dynamic, edit, phase-cycle and repeat dimensions.

    Raises:
        SourceError: Not NIfTI-MRS, or damaged, or of a kind that is not supported; names the file and the remedy.
    """
    image, stored = _load(path)
    name = bytes(image.header["intent_name"].item()).decode("ascii", "replace")
    if not name.startswith("mrs_v"):
        raise refuse(path, "is a NIfTI image but not NIfTI-MRS", "give a spectroscopy file")
    if not np.iscomplexobj(stored):
        raise refuse(path, "its data are not complex", "export the complex FIDs")
    extension = _extension(path, image)
    ours = our_key(path, extension)
    shots, sizes = _shots(path, stored, extension)
    dwell_time_s = _dwell_time(path, image, extension)
    fields = header_fields(extension)
    notes: list[str] = []

    place = place_of_affine(image.affine)
    if place is None or (int(image.header["qform_code"]) == 0 and int(image.header["sform_code"]) == 0):
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


def _load(path: Path) -> tuple[Any, NDArray[Any]]:
    try:
        if path.name.lower().endswith(".gz"):
            with gzip.open(path) as stream:  # to its end, so that its checksum is looked at
                whole = stream.read(LARGEST_FILE_BYTES)
            version_2 = whole[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
            image: Any = (nib.Nifti2Image if version_2 else nib.Nifti1Image).from_bytes(whole)
        else:
            image = nib.load(path)
        if not isinstance(image, nib.Nifti1Pair):
            raise refuse(path, "is not a NIfTI file", "give NIfTI-MRS or a vendor's spectroscopy file")
        return image, np.asanyarray(image.dataobj)
    except (ImageFileError, HeaderDataError, nib.wrapstruct.WrapStructError):
        raise refuse(path, "is not a readable NIfTI file", "copy or convert it again") from None
    except (EOFError, gzip.BadGzipFile, zlib.error, OSError, ValueError, OverflowError, MemoryError, TypeError):
        raise refuse(path, "is cut off or damaged", "copy or convert it again") from None


def _extension(path: Path, image: Any) -> dict[str, Any]:
    for extension in image.header.extensions:
        if extension.get_code() == _MRS_EXTENSION_CODE:
            content = extension.get_content()
            if isinstance(content, bytes):
                content = content.decode("utf-8", "replace")
            text = content if isinstance(content, str) else str(getattr(extension, "text", ""))
            return parse_extension(path, text.rstrip("\x00"))
    raise refuse(path, "has no NIfTI-MRS header extension", "convert it again with spec2nii")


def _dwell_time(path: Path, image: Any, extension: dict[str, Any]) -> float:
    unit = image.header.get_xyzt_units()[1]
    stored = image.header["pixdim"][4]
    # NIfTI-1 keeps 32-bit floats: 0.0001666 s becomes 0.00016660000255 s. The shortest decimal number was meant.
    decimal = float(np.format_float_positional(stored, unique=True)) if stored.dtype.itemsize == 4 else float(stored)
    dwell_time_s = decimal * _SECONDS.get(unit, float("nan"))
    if not 1e-6 <= dwell_time_s <= 0.01:
        raise refuse(path, f"its dwell time ({dwell_time_s:g} s) is missing or absurd", "put it right in pixdim[4]")
    width = extension.get("SpectralWidth")
    if isinstance(width, int | float) and width > 0 and abs(width * dwell_time_s - 1.0) > 1e-3:
        raise refuse(path, f"SpectralWidth {width:g} Hz and dwell time {dwell_time_s:g} s disagree", "put one right")
    return dwell_time_s


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
