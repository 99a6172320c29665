"""The signals of one voxel as FIDs of one excitation: tissue by edit condition, water, residual water, lipid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner_agent.basis import BasisSet
from scanner_agent.mrs.axes import time_axis
from scanner_agent.simulate.gaussians import LIPIDS, MACROMOLECULES, draw_baseline, gaussian_fid
from scanner_agent.simulate.relaxation import Timing, macromolecule_weight, metabolite_weight, water_amount
from scanner_agent.simulate.subjects import Subject

Complex = NDArray[np.complex128]

_NATURAL_WIDTH_HZ = 1.3
_WATER_WIDTH_HZ = 2.0
_RESIDUAL_WIDTH_HZ = 4.0
# An editing pulse near 1.9 ppm saturates their singlets, however well it is centred.
_SATURATED = ("NAA", "NAAG")
_SINGLETS = ("NAA", "NAAG", "Ace")
# What is left of macromolecules in ON (those under the pulse are saturated) and OFF (coupled ones are dephased).
_ON_SHARE = {"MM09": 1.0, "MM12": 0.9, "MM14": 0.6, "MM17": 0.1, "MM20": 0.1, "MM3co": 1.0}
_OFF_SHARE = {"MM09": 0.5, "MM12": 0.9, "MM14": 0.9, "MM17": 0.9, "MM20": 1.0, "MM3co": 0.0}
# ON 1.9 / OFF 1.5 ppm, symmetric about 1.7: what is coupled to 1.7 ppm looks the same in both.
_SYMMETRIC_OFF_SHARE = {"MM09": 1.0, "MM12": 0.9, "MM14": 0.2, "MM17": 0.1, "MM20": 1.0, "MM3co": 1.0}
_CO_EDITED_TE_S = 0.068
# MM20's line at 3.0 ppm is no part of what the pulse saturates: editing makes MM3co of it, which is counted by itself.
_SATURATED_BELOW_PPM = 2.6


@dataclass(frozen=True)
class Sampling:
    """How FIDs are sampled."""

    n_points: int
    """Complex points."""
    dwell_time_s: float
    """Seconds between them."""
    spectrometer_frequency_mhz: float
    """Field."""

    @property
    def times_s(self) -> NDArray[np.float64]:
        """(n_points,) seconds."""
        return time_axis(self.n_points, self.dwell_time_s)


@dataclass(frozen=True, eq=False)
class Draws:
    """What is random about a voxel's spectrum and must stay the same when its content changes."""

    shift_hz: Mapping[str, float]
    """Per metabolite, from pH and temperature."""
    width_hz: Mapping[str, float]
    """Lorentzian width beyond the common one, per metabolite."""
    macromolecule_width: float
    """Factor on all their widths."""
    baseline: Complex
    """(n_points,) unit: NAA's amount x 3 = 1."""
    residual_lines: tuple[tuple[float, float, complex], ...]
    """Residual water: offset (Hz), extra width (Hz), complex share."""
    lipid_offset_hz: float
    """Scalp lipid sits in another field."""


@dataclass(frozen=True, eq=False)
class VoxelSignals:
    """One voxel content, one excitation, before the receive array; phase 0, centred on water at 0 Hz."""

    tissue: Mapping[str, Complex]
    """`main`; or in edited scans `off`, `edit` (ON - OFF at full editing) and `saturation` (ON - OFF of NAA, NAAG)."""
    water: Complex
    """Unsuppressed."""
    residual: Complex
    """Residual water, |first point| = 1."""
    lipid: Complex
    """Scalp lipid whose first point equals that of NAA."""
    naa_first_point: float
    """3 x NAA (phantom without it: acetate)."""
    naa_height: float
    """Height of the tNAA singlets in the (OFF) spectrum: sum over points at their maximum."""
    fwhm_hz: float
    """FWHM of NAA's singlet."""
    water_fwhm_hz: float
    """FWHM of the unsuppressed water."""


