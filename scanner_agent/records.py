"""Every record that crosses a room: frozen, typed, documented field by field.

Missing is `None`, never 0, NaN or 999; a record with optional measurements carries `missing`, which says why.
Arrays of published records are plain lists so that MessagePack and JSON readers need nothing of ours.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

REPORT_SCHEMA = "scanner-agent/report/1"
PLACEMENT_SCHEMA = "scanner-agent/placement/1"

Identifier = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$")]
ShortText = Annotated[str, Meta(max_length=200)]
Sentence = Annotated[str, Meta(max_length=500, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""Shown to people as it comes: nothing that a terminal would obey."""
Initials = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]{1,8}$")]
EditCondition = Literal["on", "off"]
Vector3 = tuple[float, float, float]


class ShotKind(StrEnum):
    """What a shot was acquired for."""

    METABOLITE = "metabolite"
    WATER_REFERENCE = "water_reference"
    NOISE = "noise"


class Verdict(StrEnum):
    """The one large state. `COLLECTING` is never final."""

    COLLECTING = "collecting"
    GOOD = "good"
    WATCH = "watch"
    STOP = "stop"
    CANNOT_JUDGE = "cannot_judge"


class Advice(StrEnum):
    """What to do now."""

    CONTINUE = "continue"
    EXTEND = "extend"
    RESHIM = "reshim"
    REPRESCRIBE = "represcribe"
    LOCALISE = "localise"
    """Repeat the localiser; asked of the scanner side only, never the advice of a verdict."""
    REPEAT = "repeat"
    CHECK_HARDWARE = "check_hardware"
    WAIT_FOR_DRIFT = "wait_for_drift"


class FindingKind(StrEnum):
    """The causes that the judgement tells apart."""

    MOTION_DURING_SCAN = "motion_during_scan"
    VOXEL_DISPLACED = "voxel_displaced"
    POOR_SHIM = "poor_shim"
    LOW_SNR = "low_snr"
    FREQUENCY_DRIFT = "frequency_drift"
    MOVEMENT_NOT_OBSERVABLE = "movement_not_observable"
    LIPID_CONTAMINATION = "lipid_contamination"
    WATER_SUPPRESSION = "water_suppression"
    SPURIOUS_ECHO = "spurious_echo"
    COIL_FAULT = "coil_fault"
    EDITING_ERROR = "editing_error"
    SUBTRACTION_ARTEFACT = "subtraction_artefact"
    FIT_FAILED = "fit_failed"
    DATA_GAP = "data_gap"


class Severity(StrEnum):
    """How much a finding weighs; "flagged" means watch or stop."""

    NOTE = "note"
    WATCH = "watch"
    STOP = "stop"


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


class Interval(Struct, frozen=True, kw_only=True):
    """An expected value and its 90 % interval."""

    expected: float
    """Most likely value."""
    low: float
    """5 % quantile."""
    high: float
    """95 % quantile."""


class Forecast(Struct, frozen=True, kw_only=True):
    """What the planned end will bring, given no later event."""

    n_shots_planned: int
    """Metabolite shots at the planned end."""
    snr_lcmodel: Interval | None = None
    """S/N at the end on LCModel's scale."""
    fwhm_hz: Interval | None = None
    """Linewidth at the end, Hz."""
    percent_sd: dict[str, Interval] = {}
    """%SD at the end (LCModel's scale) of each gated metabolite."""
    probability_pass: float | None = None
    """Probability, 0-1, that all limits of the protocol will be met."""
    shots_needed: int | None = None
    """Shots beyond the planned ones with which the limits will probably be met; None: extending cannot help."""
    can_extend: bool | None = None
    """Whether more shots can help at all."""
    missing: dict[str, str] = {}
    """Why a value is None."""


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that is wrong or worth knowing, with its evidence."""

    kind: FindingKind
    """The cause."""
    severity: Severity
    """note, watch or stop."""
    first_shot: int | None = None
    """First metabolite shot concerned."""
    last_shot: int | None = None
    """Last metabolite shot concerned."""
    raised_at_shot: int | None = None
    """Metabolite shot after which it was first said; None: before the first or at the end."""
    evidence: dict[str, float] = {}
    """Named numbers, the unit in the name; a limit that was broken stands beside its number as `..._limit`."""
    text: str
    """One plain sentence for a person."""


class MetaboliteAmount(Struct, frozen=True, kw_only=True):
    """One metabolite, or sum, as fitted in one sub-spectrum."""

    name: str
    """LCModel's abbreviation."""
    spectrum: str
    """`main`, or `off` / `difference` in edited scans."""
    amplitude: float
    """Amount, in units of the basis."""
    crlb_sd: float | None = None
    """Standard deviation of the amplitude from the Fisher matrix, same unit."""
    percent_sd: float | None = None
    """100 crlb_sd / amplitude, sigma from the noise."""
    percent_sd_lcmodel: float | None = None
    """The same with sigma from the fit's residual, LCModel's way: the one that published limits mean."""
    ratio_to_tCr: float | None = None  # noqa: N815
    """Amount over tCr (in edited scans tCr of `off`)."""
    ratio_to_tCr_sd: float | None = None  # noqa: N815
    """Its standard deviation."""
    institutional_units: float | None = None
    """Water-scaled amount, mmol/L with stated assumptions, without tissue correction."""
    molal_mmol_per_kg: float | None = None
    """Water-scaled, tissue- and relaxation-corrected, mmol/kg."""
    gated: bool = False
    """True if the protocol's verdict depends on it."""


