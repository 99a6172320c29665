"""From what the chain, the fit and the judgement say to the records that are published."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from scanner_agent.fit import FitResult, WaterScaling, gaussian_gaba, to_amounts
from scanner_agent.judge import FitSummary, Judgement, ShotSigns
from scanner_agent.mrs.axes import ppm_axis, spectrum
from scanner_agent.mrs.shots import Average, CoilReport, ShotEstimate, WaterReference
from scanner_agent.records import MetaboliteAmount, Quality, ShotTrack, SpectrumPart, counted

_SIGN_FIELDS = tuple(ShotSigns.__dataclass_fields__)
_NUMBERS = (
    "snr_lcmodel",
    "snr_naa",
    "fwhm_hz",
    "fwhm_ppm",
    "fit_quality",
    "frequency_offset_hz",
    "residual_water_ratio",
    "lipid_ratio",
)
_OTHER_POSE = "of another pose than the one that counts"
_UNFITTED_PPM = (0.0, 4.4)
SCALING_NOTE = (
    "Water-scaled amounts are institutional units: water content and relaxation are assumed, tissue is not corrected"
    " for; compare them with your own history only."
)


_R = TypeVar("_R", bound=Struct)


def plain(record: _R) -> _R:
    """The record with Python's own numbers: NumPy's scalars come in with measurements and no encoder knows them."""
    encoded = msgspec.msgpack.encode(record, enc_hook=lambda value: value.item())
    return msgspec.msgpack.decode(encoded, type=type(record))


def signs(estimate: ShotEstimate) -> ShotSigns:
    """The judgement's view of a shot: the same fields by name."""
    return ShotSigns(**{name: getattr(estimate, name) for name in _SIGN_FIELDS})


def main_fit(fits: Mapping[str, FitResult]) -> FitResult | None:
    """The fit that S/N and linewidth are taken from."""
    return fits.get("main") or fits.get("off")


def summary(fits: Mapping[str, FitResult], average: Average, water: WaterReference | None) -> FitSummary | None:
    """The judgement's view of a round of fits; None if nothing was fitted."""
    main = main_fit(fits)
    if main is None:
        return None
    numbers = fit_numbers(fits, water)
    return FitSummary(
        shots=frozenset(index for index, weight in average.weights.items() if weight > 0),
        n_effective=average.n_effective,
        snr_lcmodel=numbers["snr_lcmodel"],
        snr_naa=numbers["snr_naa"],
        fwhm_hz=numbers["fwhm_hz"],
        fwhm_ppm=numbers["fwhm_ppm"],
        fit_quality=numbers["fit_quality"],
        frequency_offset_hz=numbers["frequency_offset_hz"],
        residual_water_ratio=numbers["residual_water_ratio"],
        lipid_ratio=numbers["lipid_ratio"],
        percent_sd_lcmodel=_present(fits, "percent_sd_lcmodel"),
        percent_sd=_present(fits, "percent_sd"),
        not_found=frozenset(name for fit in fits.values() for name, amount in fit.amounts.items() if amount <= 0.0),
        flags=tuple(dict.fromkeys(flag for fit in fits.values() for flag in fit.flags)),
        failed=not main.amounts,
        subtraction_artefact=average.subtraction_artefact,
    )


def fit_numbers(fits: Mapping[str, FitResult], water: WaterReference | None) -> dict[str, float | None]:
    """The numbers that are the same in the judgement's view and in the report; None: could not be had."""
    main = main_fit(fits)
    found = {name: None if main is None else getattr(main, name) for name in _NUMBERS}
    offset = found["frequency_offset_hz"]
    if offset is not None and water is not None and water.corrected_fid is not water.fid:
        # Eddy-current correction has put the water on 0 Hz, and all else with it.
        found["frequency_offset_hz"] = offset + water.frequency_hz
    return {name: None if value is None else float(value) for name, value in found.items()}


def _present(fits: Mapping[str, FitResult], which: str) -> dict[str, float]:
    """%SD by name; of an edited scan the difference's names win (GABA+, Glx)."""
    values: dict[str, float] = {}
    for fit in fits.values():
        values |= {name: value for name, value in getattr(fit, which).items() if value is not None}
    return values


def quality(
    fits: Mapping[str, FitResult],
    average: Average | None,
    water: WaterReference | None,
    estimates: Iterable[ShotEstimate],
    *,
    repetition_time_s: float,
    gaba_unit: float | None,
    no_fit: str | None,
) -> Quality:
    """The numbers of one average; each that is missing has its reason. `gaba_unit`: see `gaba_unit_area`."""
    main = main_fit(fits)
    numbers = fit_numbers(fits, water)
    missing: dict[str, str] = {}
    reason = no_fit or (
        "nothing was fitted yet" if main is None else "the fit found no value: " + ", ".join(main.flags)
    )
    missing |= {name: reason for name, value in numbers.items() if value is None}
    difference = fits.get("difference")
    if difference is not None:
        gaussian = gaussian_gaba(difference, gaba_unit, fits.get("off"))
        numbers["gaba_gaussian_ratio_to_tCr"] = None if gaussian is None else gaussian.ratio_to_tCr
    numbers["water_fwhm_hz"] = None if water is None else water.fwhm_hz
    if water is None:
        missing["water_fwhm_hz"] = "no water reference"
    used = [e for e in estimates if average is not None and average.weights.get(e.shot_index, 0.0) > 0]
    return Quality(
        **numbers,
        noise_sd=_noise_sd(average),
        subtraction_artefact=None if average is None else average.subtraction_artefact,
        n_shots_used=0 if average is None else average.n_used,
        n_shots_effective=None if average is None else average.n_effective,
        fit_flags=tuple(dict.fromkeys(flag for fit in fits.values() for flag in fit.flags)),
        missing=missing,
        **_stability(used, repetition_time_s),
    )


