"""MEGA editing: which shots are ON."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scanner_agent.mrs.align import AlignBand, Alignment
from scanner_agent.mrs.kernels import rotated
from scanner_agent.mrs.quality import band_amplitude, band_fraction
from scanner_agent.mrs.shots import EditCondition, EditOrder

NAA_PPM = (1.9, 2.12)
TCR_PPM = (2.92, 3.12)
_FLANKS_PPM = ((2.74, 2.88), (3.34, 3.48))
# NAA over creatine (band amplitudes): OFF about 1.2, anywhere in 0.6-2; ON (saturated) about 0.
_OFF_RATIO, _OFF_SD, _ON_SD = 1.2, 0.3, 0.15
_LEAST_TCR_SNR = 5.0
_LOCK_ODDS, _SWAP_ODDS = 10.0, 12.0
# Blocked orders that differ in one shot must differ by this much; blocks of equal length are a hundred times likelier.
_SPLIT_ODDS, _EQUAL_BLOCKS_ODDS = 5.0, float(np.log(100.0))


def saturates_naa(edit_pulse_ppm: tuple[float, float] | None) -> bool:
    """Whether the ON pulse sits near 1.9 ppm and the OFF pulse leaves NAA alone: then the data show the order."""
    if edit_pulse_ppm is None:
        return True
    on, off = edit_pulse_ppm
    return abs(on - 1.9) <= 0.12 and abs(off - 2.01) >= 0.35


def off_ratio_of(ratios: Sequence[float]) -> float:
    """NAA over creatine of shots known to be OFF: their median, the usual one if that is less or there is none."""
    return max(float(np.median(ratios)), _OFF_RATIO) if len(ratios) else _OFF_RATIO


def edit_log_odds(naa: float, naa_sd: float, off_ratio: float = _OFF_RATIO) -> float:
    """log p(NAA present) - log p(NAA saturated) of one shot, from NAA over creatine and its standard error.

    `off_ratio`: what OFF shots have, where it is known. Both levels grow with it: a pulse leaves a part of NAA.
    """
    naa, naa_sd = naa * _OFF_RATIO / off_ratio, naa_sd * _OFF_RATIO / off_ratio
    off_var, on_var = _OFF_SD**2 + naa_sd**2, _ON_SD**2 + naa_sd**2
    off = -0.5 * (naa - _OFF_RATIO) ** 2 / off_var - 0.5 * np.log(off_var)
    on = -0.5 * naa**2 / on_var - 0.5 * np.log(on_var)
    # Values beyond either level speak for that level, not for the wider of the two distributions.
    if naa >= _OFF_RATIO:
        off = -0.5 * np.log(off_var)
    if naa <= 0:
        on = -0.5 * np.log(on_var)
    return float(np.clip(off - on, -25.0, 25.0))


def _patterns(i: NDArray[np.intp]) -> dict[str, NDArray[np.bool_]]:
    """Usual orders of the shots at places `i` (n,) in the order of acquisition: (n,), True for ON."""
    return {
        "alternating, on first": i % 2 == 0,
        "alternating, off first": i % 2 == 1,
        "1-1-0-0": (i // 2) % 2 == 0,
        "0-0-1-1": (i // 2) % 2 == 1,
    }


def creatine_of(
    reference: NDArray[np.complex128],
    reference_sd: float,
    band: AlignBand,
    spectrometer_frequency_mhz: float,
    offset_ppm: float,
) -> complex | None:
    """Band amplitude of creatine in a reference common to ON and OFF, without water; None: it does not stand out."""
    f0, dt = spectrometer_frequency_mhz, band.dwell_time_s
    tcr_ppm = TCR_PPM[0] + offset_ppm, TCR_PPM[1] + offset_ppm
    clean = band.without_nuisance(reference)
    tcr = band_amplitude(clean, dt, f0, tcr_ppm)
    tcr_sd = reference_sd * np.sqrt(band_fraction(clean.size, dt, f0, tcr_ppm))
    if abs(tcr) < _LEAST_TCR_SNR * tcr_sd or not _is_line(clean, dt, f0, offset_ppm):
        return None
    return tcr


def naa_over_creatine(
    fid: NDArray[np.complexfloating],
    noise_sd: float,
    found: Alignment,
    tcr: complex,
    band: AlignBand,
    spectrometer_frequency_mhz: float,
    offset_ppm: float,
) -> tuple[float, float]:
    """NAA of one shot aligned (over `LINK_PPM`) with a reference, over the reference's creatine `tcr` (`creatine_of`),
    and its standard error: band amplitudes in creatine's phase, without water.
    """
    f0, dt = spectrometer_frequency_mhz, band.dwell_time_s
    naa_ppm = NAA_PPM[0] + offset_ppm, NAA_PPM[1] + offset_ppm
    shot = rotated(np.asarray(fid[: band.n_points], dtype=np.complex128), found.frequency_hz, found.phase_rad, dt)
    naa = band_amplitude(band.without_nuisance(shot), dt, f0, naa_ppm) * np.exp(-1j * np.angle(tcr))
    naa_sd = noise_sd * float(np.sqrt(band_fraction(shot.size, dt, f0, naa_ppm)))
    return float(np.real(naa)) / abs(tcr), naa_sd / abs(tcr)


def _is_line(
    clean: NDArray[np.complex128], dwell_time_s: float, spectrometer_frequency_mhz: float, offset_ppm: float
) -> bool:
    """Whether creatine stands out as a line from what lies on either side: the tail of a huge water line does not."""
    means = []
    for low, high in (_FLANKS_PPM[0], TCR_PPM, _FLANKS_PPM[1]):
        band = (low + offset_ppm, high + offset_ppm)
        fraction = band_fraction(clean.size, dwell_time_s, spectrometer_frequency_mhz, band)
        if fraction <= 0:
            return False
        means.append(band_amplitude(clean, dwell_time_s, spectrometer_frequency_mhz, band) / fraction)
    return abs(means[1] - 0.5 * (means[0] + means[2])) > 0.6 * abs(means[1])


def detect_order(
    log_odds: Sequence[float | None], labels: Sequence[EditCondition | None], places: Sequence[int]
) -> tuple[EditOrder, list[EditCondition | None]]:
    """Decide ON or OFF for every shot from the data, the labels, or both.

    `log_odds`: of each shot (positive: OFF), None where it could not be measured. With labels, the data are believed
    against them only if swapping all of them is far more likely. Without labels a usual pattern is looked for
    (alternating, 1-1-0-0), else one change from ON to OFF or back (blocked); below a log-likelihood ratio of 10 in
    favour of the best (5 against a block that is one shot longer or shorter), nothing is decided.
    """
    if not places:
        return EditOrder(decided_from="nothing", reason="no shots yet"), []
    values = np.array([0.0 if v is None else v for v in log_odds])
    n = values.size
    if n and all(label is not None for label in labels):
        is_on = np.array([label == "on" for label in labels])
        support = float(np.sum(np.where(is_on, -values, values)))
        both = is_on.any() and (~is_on).any()
        if support < -_SWAP_ODDS and both:
            swapped: list[EditCondition | None] = ["off" if on else "on" for on in is_on]
            return EditOrder(
                decided_from="data",
                pattern=_name(~is_on, places),
                agrees_with_labels=False,
                log_odds=-support,
                reason="NAA is saturated in the shots labelled off and present in those labelled on",
            ), swapped
        agrees = True if support > _SWAP_ODDS and both else None
        return EditOrder(
            decided_from="labels",
            pattern=_name(is_on, places),
            agrees_with_labels=agrees,
            log_odds=support,
            reason="" if agrees else "the data do not tell ON from OFF yet, labels are used",
        ), list(labels)
    if n < 4:
        return EditOrder(decided_from="nothing", reason="fewer than four shots"), [None] * n
    kinds = _patterns(np.asarray(places, dtype=np.intp))
    # Blocked: every place for the one change, at least four shots after the first and two before the last.
    splits = np.arange(4, n - 1)
    first = np.arange(n) < splits[:, None]
    candidates = np.concatenate([np.array(list(kinds.values())), first, ~first])
    # Half the sum over all shots: differences are log-likelihood ratios. Blocks of equal length are likelier.
    scores = 0.5 * np.where(candidates, -1.0, 1.0) @ values
    scores[len(kinds) :] += np.tile(np.where(2 * splits == n, _EQUAL_BLOCKS_ODDS, 0.0), 2)
    best = int(np.argmax(scores))
    near = np.count_nonzero(candidates != candidates[best], axis=1) == 1
    leads = (scores[best] - scores) / np.where(near, _SPLIT_ODDS / _LOCK_ODDS, 1.0)
    leads[best] = np.inf
    # One block so far: the change may still be to come.
    lead = float(min(np.min(leads), scores[best] - 0.5 * abs(float(np.sum(values)))))
    if lead < _LOCK_ODDS or scores[best] < 0.5 * _LOCK_ODDS:
        return EditOrder(
            decided_from="nothing",
            log_odds=lead,
            reason="no labels, and NAA against creatine does not tell ON from OFF",
        ), [None] * n
    on = candidates[best]
    decided: list[EditCondition | None] = ["on" if flag else "off" for flag in on]
    return EditOrder(decided_from="data", pattern=_name(on, places), log_odds=lead, reason="found from NAA"), decided


def _name(is_on: NDArray[np.bool_], places: Sequence[int]) -> str | None:
    """Name of a usual pattern, None if it is none."""
    for name, pattern in _patterns(np.asarray(places, dtype=np.intp)).items():
        if np.array_equal(pattern, is_on):
            return name
    changes = np.flatnonzero(is_on[1:] != is_on[:-1])
    if changes.size == 1:
        return "blocked, on first" if is_on[0] else "blocked, off first"
    return None
