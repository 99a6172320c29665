"""ON brought onto OFF: frequency and phase between the two averages of an edited scan, and what is left of choline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.optimize
from numpy.typing import NDArray

from scanner_agent.mrs.align import AlignBand, Template, align_band, align_shot, make_template
from scanner_agent.mrs.axes import WATER_PPM, hz_from_ppm, ppm_axis, spectrum
from scanner_agent.mrs.kernels import rotated
from scanner_agent.mrs.quality import tallest_line

LINK_PPM = (2.9, 3.35)
# Choline, inositol: what editing leaves alone. What it changes (NAA and its tails, GABA on creatine, Glx) is projected
# out: left in, it pulled ON off OFF by 0.06-0.2 Hz and 2-5 degrees, and GABA+ was 5 % wrong.
_MATCH_NUISANCE_PPM = ((4.42, 4.88), (1.8, 2.5), (2.95, 3.07), (3.68, 3.85))
_MATCH_PPM, _MATCH_EDGE_PPM, _MATCH_RANGE_HZ = (3.14, 3.66), 0.04, 2.0
_SUBTRACTION_PPM = (3.16, 3.29)
# Singlets that editing leaves where they are: place (ppm) and usual relative amplitude; their usual decay.
_SINGLETS, _SINGLET_DECAY_PER_S = ((3.028, 2.2), (3.21, 1.8)), 20.0
_SHAPES_PPM, _SHAPES_S = (1.7, 4.1), 0.5
# Macromolecules that the editing pulse meets or that are edited with GABA: place and width, ppm.
_BROAD_PPM = ((3.0, 0.114), (1.7, 0.16), (1.43, 0.16), (2.05, 0.16), (2.27, 0.16))
_WATER_PPM, _WATER_STEP_PPM, _WATER_DECAYS_PER_S = (4.42, 4.9), 0.04, (20.0, 60.0)
# Priors of the difference: amounts within this many times OFF's largest; OFF's phase (rad), width and shift (Hz), and
# the amplitude of ON against OFF, within these.
_AMOUNT_PRIOR, _PHASE_PRIOR_RAD, _WIDTH_PRIOR_HZ, _SHIFT_PRIOR_HZ, _AMPLITUDE_PRIOR = 1.0, 0.1, 1.5, 0.3, 0.03
_RIDGE = 1e-4
_LARGEST_CHANGE_HZ, _LARGEST_CHANGE_RAD = 0.6, 0.25


@dataclass(frozen=True, eq=False)
class EditShapes:
    """FIDs of one unit of each metabolite under the ON and under the OFF pulse, at the scan's dwell time and field."""

    on: NDArray[np.complex128]
    """(n_metabolites, n_points)"""
    off: NDArray[np.complex128]
    """(n_metabolites, n_points)"""


