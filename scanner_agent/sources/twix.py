"""Siemens raw data (twix, .dat): every readout a shot, by pymapvbvd and the header functions of spec2nii."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from mapvbvd import mapVBVD
from numpy.typing import NDArray
from spec2nii.dcm2niiOrientation.orientationFuncs import dcm_to_nifti_orientation
from spec2nii.Siemens.twixfunctions import extractTwixMetadata, process_twix, twix2DCMOrientation

from scanner_agent.records import ShotKind
from scanner_agent.sources.content import FileContent, ShotDetails, ShotStack, plain_stack, refuse
from scanner_agent.sources.evidence import on_condition
from scanner_agent.sources.foreign import content_of_converted, quietly
from scanner_agent.sources.geometry import place_of_affine
from scanner_agent.sources.nifti_header import checked_extension, header_fields, water_suppressed

_PRODUCT = ("svs_se", "svs_st", "svs_slaser")
"""Siemens' own sequences: phase counter 0 holds their automatic (unsuppressed) reference, if one was asked for."""
_AUTO_REFERENCE = ("sSpecPara", "lAutoRefScanMode")
_AUTO_REFERENCE_OFF = 1
_SORTED_BY_SPEC2NII = r"mgs_svs_ed|smm_svs_herc|svs_isthmus|svs_slaser(voi)?_dkd"
"""Research sequences whose order of readouts spec2nii knows."""
_COUNTERS = ("Lin", "Par", "Sli", "Ave", "Phs", "Eco", "Rep", "Set", "Seg", "Ida", "Idb", "Idc", "Idd", "Ide")
_EDIT_COUNTERS = ("Eco", "Ida", "Set", "Seg", "Idb")
_DAMAGED = "its readouts are cut off or damaged"


def read_twix(path: Path) -> FileContent:
    """Read a twix file of a single voxel, readout by readout in order of acquisition.

    Points before and after the echo are cut off; oversampling is removed by cutting the spectrum to its nominal width.

    Raises:
        SourceError: Cut off, damaged, or of a kind that is not supported.
    """
    measurements = quietly(path, lambda: _measurements(path), "it is cut off or damaged: no whole readout in it")
    scan = measurements[-1]
    if "image" not in scan:
        raise refuse(path, "holds no readouts of a scan", "give the raw data of the spectroscopy scan itself")
    header, image = scan["hdr"], scan["image"]
    trim = quietly(path, lambda: _Trim(path, image, header), _DAMAGED)
    if re.search(_SORTED_BY_SPEC2NII, str(header["Meas"].get("tSequenceFileName", "")), re.IGNORECASE):
        return content_of_converted(path, quietly(path, lambda: _sorted(scan, path), _DAMAGED), trim=trim.of_nifti)

    raw, counters = quietly(path, lambda: _readouts(image), _DAMAGED)
    extension = checked_extension(path, quietly(path, lambda: extractTwixMetadata(header, "").to_dict(), _DAMAGED))
    fields = header_fields(extension)
    place = quietly(path, lambda: place_of_affine(_affine(header)), "its voxel cannot be made out")
    fields.update(place.fields() if place is not None else {})
    fields["transmit_reference"] = _number(header, ("sTXSPEC", "asNucleusInfo", "0", "flReferenceAmplitude"))
    points, dwell_time_s, notes = trim.apply(raw, trim.dwell_time_s)
    fields["dwell_time_s"] = dwell_time_s
    notes += _empty_cells(counters, raw.shape[2])

    shots = points.transpose(2, 1, 0).conj()  # twix data turn the other way round than NIfTI-MRS
    reference = _references(header, counters, shots.shape[0])
    edit = _edit_counter(fields, counters, ~reference)
    if edit is not None:
        fields["n_edit_conditions"] = int(np.unique(edit).size)
    stacks = {}
    if not reference.all():
        stacks[ShotKind.METABOLITE] = _edit_labelled(shots[~reference], edit, fields, notes)
    if reference.any():
        stacks[ShotKind.WATER_REFERENCE] = plain_stack(shots[reference])
        notes.append("The readouts of phase counter 0 are the sequence's automatic water reference.")
    noise = quietly(path, lambda: _noise(measurements, shots.shape[1:], dwell_time_s), "its noise scan is damaged")
    if noise is not None:
        stacks[ShotKind.NOISE] = noise
        notes.append("Noise readouts of the file are used; other bandwidths are scaled to the scan's.")
    planned = _number(header, ("lAverages",))
    if planned is not None and ShotKind.METABOLITE in stacks and edit is None:
        fields["n_shots_planned"] = max(int(planned), len(stacks[ShotKind.METABOLITE].details))
    suppressed = True if reference.any() else water_suppressed(extension)
    return FileContent(fields, stacks, tuple(notes), suppressed)


