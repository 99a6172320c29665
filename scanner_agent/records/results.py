"""What comes out of the measurement: assessments, spectra, amounts, the report."""

from __future__ import annotations

from msgspec import Struct

from scanner_agent.records.scan import ScanEnd, ScanHeader
from scanner_agent.records.words import REPORT_SCHEMA, Advice, EditCondition, FindingKind, Severity, Verdict


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
    edit_offset_hz: float | None = None
    """Edited scans: how far the lines lay from where the editing pulses expect them, same sign as `frequency_hz`."""
    edit_offset_sd_hz: float | None = None
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
