"""What was wrong when the scan began: a voxel out of place, the shim, fat, the water suppression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scanner_agent.judge.seen import Cause, Seen, excitations_back, median
from scanner_agent.judge.signs import FitSummary, ScanContext, ShotSigns
from scanner_agent.records import Advice, FindingKind, Severity

_RECENT_SHOTS = 16


@dataclass(frozen=True)
class _Placement:
    """Signs that the voxel is not where it was planned, each in words and numbers."""

    words: tuple[str, ...]
    evidence: dict[str, float]
    about_place: bool
    """True with a sign that the field, not only the spectrum's content, is not as at the prescan."""


def causes_before_the_scan(seen: Seen) -> list[Cause]:
    """Displacement, shim, lipid and water suppression: what was wrong when the scan began."""
    s = seen.protocol.judgement
    water_fwhm = seen.context.water_fwhm_hz
    broad = seen.width_probability is not None and seen.width_probability < s.watch_probability
    water_broad = water_fwhm is not None and water_fwhm > s.water_fwhm_watch_hz
    lipid, lipid_evidence = _lipid(seen)
    water = _water(seen)
    water_high = water is not None and water > s.residual_water_watch
    placement = _placement(seen, broad=broad or water_broad, lipid=lipid, water=water if water_high else None)
    displaced = placement.about_place and len(placement.words) >= s.displaced_min_signs
    causes: list[Cause] = []
    if displaced:
        causes.append(
            Cause(
                kind=FindingKind.VOXEL_DISPLACED,
                severity=Severity.WATCH,
                advice=Advice.REPRESCRIBE,
                first_shot=0,
                evidence=placement.evidence,
                text=f"From the first shot on {_and(placement.words)}: consistent with a head that moved after the"
                " voxel was placed. This is no proof: repeat the localiser to be sure.",
            )
        )
    if broad or water_broad:
        causes.append(_shim(seen, broad=broad, displaced=displaced))
    if lipid is not None:
        causes.append(
            Cause(
                kind=FindingKind.LIPID_CONTAMINATION,
                severity=Severity.WATCH,
                advice=Advice.REPRESCRIBE,
                first_shot=0,
                evidence=lipid_evidence,
                text=f"There is fat in the spectrum: {lipid}. The voxel may touch scalp or bone: move it inwards or"
                " check the saturation bands.",
            )
        )
    if water_high and water is not None:
        causes.append(
            Cause(
                kind=FindingKind.WATER_SUPPRESSION,
                severity=Severity.WATCH,
                advice=Advice.REPEAT,
                first_shot=0,
                evidence={"residual_water_ratio": water, "residual_water_ratio_limit": s.residual_water_watch},
                text=f"Water is {water:.0f} times as strong as NAA: the suppression is poor. Repeat the water"
                " suppression adjustment.",
            )
        )
    return causes


def _placement(seen: Seen, *, broad: bool, lipid: str | None, water: float | None) -> _Placement:
    s, shim = seen.protocol.judgement, seen.header.shim_linewidth_hz
    words: list[str] = []
    evidence: dict[str, float] = {}
    offset = _offset(seen)
    if offset is not None and abs(offset) > s.offset_suspicious_hz:
        words.append(f"the frequency lies {abs(offset):.0f} Hz from the prescan's")
        evidence |= {"frequency_offset_hz": offset, "frequency_offset_hz_limit": s.offset_suspicious_hz}
    width = seen.context.water_fwhm_hz
    if width is None and seen.first_fit is not None and seen.first_fit.fwhm_hz is not None:
        width = seen.first_fit.fwhm_hz + s.metabolite_narrower_hz
    if shim is not None and width is not None:
        if width / shim > s.water_over_shim_suspicious:
            words.append(f"the lines are as of {width:.1f} Hz of water where the shim reported {shim:.1f} Hz")
            evidence |= {"water_over_shim": width / shim, "water_over_shim_limit": s.water_over_shim_suspicious}
    elif broad:
        words.append("the lines are broad")
    about_place = bool(words)
    excess = _pattern_excess(seen, [x.water_pattern_chi2 for x in seen.first_signs], z=s.pattern_z)
    if excess is not None and excess > s.pattern_suspicious:
        words.append("residual water comes from outside the voxel")
        evidence |= {"water_pattern_excess": excess, "water_pattern_excess_limit": s.pattern_suspicious}
    if lipid is not None:
        words.append(lipid)
    if water is not None:
        words.append(f"{water:.0f} times as much water as NAA is left")
        evidence |= {"residual_water_ratio": water, "residual_water_ratio_limit": s.residual_water_watch}
    return _Placement(tuple(words), evidence, about_place)


def _pattern_excess(seen: Seen, chi2: Sequence[float | None], *, z: float) -> float | None:
    """By how much a coil pattern differs from the voxel's, mean of all shots; None if by less than z of its errors."""
    known = [v for v in chi2 if v is not None and math.isfinite(v)]
    sd = median([x.pattern_chi2_sd for x in seen.first_signs[-_RECENT_SHOTS:]])
    if not known or not sd:
        return None
    excess = float(np.mean(known)) - 1.0
    return excess if excess > z * sd / math.sqrt(len(known)) else None


