"""The minimum reporting standards of in vivo MRS, as far as a report knows them.

Lin et al. 2021, Minimum Reporting Standards for in vivo Magnetic Resonance Spectroscopy (MRSinMRS), NMR in Biomedicine
34:e4484, doi:10.1002/nbm.4484: hardware, acquisition, data analysis methods and outputs, data quality.
"""

from __future__ import annotations

from scanner_agent.records import ScanHeader, ScanReport

NOT_RECORDED = "not recorded"
Items = list[tuple[str, str]]


def mrsinmrs(report: ScanReport) -> dict[str, Items]:
    """Items by section; what is not known says so."""
    return {
        "1. Hardware": _hardware(report.scan),
        "2. Acquisition": _acquisition(report),
        "3. Data analysis methods and outputs": _analysis(report),
        "4. Data quality": _quality(report),
    }


def _hardware(scan: ScanHeader) -> Items:
    tesla = scan.spectrometer_frequency_mhz / 42.577
    return [
        ("a. Field strength", f"{tesla:.2f} T ({scan.spectrometer_frequency_mhz:.4f} MHz)"),
        ("b. Manufacturer and c. model", scan.scanner or NOT_RECORDED),
        ("Software version", scan.software_version or NOT_RECORDED),
        ("d. Coils", _joined(scan.coil_name, f"{scan.n_coils} channel{'s' if scan.n_coils != 1 else ''}")),
    ]


def _acquisition(report: ScanReport) -> Items:
    scan = report.scan
    size = scan.voxel_size_mm
    position = scan.voxel_position_mm
    volume = None if size is None else size[0] * size[1] * size[2] / 1000.0
    points = f"{scan.n_points} points, {1 / scan.dwell_time_s:.0f} Hz spectral width"
    edit = scan.edit_pulse_ppm
    editing = None if edit is None else f"editing pulse at {edit[0]:g} (ON) and {edit[1]:g} ppm (OFF)"
    return [
        ("a. Pulse sequence", _joined(scan.sequence, editing)),
        ("b. Volume of interest, centre", NOT_RECORDED if position is None else _vector(position, "mm (RAS+)")),
        ("c. Nominal volume", NOT_RECORDED if size is None else f"{_vector(size, 'mm')}, {volume:.1f} mL"),
        ("d. TR, TE", f"{_milliseconds(scan.repetition_time_s)}, {_milliseconds(scan.echo_time_s)}"),
        ("Mixing time", _milliseconds(scan.mixing_time_s)),
        ("e. Shots (stored frames)", f"{len(report.shots)} acquired, {scan.n_shots_planned or NOT_RECORDED} planned"),
        ("f. Additional parameters", points),
        ("g. Water suppression", NOT_RECORDED),
        ("h. Shimming", _hertz(scan.shim_linewidth_hz, "water line of the shim")),
        ("i. Triggering or motion correction", "none by the scanner that is known; shots are aligned one by one"),
    ]


def _analysis(report: ScanReport) -> Items:
    made = report.provenance
    scaled = any(amount.institutional_units is not None for amount in report.metabolites)
    return [
        ("a. Analysis software", f"scanner-agent {made.version}, protocol {made.protocol} ({made.protocol_hash})"),
        ("b. Processing steps", "; ".join(made.steps) or NOT_RECORDED),
        ("c. Output measure", "ratios to tCr" + (" and water-scaled institutional units (mmol/L)" if scaled else "")),
        ("d. Quantification reference", f"basis set {made.basis} ({made.basis_hash})" if made.basis else "none"),
    ]


def _quality(report: ScanReport) -> Items:
    quality = report.quality
    snr = _number(quality.snr_lcmodel, "LCModel's definition")
    naa = _number(quality.snr_naa, "tNAA height over SD of the noise")
    return [
        ("a. S/N", f"{snr}; {naa}"),
        ("a. Linewidth", _hertz(quality.fwhm_hz, "metabolites")),
        ("a. Linewidth of water", _hertz(quality.water_fwhm_hz, "unsuppressed")),
        ("b. Exclusion criteria", "; ".join(_criterion(report)) or "none"),
        ("c. Fit quality", _number(quality.fit_quality, "variance of the residual over that of the noise")),
        ("Shots in the result", f"{quality.n_shots_used} of {len(report.shots)}"),
        ("d. Spectrum", "see the chart"),
    ]


def _criterion(report: ScanReport) -> list[str]:
    texts = []
    for check in report.limits:
        name = check.metric if check.metabolite is None else f"{check.metric} of {check.metabolite}"
        bound = f">= {check.minimum:g}" if check.minimum is not None else f"<= {check.maximum:g}"
        unit = "" if check.unit == "1" else f" {check.unit}"
        texts.append(f"{name} {bound}{unit} ({check.source})")
    return texts


def _joined(*texts: str | None) -> str:
    return ", ".join(text for text in texts if text) or NOT_RECORDED


def _vector(values: tuple[float, float, float], unit: str) -> str:
    return " × ".join(f"{value:g}" for value in values) + f" {unit}"


def _milliseconds(seconds: float | None) -> str:
    return NOT_RECORDED if seconds is None else f"{1000 * seconds:g} ms"


def _hertz(value: float | None, of: str) -> str:
    return NOT_RECORDED if value is None else f"{value:.1f} Hz ({of})"


def _number(value: float | None, of: str) -> str:
    return f"{NOT_RECORDED} ({of})" if value is None else f"{value:.3g} ({of})"