@dataclass(frozen=True, eq=False)
class Linker:
    """How ON and OFF of one scan are compared; made once."""

    coarse: AlignBand
    """Creatine and choline: finds the place."""
    fine: AlignBand
    """Choline and inositol alone."""
    true_place: Template
    """Creatine and choline at their true places."""
    shapes: EditShapes | None
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
    return Linker(coarse, fine, true_place, shapes, dwell_time_s, spectrometer_frequency_mhz, offset_ppm)


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
    (`_by_shapes`), with a third of the error; that takes some 30 ms, and `by_shapes` False leaves it out.
    """
    found = align_shot(on, on_sd, make_template(off, off_sd, linker.coarse))
    if found is None or found.frequency_sd_hz > 2.0 or abs(found.frequency_hz) > 15.0:
        return 0.0, 0.0
    better = align_shot(on, on_sd, make_template(off, off_sd, linker.fine), found.frequency_hz)
    if better is not None and abs(better.frequency_hz - found.frequency_hz) < _MATCH_RANGE_HZ:
        found = better
    if linker.shapes is not None and by_shapes:
        return _by_shapes(on, off, float(np.hypot(on_sd, off_sd)), linker, found.frequency_hz, found.phase_rad)
    return found.frequency_hz, found.phase_rad


class _Window:
    """Part of the spectrum in which the difference is explained: real and imaginary parts as real rows."""

    def __init__(self, n_points: int, linker: Linker) -> None:
        self.dt, self.f0 = linker.dwell_time_s, linker.spectrometer_frequency_mhz
        self.n = min(n_points, round(_SHAPES_S / self.dt))
        self.t = np.arange(self.n) * self.dt
        self.offset_ppm = linker.offset_ppm
        ppm = WATER_PPM - scipy.fft.fftfreq(self.n, self.dt) / self.f0 - self.offset_ppm
        self.bins = np.flatnonzero((ppm >= _SHAPES_PPM[0]) & (ppm <= _SHAPES_PPM[1]))

    def rows(self, fids: NDArray[np.complexfloating]) -> NDArray[np.float64]:
        """(k, 2 n_bins) of FIDs (k, n or more); white noise keeps its SD per real channel."""
        spectra = scipy.fft.fft(np.atleast_2d(fids)[:, : self.n], axis=1)[:, self.bins] / np.sqrt(self.n)
        return np.concatenate([spectra.real, spectra.imag], axis=1)

    def line(self, ppm: float, decay_per_s: float) -> NDArray[np.complex128]:
        """(n,) damped line of unit amplitude."""
        hz = hz_from_ppm(ppm + self.offset_ppm, self.f0)
        return np.asarray(np.exp((2j * np.pi * hz - decay_per_s) * self.t))

    def shape(self, phase_rad: float, shift_hz: float, width_hz: float) -> NDArray[np.complex128]:
        """(n,) what turns a line of the basis, at its true place, into one of OFF."""
        hz = shift_hz - self.offset_ppm * self.f0
        return np.asarray(np.exp(1j * phase_rad + (2j * np.pi * hz - np.pi * width_hz) * self.t))


def _by_shapes(
    on: NDArray[np.complex128],
    off: NDArray[np.complex128],
    noise_sd: float,
    linker: Linker,
    frequency_hz: float,
    phase_rad: float,
) -> tuple[float, float]:
    """The link from all lines, starting at (frequency_hz, phase_rad).

    ON - OFF is explained by what a turn and a shift of OFF would give (i OFF, 2 pi i t OFF) beside what editing does:
    the metabolites' differences with free real amounts, broad lines, residual water, and small errors of the shape that
    OFF lends them. All is linear and has its prior, so that a poor S/N falls back on what is usual. Kept only near the
    start: a basis set that does not belong to the data must not do harm.
    """
    window = _Window(min(on.size, off.size), linker)
    start = frequency_hz, phase_rad
    if linker.shapes is None or noise_sd <= 0:
        return start
    edited = linker.shapes.on[:, : window.n] - linker.shapes.off[:, : window.n]
    water = [
        window.line(float(p), d)
        for p in np.arange(_WATER_PPM[0], _WATER_PPM[1], _WATER_STEP_PPM)
        for d in _WATER_DECAYS_PER_S
    ]
    free = np.array([*water, *(1j * w for w in water)])
    fitted = _fit_off(off, linker.shapes.off, free, noise_sd, window)
    if fitted is None:
        return start
    (turn, shift, width), amounts = fitted
    shape = window.shape(turn, shift, width)
    broad = np.array([window.line(p, np.pi * w * window.f0) * np.exp(1j * turn) for p, w in _BROAD_PPM])
    model = (amounts @ edited) * shape
    errors = np.array([1j * model, window.t * np.pi * model, 2j * np.pi * window.t * model])
    largest = float(np.max(np.abs(amounts)))
    strength = float(np.linalg.norm(off[: window.n])) * 100.0
    priors = np.concatenate(
        [
            np.full(edited.shape[0] + broad.shape[0], _AMOUNT_PRIOR * largest),
            [_PHASE_PRIOR_RAD, _WIDTH_PRIOR_HZ, _SHIFT_PRIOR_HZ],
            np.full(free.shape[0], strength),
            [_AMPLITUDE_PRIOR, np.inf, np.inf],
        ]
    )
    early = off[: window.n]
    own = np.array([early, 1j * early, 2j * np.pi * window.t * early])
    design = window.rows(np.concatenate([edited * shape, broad, errors, free, own])).T
    normal = design.T @ design / noise_sd**2 + np.diag(priors**-2.0)
    solve = np.linalg.solve(normal, design.T)[-2:] / noise_sd**2
    for _ in range(3):
        moved = rotated(np.ascontiguousarray(on[: window.n]), frequency_hz, phase_rad, window.dt)
        by_phase, by_frequency = solve @ window.rows(moved - early)[0]
        phase_rad, frequency_hz = phase_rad + float(by_phase), frequency_hz + float(by_frequency)
    if (
        abs(frequency_hz - start[0]) > _LARGEST_CHANGE_HZ
        or abs(phase_rad - start[1]) > _LARGEST_CHANGE_RAD
        or not np.isfinite(frequency_hz + phase_rad)
    ):
        return start
    return frequency_hz, phase_rad


def _fit_off(
    off: NDArray[np.complex128],
    shapes: NDArray[np.complex128],
    free: NDArray[np.complex128],
    noise_sd: float,
    window: _Window,
) -> tuple[tuple[float, float, float], NDArray[np.float64]] | None:
    """(phase rad, shift Hz, width Hz) of OFF against the basis and the metabolites' amounts; None: no fit.

    Variable projection (Golub and Pereyra 1973, doi:10.1137/0710036): amounts are eliminated linearly.
    """
    data = window.rows(off)[0]
    broad = np.array([window.line(p, np.pi * w * window.f0) for p, w in _BROAD_PPM])
    fixed = window.rows(free)
    shapes = shapes[:, : window.n]

    def parts(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        lines = np.concatenate([shapes * window.shape(*x), broad * np.exp(1j * x[0])])
        design = np.concatenate([window.rows(lines), fixed]).T
        lengths = np.linalg.norm(design, axis=0)
        design = design / lengths
        normal = design.T @ design + _RIDGE * np.eye(lengths.size)
        found = np.linalg.solve(normal, design.T @ data)
        return found / lengths, (data - design @ found) / noise_sd

    height, place, phase = tallest_line(off, window.dt, window.f0, (1.9 + window.offset_ppm, 2.12 + window.offset_ppm))
    if height <= 0:
        return None
    shift = hz_from_ppm(place, window.f0) - hz_from_ppm(2.01 + window.offset_ppm, window.f0)

    def misfit(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return parts(x)[1]

    fit = scipy.optimize.least_squares(
        misfit,
        [phase, float(np.clip(shift, -5.0, 5.0)), 4.0],
        bounds=([-np.inf, -15.0, 0.0], [np.inf, 15.0, 40.0]),
        x_scale=[0.1, 0.5, 1.0],
        ftol=1e-4,
        xtol=1e-3,
        max_nfev=12,
    )
    amounts = parts(fit.x)[0][: shapes.shape[0]]
    if not (np.isfinite(fit.x).all() and np.any(amounts)):
        return None
    turn, moved, width = (float(v) for v in fit.x)
    return (turn, moved, width), amounts


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
