"""Standard DICOM MR Spectroscopy Storage (PS3.3 A.36.3) by pydicom, with what Philips adds in private attributes.

For the objects that spec2nii cannot read: suppressed and unsuppressed frames, dynamics, or both in one object.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spec2nii.nifti_orientation import calc_affine

from scanner_agent.records import EditCondition, ShotKind
from scanner_agent.sources.content import MEANS_NOTE, FileContent, ShotDetails, ShotStack, refuse, summed
from scanner_agent.sources.dicom_common import common_fields, in_groups, names_water
from scanner_agent.sources.geometry import VoxelPlace, place_of_affine, vector

_DATA = (0x5600, 0x0020)
_PHILIPS = "Philips MR Imaging DD "
# Philips private attributes, (2005, xx), of blocks 001, 004 and 005 of its data dictionary.
_VOLUME, _FRAMES, _MIXES = 0x85, 0x0F, 0x71
_MIX_OF_FRAME, _DELAY_MS, _MIX_AVERAGES = 0x04, 0x09, 0x79
_EDIT_FLAG = (0x2005, 0x1598)


def read_standard_dicom(path: Path, dataset: Any) -> FileContent:
    """Read one MR Spectroscopy Storage object of a single voxel.

    Raises:
        SourceError: Several voxels, no FIDs, another nucleus, or missing attributes.
    """
    if np.prod([int(dataset.get(name) or 1) for name in ("Rows", "Columns", "DataPointRows")]) > 1:
        raise refuse(path, "holds several voxels or rows", "only single-voxel FIDs can be judged")
    if str(dataset.get("SignalDomainColumns") or "TIME") != "TIME":
        raise refuse(path, "holds a spectrum, not the time signal", "export the FIDs")
    nucleus = str(dataset.get("ResonantNucleus") or "")
    if nucleus != "1H":
        raise refuse(path, f"the nucleus is {nucleus[:8] or 'not told'}", "only 1H can be judged")
    frequency, width = dataset.get("TransmitterFrequency"), dataset.get("SpectralWidth")
    if not frequency or not width or not float(width) > 0:
        raise refuse(path, "has no transmitter frequency or spectral width", "export it again")
    frames = _frames(path, dataset)
    fields = common_fields(dataset)
    philips = fields["scanner"] == "Philips"
    fields |= {
        "nucleus": "1H",
        "spectrometer_frequency_mhz": float(frequency),
        "dwell_time_s": 1.0 / float(width),
        "coil_combined": True,
    }
    for name, sequence, attribute in (
        ("echo_time_s", "MREchoSequence", "EffectiveEchoTime"),
        ("repetition_time_s", "MRTimingAndRelatedParametersSequence", "RepetitionTime"),
    ):
        if value := in_groups(dataset, sequence, attribute):
            fields[name] = float(value) * 1e-3
    notes: list[str] = []
    if philips and fields["sequence"] is None and str(dataset.get("VolumeLocalizationTechnique")) == "PRIME":
        fields["sequence"] = "PRESS"
        notes.append("Philips names the localisation PRIME: taken as PRESS.")
    place = _philips_place(dataset) if philips else _slab_place(dataset)
    fields.update(place.fields() if place is not None else {})
    if place is None:
        notes.append("The file does not say where the voxel lies.")
    return _sorted(dataset, frames, fields, notes)


def _frames(path: Path, dataset: Any) -> NDArray[np.complex64]:
    """(n_frames, n_points), conjugated to the NIfTI-MRS convention."""
    n_points = int(dataset.get("SpectroscopyAcquisitionDataColumns") or dataset.get("DataPointColumns") or 0)
    if _DATA not in dataset or n_points < 1:
        raise refuse(path, "holds no spectroscopy data", "export it again")
    value = dataset[_DATA].value
    numbers = np.frombuffer(value, dtype="<f4") if isinstance(value, bytes) else np.asarray(value, dtype=np.float32)
    n_frames = int(dataset.get("NumberOfFrames") or 1)
    if numbers.size != 2 * n_points * n_frames:
        raise refuse(path, f"holds {numbers.size // 2} points, not {n_frames} frames of {n_points}", "copy it again")
    pairs = numbers.astype(np.float32).reshape(n_frames, n_points, 2)
    return (pairs[..., 0] - 1j * pairs[..., 1]).astype(np.complex64)


def _private(item: Any, number: int, block: str) -> Any:
    """Value of a Philips private attribute (2005, xx`number`); None if absent."""
    try:
        return item.private_block(0x2005, _PHILIPS + block)[number].value
    except KeyError:
        return None


def _sorted(dataset: Any, frames: NDArray[np.complex64], fields: dict[str, object], notes: list[str]) -> FileContent:
    """Frames by kind: Philips numbers its mixes, 0 suppressed and 1 unsuppressed; others are of one kind."""
    n_frames = frames.shape[0]
    items = list(_private(dataset, _FRAMES, "005") or [])
    if len(items) != n_frames:
        items = []
        if n_frames > 1 and fields["scanner"] == "Philips":
            notes.append("Which frames are unsuppressed is not told: all are taken as alike.")
    mixes = np.array([int(_private(one, _MIX_OF_FRAME, "004") or 0) for one in items] or [0] * n_frames)
    averages = _averages(dataset, int(mixes.max()) + 1)
    stacks: dict[ShotKind, ShotStack] = {}
    for mix, kind in ((0, ShotKind.METABOLITE), (1, ShotKind.WATER_REFERENCE)):
        chosen = np.flatnonzero(mixes == mix)
        if not chosen.size:
            continue
        of_kind = [items[i] for i in chosen] if items else []
        conditions = _conditions(of_kind) if kind is ShotKind.METABOLITE else []
        if conditions:
            fields["n_edit_conditions"] = 2
        times = _times(of_kind, fields.get("started_at"))
        details = tuple(
            ShotDetails(
                place,
                conditions[place] if conditions else None,
                acquired_at=times[place] if times else None,
            )
            for place in range(chosen.size)
        )
        stack = ShotStack(np.ascontiguousarray(frames[chosen][:, None, :]), details)
        stacks[kind] = summed(stack, averages[mix]) if averages[mix] > 1 else stack
    if max(averages) > 1:
        notes.append(MEANS_NOTE)
    if ShotKind.METABOLITE in stacks:
        fields["shots_averaged"] = len(stacks[ShotKind.METABOLITE].details) == 1
    suppressed = True if len(stacks) == 2 else False if names_water(dataset) else None
    return FileContent(fields, stacks, tuple(notes), suppressed)


def _averages(dataset: Any, n_mixes: int) -> list[int]:
    """Excitations averaged into a frame, for each mix; 1 where it is not told."""
    told = [_private(one, _MIX_AVERAGES, "004") for one in _private(dataset, _MIXES, "004") or []]
    if len(told) < n_mixes:
        told = [in_groups(dataset, "MRAveragesSequence", "NumberOfAverages")] * n_mixes
    return [max(round(float(one)), 1) if one else 1 for one in told]


def _conditions(items: list[Any]) -> list[EditCondition]:
    """Edit condition of each frame of an edited scan; empty if it is not edited."""
    names: dict[str, EditCondition] = {"1": "on", "0": "off"}
    told = [str(item[_EDIT_FLAG].value) if _EDIT_FLAG in item else "" for item in items]
    return [names[one] for one in told] if {"0", "1"} == set(told) else []


def _times(items: list[Any], began: object) -> list[float]:
    """Unix time of each frame by its delay (ms) from the scan's start; empty if not told."""
    delays = [_private(item, _DELAY_MS, "004") for item in items]
    if not isinstance(began, float) or any(delay is None for delay in delays) or not any(delays):
        return []
    return [began + float(delay) * 1e-3 for delay in delays]


