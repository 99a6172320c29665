"""Header extension of NIfTI-MRS <-> header fields. Only what is listed here is taken over: no patient field can pass.

Standard: Clarke et al. 2022, Magn Reson Med 88:2358, 10.1002/mrm.29418. What the standard has no key for stands in one
user-defined key of ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from scanner_agent.mrs.axes import WATER_PPM
from scanner_agent.records import EditCondition, ScanHeader, ShotKind
from scanner_agent.sources.content import refuse
from scanner_agent.sources.sequences import maker_name, normalised_sequence, says_phantom, says_water_reference

OUR_KEY = "ScannerAgent"
_OUR_DESCRIPTION = (
    "What NIfTI-MRS has no key for, from scanner-agent: fields of the scan's header and of its shots, "
    "in order of acquisition, by the names of its docs/wire.md."
)
_OUR_FIELDS = (
    "n_shots_planned", "n_edit_conditions", "edit_pulse_ppm", "edit_pulse_bandwidth_hz", "coil_combined",
    "shots_averaged", "eddy_current_corrected", "prescan_frequency_hz",
    "shim_linewidth_hz", "transmit_reference", "receiver_gain", "reference_scan_id",
    "voxel_position_mm", "voxel_size_mm", "voxel_orientation", "is_phantom", "visit_id", "scanner", "started_at",
    "source_notes",
)  # fmt: skip
_STANDARD_NUMBERS = {
    "EchoTime": "echo_time_s",
    "RepetitionTime": "repetition_time_s",
    "MixingTime": "mixing_time_s",
}
_STANDARD_TEXTS = {"SoftwareVersions": "software_version", "RxCoil": "coil_name"}
_EDIT_TARGETS_PPM = (1.9, 4.56)
"""Shifts that MEGA pulses are put on: GABA's C3 protons (and lactate, BHB near), glutathione's cysteine."""


@dataclass(frozen=True)
class OurKey:
    """Content of our user-defined key."""

    header: dict[str, Any]
    shots: dict[str, list[Any]]
    kind: ShotKind
    beside: tuple[ShotKind, ...]


def parse_extension(path: Path, text: str) -> dict[str, Any]:
    """Header extension as a dict, checked.

    Raises:
        SourceError: Not JSON, or without frequency or nucleus, or another nucleus than 1H.
    """
    try:
        extension = json.loads(text)
    except (ValueError, RecursionError):
        raise refuse(path, "its NIfTI-MRS header extension is not JSON", "write the file again") from None
    return checked_extension(path, extension)


def checked_extension(path: Path, extension: Any) -> dict[str, Any]:
    """The extension, if it names a frequency and the nucleus 1H.

    Raises:
        SourceError: Either is missing, or the nucleus is another.
    """
    if not isinstance(extension, dict):
        raise refuse(path, "its NIfTI-MRS header extension is not a JSON object", "write the file again")
    nucleus = _only(extension.get("ResonantNucleus"))
    if not isinstance(nucleus, str):
        raise refuse(path, "the header extension has no ResonantNucleus", "add it; only 1H can be judged")
    if nucleus != "1H":
        raise refuse(path, f"the nucleus is {nucleus[:8]}", "only 1H can be judged")
    if not isinstance(_only(extension.get("SpectrometerFrequency")), int | float):
        raise refuse(path, "the header extension has no SpectrometerFrequency", "add it, in MHz")
    return extension


def _only(value: Any) -> Any:
    """The one element of a list of one; anything else as it is."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _text(extension: dict[str, Any], key: str) -> str | None:
    value = extension.get(key)
    if isinstance(value, dict):
        value = value.get("Value")
    return " ".join(value.replace('"', " ").split())[:200] or None if isinstance(value, str) else None


def header_fields(extension: dict[str, Any]) -> dict[str, object]:
    """Header fields that the extension's standard keys give; absent keys give no field."""
    fields: dict[str, object] = {
        "nucleus": "1H",
        "spectrometer_frequency_mhz": float(_only(extension["SpectrometerFrequency"])),
    }
    for key, name in _STANDARD_NUMBERS.items():
        value = extension.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            fields[name] = float(value)
    for key, name in _STANDARD_TEXTS.items():
        if text := _text(extension, key):
            fields[name] = text
    names = [_text(extension, key) for key in ("SequenceName", "PulseSequenceFile", "ProtocolName")]
    fields["sequence"] = normalised_sequence(*names)
    if maker := _text(extension, "Manufacturer"):
        fields["scanner"] = maker_name(maker)
    if "coil_name" not in fields and (coil := _text(extension, "ReceiveCoilName")):
        fields["coil_name"] = coil
    fields["is_phantom"] = says_phantom(_text(extension, "ProtocolName"), _text(extension, "SeriesDescription"))
    return fields


def water_suppressed(extension: dict[str, Any]) -> bool | None:
    """Whether the shots are water suppressed, by the standard key or a telling series name; None: not said."""
    value = extension.get("WaterSuppressed")
    if isinstance(value, bool):
        return value
    named = says_water_reference(_text(extension, "ProtocolName"), _text(extension, "SeriesDescription"))
    return False if named else None