class Quality(Struct, frozen=True, kw_only=True):
    """The numbers of one spectrum (a scan's, or one segment's). A value that is None has its reason in `missing`."""

    snr_lcmodel: float | None = None
    """LCModel's S/N: max(fit - baseline) / (2 SD of the residual)."""
    snr_naa: float | None = None
    """tNAA height above baseline / SD of the noise (real part, no apodisation, no zero filling)."""
    fwhm_hz: float | None = None
    """Metabolite linewidth, Hz, on LCModel's scale."""
    fwhm_ppm: float | None = None
    """The same in ppm."""
    water_fwhm_hz: float | None = None
    """Linewidth of the unsuppressed water, Hz."""
    frequency_offset_hz: float | None = None
    """Offset of the whole spectrum that referencing removed, Hz (metabolites, then lying at lower ppm if positive)."""
    fit_quality: float | None = None
    """FQN: variance of the fit's residual over variance of the noise; 1 is ideal."""
    noise_sd: float | None = None
    """SD of the noise per real channel of the averaged FID."""
    residual_water_ratio: float | None = None
    """Height of the residual water over that of tNAA."""
    lipid_ratio: float | None = None
    """Signal at 0.9-1.9 ppm after the macromolecules, over that of tNAA."""
    subtraction_artefact: float | None = None
    """Peak-to-peak of the difference spectrum at 3.16-3.29 ppm over the height of tCho in OFF."""
    gaba_gaussian_ratio_to_tCr: float | None = None  # noqa: N815
    """GABA+ over tCr by the plain Gaussian model, a cross-check."""
    n_shots_used: int = 0
    """Metabolite shots in the average."""
    n_shots_effective: float | None = None
    """Shots of full weight that the weighted average is worth."""
    frequency_drift_hz_per_min: float | None = None
    """Slope of the shots' frequencies."""
    frequency_scatter_hz: float | None = None
    """SD of the shots' frequencies about that slope."""
    phase_scatter_deg: float | None = None
    """Circular SD of the shots' phases."""
    fit_flags: tuple[str, ...] = ()
    """What the fit says of itself; a remedy for each is in docs/operating.md."""
    missing: dict[str, str] = {}
    """Why a value is None."""


class ShotTrack(Struct, frozen=True, kw_only=True):
    """What was measured of one metabolite shot, relative to the scan's reference, and whether it was used."""

    index: int
    """shot_index."""
    edit_condition: EditCondition | None = None
    """As used, after the check against the data."""
    used: bool
    """Part of the average."""
    segment: int | None = None
    """Pose it belongs to, from 0."""
    reason: str | None = None
    """Why it was left out."""
    weight: float | None = None
    """Weight in the average, 0-1."""
    frequency_hz: float | None = None
    """Frequency offset estimated and removed; a shot multiplied by exp(+2 pi i f t) has +f."""
    frequency_sd_hz: float | None = None
    """Its standard error."""
    phase_deg: float | None = None
    """Phase offset estimated and removed, degrees."""
    phase_sd_deg: float | None = None
    """Its standard error."""
    amplitude: float | None = None
    """Amplitude relative to the reference."""
    amplitude_sd: float | None = None
    """Its standard error."""
    linewidth_hz: float | None = None
    """Broadening relative to the reference, Hz."""
    residual_water: float | None = None
    """Residual water amplitude over the reference's NAA amplitude."""
    misfit: float | None = None
    """Normalised chi-square of the shot against the reference; 1 is noise alone."""


