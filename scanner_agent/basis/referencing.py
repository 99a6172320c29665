"""Where a foreign basis set's ppm axis lies: its sign, its offset and its first point, told from known singlets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanner_agent.errors import SourceError
from scanner_agent.mrs.axes import WATER_PPM, time_axis

SINGLETS_PPM = {
    "NAA": 2.008,
    "NAAG": 2.042,
    "Cr": 3.027,
    "PCr": 3.029,
    "GPC": 3.212,
    "PCh": 3.208,
    "Cho": 3.21,
    "sIns": 3.34,
    "Gly": 3.548,
    "Ace": 1.904,
}
"""Strongest singlet of each (Govindaraju 2000, 10.1002/1099-1492(200005)13:3<129::AID-NBM619>3.0.CO;2-V), ppm."""
_AGREE_PPM = 0.03
"""Singlets of one set that lie further apart than this contradict each other (table values differ by up to 0.02)."""
_MIN_SPREAD_PPM = 0.15
"""Singlets must lie this far apart to tell an offset from a mirrored axis."""
_MIN_CHANGE_PPM = 0.012
"""Below this the offset is the difference between tables of shifts, not of references."""


def find_reference(
    names: tuple[str, ...], fids: NDArray[np.complex128], dwell_time_s: float, spectrometer_frequency_mhz: float
) -> tuple[bool, float] | None:
    """Whether the FIDs (n_metabolites, n_points) are conjugated, and how far their ppm axis is off.

    Returns (conjugated, offset_ppm), where after conjugation a line at p lies at p + offset; None if that cannot be
    told: fewer than two known singlets 0.15 ppm apart (an edited spectrum lacks some), and none that speaks against the
    axis as it stands. Raises `SourceError` if the singlets contradict each other.
    """
    known = [name for name in names if name in SINGLETS_PPM]
    expected = np.array([SINGLETS_PPM[name] for name in known])
    if len(known) < 2 or np.ptp(expected) < _MIN_SPREAD_PPM:
        return None
    best = (0, 0.0, False, 0.0)
    in_place = False
    for conjugated in (False, True):
        found = []
        for name in known:
            fid = fids[names.index(name)]
            found.append(_peak_ppm(np.conj(fid) if conjugated else fid, dwell_time_s, spectrometer_frequency_mhz))
        offsets = np.array(found) - expected
        in_place |= not conjugated and bool(np.any(np.abs(offsets) < _AGREE_PPM))
        # Edited spectra lack some singlets: the largest group that agrees counts, not all of them.
        for offset in offsets:
            agreeing = np.abs(offsets - offset) < _AGREE_PPM
            group = (
                int(agreeing.sum()),
                float(np.ptp(expected[agreeing])),
                conjugated,
                float(offsets[agreeing].mean()),
            )
            best = max(best, group, key=lambda g: g[:2])
    count, spread, conjugated, offset = best
    if count >= max(2, 0.5 * len(known)) and spread >= _MIN_SPREAD_PPM:
        return conjugated, offset if abs(offset) >= _MIN_CHANGE_PPM else 0.0
    if in_place:
        return None
    raise SourceError(
        f"the singlets of {', '.join(known)} lie at no common offset from their known shifts: "
        "wrong spectrometer frequency or dwell time in the basis set, or wrong names"
    )


def corrected(
    fids: NDArray[np.complex128], reference: tuple[bool, float], dwell_time_s: float, spectrometer_frequency_mhz: float
) -> NDArray[np.complex128]:
    """FIDs in the stored convention, given what `find_reference` found."""
    conjugated, offset_ppm = reference
    turned = np.conj(fids) if conjugated else fids
    times = time_axis(fids.shape[-1], dwell_time_s)
    return np.asarray(turned * np.exp(2j * np.pi * offset_ppm * spectrometer_frequency_mhz * times))


def restored_first_point(
    fids: NDArray[np.complex128], dwell_time_s: float, spectrometer_frequency_mhz: float
) -> tuple[NDArray[np.complex128], bool]:
    """FIDs with the first point made whole if the set stores it halved (as LCModel's tools do), and whether it was.

    A whole first point lifts the discrete spectrum of an FID by half of it everywhere; with the point halved the
    spectrum is flat away from the lines (Otting 1986, J Magn Reson 66:187, 10.1016/0022-2364(86)90122-7). Looked at
    outside -0.4 to 5.6 ppm, median over points and metabolites; a set without such points is taken as whole.
    """
    n_points = fids.shape[-1]
    ppm = WATER_PPM - np.fft.fftfreq(n_points, dwell_time_s) / spectrometer_frequency_mhz
    free = np.abs(ppm - 2.6) > 3.0
    first = fids[:, 0]
    strong = np.abs(first) > 1e-2 * np.abs(first).max()
    if np.count_nonzero(free) < 32 or not strong.any():
        return fids, False
    # Damping: the steps at the ends of undamped FIDs would lift the spectrum as well.
    damped = fids[strong] * np.exp(-np.pi * 3.0 * time_axis(n_points, dwell_time_s))
    spectra = np.fft.fft(damped, axis=1)[:, free]
    lift = np.median((spectra * np.conj(first[strong, None])).real / np.abs(first[strong, None]) ** 2, axis=1)
    if float(np.median(lift)) > 0.25:
        return fids, False
    restored = fids.copy()
    restored[:, 0] *= 2.0
    return restored, True


def settled(
    names: tuple[str, ...],
    fids: NDArray[np.complex128],
    dwell_time_s: float,
    frequency_mhz: float,
    provenance: dict[str, str],
) -> NDArray[np.complex128]:
    """A foreign set's FIDs (n_metabolites, n_points) in this program's convention; `provenance` gets what was done."""
    reference = find_reference(names, fids, dwell_time_s, frequency_mhz)
    if reference is None:
        provenance["reference"] = "too few singlets to check the ppm axis with; taken as it stands"
    else:
        fids = corrected(fids, reference, dwell_time_s, frequency_mhz)
        conjugated, offset_ppm = reference
        moved = f"shifted by {-offset_ppm:+.3f} ppm" if offset_ppm else "where they should be"
        provenance["reference"] = f"singlets {moved}" + (", conjugated" if conjugated else "")
    fids, was_halved = restored_first_point(fids, dwell_time_s, frequency_mhz)
    provenance["first_point"] = "was halved, made whole" if was_halved else "whole"
    return fids


def _peak_ppm(fid: NDArray[np.complex128], dwell_time_s: float, spectrometer_frequency_mhz: float) -> float:
    """Shift of the highest magnitude line, ppm, from a four-fold zero-filled magnitude spectrum."""
    n = 4 * len(fid)
    # 3 Hz of damping: side lobes of a truncated FID do not outgrow neighbours.
    damped = fid * np.exp(-np.pi * 3.0 * time_axis(len(fid), dwell_time_s))
    magnitude = np.abs(np.fft.fft(damped, n))
    return WATER_PPM - float(np.fft.fftfreq(n, dwell_time_s)[int(np.argmax(magnitude))]) / spectrometer_frequency_mhz
