"""From a scan's report (and, where they are at hand, its signals) to the values of a phantom run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scanner_agent.phantom.definition import Phantom
from scanner_agent.phantom.signal import (
    WATER_PPM,
    ChannelNoise,
    CorrectionEffects,
    WaterShape,
    line_frequency_sd_hz,
)
from scanner_agent.phantom.values import Value
from scanner_agent.records import MetaboliteAmount, ScanReport

# Hindman 1966 (10.1063/1.1726676): water moves by -0.010 ppm per degree and lies at 4.65 ppm at 37 degrees C.
_WATER_PPM_PER_DEGREE = -0.010
_BODY_TEMPERATURE_C = 37.0
# Between water and metabolite scan: up to 0.1 ppm/h by a magnet's specification, for a minute (docs/science.md, 9) [P].
_FIELD_WANDER_PPM = 0.1 / 60.0
_NOT_IN_REPORT = "the signals are needed for it, and the shots are no longer in the spool: log the run from its file"


@dataclass(frozen=True, kw_only=True)
class Signals:
    """What the pipeline's signals say beyond the report. None: could not be had."""

    line_from_water_hz: float | None = None
    """Stored frequency of the phantom's singlet less that of water, Hz."""
    noise_relative_sd: float | None = None
    """Relative standard error of the noise's SD."""
    water_amplitude: float | None = None
    """First point of the unsuppressed water, per excitation."""
    water_snr: float | None = None
    """The same over the noise."""
    water_shape: WaterShape | None = None
    """Fitted line."""
    residual_water: float | None = None
    """Suppressed over unsuppressed height."""
    snr_reference: float | None = None
    """Height of the largest line over the noise."""
    late_energy: float | None = None
    """Mean z of the shots."""
    noise: ChannelNoise | None = None
    """Of the channels, if there are raw ones."""
    by_correction: CorrectionEffects = field(default_factory=CorrectionEffects)
    """What the water's noise does to them through the eddy-current correction."""
    correlations: Mapping[str, float] = field(default_factory=dict)
    """Correlation of each metabolite's error with that of the phantom's reference."""


def measure(report: ScanReport, phantom: Phantom, signals: Signals | None) -> dict[str, Value]:
    """Values of one run by name, each with its standard error where theory gives one; missing ones with the reason."""
    values = _of_report(report)
    values |= (
        _of_signals(report, phantom, signals) if signals is not None else {n: _none(_NOT_IN_REPORT) for n in _SIGNALS}
    )
    amounts = {a.name: a for a in report.metabolites if a.spectrum == "main"}
    return values | _of_amounts(phantom, amounts, report.quality.fit_flags, signals or Signals())


_SIGNALS = (
    "water_amplitude_per_ml",
    "water_fwhm_fitted_hz",
    "water_lorentz_share",
    "residual_water",
    "snr_reference",
    "late_energy",
    "noise_channel_spread",
    "noise_correlation",
    "temperature_c",
)


def _none(reason: str) -> Value:
    return Value(None, None, reason)


def _value(value: float | None, reason: str, sd: float | None = None) -> Value:
    if value is None or not math.isfinite(value):
        return _none(reason)
    return Value(float(value), None if sd is None or not math.isfinite(sd) else float(sd))


def _of_report(report: ScanReport) -> dict[str, Value]:
    quality, scan = report.quality, report.scan
    why = quality.missing
    few = "fewer than three shots are stored apart"
    n = max(quality.n_shots_used, 1)

    def scatter(value: float | None, degrees: int) -> Value:
        return _value(value, few, None if value is None or degrees < 1 else value * _sd_of_sd(degrees))

    drift_sd = None
    if quality.frequency_scatter_hz is not None and scan.repetition_time_s and n > 2:
        # Slope of a line through n shots, one TR apart.
        minutes = scan.repetition_time_s / 60.0 * math.sqrt(n * (n**2 - 1) / 12.0)
        drift_sd = quality.frequency_scatter_hz / minutes

    return {
        "centre_frequency_hz": Value(scan.spectrometer_frequency_mhz * 1e6, 0.5),
        "water_fwhm_hz": _value(quality.water_fwhm_hz, why.get("water_fwhm_hz", "no water reference")),
        "fwhm_hz": _value(quality.fwhm_hz, why.get("fwhm_hz", "no fit")),
        "frequency_drift_hz_per_min": _value(quality.frequency_drift_hz_per_min, few, drift_sd),
        "frequency_scatter_hz": scatter(quality.frequency_scatter_hz, n - 2),
        "phase_scatter_deg": scatter(quality.phase_scatter_deg, n - 1),
        "noise_sd": _value(_single_shot_noise(report), "no average"),
    }


def _sd_of_sd(degrees: int) -> float:
    """Scatter of an SD of so many degrees of freedom, over its root mean square (chi distribution)."""
    mean = math.sqrt(2.0 / degrees) * math.exp(math.lgamma((degrees + 1) / 2.0) - math.lgamma(degrees / 2.0))
    return math.sqrt(1.0 - mean**2)


def _single_shot_noise(report: ScanReport) -> float | None:
    quality = report.quality
    if quality.noise_sd is None or not quality.n_shots_effective:
        return None
    return quality.noise_sd * math.sqrt(quality.n_shots_effective)


