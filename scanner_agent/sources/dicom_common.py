"""What standard DICOM attributes tell of a scan, without any patient field."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydicom.multival import MultiValue

from scanner_agent.sources.sequences import maker_name, normalised_sequence, says_phantom, says_water_reference

MR_SPECTROSCOPY_STORAGE = "1.2.840.10008.5.1.4.1.1.4.2"
SIEMENS_NON_IMAGE_STORAGE = "1.3.12.2.1107.5.9.1"
PHILIPS_PRIVATE_SPECTRUM = "1.3.46.670589.11.0.0.12.1"


def text_of(dataset: Any, name: str) -> str | None:
    """One text attribute, several values joined; None if absent or empty."""
    value = dataset.get(name)
    if value is None:
        return None
    parts = value if isinstance(value, MultiValue) else [value]
    return " ".join(" ".join(str(part) for part in parts).split())[:200] or None


def in_groups(dataset: Any, sequence: str, name: str) -> Any:
    """An attribute of the (first) per-frame or the shared functional groups; None if absent."""
    for groups in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        for group in list(dataset.get(groups) or [])[:1]:
            for item in list(group.get(sequence) or [])[:1]:
                if item.get(name) is not None:
                    return item.get(name)
    return None


def started_at(dataset: Any) -> float | None:
    """Start of the acquisition, Unix time; the scanner's clock is taken as UTC. None if not told."""
    stamp = text_of(dataset, "AcquisitionDateTime")
    if stamp is None:
        for day, hour in (
            ("AcquisitionDate", "AcquisitionTime"),
            ("ContentDate", "ContentTime"),
            ("SeriesDate", "SeriesTime"),
        ):
            if text_of(dataset, day) and text_of(dataset, hour):
                stamp = f"{text_of(dataset, day)}{text_of(dataset, hour)}"
                break
    if stamp is None:
        return None
    whole, _, fraction = stamp.partition(".")
    try:
        moment = datetime.strptime(whole[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        return moment.timestamp() + float(f"0.{fraction}" if fraction.isdigit() else 0.0)
    except ValueError:
        return None


def common_fields(dataset: Any) -> dict[str, object]:
    """Header fields that any vendor's DICOM spectroscopy object may tell. Names of series serve to tell sequence and
    phantom, and are not passed on.
    """
    names = [
        text_of(dataset, name) for name in ("PulseSequenceName", "SequenceName", "SeriesDescription", "ProtocolName")
    ]
    fields: dict[str, object] = {
        "sequence": normalised_sequence(*names) or normalised_sequence(text_of(dataset, "VolumeLocalizationTechnique")),
        "is_phantom": says_phantom(*names, text_of(dataset, "StudyDescription"), text_of(dataset, "PatientName")),
        "started_at": started_at(dataset),
        "scanner": maker_name(text_of(dataset, "Manufacturer")),
        "software_version": text_of(dataset, "SoftwareVersions"),
    }
    corrected = text_of(dataset, "WaterReferencedPhaseCorrection")
    if fields["scanner"] == "Siemens" and corrected in ("YES", "NO"):
        # Philips says YES where a reference was acquired, whatever was done with it.
        fields["eddy_current_corrected"] = corrected == "YES"
    coil = in_groups(dataset, "MRReceiveCoilSequence", "ReceiveCoilName")
    if coil:
        fields["coil_name"] = str(coil)
    return fields


def names_water(dataset: Any) -> bool:
    """Whether series or protocol are called a water reference."""
    return says_water_reference(text_of(dataset, "SeriesDescription"), text_of(dataset, "ProtocolName"))
