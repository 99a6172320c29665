"""What comes in: a scan's header, its shots, its end."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from scanner_agent.records.words import EditCondition, Identifier, ShortText, ShotKind, Vector3


class ScanHeader(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One scan as announced before its shots. Holds no name, birth date, id or institution of a patient."""

    scan_id: Identifier
    """Names the scan; chosen by the sender, unique for ever."""
    nucleus: Annotated[str, Meta(max_length=8)] = "1H"
    """Resonant nucleus; only 1H is judged."""
    spectrometer_frequency_mhz: Annotated[float, Meta(ge=1.0, le=1000.0)]
    """Transmit frequency, MHz."""
    dwell_time_s: Annotated[float, Meta(ge=1e-6, le=0.01)]
    """Time between complex points, seconds."""
    n_coils: Annotated[int, Meta(ge=1, le=256)]
    """Receive channels per shot (1 if the data are already combined)."""
    n_points: Annotated[int, Meta(ge=64, le=65536)]
    """Complex points per channel and shot, after removal of oversampling."""
    sequence: ShortText | None = None
    """PRESS, STEAM, sLASER or MEGA-PRESS."""
    echo_time_s: Annotated[float, Meta(gt=0.0, le=2.0)] | None = None
    """TE, seconds."""
    repetition_time_s: Annotated[float, Meta(gt=0.0, le=60.0)] | None = None
    """TR, seconds."""
    mixing_time_s: Annotated[float, Meta(gt=0.0, le=2.0)] | None = None
    """TM of STEAM, seconds."""
    n_shots_planned: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    """Metabolite shots (stored frames) the scan is to have."""
    n_edit_conditions: Annotated[int, Meta(ge=1, le=16)] = 1
    """1: not edited; 2: MEGA (on/off); 4: HERMES and the like, which are not supported."""
    edit_pulse_ppm: tuple[float, float] | None = None
    """Editing-pulse frequency in the ON and in the OFF shots, ppm (e.g. 1.9 and 7.46)."""
    edit_pulse_bandwidth_hz: Annotated[float, Meta(gt=0.0)] | None = None
    """Full width at half maximum of the editing pulse's inversion profile, Hz."""
    coil_combined: bool = False
    """True if the coils were combined before this program saw the data."""
    shots_averaged: bool = False
    """True if the file holds only the average of its shots: movement cannot be seen in it."""
    eddy_current_corrected: bool | None = None
    """True if the scanner already took the water reference's phase off, so that it must not be done again; None if the
    source does not say."""
    prescan_frequency_hz: float | None = None
    """Centre frequency found by the prescan, Hz relative to `spectrometer_frequency_mhz`."""
    shim_linewidth_hz: Annotated[float, Meta(gt=0.0)] | None = None
    """Water FWHM that the shim reported, Hz."""
    transmit_reference: float | None = None
    """Transmit reference voltage or gain, in the vendor's unit."""
    receiver_gain: float | None = None
    """Receiver gain, in the vendor's unit."""
    reference_scan_id: Identifier | None = None
    """Scan that holds this one's water reference, if that is a scan of its own."""
    voxel_position_mm: Vector3 | None = None
    """Voxel centre, mm, NIfTI (RAS+) scanner coordinates."""
    voxel_size_mm: Vector3 | None = None
    """Voxel edge lengths along its own axes, mm."""
    voxel_orientation: tuple[Vector3, Vector3, Vector3] | None = None
    """Rotation matrix, rows; its columns are the voxel's axes in RAS+ scanner coordinates."""
    is_phantom: bool | None = None
    """True for a test object, None if the source does not say."""
    visit_id: Identifier | None = None
    """Site-chosen pseudonym that ties the scans of one visit together."""
    scanner: ShortText | None = None
    """Manufacturer and model, or the site's own name for the scanner."""
    software_version: ShortText | None = None
    """Scanner software."""
    coil_name: ShortText | None = None
    """Receive coil."""
    started_at: Annotated[float, Meta(ge=0.0)] | None = None
    """Start of the scan, Unix time in seconds."""
    source_notes: Annotated[tuple[ShortText, ...], Meta(max_length=32)] = ()
    """What the source did to the data or could not find out, a sentence each."""


class Shot(Struct, frozen=True, kw_only=True, eq=False):
    """One stored transient of all coils. Identity: (`scan_id`, `shot_kind`, `shot_index`)."""

    scan_id: str
    """Scan it belongs to."""
    shot_kind: ShotKind
    """Metabolite, water reference or noise."""
    shot_index: int
    """Place in the order of acquisition within its kind, from 0."""
    data: NDArray[np.complex64]
    """(n_coils, n_points) FID in the NIfTI-MRS convention: with a plain FFT, ppm = 4.65 - f/f0."""
    edit_condition: EditCondition | None = None
    """`on` or `off` as the source labels it; checked against the data where that is possible."""
    n_excitations: int = 1
    """Excitations summed into this stored frame (NEX, phase cycles)."""
    phase_cycle_index: int | None = None
    """Step of the phase cycle, from 0."""
    is_dummy: bool = False
    """True for a shot before steady state: kept, not used."""
    acquired_at: float | None = None
    """Time of acquisition, Unix time in seconds."""
    frequency_update_hz: float = 0.0
    """Centre-frequency change, Hz since the scan's start, that the scanner made and announced: no motion."""


class EndStatus(StrEnum):
    """How a scan ended."""

    COMPLETE = "complete"
    ABORTED = "aborted"


class ScanEnd(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last record of a scan."""

    scan_id: Identifier
    """Scan that ended."""
    status: EndStatus
    """Complete or aborted."""
    reason: ShortText = ""
    """Why it was aborted."""
    n_shots: Annotated[int, Meta(ge=0)] | None = None
    """Metabolite shots the sender sent, None if it does not know."""