def _of_signals(report: ScanReport, phantom: Phantom, signals: Signals) -> dict[str, Value]:
    no_water = "no water reference"
    size = report.scan.voxel_size_mm
    volume_ml = None if size is None else size[0] * size[1] * size[2] / 1000.0
    per_ml = None
    if signals.water_amplitude is not None and volume_ml:
        per_ml = signals.water_amplitude / volume_ml
    shape, noise, drawn = signals.water_shape, signals.noise, signals.by_correction
    noise_sd = _single_shot_noise(report)
    spread = None
    if noise is not None and len(noise.sd) > 1:
        spread = max(noise.sd) / sorted(noise.sd)[len(noise.sd) // 2]
    one = "the channels were combined before" if report.scan.n_coils < 2 else "no noise scan"
    return _of_channels(noise) | {
        "water_amplitude_per_ml": _value(
            per_ml,
            no_water if signals.water_amplitude is None else "the voxel's size is not known",
            # The amplitude is the mean of two points.
            None if per_ml is None or not signals.water_snr else per_ml / (math.sqrt(2.0) * signals.water_snr),
        ),
        "water_fwhm_fitted_hz": _value(
            None if shape is None else shape.fwhm_hz, no_water, None if shape is None else shape.sd_hz
        ),
        "water_lorentz_share": _value(None if shape is None else shape.lorentz_share, no_water, drawn.lorentz_share),
        "water_fwhm_hz": _value(
            report.quality.water_fwhm_hz, report.quality.missing.get("water_fwhm_hz", no_water), drawn.water_fwhm_hz
        ),
        "noise_sd": _value(noise_sd, "no average", _product(noise_sd, signals.noise_relative_sd)),
        "residual_water": _value(signals.residual_water, no_water, drawn.residual_water),
        "snr_reference": _value(signals.snr_reference, "no average", _snr_sd(signals)),
        "late_energy": _value(signals.late_energy, "not measured"),
        "noise_channel_spread": _value(spread, one),
        "noise_correlation": _value(None if noise is None else max(noise.correlation), one),
        "temperature_c": _temperature(report, phantom, signals),
    }


def _product(value: float | None, share: float | None) -> float | None:
    return None if value is None or share is None else value * share


def _of_channels(noise: ChannelNoise | None) -> dict[str, Value]:
    values: dict[str, Value] = {}
    if noise is not None:
        for number, (sd, correlation) in enumerate(zip(noise.sd, noise.correlation, strict=True), start=1):
            share = 1.0 / math.sqrt(2.0 * noise.n_samples)
            values[f"noise_sd_channel_{number:02}"] = Value(sd, sd * share / math.sqrt(2.0))
            values[f"noise_correlation_channel_{number:02}"] = Value(correlation, share * (1.0 - correlation**2))
    return values


def _snr_sd(signals: Signals) -> float | None:
    """The height is known to one SD of the noise and to what the correction by water leaves, the noise to its share."""
    snr = signals.snr_reference
    if snr is None:
        return None
    return math.hypot(1.0, snr * (signals.noise_relative_sd or 0.0), signals.by_correction.snr)


def _temperature(report: ScanReport, phantom: Phantom, signals: Signals) -> Value:
    """From the distance between water and a singlet, whose own shift hardly depends on temperature."""
    distance, scan = signals.line_from_water_hz, report.scan
    if distance is None:
        return _none("no water reference")
    water_ppm = phantom.line_ppm + distance / scan.spectrometer_frequency_mhz
    temperature = _BODY_TEMPERATURE_C + (water_ppm - WATER_PPM) / _WATER_PPM_PER_DEGREE
    if not -10.0 <= temperature <= 70.0:
        return _none(f"water lies at {water_ppm:.2f} ppm: no temperature does that")
    sd_hz = None
    if report.quality.fwhm_hz and signals.snr_reference:
        sd_hz = math.hypot(
            line_frequency_sd_hz(report.quality.fwhm_hz, signals.snr_reference, scan.n_points * scan.dwell_time_s),
            signals.by_correction.frequency_hz,
            _FIELD_WANDER_PPM * scan.spectrometer_frequency_mhz,
        )
    per_degree_hz = abs(_WATER_PPM_PER_DEGREE) * scan.spectrometer_frequency_mhz
    return _value(temperature, "", None if sd_hz is None else sd_hz / per_degree_hz)


def _of_amounts(
    phantom: Phantom, amounts: Mapping[str, MetaboliteAmount], fit_flags: Sequence[str], signals: Signals
) -> dict[str, Value]:
    values: dict[str, Value] = {}
    reference = amounts.get(phantom.reference)
    no_fit = "not fitted: " + (", ".join(fit_flags) or "no basis set for this scan")
    for name in phantom.contents_mm:
        amount = amounts.get(name)
        relative = None if amount is None or amount.percent_sd is None else amount.percent_sd / 100.0
        percent = None if amount is None else amount.percent_sd
        values[f"{name}_percent_sd"] = _value(percent, no_fit)
        in_water = None if amount is None else amount.institutional_units
        values[f"{name}/water"] = _value(
            in_water if in_water is None or in_water > 0 else None,
            no_fit if amount is None else "no water reference" if in_water is None else "none was found",
            # The correction by water moves all metabolites alike: hardly anything of it is left in their ratios.
            None
            if in_water is None or relative is None
            else in_water * math.hypot(relative, signals.by_correction.amounts.get(name, 0.0)),
        )
        if name == phantom.reference:
            continue
        if amount is None or reference is None or reference.amplitude <= 0 or amount.amplitude <= 0:
            values[f"{name}/{phantom.reference}"] = _none(no_fit if amount is None else "none was found")
            continue
        ratio = amount.amplitude / reference.amplitude
        other = None if reference.percent_sd is None else reference.percent_sd / 100.0
        sd = None
        if relative is not None and other is not None:
            shared = 2.0 * signals.correlations.get(name, 0.0) * relative * other
            sd = ratio * math.sqrt(max(relative**2 + other**2 - shared, 0.0))
        values[f"{name}/{phantom.reference}"] = _value(ratio, "", sd)
    return values