class Segment(Struct, frozen=True, kw_only=True):
    """Shots of one pose, judged by themselves."""

    index: int
    """From 0, in order of time."""
    first_shot: int
    """First metabolite shot."""
    last_shot: int
    """Last metabolite shot."""
    n_shots_used: int
    """Shots in its average."""
    verdict: Verdict
    """Of this segment alone."""
    quality: Quality
    """Of this segment alone."""
    metabolites: tuple[MetaboliteAmount, ...] = ()
    """Of this segment alone: the gated ones."""


class SpectrumPart(Struct, frozen=True, kw_only=True):
    """One sub-spectrum with its fit over the fit's window: real parts, phased and referenced; lists alike long."""

    spectrum: str
    """`main`, `off`, `on` or `difference`."""
    ppm: list[float]
    """Axis, descending is left to the plot: ascending here."""
    data: list[float]
    """Spectrum."""
    fit: list[float]
    """Whole model, baseline included; empty if there was no fit."""
    baseline: list[float]
    """Baseline alone; empty if there was no fit."""


class SpectrumFrame(Struct, frozen=True, kw_only=True):
    """What a view draws; at most twice a second."""

    scan_id: str
    """Scan."""
    shot_index: int
    """Last metabolite shot in it."""
    parts: tuple[SpectrumPart, ...]
    """One part, or off and difference."""


class Timing(Struct, frozen=True, kw_only=True):
    """Where the time went."""

    total_ms: float
    """The call as a whole."""
    chain_ms: float | None = None
    """Coils, alignment, averaging."""
    fit_ms: float | None = None
    """The last fit alone, compiled."""
    judge_ms: float | None = None
    """The judgement."""


class Assessment(Struct, frozen=True, kw_only=True):
    """What is known after one more shot."""

    scan_id: str
    """Scan."""
    shot_index: int | None
    """Metabolite shot after which it was made; None before the first."""
    n_shots_used: int
    """Shots in the average."""
    n_shots_left_out: int
    """Shots seen and not used."""
    n_shots_planned: int | None
    """Shots planned."""
    verdict: Verdict
    """The large state."""
    advice: Advice
    """What to do."""
    advice_text: str
    """The same for a person, one sentence."""
    extend_shots: int | None = None
    """With `extend`: by how many shots."""
    forecast: Forecast | None = None
    """None while too little is known."""
    quality: Quality
    """Of the best segment so far."""
    metabolites: tuple[MetaboliteAmount, ...] = ()
    """Latest amounts."""
    findings: tuple[Finding, ...] = ()
    """Most important first."""
    track: ShotTrack | None = None
    """Of the shot itself."""
    timing: Timing | None = None
    """Of this step."""


class AssessmentPoint(Struct, frozen=True, kw_only=True):
    """One line of a report's history."""

    shot_index: int | None
    """Metabolite shot after which it was made."""
    verdict: Verdict
    """Then."""
    advice: Advice
    """Then."""
    forecast: Forecast | None = None
    """Then."""
    snr_lcmodel: float | None = None
    """S/N then, on LCModel's scale."""
    fwhm_hz: float | None = None
    """Linewidth then, Hz."""


class LimitCheck(Struct, frozen=True, kw_only=True):
    """One limit of the protocol and how the scan stands to it."""

    metric: str
    """Name of the number: `snr_lcmodel`, `fwhm_ppm`, `percent_sd_lcmodel` …"""
    metabolite: str | None = None
    """With a metric of one metabolite."""
    value: float | None
    """Measured; None: could not be."""
    minimum: float | None = None
    """Lowest allowed."""
    maximum: float | None = None
    """Highest allowed."""
    unit: str
    """Unit of all three."""
    source: str
    """Where the limit comes from."""
    met: bool | None
    """None: could not be told."""

    @property
    def label(self) -> str:
        """What is limited, for a person: `S/N`, `linewidth`, `%SD of Glu`."""
        name = _METRIC_LABELS.get(self.metric, self.metric.replace("_", " "))
        return name if self.metabolite is None else f"{name} of {self.metabolite}"

    @property
    def unit_text(self) -> str:
        """The unit with a space before it; nothing for a pure number."""
        return "" if self.unit == "1" else f" {self.unit}"