def _philips_place(dataset: Any) -> VoxelPlace | None:
    """Voxel by Philips' private volume: angulations in degrees, sizes and offsets in mm, order AP, FH, LR."""
    volumes = _private(dataset, _VOLUME, "001")
    if not volumes:
        return None
    numbers = [_private(volumes[0], number, "001") for number in range(0x54, 0x5D)]
    if any(number is None for number in numbers):
        return None
    angle_ap, angle_fh, angle_lr, size_ap, size_fh, size_lr, off_ap, off_fh, off_lr = (float(n) for n in numbers)
    affine = calc_affine([-angle_lr, -angle_ap, angle_fh], [size_lr, size_ap, size_fh], [-off_lr, -off_ap, off_fh])
    return place_of_affine(np.asarray(affine, dtype=np.float64))


def _slab_place(dataset: Any) -> VoxelPlace | None:
    """Voxel by the three slabs of the Volume Localization Sequence (0018,9126), LPS turned to RAS."""
    slabs = list(dataset.get("VolumeLocalizationSequence") or [])
    if len(slabs) != 3:
        return None
    names = ("SlabThickness", "SlabOrientation", "MidSlabPosition")
    if any(slab.get(name) is None for slab in slabs for name in names):
        return None
    to_ras = np.array([-1.0, -1.0, 1.0])
    axes = np.stack([np.asarray(slab.SlabOrientation, dtype=np.float64) * to_ras for slab in slabs], axis=1)
    affine = np.eye(4)
    affine[:3, :3] = axes / np.linalg.norm(axes, axis=0) * [float(slab.SlabThickness) for slab in slabs]
    affine[:3, 3] = vector(np.asarray(slabs[0].MidSlabPosition, dtype=np.float64) * to_ras)
    return place_of_affine(affine)