def centre_offset_ppm(extension: dict[str, Any]) -> float:
    """Shift at the data's 0 Hz minus 4.65 ppm, from SpecFreqChemShift and RxOffset; 0 if the keys are absent.

    TxOffset moves the pulses, not the receiver, and has no part in it.
    """
    centre, offset = extension.get("SpecFreqChemShift", WATER_PPM), extension.get("RxOffset", 0.0)
    if not isinstance(centre, int | float) or not isinstance(offset, int | float):
        return 0.0
    return float(centre) + float(offset) - WATER_PPM


def our_key(path: Path, extension: dict[str, Any]) -> OurKey | None:
    """What `write_nifti_mrs` stored beyond the standard; None in files of others."""
    entry = extension.get(OUR_KEY)
    value = entry.get("Value") if isinstance(entry, dict) else None
    if value is None:
        return None
    try:
        header = {name: field for name, field in value["header"].items() if name in _OUR_FIELDS}
        shots = {str(name): list(column) for name, column in value["shots"].items()}
        kind = ShotKind(value.get("shot_kind", ShotKind.METABOLITE))
        return OurKey(header, shots, kind, tuple(ShotKind(kind) for kind in value.get("beside", [])))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise refuse(path, f"its header key {OUR_KEY} is damaged", "export the scan again") from None


def edit_labels(
    extension: dict[str, Any], dimension_header: dict[str, Any], n_conditions: int
) -> tuple[list[EditCondition | None], tuple[float, float] | None]:
    """Label of each edit condition, and the editing pulse's (ON, OFF) shifts in ppm where both are told.

    ON is what is called so, else the condition whose pulse lies nearest a known target (1.9 ppm for GABA, 4.56 ppm for
    glutathione). Labels are None where neither tells, or where there are not two conditions.
    """
    names = dimension_header.get("EditCondition", extension.get("EditCondition"))
    if n_conditions != 2 or not isinstance(names, list) or len(names) != 2:
        return [None] * n_conditions, None
    pulses = extension.get("EditPulse")
    shifts = [
        _pulse_ppm(pulses.get(name)) if isinstance(pulses, dict) and isinstance(name, str) else None for name in names
    ]
    words = [str(name).strip().lower().replace("edit_", "").replace("edit-", "") for name in names]
    on: int | None = None
    if sorted(words) == ["off", "on"]:
        on = words.index("on")
    else:
        known = [min((abs(s - t) for t in _EDIT_TARGETS_PPM), default=9.0) if s is not None else 9.0 for s in shifts]
        if min(known) < 0.3 and max(known) > 0.3:
            on = known.index(min(known))
    if on is None:
        return [None, None], None
    labels: list[EditCondition | None] = ["on", "off"] if on == 0 else ["off", "on"]
    first, second = shifts[on], shifts[1 - on]
    return labels, (first, second) if first is not None and second is not None else None


def _pulse_ppm(pulse: Any) -> float | None:
    offset = _only(pulse.get("PulseOffset")) if isinstance(pulse, dict) else None
    if isinstance(offset, int | float) and not isinstance(offset, bool) and 0.0 < offset < 15.0:
        return float(offset)
    return None


def extension_of(
    header: ScanHeader,
    dimensions: list[tuple[str, dict[str, Any]]],
    shots: dict[str, list[Any]],
    *,
    kind: ShotKind,
    beside: tuple[ShotKind, ...],
    version: str,
) -> dict[str, Any]:
    """Header extension with all that header and table of shots say, but for the scan's id."""
    extension: dict[str, Any] = {
        "SpectrometerFrequency": [header.spectrometer_frequency_mhz],
        "ResonantNucleus": [header.nucleus],
    }
    for place, (tag, dimension_header) in enumerate(dimensions, start=5):
        extension[f"dim_{place}"] = tag
        if dimension_header:
            extension[f"dim_{place}_header"] = dimension_header
    for key, name in {**_STANDARD_NUMBERS, **_STANDARD_TEXTS, "SequenceName": "sequence"}.items():
        if (standard := getattr(header, name)) is not None:
            extension[key] = standard
    extension["SpectralWidth"] = 1.0 / header.dwell_time_s
    if kind is not ShotKind.NOISE:
        extension["WaterSuppressed"] = kind is ShotKind.METABOLITE
    if header.scanner is not None:
        extension["Manufacturer"] = header.scanner
    if header.edit_pulse_ppm is not None:
        on, off = header.edit_pulse_ppm
        extension["EditPulse"] = {"on": {"PulseOffset": on}, "off": {"PulseOffset": off}}
    extension["ConversionMethod"] = f"scanner-agent {version}"
    every_field = msgspec.to_builtins(header)
    ours = {name: every_field[name] for name in _OUR_FIELDS if name in every_field}
    value: dict[str, Any] = {"header": ours, "shots": shots}
    if kind is not ShotKind.METABOLITE:
        value["shot_kind"] = kind.value
    if beside:
        value["beside"] = [kind.value for kind in beside]
    extension[OUR_KEY] = {"Value": value, "Description": _OUR_DESCRIPTION}
    return extension