_METRIC_LABELS = {
    "snr_lcmodel": "S/N",
    "snr_naa": "S/N of NAA",
    "fwhm_hz": "linewidth",
    "fwhm_ppm": "linewidth",
    "water_fwhm_hz": "water linewidth",
    "percent_sd_lcmodel": "%SD",
    "percent_sd": "%SD (noise)",
}


class WindowPoint(Struct, frozen=True, kw_only=True):
    """One step of a sliding window (functional spectroscopy)."""

    first_shot: int
    """First metabolite shot in the window."""
    last_shot: int
    """Last metabolite shot in the window."""
    name: str
    """Metabolite."""
    ratio_to_tCr: float | None  # noqa: N815
    """Amount over tCr in this window."""
    ratio_to_tCr_sd: float | None  # noqa: N815
    """Its standard deviation."""


class Provenance(Struct, frozen=True, kw_only=True):
    """What made a report."""

    version: str
    """Of this program."""
    protocol: str
    """Protocol's name."""
    protocol_hash: str
    """Of its content, hex."""
    basis: str | None
    """Basis set's name."""
    basis_hash: str | None
    """Of its content, hex."""
    steps: tuple[str, ...] = ()
    """Processing in order, a phrase each."""
    audit_head: str | None = None
    """Hash of the audit record's last line when the report was made; None offline."""
    audit_count: int | None = None
    """Lines in the audit record then."""


class ScanReport(Struct, frozen=True, kw_only=True):
    """The end of a scan: a pure function of header and shots in index order (`timing` and the audit fields aside)."""

    schema: str = REPORT_SCHEMA
    """Name and version of this layout."""
    scan: ScanHeader
    """As announced."""
    end: ScanEnd
    """How it ended."""
    verdict: Verdict
    """Final; never `collecting`."""
    advice: Advice
    """What to do."""
    advice_text: str
    """The same for a person."""
    extend_shots: int | None = None
    """With `extend`."""
    forecast: Forecast | None = None
    """Last forecast."""
    quality: Quality
    """Of the segment that counts."""
    limits: tuple[LimitCheck, ...] = ()
    """Each limit of the protocol against its value."""
    metabolites: tuple[MetaboliteAmount, ...] = ()
    """Of the segment that counts."""
    shots: tuple[ShotTrack, ...] = ()
    """Metabolite shots in the order of acquisition."""
    segments: tuple[Segment, ...] = ()
    """Poses."""
    findings: tuple[Finding, ...] = ()
    """Most important first."""
    assessments: tuple[AssessmentPoint, ...] = ()
    """The history, shot by shot in index order."""
    window: tuple[WindowPoint, ...] = ()
    """Sliding-window course, where the protocol asks for one."""
    spectra: tuple[SpectrumPart, ...] = ()
    """The final spectra with their fits."""
    notes: tuple[str, ...] = ()
    """What a reader should know: assumptions, what could not be done."""
    timing: Timing
    """Where the time went."""
    provenance: Provenance
    """What made it."""


class PlacementResult(Struct, frozen=True, kw_only=True):
    """What a repeat localiser says about a voxel."""

    schema: str = PLACEMENT_SCHEMA
    """Name and version of this record."""
    state: Literal["moved", "not_moved", "cannot_judge"]
    """The answer; `cannot_judge` if the registration is not certain."""
    text: Sentence
    """The same for a person, one sentence."""
    reasons: tuple[Sentence, ...] = ()
    """Why it cannot be judged."""
    head_shift_mm: Vector3 | None = None
    """Shift of the tissue at the voxel's centre: right, front, head positive (RAS)."""
    head_rotation_deg: Vector3 | None = None
    """Rotation vector of the head about R, A, S axes, degrees."""
    centre_displacement_mm: float | None = None
    """Distance between the voxel's old and new centre."""
    corner_displacement_mm: tuple[float, ...] = ()
    """The same for the eight corners."""
    share_inside: float | None = None
    """Share (0-1) of the intended tissue that is still in the voxel as prescribed."""
    uncertainty_mm: float | None = None
    """Standard error of the displacement, from the disagreement of parts of the head."""
    new_position_mm: Vector3 | None = None
    """Centre of the voxel that holds the intended tissue now, RAS+."""
    new_size_mm: Vector3 | None = None
    """Its edge lengths."""
    new_orientation: tuple[Vector3, Vector3, Vector3] | None = None
    """Its rotation matrix by rows; columns are its axes."""
    consoles: dict[Sentence, Sentence] = {}
    """The new prescription as each vendor's console takes it."""
    evidence: dict[str, float] = {}
    """Numbers that the certainty rests on."""


