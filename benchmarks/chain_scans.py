"""Scans of known truth for `chain.py`: metabolites of the package's basis sets, coils and noise at random."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from scanner_agent.basis import load_basis
from scanner_agent.mrs.chain import ScanChain
from scanner_agent.mrs.linking import EditShapes
from scanner_agent.records import Shot, ShotKind

AMOUNTS = {
    "NAA": 12.0, "NAAG": 1.5, "Cr": 5.0, "PCr": 4.5, "GPC": 1.2, "PCh": 0.6, "Glu": 11.0, "Gln": 3.0, "Ins": 7.0,
    "GABA": 1.8, "GSH": 1.5, "sIns": 0.3, "Tau": 1.5, "Asp": 2.0, "PE": 1.5, "Lac": 0.6, "Ala": 0.4, "Asc": 1.0,
}  # fmt: skip
F0 = 123.25


@dataclass
class Drawn:
    """One scan with its truth."""

    data: np.ndarray
    water: np.ndarray | None
    noise: np.ndarray | None
    clean: dict[str | None, np.ndarray]
    conditions: list[str | None]
    frequency_hz: np.ndarray
    phase_rad: np.ndarray
    coils: np.ndarray
    covariance: np.ndarray
    noise_sd: float
    dwell_time_s: float

    def shots(self) -> Iterator[Shot]:
        frames = [(ShotKind.NOISE, self.noise), (ShotKind.WATER_REFERENCE, self.water)]
        for kind, block in frames:
            for i, frame in enumerate(block if block is not None else ()):
                yield Shot(scan_id="b", shot_kind=kind, shot_index=i, data=frame)
        for i, frame in enumerate(self.data):
            yield Shot(
                scan_id="b", shot_kind=ShotKind.METABOLITE, shot_index=i, data=frame, edit_condition=self.conditions[i]
            )

    def chain(self, labelled: bool = True) -> tuple[ScanChain, list[float]]:
        edited = self.conditions[0] is not None
        shapes = edit_shapes(self.data.shape[2], self.dwell_time_s) if edited else None
        chain = ScanChain(*self.data.shape[1:], self.dwell_time_s, F0, edited=edited, edit_shapes=shapes)
        spent = []
        for shot in self.shots():
            if shot.shot_kind is ShotKind.NOISE:
                chain.add_noise(shot.data)
            elif shot.shot_kind is ShotKind.WATER_REFERENCE:
                chain.add_water_reference(shot.data)
            else:
                start = time.process_time()
                chain.add(
                    shot.data,
                    shot_index=shot.shot_index,
                    edit_condition=shot.edit_condition if labelled else None,
                )
                spent.append(1e3 * (time.process_time() - start))
        return chain, spent


def edit_shapes(n_points: int, dwell_time_s: float) -> EditShapes:
    """What editing does to each metabolite, as the pipeline tells the chain."""
    sets = resampled("MEGA", n_points, dwell_time_s)
    return EditShapes(on=sets["on"][1], off=sets["off"][1])


@cache
def resampled(kind: str, n_points: int, dwell_time_s: float) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Names and FIDs of the package's basis set, per sub-spectrum."""
    found = {}
    for spectrum, basis in load_basis("press_te35_3t" if kind == "PRESS" else "mega_te68_3t").items():
        at = basis.resampled(n_points, dwell_time_s, F0)
        found[spectrum] = (at.names, at.fids)
    return found


# Macromolecules of edited scans: place (ppm), width (Hz), amplitude in OFF and in ON (that at 3.0 is edited with GABA).
BROAD = (
    (0.92, 25.0, 8.0, 8.0), (1.21, 25.0, 6.0, 6.0), (1.43, 25.0, 8.0, 6.0), (1.68, 25.0, 6.0, 1.5),
    (2.04, 25.0, 8.0, 2.0), (2.27, 25.0, 5.0, 5.0), (3.0, 14.0, 0.0, 3.6),
)  # fmt: skip


def metabolites(
    kind: str, n_points: int, dwell_time_s: float, width_hz: float, rng: np.random.Generator | None = None
) -> dict[str | None, np.ndarray]:
    """Noise-free FIDs per edit condition, of usual brain amounts; with `rng` each of them within 30 % of that.

    Edited ones hold macromolecules too.
    """
    sets = resampled(kind, n_points, dwell_time_s)
    t = np.arange(n_points) * dwell_time_s
    factors = {n: 1.0 if rng is None else rng.uniform(0.7, 1.3) for n in AMOUNTS}
    broad = [1.0 if rng is None else rng.uniform(0.7, 1.3) for _ in BROAD]
    found = {}
    for spectrum, condition in (("main", None), ("on", "on"), ("off", "off")):
        if spectrum in sets:
            names, fids = sets[spectrum]
            fid = sum(AMOUNTS[n] * factors[n] * f for n, f in zip(names, fids, strict=True) if n in AMOUNTS)
            for (ppm, width, in_off, in_on), factor in zip(BROAD, broad, strict=True) if kind == "MEGA" else ():
                height = factor * (in_on if condition == "on" else in_off)
                fid = fid + height * np.exp((2j * np.pi * (4.65 - ppm) * F0 - np.pi * width) * t)
            found[condition] = fid * np.exp(-np.pi * width_hz * t)
    return found


