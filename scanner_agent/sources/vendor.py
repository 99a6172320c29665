"""Vendors' files by spec2nii's functions: Siemens DICOM, IMA and rda, Philips SDAT/SPAR and data/list, GE p-files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from nibabel.nicom import csareader
from spec2nii.GE import ge_pfile
from spec2nii.Philips.philips import read_sdat_spar_pair, read_spar
from spec2nii.Siemens.dicomfunctions import multi_file_dicom as siemens_dicom
from spec2nii.Siemens.rda import convert_rda

from scanner_agent.records import ShotKind
from scanner_agent.sources.content import MEANS_NOTE, FileContent, ShotStack, plain_stack, refuse, summed
from scanner_agent.sources.dicom_common import (
    MR_SPECTROSCOPY_STORAGE,
    PHILIPS_PRIVATE_SPECTRUM,
    SIEMENS_NON_IMAGE_STORAGE,
    common_fields,
    in_groups,
    names_water,
)
from scanner_agent.sources.foreign import content_of_converted, quietly
from scanner_agent.sources.sequences import normalised_sequence, says_phantom, says_water_reference
from scanner_agent.sources.standard_dicom import read_standard_dicom

_UNREADABLE = "it is damaged, or of a variant that cannot be read"


def read_dicom(path: Path) -> FileContent:
    """Read one DICOM spectroscopy object.

    Raises:
        SourceError: Not DICOM, an image, damaged, or not supported.
    """
    dataset = quietly(path, lambda: pydicom.dcmread(path), "it is no whole DICOM file")
    kind = str(dataset.get("SOPClassUID") or "")
    maker = str(dataset.get("Manufacturer") or "").lower()
    if kind not in (MR_SPECTROSCOPY_STORAGE, SIEMENS_NON_IMAGE_STORAGE, PHILIPS_PRIVATE_SPECTRUM):
        raise refuse(path, "is a DICOM object, but no spectrum", "give the spectroscopy series")
    n_frames = int(dataset.get("NumberOfFrames") or 1)
    if kind == MR_SPECTROSCOPY_STORAGE and ("siemens" not in maker or n_frames > 1):
        return quietly(path, lambda: read_standard_dicom(path, dataset), _UNREADABLE)
    content = quietly(path, lambda: content_of_converted(path, _dicom_images(path, maker)), _UNREADABLE)
    fields = {**content.fields, **{name: value for name, value in common_fields(dataset).items() if value is not None}}
    n_averages = _dicom_averages(dataset)
    suppressed = False if names_water(dataset) else content.water_suppressed
    return _averaged(replace(content, fields=fields, water_suppressed=suppressed), n_averages)


def _dicom_images(path: Path, maker: str) -> list[Any]:
    if "philips" in maker:
        from spec2nii.Philips.philips_dcm import multi_file_dicom
    elif "uih" in maker or "united imaging" in maker:
        from spec2nii.uih import multi_file_dicom
    else:
        multi_file_dicom = siemens_dicom
    images: list[Any] = multi_file_dicom([path], "scan", None, False)[0]
    return images


def _dicom_averages(dataset: Any) -> int | None:
    """Excitations averaged into the object; None if not told."""
    told = in_groups(dataset, "MRAveragesSequence", "NumberOfAverages") or dataset.get("NumberOfAverages")
    if told is None:
        get_csa_header: Any = csareader.get_csa_header
        tags = (get_csa_header(dataset, "image") or {}).get("tags", {})
        told = next(iter(tags.get("NumberOfAverages", {}).get("items", [])), None)
    return _count(told)


def _count(value: Any) -> int | None:
    try:
        number = round(float(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number >= 1 else None


def _averaged(content: FileContent, n_excitations: int | None) -> FileContent:
    """Frames that are means over `n_excitations` turned to sums; a single frame marked as average."""
    fields, notes = {**content.fields, "coil_combined": True}, content.notes
    stacks = dict(content.stacks)
    if n_excitations is not None and n_excitations > 1:
        stacks = {kind: summed(stack, n_excitations) for kind, stack in stacks.items()}
        notes = (*notes, MEANS_NOTE)
    metabolite = stacks.get(ShotKind.METABOLITE)
    if metabolite is not None:
        fields["shots_averaged"] = len(metabolite.details) == 1
    return replace(content, fields=fields, stacks=stacks, notes=notes)


def _number(text: str | None) -> float | None:
    """A number with decimal point or comma; None if it is none."""
    try:
        return float((text or "").replace(",", "."))
    except ValueError:
        return None


def read_rda(path: Path) -> FileContent:
    """Read a Siemens .rda file."""
    content = quietly(path, lambda: content_of_converted(path, convert_rda(path, "scan", False)[0]), _UNREADABLE)
    header = _rda_header(path)
    named = (header.get("SeriesDescription"), header.get("ProtocolName"))
    fields, notes = dict(content.fields), list(content.notes)
    fields["sequence"] = normalised_sequence(header.get("SequenceName"), *named)
    fields["is_phantom"] = says_phantom(*named, header.get("StudyDescription"), header.get("PatientName"))
    dwell_time_s = _siemens_dwell(header.get("DwellTime"))
    if dwell_time_s is not None and dwell_time_s != fields["dwell_time_s"]:
        fields["dwell_time_s"] = dwell_time_s
        notes.append(f"The file rounds its dwell time to whole microseconds: {dwell_time_s * 1e6:.1f} us was meant.")
    amplitude = _number(header.get("TransmitRefAmplitude[1H]"))
    if amplitude is not None and amplitude > 0:
        fields["transmit_reference"] = amplitude
    suppressed = False if says_water_reference(*named) else None
    whole = replace(content, fields=fields, notes=tuple(notes), water_suppressed=suppressed)
    return _averaged(whole, _count(header.get("NumberOfAverages")))


def _rda_header(path: Path) -> dict[str, str]:
    head = path.read_bytes()[:65536].split(b">>> End of header <<<")[0].decode("latin-1")
    pairs = (line.partition(":") for line in head.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _siemens_dwell(told_us: str | None) -> float | None:
    """Dwell time (s) behind one rounded to whole microseconds: a bandwidth of whole 50 Hz on a raster of 0.2 us."""
    told = _number(told_us)
    if told is None or told < 1 or told != round(told):
        return None
    width_hz = 50.0 * round(1e6 / told / 50.0)
    if width_hz <= 0:
        return None
    raster_us = 0.2 * round(1e6 / width_hz / 0.2)
    return round(raster_us, 1) * 1e-6 if abs(raster_us - told) < 1.0 else told * 1e-6


def read_sdat(path: Path) -> FileContent:
    """Read a Philips SDAT/SPAR pair, named by either."""
    sdat, spar = _pair(path, ".sdat", ".spar")
    told: dict[str, Any] = quietly(path, lambda: read_spar(spar), "its SPAR file cannot be read")
    rows, points = _count(told.get("rows")), _count(told.get("samples"))
    if rows is None or points is None or sdat.stat().st_size != 8 * rows * points:
        raise refuse(
            path, f"the SDAT file does not hold the {rows} x {points} points its SPAR file says", "copy both again"
        )
    images = quietly(path, lambda: read_sdat_spar_pair(sdat, spar, None, [], "scan")[0], _UNREADABLE)
    content = quietly(path, lambda: content_of_converted(path, images), _UNREADABLE)
    fields, notes = dict(content.fields), list(content.notes)
    names = [str(told[key]) for key in ("scan_id", "examination_name") if told.get(key)]
    fields["sequence"] = normalised_sequence(*names[:1])
    if fields["sequence"] is None and str(told.get("volume_selection_method")) in _SPAR_METHODS:
        fields["sequence"] = _SPAR_METHODS[str(told["volume_selection_method"])]
    fields["is_phantom"] = says_phantom(*names, str(told.get("patient_name") or ""))
    metabolite = content.stacks[ShotKind.METABOLITE]
    suppressed = False if says_water_reference(*names[:1], path.stem) else None
    whole = replace(content, fields=fields, notes=tuple(notes), water_suppressed=suppressed)
    n_averages = _count(told.get("averages"))
    if len(metabolite.details) > 1 and n_averages is not None:
        # Rows share the averages: 128 in 16 rows are 8 each; with one for each row the number counts rows.
        n_averages = max(n_averages // len(metabolite.details), 1) if n_averages > len(metabolite.details) else 1
    return _averaged(whole, n_averages)


_SPAR_METHODS = {"1": "PRESS", "2": "STEAM"}


def _pair(path: Path, *endings: str) -> list[Path]:
    """Files of the same stem with these endings, whatever their case."""
    found = []
    for ending in endings:
        match = [other for other in sorted(path.parent.iterdir())
                 if other.stem == path.stem and other.suffix.lower() == ending]  # fmt: skip
        if not match:
            raise refuse(path, f"its {ending} file is not beside it", "put both into one folder")
        found.append(match[0])
    return found


def _data_list_images(data: Path, listed: Path, spar: Path) -> tuple[list[Any], list[str]]:
    from spec2nii.Philips.philips_data_list import read_data_list_pair  # loads pandas: only where it is needed

    images, names = read_data_list_pair(data, listed, spar)
    return images, names


def read_data_list(path: Path) -> FileContent:
    """Read Philips raw data (data/list with a SPAR beside them)."""
    data, listed, spar = _pair(path, ".data", ".list", ".spar")
    images, names = quietly(path, lambda: _data_list_images(data, listed, spar), _UNREADABLE)
    kept = [(image, name) for image, name in zip(images, names, strict=True) if name != "NOI"]
    for image, name in kept:
        image.add_hdr_field("WaterSuppressed", name != "STD_1")
    content = quietly(path, lambda: content_of_converted(path, [image for image, _ in kept]), _UNREADABLE)
    for image, name in zip(images, names, strict=True):
        if name == "NOI":
            noise = np.asarray(image[:]).conj()
            content = _with_noise(content, noise.reshape(noise.shape[3], noise.shape[4], -1))
    return content


def _with_noise(content: FileContent, noise: Any) -> FileContent:
    """The content with noise (points, coils, more) cut to shots of the scan's length, if it is long enough."""
    _, n_coils, n_points = next(iter(content.stacks.values())).data.shape
    row = noise.transpose(1, 2, 0).reshape(noise.shape[1], -1)
    n_shots = row.shape[1] // n_points
    if row.shape[0] != n_coils or n_shots == 0:
        return content
    cut = row[:, : n_shots * n_points].reshape(n_coils, n_shots, n_points).transpose(1, 0, 2)
    return replace(content, stacks={**content.stacks, ShotKind.NOISE: plain_stack(cut)})


def read_pfile(path: Path) -> FileContent:
    """Read a GE p-file."""
    images = quietly(path, lambda: ge_pfile.read_pfile(path, "scan")[0], _UNREADABLE)
    content = quietly(path, lambda: content_of_converted(path, images), _UNREADABLE)
    # A p-file holds a sum over NEX excitations in each frame.
    n_excitations = _count(quietly(path, lambda: ge_pfile.Pfile(path).hdr.rhi_nex, _UNREADABLE)) or 1
    stacks = {
        kind: ShotStack(stack.data, tuple(replace(one, n_excitations=n_excitations) for one in stack.details))
        for kind, stack in content.stacks.items()
    }
    return replace(content, stacks=stacks)
