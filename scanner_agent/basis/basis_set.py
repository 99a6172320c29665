"""`BasisSet`: what each metabolite looks like in one kind of spectrum, as FIDs of unit amount."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from scanner_agent.errors import SourceError
from scanner_agent.mrs.axes import WATER_PPM, time_axis

_CENTRE_PPM = 2.6
"""Middle of the metabolites' band: FIDs turn slowest about it, so that they interpolate best."""
_SPLINE_DEGREE = 7


@dataclass(frozen=True, eq=False)
class LineList:
    """One metabolite as undamped lines: its FID is `sum(amplitudes * exp(2 pi i frequencies t))`."""

    frequencies_hz: NDArray[np.float64]
    """(n_lines,) FID frequencies in the stored convention, relative to water at 4.65 ppm."""
    amplitudes: NDArray[np.complex128]
    """(n_lines,) complex amplitudes; n protons fully refocused add up to n."""

    def fid(self, n_points: int, dwell_time_s: float, linewidth_hz: float = 0.0) -> NDArray[np.complex128]:
        """FID (n_points,) with Lorentzian damping of the given FWHM (Hz)."""
        step = np.exp((2j * np.pi * self.frequencies_hz - np.pi * linewidth_hz) * dwell_time_s)
        # Powers by blocks: exp() of lines x points would cost most of the time of a resampling.
        block = 64
        inner = step ** np.arange(block)[:, None]
        outer = (step**block) ** np.arange(-(-n_points // block))[:, None]
        return np.asarray((outer * self.amplitudes) @ inner.T, dtype=np.complex128).reshape(-1)[:n_points]


@dataclass(frozen=True, eq=False)
class BasisSet:
    """FIDs of unit amounts of metabolites for one sub-spectrum of one sequence.

    Convention: NIfTI-MRS (plain FFT, ppm = 4.65 - f/f0), water at 0 Hz, first point not halved. In sets that this
    program simulates, n protons fully refocused give `|fid[0]| = n`; other sets keep the units of their file.
    """

    name: str
    """Name of the set."""
    spectrum: str
    """`main`, or `on`, `off`, `difference` (ON - OFF, not halved) of an edited sequence."""
    names: tuple[str, ...]
    """Metabolites, LCModel's abbreviations."""
    fids: NDArray[np.complex128]
    """(n_metabolites, n_points)."""
    dwell_time_s: float
    """Time between points, seconds."""
    spectrometer_frequency_mhz: float
    """Field the couplings belong to, MHz."""
    echo_time_s: float | None = None
    """TE, seconds; None: the file does not say."""
    sequence: str | None = None
    """PRESS, STEAM, sLASER or MEGA-PRESS; None: the file does not say."""
    mixing_time_s: float | None = None
    """TM of STEAM, seconds."""
    edit_pulse_ppm: tuple[float, float] | None = None
    """Editing frequency in ON and OFF, ppm."""
    linewidth_hz: float = 0.0
    """Lorentzian FWHM that the FIDs already have, Hz."""
    nucleus: str = "1H"
    """Nucleus."""
    lines: tuple[LineList, ...] | None = None
    """The same as exact lines, where the set was simulated; resampling is then exact."""
    provenance: dict[str, str] = field(default_factory=dict)
    """How it came about: command, sources, what a reader changed."""

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if self.fids.ndim != 2 or self.fids.shape[0] != len(self.names):
            raise SourceError(f"basis {self.name}: {len(self.names)} names for FIDs of shape {self.fids.shape}")
        if len(set(self.names)) != len(self.names):
            raise SourceError(f"basis {self.name}: a metabolite occurs twice")
        if not np.all(np.isfinite(self.fids)):
            raise SourceError(f"basis {self.name}: holds values that are not finite")
        self.fids.flags.writeable = False

    @property
    def n_points(self) -> int:
        """Points per FID."""
        return int(self.fids.shape[1])

    def fid(self, name: str) -> NDArray[np.complex128]:
        """FID (n_points,) of one metabolite. Raises `SourceError` if the set lacks it."""
        return np.asarray(self.fids[self._index(name)], dtype=np.complex128)

    def subset(self, names: Sequence[str]) -> BasisSet:
        """The set with only these metabolites, in this order. Raises `SourceError` naming any that it lacks."""
        index = [self._index(name) for name in names]
        lines = None if self.lines is None else tuple(self.lines[i] for i in index)
        return replace(self, names=tuple(names), fids=self.fids[index], lines=lines)

    def resampled(self, n_points: int, dwell_time_s: float, spectrometer_frequency_mhz: float) -> BasisSet:
        """The set on another time axis and transmit frequency.

        Shifts keep their ppm; couplings are scaled with the field, which is right only near it (see `check_fits`).
        From lines it is exact; FIDs are interpolated by a spline of degree 7 about the metabolites' middle, and are
        zero beyond the end of the stored ones.
        """
        scale = spectrometer_frequency_mhz / self.spectrometer_frequency_mhz
        same_axis = abs(dwell_time_s / self.dwell_time_s - 1.0) < 1e-9 and abs(scale - 1.0) < 1e-9
        lines = self.lines
        if same_axis and n_points <= self.n_points:
            fids = self.fids[:, :n_points].copy()
        elif lines is not None:
            lines = tuple(LineList(line.frequencies_hz * scale, line.amplitudes) for line in lines)
            fids = np.stack([line.fid(n_points, dwell_time_s, self.linewidth_hz) for line in lines])
        else:
            fids = self._interpolated(n_points, dwell_time_s, scale)
        return replace(
            self,
            fids=fids,
            lines=lines,
            dwell_time_s=dwell_time_s,
            spectrometer_frequency_mhz=spectrometer_frequency_mhz,
            linewidth_hz=self.linewidth_hz if lines is not None else self.linewidth_hz * scale,
        )

    def broadened(self, linewidth_hz: float) -> BasisSet:
        """The set with `linewidth_hz` more Lorentzian width (FWHM), for formats that need FIDs to have died away."""
        damping = np.exp(-np.pi * linewidth_hz * time_axis(self.n_points, self.dwell_time_s))
        return replace(self, fids=self.fids * damping, linewidth_hz=self.linewidth_hz + linewidth_hz)

    def minus(self, other: BasisSet) -> BasisSet:
        """ON (this) minus OFF: the metabolites that both hold, on this set's time axis, as `difference`."""
        names = tuple(name for name in self.names if name in other.names)
        first = self.subset(names)
        second = other.subset(names).resampled(self.n_points, self.dwell_time_s, self.spectrometer_frequency_mhz)
        return replace(first, spectrum="difference", fids=first.fids - second.fids, lines=None)

    def content_hash(self) -> str:
        """Hash of names, FIDs and axes, hex (16 characters)."""
        digest = hashlib.sha256()
        facts = (self.spectrum, self.names, self.dwell_time_s, self.spectrometer_frequency_mhz, self.linewidth_hz)
        digest.update(repr(facts).encode())
        digest.update(np.ascontiguousarray(self.fids.astype("<c8")).tobytes())
        return digest.hexdigest()[:16]

    def _index(self, name: str) -> int:
        if name not in self.names:
            raise SourceError(f"basis {self.name} has no {name} (it has {', '.join(self.names)})")
        return self.names.index(name)

    def _interpolated(self, n_points: int, dwell_time_s: float, scale: float) -> NDArray[np.complex128]:
        """FIDs at other times; a frequency scaled by `scale` is time scaled by it."""
        turn = 2j * np.pi * (WATER_PPM - _CENTRE_PPM) * self.spectrometer_frequency_mhz
        stored_times = time_axis(self.n_points, self.dwell_time_s)
        slow = self.fids * np.exp(-turn * stored_times)
        times = time_axis(n_points, dwell_time_s) * scale
        inside = times <= stored_times[-1]
        spline = make_interp_spline(stored_times, slow, k=_SPLINE_DEGREE, axis=1)
        fids = np.zeros((len(self.names), n_points), dtype=np.complex128)
        fids[:, inside] = spline(times[inside]) * np.exp(turn * times[inside])
        return fids