def _measurements(path: Path) -> list[Any]:
    found = mapVBVD(str(path), quiet=True)
    measurements = found if isinstance(found, list) else [found]
    for measurement in measurements:
        if "image" in measurement:
            measurement["image"].flagRemoveOS = False
            measurement["image"].squeeze = True
    return measurements


def _readouts(image: Any) -> tuple[NDArray[np.complex64], dict[str, NDArray[np.int64]]]:
    """(columns, coils, readouts) in order of acquisition, and each readout's counters."""
    raw = np.asarray(image.unsorted())
    if raw.ndim != 3 or raw.shape[2] == 0:
        raise ValueError("no readouts")
    counters = {name: np.asarray(getattr(image, name), dtype=np.int64).ravel() for name in _COUNTERS}
    return raw, {name: values for name, values in counters.items() if values.size == raw.shape[2]}


def _sorted(scan: Any, path: Path) -> list[Any]:
    overrides = {"dims": (None, None, None), "tags": (None, None, None)}
    images: list[Any] = process_twix(scan, "scan", path.name, "image", overrides, quiet=True)[0]
    return images


def _number(header: Any, key: tuple[str, ...]) -> float | None:
    """A number of the measurement protocol; None if absent or not a number."""
    try:
        value = float(header["MeasYaps"][key])
    except (KeyError, TypeError, ValueError):
        return None
    return value if np.isfinite(value) else None


def _affine(header: Any) -> NDArray[np.float64]:
    orientation, position, spacing, thickness, _ = twix2DCMOrientation(header, force_svs=True)
    edges = np.append(spacing, thickness)
    return np.asarray(dcm_to_nifti_orientation(orientation, position, edges, (1, 1, 1)).Q44, dtype=np.float64)


