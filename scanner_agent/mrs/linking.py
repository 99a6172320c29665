"""ON brought onto OFF: frequency and phase between the two averages of an edited scan, and what is left of choline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner_agent.mrs.align import AlignBand, Template, align_band, align_shot, make_template
from scanner_agent.mrs.axes import hz_from_ppm, ppm_axis, spectrum
from scanner_agent.mrs.quality import tallest_line
from scanner_agent.mrs.shape_link import EditShapes, ShapeLink

LINK_PPM = (2.9, 3.35)
# Choline, inositol: what editing leaves alone. What it changes (NAA and its tails, GABA on creatine, Glx) is projected
# out: left in, it pulled ON off OFF by 0.06-0.2 Hz and 2-5 degrees, and GABA+ was 5 % wrong.
_MATCH_NUISANCE_PPM = ((4.42, 4.88), (1.8, 2.5), (2.95, 3.07), (3.68, 3.85))
_MATCH_PPM, _MATCH_EDGE_PPM, _MATCH_RANGE_HZ = (3.14, 3.66), 0.04, 2.0
_SUBTRACTION_PPM = (3.16, 3.29)
# Singlets that editing leaves where they are: place (ppm) and usual relative amplitude; their usual decay.
_SINGLETS, _SINGLET_DECAY_PER_S = ((3.028, 2.2), (3.21, 1.8)), 20.0

__all__ = ["EditShapes", "Linker", "link", "make_linker", "place_hz", "subtraction_artefact"]


@dataclass(frozen=True, eq=False)
class Linker:
    """How ON and OFF of one scan are compared; made once."""

    coarse: AlignBand
    """Creatine and choline: finds the place."""
    fine: AlignBand
    """Choline and inositol alone."""
    true_place: Template
    """Creatine and choline at their true places."""
    shapes: ShapeLink | None
    """All lines, by the basis set; None: it does not say what editing does."""
    dwell_time_s: float
    spectrometer_frequency_mhz: float
    offset_ppm: float


def make_linker(
    n_points: int,
    dwell_time_s: float,
    spectrometer_frequency_mhz: float,
    *,
    offset_ppm: float,
    lines_ppm: tuple[float, ...],
    shapes: EditShapes | None,
) -> Linker:
    """Bands for a scan whose lines lie `offset_ppm` off their true places."""
    coarse = align_band(
        n_points,
        dwell_time_s,
        spectrometer_frequency_mhz,
        align_ppm=LINK_PPM,
        offset_ppm=offset_ppm,
        lines_ppm=lines_ppm,
    )
    fine = align_band(
        n_points,
        dwell_time_s,
        spectrometer_frequency_mhz,
        align_ppm=_MATCH_PPM,
        offset_ppm=offset_ppm,
        edge_ppm=_MATCH_EDGE_PPM,
        range_hz=_MATCH_RANGE_HZ,
        nuisance_ppm=_MATCH_NUISANCE_PPM,
    )
    t = np.arange(coarse.n_points) * dwell_time_s
    # At the places where they are looked for: what is found there is the remaining shift.
    singlets = np.sum(
        [
            height
            * np.exp((2j * np.pi * hz_from_ppm(p + offset_ppm, spectrometer_frequency_mhz) - _SINGLET_DECAY_PER_S) * t)
            for p, height in _SINGLETS
        ],
        axis=0,
    )
    true_place = make_template(singlets, 0.0, coarse)
    by_shapes = (
        None
        if shapes is None
        else ShapeLink(shapes, n_points, dwell_time_s, spectrometer_frequency_mhz, offset_ppm=offset_ppm)
    )
    return Linker(coarse, fine, true_place, by_shapes, dwell_time_s, spectrometer_frequency_mhz, offset_ppm)


def place_hz(fid: NDArray[np.complex128], noise_sd: float, linker: Linker) -> tuple[float, float] | None:
    """Shift of a FID's creatine and choline from their true places, Hz (FID sign), and its standard error."""
    found = align_shot(fid, noise_sd, linker.true_place)
    if found is None or found.frequency_sd_hz > 2.0:
        return None
    return found.frequency_hz - linker.offset_ppm * linker.spectrometer_frequency_mhz, found.frequency_sd_hz


def link(
    on: NDArray[np.complex128],
    off: NDArray[np.complex128],
    on_sd: float,
    off_sd: float,
    linker: Linker,
    *,
    by_shapes: bool = True,
) -> tuple[float, float]:
    """Frequency (Hz) and phase (rad) of ON against OFF: what `rotated` has to take away. FIDs (n_points,).

    First over creatine and choline, then, near by, over choline and inositol alone: choline by itself would also fit on
    creatine. Where nothing is found there, ON stays: (0, 0). With the shapes of the metabolites known, all lines tell
    (`ShapeLink`), with a third of the error; that takes some 4 ms, and `by_shapes` False leaves it out.
    """
    found = align_shot(on, on_sd, make_template(off, off_sd, linker.coarse))
    if found is None or found.frequency_sd_hz > 2.0 or abs(found.frequency_hz) > 15.0:
        return 0.0, 0.0
    better = align_shot(on, on_sd, make_template(off, off_sd, linker.fine), found.frequency_hz)
    if better is not None and abs(better.frequency_hz - found.frequency_hz) < _MATCH_RANGE_HZ:
        found = better
    if linker.shapes is not None and by_shapes:
        return linker.shapes.link(on, off, float(np.hypot(on_sd, off_sd)), found.frequency_hz, found.phase_rad)
    return found.frequency_hz, found.phase_rad


def subtraction_artefact(
    difference: NDArray[np.complex128],
    off: NDArray[np.complex128],
    dwell_time_s: float,
    spectrometer_frequency_mhz: float,
    offset_ppm: float = 0.0,
) -> float | None:
    """Peak-to-peak of the difference spectrum at 3.16-3.29 ppm over tCho's height in OFF (real parts, OFF's phase)."""
    f0 = spectrometer_frequency_mhz
    low, high = _SUBTRACTION_PPM[0] + offset_ppm, _SUBTRACTION_PPM[1] + offset_ppm
    height, _, phase = tallest_line(off, dwell_time_s, f0, (low, high))
    if height <= 0:
        return None
    ppm = ppm_axis(difference.size, dwell_time_s, f0)
    inside = (ppm >= low) & (ppm <= high)
    part = np.real(spectrum(difference)[inside] * np.exp(-1j * phase))
    return float(np.ptp(part) / height) if part.size > 1 else None
