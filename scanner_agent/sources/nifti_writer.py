"""Header and shots -> NIfTI-MRS files that `open_scan` reads back exactly and other tools can use."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nifti_mrs.definitions import nifti_mrs_version
from nifti_mrs.validator import Error as NiftiMrsError
from nifti_mrs.validator import validate_hdr_ext, validate_nifti_header, validate_spectralwidth

from scanner_agent import __version__
from scanner_agent.errors import SourceError
from scanner_agent.records import ScanHeader, Shot, ShotKind
from scanner_agent.sources.content import ShotDetails
from scanner_agent.sources.geometry import affine_of_header
from scanner_agent.sources.nifti_header import extension_of

_SUFFIX = {ShotKind.WATER_REFERENCE: "_water", ShotKind.NOISE: "_noise"}
_ENDINGS = (".nii.gz", ".nii")


def write_nifti_mrs(path: Path | str, header: ScanHeader, shots: Iterable[Shot]) -> tuple[Path, ...]:
    """Write a scan as NIfTI-MRS: metabolite shots to `path`, water and noise to `*_water` and `*_noise` beside it.

    Shots are stored by index as (coil, dynamic), or (coil, dynamic, edit) where on and off alternate without a gap.
    All fields of header and shots are kept, in standard keys or in our user-defined one; only the scan's id is not.

    Args:
        path: Name ending with .nii.gz or .nii; a file of that name is replaced.
        header: The scan.
        shots: Its shots, data (n_coils, n_points), in any order.

    Returns:
        The files written, that of the metabolite shots first.

    Raises:
        SourceError: No shot, a wrong name, or a shot that does not fit the header.
    """
    target = Path(path)
    if not target.name.endswith(_ENDINGS):
        raise SourceError(f"{target.name}: NIfTI-MRS files end with .nii.gz or .nii; choose such a name")
    groups: dict[ShotKind, list[Shot]] = {}
    for shot in shots:
        if shot.data.shape != (header.n_coils, header.n_points):
            raise SourceError(
                f"{target.name}: {shot.shot_kind} shot {shot.shot_index} has shape {shot.data.shape}, the header says "
                f"({header.n_coils}, {header.n_points}); give the header that belongs to the shots"
            )
        groups.setdefault(shot.shot_kind, []).append(shot)
    if not groups:
        raise SourceError(f"{target.name}: the scan has no shots; nothing was written")
    order = (ShotKind.METABOLITE, ShotKind.WATER_REFERENCE, ShotKind.NOISE)
    kinds = [kind for kind in order if kind in groups]
    written = []
    for kind in kinds:
        is_main = kind is kinds[0]
        name = target if is_main else beside_path(target, kind)
        beside = tuple(kinds[1:]) if is_main else ()
        _write_one(name, header, sorted(groups[kind], key=lambda s: s.shot_index), kind, beside)
        written.append(name)
    return tuple(written)


def beside_path(path: Path, kind: ShotKind) -> Path:
    """File of water (`*_water`) or noise (`*_noise`) shots beside that of the metabolite shots."""
    ending = next((ending for ending in _ENDINGS if path.name.endswith(ending)), "")
    return path.with_name(path.name[: len(path.name) - len(ending)] + _SUFFIX[kind] + ending)


def _write_one(path: Path, header: ScanHeader, shots: list[Shot], kind: ShotKind, beside: tuple[ShotKind, ...]) -> None:
    data = np.stack([np.asarray(shot.data, dtype=np.complex64) for shot in shots])  # (shots, coils, points)
    conditions = [shot.edit_condition for shot in shots]
    dimensions: list[tuple[str, dict[str, Any]]] = []
    array = data.transpose(2, 1, 0)  # (points, coils, shots)
    if header.coil_combined:
        array = array[:, 0]
    else:
        dimensions.append(("DIM_COIL", {}))
    if _alternates(conditions):
        array = array.reshape(*array.shape[:-1], len(shots) // 2, 2)
        dimensions += [("DIM_DYN", {}), ("DIM_EDIT", {"EditCondition": conditions[:2]})]
    elif len(shots) > 1 or any(conditions):
        labelled = all(condition is not None for condition in conditions)
        dimensions.append(("DIM_DYN", {"EditCondition": conditions} if labelled else {}))
    array = array.reshape(1, 1, 1, *array.shape[: 1 + len(dimensions)])

    extension = extension_of(header, dimensions, _shot_table(shots), kind=kind, beside=beside, version=__version__)
    affine = affine_of_header(header)
    nifti2: Any = nib.Nifti2Image  # version 2: its dwell time and affine are 64-bit
    image = nifti2(array, affine)
    image.header.set_qform(affine)
    image.header.set_sform(affine)
    image.header["pixdim"][4] = header.dwell_time_s
    image.header["intent_name"] = "mrs_v{}_{}".format(*nifti_mrs_version).encode()
    image.header.set_xyzt_units(xyz="mm", t="sec")
    try:
        text = json.dumps(extension, ensure_ascii=False, allow_nan=False)
        image.header.extensions.append(nib.nifti1.Nifti1Extension(44, text.encode()))
        validate_nifti_header(image.header)
        validate_hdr_ext(text, array.shape)
        validate_spectralwidth(text, header.dwell_time_s)
        nib.save(image, path)
    except (NiftiMrsError, ValueError) as error:
        raise SourceError(f"{path.name}: the scan cannot be said in NIfTI-MRS ({error}); nothing was written") from None
    except OSError as error:
        raise SourceError(f"{path.name}: cannot be written ({error.strerror or error}); choose another place") from None


def _alternates(conditions: list[Any]) -> bool:
    """Whether the labels are on, off, on, off … (or the other way round) to the end."""
    pairs = len(conditions) >= 2 and len(conditions) % 2 == 0 and {conditions[0], conditions[1]} == {"on", "off"}
    return pairs and conditions == conditions[:2] * (len(conditions) // 2)


def _shot_table(shots: list[Shot]) -> dict[str, list[Any]]:
    """Columns of what the shots say beside their data; columns of defaults are left out."""
    table: dict[str, list[Any]] = {"shot_index": [shot.shot_index for shot in shots]}
    for field in dataclass_fields(ShotDetails):
        column = [getattr(shot, field.name) for shot in shots]
        if any(value != field.default for value in column):
            table[field.name] = column
    return table