class _Trim:
    """What to cut off a readout: points before and after the echo, oversampling."""

    def __init__(self, path: Path, image: Any, header: Any) -> None:
        """Work out the numbers from the file's header.

        Raises:
            SourceError: More points than asked for, and nothing says which of them come before the echo.
        """
        dwell_ns = _number(header, ("sRXSPEC", "alDwellTime", "0"))
        if dwell_ns is None or not dwell_ns > 0:
            raise refuse(path, "its header has no dwell time", "export the raw data again")
        self.dwell_time_s = dwell_ns * 1e-9
        columns = int(image.NCol)
        asked = int(_number(header, ("sSpecPara", "lVectorSize")) or columns)
        self.oversampling = max(columns // asked, 1)
        extra = columns - self.oversampling * asked
        self.before, self.after = 0, 0
        if extra > 0:
            before = _points_before_echo(image, extra)
            if before is None:
                raise refuse(
                    path, f"has {extra} points more than asked for, and not which come before the echo", "use spec2nii"
                )
            self.before, self.after = before, extra - before

    def apply(self, data: NDArray[Any], dwell_time_s: float) -> tuple[NDArray[Any], float, list[str]]:
        """Cut data with the points on axis 0: (data, dwell time, notes)."""
        notes = []
        if self.oversampling > 1:
            # First to the nominal width, then off with the ends: ringing from the first sample stays among those.
            kept = data.shape[0] // self.oversampling
            wide = np.fft.fftshift(np.fft.fft(data, axis=0), axes=0)
            start = (data.shape[0] - kept + 1) // 2
            narrow = np.fft.ifftshift(wide[start : start + kept], axes=0)
            data = np.fft.ifft(narrow, axis=0) * np.float32(1.0 / self.oversampling)
            notes.append(f"Oversampling (x{self.oversampling}) was removed.")
        before, after = self.before // self.oversampling, self.after // self.oversampling
        if before or after:
            data = data[before : data.shape[0] - after]
            notes.append(f"{before} points before the echo and {after} at the end were cut off.")
        return data.astype(np.complex64), dwell_time_s * self.oversampling, notes

    def of_nifti(self, data: NDArray[Any], dwell_time_s: float) -> tuple[NDArray[Any], float, list[str]]:
        """The same for NIfTI-MRS dimensions, points on axis 3."""
        cut, dwell_time_s, notes = self.apply(np.moveaxis(data, 3, 0), dwell_time_s)
        return np.moveaxis(cut, 0, 3), dwell_time_s, notes


def _points_before_echo(image: Any, extra: int) -> int | None:
    """Points before the echo: depending on the sequence in cutOff, freeParam, iceParam or the centre column."""
    cut_off = np.atleast_2d(np.asarray(image.cutOff))[0]
    if cut_off.size >= 2 and int(cut_off[0] + cut_off[1]) == extra:
        return int(cut_off[0])
    free = np.atleast_2d(np.asarray(image.freeParam))[0]
    ice = np.atleast_2d(np.asarray(image.iceParam))[0]
    centre = np.atleast_1d(np.asarray(image.centerCol))
    for value in (free[0] if free.size else 0, ice[4] if ice.size > 4 else 0, centre[0] if centre.size else 0):
        if 0 < value <= extra:
            return int(value)
    return None


def _empty_cells(counters: dict[str, NDArray[np.int64]], n_readouts: int) -> list[str]:
    sizes = {name: int(values.max()) + 1 for name, values in counters.items() if values.max() > 0}
    cells = int(np.prod(list(sizes.values()))) if sizes else 1
    if cells == n_readouts:
        return []
    grid = " x ".join(f"{size} ({name})" for name, size in sizes.items())
    return [f"{n_readouts} readouts in a grid of {grid}: {cells - n_readouts} empty cell(s), left out."]


def _references(header: Any, counters: dict[str, NDArray[np.int64]], n_readouts: int) -> NDArray[np.bool_]:
    """Which readouts are the automatic water reference of Siemens' own sequences."""
    phase = counters.get("Phs")
    product = str(header["Meas"].get("tSequenceString", "")).strip('"') in _PRODUCT
    mode = _number(header, _AUTO_REFERENCE)
    if phase is None or not product or mode in (None, _AUTO_REFERENCE_OFF) or phase.max() == 0:
        return np.zeros(n_readouts, dtype=bool)
    return np.asarray(phase == 0)


def _edit_counter(
    fields: dict[str, object], counters: dict[str, NDArray[np.int64]], chosen: NDArray[np.bool_]
) -> NDArray[np.int64] | None:
    """Edit condition (0, 1, …) of each metabolite readout of an edited sequence; None if not edited."""
    if fields.get("sequence") != "MEGA-PRESS":
        return None
    for name in _EDIT_COUNTERS:
        if name in counters and np.unique(counters[name][chosen]).size == 2:
            return counters[name][chosen]
    return np.arange(int(chosen.sum())) % 2


def _edit_labelled(
    shots: NDArray[np.complex64], edit: NDArray[np.int64] | None, fields: dict[str, object], notes: list[str]
) -> ShotStack:
    """Shots in order of acquisition; ON is the edit condition in which NAA is saturated, if that is clear."""
    if edit is None or np.unique(edit).size != 2:
        return plain_stack(shots)
    values = np.unique(edit)
    dwell_time_s, frequency_mhz = float(str(fields["dwell_time_s"])), float(str(fields["spectrometer_frequency_mhz"]))
    on = on_condition(shots[edit == values[0]], shots[edit == values[1]], dwell_time_s, frequency_mhz)
    if on is None:
        return plain_stack(shots)
    notes.append("The file does not name its edit conditions: ON is the one in which NAA is saturated.")
    details = tuple(ShotDetails(i, "on" if value == values[on] else "off") for i, value in enumerate(edit))
    return ShotStack(np.ascontiguousarray(shots, dtype=np.complex64), details)


def _noise(measurements: list[Any], shape: tuple[int, ...], dwell_time_s: float) -> ShotStack | None:
    """Noise readouts of the file cut to the scan's length, scaled to its bandwidth; None if there are none that fit."""
    n_coils, n_points = shape
    for measurement in reversed(measurements):
        if "noise" not in measurement:
            continue
        measurement["noise"].flagRemoveOS = False
        raw = np.asarray(measurement["noise"].unsorted())
        own_dwell = (_number(measurement["hdr"], ("sRXSPEC", "alDwellTime", "0")) or 0.0) * 1e-9
        row = raw.transpose(1, 2, 0).reshape(raw.shape[1], -1).conj()
        n_shots = row.shape[1] // n_points
        if raw.shape[1] == n_coils and n_shots > 0 and own_dwell > 0:
            scale = np.float32(np.sqrt(own_dwell / dwell_time_s))
            cut = row[:, : n_shots * n_points].reshape(n_coils, n_shots, n_points).transpose(1, 0, 2)
            return plain_stack(np.asarray(cut * scale, dtype=np.complex64))
    return None