def _noise_sd(average: Average | None) -> float | None:
    if average is None:
        return None
    return average.noise_sd.get("main", average.noise_sd.get("off"))


def _stability(used: list[ShotEstimate], repetition_time_s: float) -> dict[str, float | None]:
    """Drift and scatter of the shots that are in the average; None for fewer than three."""
    measured = [e for e in used if e.frequency_hz is not None and e.phase_deg is not None]
    if len(measured) < 3:
        return {}
    frequency = np.array([e.frequency_hz for e in measured], dtype=np.float64)
    excitations = np.array([e.n_excitations for e in measured], dtype=np.float64)
    # Time runs with the shot index, not with the place among the used ones.
    index = np.array([e.shot_index for e in measured], dtype=np.float64)
    minutes = index * np.median(excitations) * repetition_time_s / 60.0
    slope, intercept = np.polyfit(minutes, frequency, 1)
    phases = np.deg2rad(np.array([e.phase_deg for e in measured], dtype=np.float64))
    resultant = float(np.abs(np.mean(np.exp(1j * phases))))
    return {
        "frequency_drift_hz_per_min": float(slope),
        "frequency_scatter_hz": float(np.std(frequency - slope * minutes - intercept, ddof=2)),
        "phase_scatter_deg": float(np.rad2deg(np.sqrt(-2.0 * np.log(max(resultant, 1e-12))))),
    }


def amounts(
    fits: Mapping[str, FitResult], gated: Collection[str], scaling: WaterScaling | None
) -> tuple[MetaboliteAmount, ...]:
    """Amounts of every sub-spectrum; ratios of a difference refer to tCr of OFF. What decides comes once."""
    found: list[MetaboliteAmount] = []
    for name, fit in fits.items():
        # In an edited scan GABA+ and Glx decide as the difference has them.
        decides = gated if name != "off" else ()
        tcr = fits.get("off") if name == "difference" else None
        found += to_amounts(fit, name, decides, tcr, scaling)
    return tuple(found)


def track(estimate: ShotEstimate, judgement: Judgement | None) -> ShotTrack:
    """One shot as published."""
    index = estimate.shot_index
    by_judge = None if judgement is None else judgement.left_out.get(index)
    counts = judgement is None or by_judge is not None or index in judgement.used_shots
    used = estimate.usable and estimate.weight > 0 and by_judge is None and counts
    return ShotTrack(
        index=index,
        edit_condition=estimate.edit_condition,
        used=used,
        segment=None if judgement is None else judgement.shot_segments.get(index),
        reason=None if used else (estimate.reason or by_judge or ("left out" if counts else _OTHER_POSE)),
        weight=estimate.weight if used else 0.0,
        frequency_hz=estimate.frequency_hz,
        frequency_sd_hz=estimate.frequency_sd_hz,
        edit_offset_hz=estimate.edit_offset_hz,
        edit_offset_sd_hz=estimate.edit_offset_sd_hz,
        phase_deg=estimate.phase_deg,
        phase_sd_deg=estimate.phase_sd_deg,
        amplitude=estimate.amplitude,
        amplitude_sd=estimate.amplitude_sd,
        linewidth_hz=estimate.broadening_hz,
        residual_water=estimate.residual_water,
        misfit=estimate.misfit,
    )


def tracks(estimates: Iterable[ShotEstimate], judgement: Judgement | None) -> tuple[ShotTrack, ...]:
    """All shots as published."""
    return tuple(track(estimate, judgement) for estimate in estimates)


def spectra(
    fits: Mapping[str, FitResult],
    average: Average,
    *,
    dwell_time_s: float,
    spectrometer_frequency_mhz: float,
) -> tuple[SpectrumPart, ...]:
    """Sub-spectra with their fits; those that were not fitted as magnitudes."""
    parts = []
    for name, fid in average.fids.items():
        fit = fits.get(name)
        if fit is not None and fit.ppm.size:
            parts.append(
                SpectrumPart(
                    spectrum=name,
                    ppm=_list(fit.ppm),
                    data=_list(fit.data),
                    fit=_list(fit.fit),
                    baseline=_list(fit.baseline),
                )
            )
        elif not fits:
            ppm = ppm_axis(fid.size, dwell_time_s, spectrometer_frequency_mhz)[::-1]
            shown = (ppm >= _UNFITTED_PPM[0]) & (ppm <= _UNFITTED_PPM[1])
            values = np.abs(spectrum(fid))[::-1][shown]
            parts.append(SpectrumPart(spectrum=name, ppm=_list(ppm[shown]), data=_list(values), fit=[], baseline=[]))
    return tuple(parts)


def _list(values: NDArray[np.float64]) -> list[float]:
    """Five significant digits are more than a picture shows, and keep the messages small."""
    return [float(f"{value:.5g}") for value in values.tolist()]


def reception_notes(coils: CoilReport, water: WaterReference | None) -> list[str]:
    """What was found about receive channels and water reference, for a reader of the report."""
    notes = []
    if coils.n_coils > 1:
        correlation = coils.largest_noise_correlation
        most = "" if correlation is None else f", largest correlation between channels {correlation:.2f}"
        left_out = f"; left out: {', '.join(map(str, coils.left_out))}" if coils.left_out else ""
        notes.append(
            f"{coils.n_coils} channels, weights from {coils.weights_from}, noise covariance from {coils.noise_from}"
            f"{most}{left_out}."
        )
    if water is not None and water.fwhm_hz is not None:
        notes.append(
            f"Water reference: {counted(water.n_shots)}, linewidth {water.fwhm_hz:.1f} Hz, S/N {water.snr:.0f},"
            f" {water.frequency_hz:+.1f} Hz from 4.65 ppm."
        )
    return notes