def draw_details(rng: np.random.Generator, sampling: Sampling, fwhm_hz: float) -> Draws:
    """Draw the per-metabolite shifts and widths, baseline and residual-water shape of one scan.

    Shifts SD 0.2 Hz and widths SD 0.2 Hz at 3 T (as in the fit reference spectra); baseline humps of SD 3 % of NAA's
    height; residual water of three lines within some Hz, as imperfect suppression leaves it.
    """
    scale = sampling.spectrometer_frequency_mhz / 123.25
    names = sorted({*_SATURATED, "Cr", "PCr", "GPC", "PCh", "Glu", "Gln", "Ins", "GABA", "GSH", "Tau", "Asp", "Lac"})
    shares = (1.0, 0.35 * rng.random(), 0.25 * rng.random())
    turns = rng.uniform(-np.pi, np.pi, 3)
    offsets = (float(rng.normal(0.0, 1.5)), float(rng.normal(6.0, 2.0)), float(rng.normal(-6.0, 2.0)))
    raw = [share * np.exp(1j * turn) for share, turn in zip(shares, turns, strict=True)]
    total = abs(sum(raw))
    # NAA of first point 1 is this high in the spectrum.
    height = 1.0 / (np.pi * fwhm_hz * sampling.dwell_time_s)
    return Draws(
        shift_hz={name: float(rng.normal(0.0, 0.2)) * scale for name in names},
        width_hz={name: float(np.clip(rng.normal(0.0, 0.2), -0.5, 0.6)) * scale for name in names},
        macromolecule_width=float(rng.normal(1.0, 0.05)),
        baseline=draw_baseline(
            rng, sampling.n_points, sampling.dwell_time_s, sampling.spectrometer_frequency_mhz, 0.03 * height
        ),
        residual_lines=tuple(
            (offset * scale, float(rng.uniform(0.0, 4.0)) * scale, complex(share / total))
            for offset, share in zip(offsets, raw, strict=True)
        ),
        lipid_offset_hz=float(rng.normal(0.0, 6.0)) * scale,
    )


def full_width_hz(fid: Complex, dwell_time_s: float) -> float:
    """Full width at half maximum (Hz) of the real spectrum of a single line at 0 phase."""
    n = 8 * fid.size
    line = np.fft.fftshift(np.fft.fft(np.concatenate([[fid[0] / 2.0], fid[1:]]), n).real)
    top = int(np.argmax(line))
    half = line[top] / 2.0
    left = top - int(np.argmax(line[top::-1] < half))
    right = top + int(np.argmax(line[top:] < half))
    low = left + (half - line[left]) / (line[left + 1] - line[left])
    high = right - (half - line[right]) / (line[right - 1] - line[right])
    return float((high - low) / (n * dwell_time_s))


def lineshape(subject: Subject, sampling: Sampling, fwhm_hz: float) -> Complex:
    """Decay (n_points,) by field inhomogeneity that gives NAA's singlet, natural width included, `fwhm_hz` in all."""
    times = sampling.times_s

    def decay(width: float) -> Complex:
        lorentz = (1.0 - subject.gaussian_share) * width
        gauss = subject.gaussian_share * width
        envelope = np.exp(-np.pi * lorentz * times - (np.pi * gauss * times) ** 2 / (4.0 * np.log(2.0)))
        lean = 0.8 + 0.2 * np.exp(2j * np.pi * subject.asymmetry * width * times)
        return np.asarray(envelope * lean, dtype=np.complex128)

    natural = np.exp(-np.pi * _NATURAL_WIDTH_HZ * times)
    low, high = 0.0, 1.5 * fwhm_hz
    for _ in range(14):
        middle = (low + high) / 2.0
        if full_width_hz(decay(middle) * natural, sampling.dwell_time_s) < fwhm_hz:
            low = middle
        else:
            high = middle
    return decay((low + high) / 2.0)


def voxel_signals(
    subject: Subject,
    basis: Mapping[str, BasisSet],
    sampling: Sampling,
    timing: Timing,
    draws: Draws,
    fwhm_hz: float,
) -> VoxelSignals:
    """All signals of a voxel. `basis`: sets by spectrum (`main`, or `on` and `off`), already on `sampling`'s axis."""
    shape = lineshape(subject, sampling, fwhm_hz)
    times = sampling.times_s
    eddy = np.exp(
        2j
        * np.pi
        * sum(
            f * tau * (1.0 - np.exp(-times / tau)) for f, tau in zip(subject.eddy_hz, subject.eddy_time_s, strict=True)
        )
    )
    main_line = next(name for name in _SINGLETS if name in subject.amounts_mm)
    naa = 3.0 * subject.amounts_mm[main_line] * metabolite_weight(main_line, timing)
    common = shape * eddy
    voxel = _Voxel(subject, basis, sampling, timing, draws)
    plain = "main" if "main" in basis else "off"
    tissue = voxel.plain(naa) if plain == "main" else voxel.edited(naa)
    singlets = common * voxel.metabolites(plain, [n for n in _SINGLETS if n in voxel.known])
    residual = sum(
        share * np.exp((2j * np.pi * f - np.pi * (_RESIDUAL_WIDTH_HZ + w)) * times)
        for f, w, share in draws.residual_lines
    )
    water_mm = water_amount(subject.tissue, timing) if subject.water_mm is None else subject.water_mm
    water_line = shape * np.exp(-np.pi * (_NATURAL_WIDTH_HZ + _WATER_WIDTH_HZ) * times)
    return VoxelSignals(
        tissue={name: common * fid for name, fid in tissue.items()},
        water=2.0 * water_mm * eddy * water_line,
        residual=np.asarray(common * residual, dtype=np.complex128),
        lipid=naa * _scalp_lipid(sampling, draws),
        naa_first_point=naa,
        naa_height=float(np.max(np.abs(np.fft.fft(singlets, 8 * sampling.n_points)))),
        fwhm_hz=full_width_hz(shape * np.exp(-np.pi * _NATURAL_WIDTH_HZ * times), sampling.dwell_time_s),
        water_fwhm_hz=full_width_hz(water_line, sampling.dwell_time_s),
    )