def draw(
    seed: int,
    *,
    kind: str = "PRESS",
    n_coils: int = 1,
    n_shots: int = 64,
    snr: float = 5.0,
    n_points: int = 2048,
    dwell_time_s: float = 2.5e-4,
    width_hz: float = 5.0,
    jitter_hz: float = 1.0,
    drift_hz: float = 0.1,
    spread_hz: float = 0.0,
    residual: float = 2.0,
    lipid: float = 0.0,
    eddy: bool = True,
    references: bool = True,
    pattern: tuple[str, ...] = ("on", "off"),
    water_only: bool = False,
) -> Drawn:
    """A scan; `snr`: NAA's height over the noise per shot, best combination. Water and lipid vary from shot to shot."""
    rng = np.random.default_rng(seed)
    t = np.arange(n_points) * dwell_time_s
    varied = np.random.default_rng((seed, 1)) if kind == "MEGA" else None
    clean = metabolites(kind, n_points, dwell_time_s, width_hz, varied)
    off = clean.get(None, clean.get("off"))

    def white(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / np.sqrt(2)

    coils = white(n_coils) * np.exp(0.6 * rng.normal(size=n_coils))
    coils /= np.linalg.norm(coils)
    mix = np.diag(np.exp(0.3 * rng.normal(size=n_coils))) + 0.5 * white(n_coils, n_coils) / np.sqrt(n_coils)
    gain = np.linalg.norm(np.linalg.solve(np.linalg.cholesky(mix @ mix.conj().T), coils))
    height = np.abs(np.fft.fft(3 * AMOUNTS["NAA"] * np.exp(-np.pi * (width_hz + 1.5) * t))).max()
    sd = height / snr / np.sqrt(n_points)
    mix = mix * (np.sqrt(2) * sd * gain)
    naa = 3 * AMOUNTS["NAA"]
    i = np.arange(n_shots)
    frequency = drift_hz * i + jitter_hz * rng.normal(size=n_shots) + rng.uniform(-1, 1, n_shots) * spread_hz
    phase = np.radians(10) * rng.normal(size=n_shots)
    conditions: list[str | None] = [None if None in clean else pattern[j % len(pattern)] for j in i]
    current = (
        np.exp(2j * np.pi * (1.5 * 0.02 * (1 - np.exp(-t / 0.02)) + 0.8 * 0.1 * (1 - np.exp(-t / 0.1)))) if eddy else 1
    )
    water_line = np.exp(-np.pi * 7 * t + 2j * np.pi * 1.0 * t)
    fat = np.exp(2j * np.pi * (4.65 - 1.3) * F0 * t - np.pi * 18 * t) + 0.5 * np.exp(
        2j * np.pi * (4.65 - 0.9) * F0 * t - np.pi * 18 * t
    )
    data = np.empty((n_shots, n_coils, n_points), dtype=np.complex64)
    for j in i:
        signal = (0.0 if water_only else 1.0) * clean[conditions[j]] + naa * residual * rng.uniform(
            0.7, 1.3
        ) * water_line * np.exp(1j * (2.0 + 0.5 * rng.normal()))
        signal = signal + naa * lipid * rng.uniform(0.8, 1.2) / 1.5 * fat
        signal = signal * current * np.exp(1j * (phase[j] + 2 * np.pi * frequency[j] * t))
        data[j] = np.outer(coils, signal) + mix @ white(n_coils, n_points)
    water = noise = None
    if references:
        unsuppressed = 2e3 * naa * np.exp(-np.pi * 7 * t) * current
        water = np.stack([np.outer(coils, unsuppressed) + mix @ white(n_coils, n_points) for _ in range(4)])
        noise = np.stack([mix @ white(n_coils, n_points)])
        water, noise = water.astype(np.complex64), noise.astype(np.complex64)
    return Drawn(
        data, water, noise, clean if off is not None else {}, conditions, frequency, phase, coils, mix @ mix.conj().T,
        sd, dwell_time_s,
    )  # fmt: skip