def _part_from_outside(seen: Seen, excess: float) -> float:
    """Part of the energy at 0.8-1.8 ppm with another pattern: excess (K - 1) / SNR^2 (docs/science.md 4.3). At high S/N
    the patterns of any two bands differ a little.
    """
    snr = median([x.lipid / x.lipid_sd for x in seen.first_signs if x.lipid is not None and x.lipid_sd])
    return excess * (seen.header.n_coils - 1) / snr**2 if snr else 1.0


def _water(seen: Seen) -> float | None:
    """Residual water over NAA, first points, of the last shots."""
    recent = excitations_back(seen.first_signs, _RECENT_SHOTS)
    return median([x.residual_water for x in recent])


def _lipid(seen: Seen) -> tuple[str | None, dict[str, float]]:
    """What speaks for fat, in words and numbers; None if nothing does."""
    s = seen.protocol.judgement
    words: str | None = None
    evidence: dict[str, float] = {}
    fitted = seen.fit.lipid_ratio if seen.fit is not None else None
    ratios = [
        x.lipid / x.amplitude
        for x in seen.first_signs
        if x.lipid is not None and x.amplitude is not None and x.amplitude > 0.2
    ]
    ratio, sd = median(ratios), median([x.lipid_sd for x in seen.first_signs])
    if ratio is not None and sd is not None and ratio - 2.5 * sd / math.sqrt(len(ratios)) > s.lipid_watch:
        words = f"the signal at 0.8-1.8 ppm is {ratio:.1f} times NAA's"
        evidence |= {"lipid_ratio": ratio, "lipid_ratio_limit": s.lipid_watch}
    # A weak line and a foreign pattern together are as good as a strong line. The pattern alone is not: chemical-shift
    # displacement gives macromolecules another pattern than water's.
    excess = _pattern_excess(seen, [x.lipid_pattern_chi2 for x in seen.first_signs], z=s.lipid_pattern_z)
    foreign = excess is not None and _part_from_outside(seen, excess) > s.lipid_part_suspicious
    part = min(excess, s.lipid_pattern_most) / s.lipid_pattern_watch if foreign and excess is not None else 0.0
    limit = s.lipid_fitted_watch * (1.0 - part)
    if fitted is not None and fitted > limit:
        words = f"the lipid line at 1.3 ppm is {fitted:.1f} times NAA"
        evidence |= {"lipid_fitted_ratio": fitted, "lipid_fitted_ratio_limit": limit}
        if foreign and excess is not None:
            words += " and comes from outside the voxel"
            evidence["lipid_pattern_excess"] = excess
    return words, evidence


def _offset(seen: Seen) -> float | None:
    """Distance of the first shots' spectrum from where the prescan put it, stored convention, Hz; None if not known."""
    start = offset_at_start(seen.context, seen.first_fit, seen.first_signs)
    # On the spectrometer's scale a higher frequency is a higher shift: stored as its negative.
    prescan = seen.header.prescan_frequency_hz
    return None if start is None or prescan is None else start + prescan


def frequency_at_start(signs: Sequence[ShotSigns]) -> float:
    """Frequency of the first shots relative to the scan's reference, announced changes taken off, Hz."""
    first = signs[:_RECENT_SHOTS]
    known = median([None if x.frequency_hz is None else x.frequency_hz - x.frequency_update_hz for x in first])
    return known if known is not None else 0.0


def offset_at_start(
    context: ScanContext, first_fit: FitSummary | None, first_signs: Sequence[ShotSigns]
) -> float | None:
    """Offset from the transmitter when the scan began, Hz: the water reference's, else what the fit found."""
    if context.water_frequency_hz is not None:
        return context.water_frequency_hz
    if first_fit is None or first_fit.frequency_offset_hz is None:
        return None
    return first_fit.frequency_offset_hz + frequency_at_start(first_signs)


def _shim(seen: Seen, *, broad: bool, displaced: bool) -> Cause:
    s = seen.protocol.judgement
    evidence: dict[str, float] = {}
    if seen.first_fit is not None and seen.first_fit.fwhm_hz is not None:
        evidence["fwhm_hz"] = seen.first_fit.fwhm_hz
    for limit in seen.limits:
        if limit.metric in ("fwhm_hz", "fwhm_ppm") and limit.value is not None and limit.maximum is not None:
            evidence |= {limit.metric: limit.value, f"{limit.metric}_limit": limit.maximum}
    if seen.context.water_fwhm_hz is not None:
        evidence |= {"water_fwhm_hz": seen.context.water_fwhm_hz, "water_fwhm_hz_limit": s.water_fwhm_watch_hz}
    hopeless = (
        broad
        and seen.enough_to_stop
        and seen.width_probability is not None
        and seen.width_probability < s.stop_probability
    )
    width = f"{evidence['fwhm_hz']:.1f} Hz" if "fwhm_hz" in evidence else "too wide"
    return Cause(
        kind=FindingKind.POOR_SHIM,
        severity=Severity.STOP if hopeless else Severity.WATCH,
        advice=Advice.REPRESCRIBE if displaced else Advice.RESHIM,
        first_shot=0,
        evidence=evidence,
        text=f"The lines are broad ({width}): the shim is poor. More shots cannot mend this; shim again and restart.",
    )


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