@dataclass(frozen=True)
class _Voxel:
    """The tissue's signals (n_points,) before the line shape that all of them share."""

    subject: Subject
    basis: Mapping[str, BasisSet]
    sampling: Sampling
    timing: Timing
    draws: Draws

    @property
    def known(self) -> list[str]:
        """Metabolites that the basis has."""
        first = next(iter(self.basis.values()))
        return [name for name in self.subject.amounts_mm if name in first.names]

    def plain(self, naa: float) -> dict[str, Complex]:
        """Of a sequence that does not edit."""
        shares = dict.fromkeys(self.subject.macromolecules, 1.0) | {"MM3co": 0.0}
        return {"main": self.metabolites("main", self.known) + self.macromolecules(shares) + naa * self.draws.baseline}

    def edited(self, naa: float) -> dict[str, Complex]:
        """The OFF signal, what editing adds to it, and what the ON pulse saturates."""
        edited = [name for name in self.known if name not in _SATURATED]
        saturated = [name for name in self.known if name in _SATURATED]
        on_off = self.metabolites("on", edited) - self.metabolites("off", edited)
        pulses = self.basis["off"].edit_pulse_ppm
        symmetric = pulses is not None and abs(pulses[1] - 1.5) < 0.2
        off_share = _SYMMETRIC_OFF_SHARE if symmetric else _OFF_SHARE
        gained = {name: _ON_SHARE[name] - off_share[name] for name in _ON_SHARE}
        return {
            "off": self.metabolites("off", self.known) + self.macromolecules(off_share) + naa * self.draws.baseline,
            "edit": on_off + self.macromolecules(gained, edited=True),
            "saturation": self.metabolites("on", saturated) - self.metabolites("off", saturated),
        }

    def metabolites(self, spectrum: str, names: list[str]) -> Complex:
        """Their sum, each with its own shift and width."""
        chosen, times = self.basis[spectrum], self.sampling.times_s
        total = np.zeros(self.sampling.n_points, dtype=np.complex128)
        for name in names:
            missing_width = _NATURAL_WIDTH_HZ - chosen.linewidth_hz + self.draws.width_hz.get(name, 0.0)
            own = np.exp((2j * np.pi * self.draws.shift_hz.get(name, 0.0) - np.pi * missing_width) * times)
            total += self.subject.amounts_mm[name] * metabolite_weight(name, self.timing) * own * chosen.fid(name)
        return total

    def macromolecules(self, shares: Mapping[str, float], *, edited: bool = False) -> Complex:
        """Their sum, each with its share; `edited`: without what the editing pulse saturates."""
        at, total = self.sampling, np.zeros(self.sampling.n_points, dtype=np.complex128)
        for name, amount in self.subject.macromolecules.items():
            lines = MACROMOLECULES[name]
            if edited and name != "MM3co":
                lines = tuple(line for line in lines if line[0] < _SATURATED_BELOW_PPM)
            reference = _CO_EDITED_TE_S if name == "MM3co" else 0.035
            weight = shares.get(name, 0.0) * macromolecule_weight(self.timing, reference)
            if weight:
                total += (
                    amount
                    * weight
                    * gaussian_fid(
                        lines,
                        at.n_points,
                        at.dwell_time_s,
                        at.spectrometer_frequency_mhz,
                        self.draws.macromolecule_width,
                    )
                )
        return total


def _scalp_lipid(sampling: Sampling, draws: Draws) -> Complex:
    """Lipid (n_points,) as LCModel's soft ratios mix it, first point 1."""
    total = sum(
        share
        * gaussian_fid(LIPIDS[name], sampling.n_points, sampling.dwell_time_s, sampling.spectrometer_frequency_mhz)
        for name, share in (("Lip13", 1.0), ("Lip09", 0.267), ("Lip20", 0.15))
    )
    fid = np.asarray(total, dtype=np.complex128)
    turn = np.exp(2j * np.pi * draws.lipid_offset_hz * sampling.times_s)
    return np.asarray(fid * turn / abs(fid[0]), dtype=np.complex128)