class Placement(Struct, frozen=True, kw_only=True):
    """A localiser's result on the daemon's record, beside the scan's report: it is made of images, not of shots."""

    placement_id: Identifier
    """Chosen by who made it, unique for ever; what comes again under it is the same."""
    scan_id: Identifier | None = None
    """Scan whose voxel it is about; None: made before the spectroscopy."""
    made_at: Annotated[float, Meta(ge=0.0)]
    """When the daemon took it, Unix time in seconds."""
    initials: Initials
    """Who answers for it."""
    result: PlacementResult
    """The result itself."""


class ScanSnapshot(Struct, frozen=True, kw_only=True):
    """All a view needs that joins late or missed a message."""

    header: ScanHeader
    """The scan."""
    protocol: str
    """Protocol's name."""
    limits: tuple[LimitCheck, ...] = ()
    """Limits in force."""
    tracks: tuple[ShotTrack, ...] = ()
    """All shots so far."""
    assessments: tuple[AssessmentPoint, ...] = ()
    """The history so far."""
    assessment: Assessment | None = None
    """Last one."""
    frame: SpectrumFrame | None = None
    """Last one."""
    report: ScanReport | None = None
    """Once the scan has ended."""
    last_shot_at: float | None = None
    """When the last shot was acknowledged, Unix time in seconds."""
    placement: Placement | None = None
    """Latest result of a repeat localiser for this scan."""


class TriggerState(StrEnum):
    """Life of a trigger."""

    PROPOSED = "proposed"
    ACTIVE = "active"
    ACKNOWLEDGED = "acknowledged"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class Trigger(Struct, frozen=True, kw_only=True):
    """A request to the scanner side. Delivered at least once; the receiver knows it by its id."""

    trigger_id: Identifier
    """Unique for ever."""
    scan_id: str
    """Scan that caused it."""
    visit_id: str | None = None
    """Its visit, if it has one: some limits on triggers hold for a visit."""
    advice: Advice
    """What is asked for."""
    extend_shots: int | None = None
    """With `extend`."""
    reason: FindingKind | None
    """Cause."""
    text: str
    """For a person."""
    evidence: dict[str, float] = {}
    """Of the finding; from a localiser's result on, its numbers too."""
    placement_id: str | None = None
    """Localiser's result that it rests on, or that answered it."""
    state: TriggerState
    """Where it stands."""
    created_at: float
    """Unix time, seconds."""
    expires_at: float
    """Unix time, seconds."""


class Health(Struct, frozen=True, kw_only=True):
    """How the daemon is."""

    ready: bool
    """Worker compiled and following the spool."""
    state: Literal["starting", "ok", "degraded", "refusing"]
    """`refusing`: shots cannot be kept and are not acknowledged."""
    problems: tuple[str, ...] = ()
    """A sentence each."""
    scans_open: int
    """Scans under way."""
    shots_acknowledged: int
    """Since start."""
    shots_waiting: int
    """Spooled, not yet processed."""
    messages_refused: int
    """Since start."""
    worker_restarts: int
    """Since start."""
    version: str
    """Of this program."""
    at: float
    """Unix time, seconds."""


Published = Assessment | SpectrumFrame | ScanReport | Finding | Trigger | Health
PUBLISHED_RECORDS: tuple[type[Struct], ...] = (
    ScanHeader,
    ScanEnd,
    Assessment,
    SpectrumFrame,
    ScanSnapshot,
    ScanReport,
    Finding,
    Placement,
    Trigger,
    Health,
)


def to_json(record: Struct) -> bytes:
    """A record as indented JSON (UTF-8)."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1)


def schema_document() -> dict[str, object]:
    """JSON schema of every published record, as committed in `docs/schema.json`."""
    _, components = msgspec.json.schema_components(PUBLISHED_RECORDS)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": components}


if __name__ == "__main__":
    import sys

    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(schema_document()), indent=1) + b"\n")
