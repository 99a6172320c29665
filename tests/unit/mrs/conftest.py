"""A small scanner of known truth: singlets, residual water, lipid, coils with correlated noise, drift and jitter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from scanner_agent.mrs.chain import ScanChain
from scanner_agent.records import Shot, ShotKind

LINES = ((2.01, 3.0), (3.03, 2.2), (3.22, 1.7), (3.93, 1.5), (3.6, 1.2), (2.35, 0.8))


@dataclass
class TruthScan:
    """One simulated scan; `shots()` gives it in canonical order."""

    data: NDArray[np.complex64]
    water: NDArray[np.complex64] | None
    noise: NDArray[np.complex64] | None
    clean: NDArray[np.complex128]
    """(n_points,) metabolites of a shot without shift (OFF in edited scans)."""
    frequency_hz: NDArray[np.float64]
    phase_rad: NDArray[np.float64]
    coils: NDArray[np.complex128]
    covariance: NDArray[np.complex128]
    dwell_time_s: float
    f0: float
    conditions: list[str | None]
    labels: list[str | None] = field(default_factory=list)

    def shots(self) -> Iterator[Shot]:
        if self.noise is not None:
            yield Shot(scan_id="t", shot_kind=ShotKind.NOISE, shot_index=0, data=self.noise)
        if self.water is not None:
            for i, frame in enumerate(self.water):
                yield Shot(scan_id="t", shot_kind=ShotKind.WATER_REFERENCE, shot_index=i, data=frame)
        for i, frame in enumerate(self.data):
            yield Shot(
                scan_id="t", shot_kind=ShotKind.METABOLITE, shot_index=i, data=frame, edit_condition=self.labels[i]
            )

    def chain(self, **options: object) -> ScanChain:
        n_coils, n_points = self.data.shape[1:]
        return ScanChain(n_coils, n_points, self.dwell_time_s, self.f0, **options)

    def run(self, **options: object) -> ScanChain:
        chain = self.chain(**options)
        for shot in self.shots():
            if shot.shot_kind is ShotKind.NOISE:
                chain.add_noise(shot.data)
            elif shot.shot_kind is ShotKind.WATER_REFERENCE:
                chain.add_water_reference(shot.data)
            else:
                chain.add(shot.data, shot_index=shot.shot_index, edit_condition=shot.edit_condition)
        return chain

    @property
    def optimal_snr_gain(self) -> float:
        """1 / noise SD (complex) of the best possible combination, on the signal scale of |coils| = 1."""
        whitened = np.linalg.solve(np.linalg.cholesky(self.covariance), self.coils)
        return float(np.linalg.norm(whitened))


@pytest.fixture(scope="session")
def make_scan() -> Callable[..., TruthScan]:
    def make(
        *,
        seed: int = 1,
        n_coils: int = 8,
        n_points: int = 1024,
        n_shots: int = 16,
        dwell_time_s: float = 5e-4,
        f0: float = 123.2,
        snr: float = 6.0,
        width_hz: float = 6.0,
        shift_hz: float = 1.0,
        drift_hz: float = 0.1,
        phase_sd_rad: float = 0.17,
        water: bool = True,
        noise: bool = True,
        residual_water: float = 2.0,
        offset_ppm: float = 0.0,
        lines: tuple[tuple[float, float], ...] = LINES,
        edited: tuple[str, ...] | None = None,
        label: str = "true",
    ) -> TruthScan:
        rng = np.random.default_rng(seed)
        t = np.arange(n_points) * dwell_time_s

        def line(ppm: float, amplitude: float, width: float = width_hz) -> NDArray[np.complex128]:
            return amplitude * np.exp(2j * np.pi * (4.65 - ppm - offset_ppm) * f0 * t - np.pi * width * t)

        def noise_of(*shape: int) -> NDArray[np.complex128]:
            return (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / np.sqrt(2)

        clean = np.sum([line(p, a) for p, a in lines], axis=0)
        edited_on = clean - line(2.01, 3.0) + line(3.01, 0.3, 18.0) if edited else clean
        coils = noise_of(n_coils) * np.exp(rng.normal(size=n_coils) * 0.5)
        coils /= np.linalg.norm(coils)
        mix = noise_of(n_coils, n_coils) * 0.3 / np.sqrt(n_coils) + np.diag(np.exp(0.3 * rng.normal(size=n_coils)))
        covariance = mix @ mix.conj().T
        gain = np.linalg.norm(np.linalg.solve(np.linalg.cholesky(covariance), coils))
        height = np.abs(np.fft.fft(line(2.01, 3.0))).max()
        # S/N per shot: height of NAA over the SD of the real noise of the best combination.
        sd = height / snr / np.sqrt(n_points) * np.sqrt(2) * gain
        covariance = covariance * sd**2
        mix = mix * sd
        i = np.arange(n_shots)
        frequency = drift_hz * i + shift_hz * rng.normal(size=n_shots)
        phase = phase_sd_rad * rng.normal(size=n_shots)
        conditions = [None if edited is None else edited[j % len(edited)] for j in range(n_shots)]
        data = np.empty((n_shots, n_coils, n_points), dtype=np.complex64)
        for j in i:
            signal = edited_on if conditions[j] == "on" else clean
            signal = signal + line(4.65, 3.0 * residual_water * rng.uniform(0.8, 1.2), 8.0) * np.exp(1j * rng.normal())
            signal = signal * np.exp(1j * (phase[j] + 2 * np.pi * frequency[j] * t))
            data[j] = np.outer(coils, signal) + mix @ noise_of(n_coils, n_points)
        eddy = 1.0
        frames = None
        if water:
            frames = np.empty((2, n_coils, n_points), dtype=np.complex64)
            for frame in frames:
                frame[:] = np.outer(coils, line(4.65, 3e4, 7.0) * eddy) + mix @ noise_of(n_coils, n_points)
        scan = (mix @ noise_of(n_coils, 16384)).astype(np.complex64) if noise else None
        if scan is not None:
            scan = scan[:, :n_points]
        labels = conditions if label == "true" else [None] * n_shots
        if label == "swapped":
            labels = ["on" if c == "off" else "off" for c in conditions]
        return TruthScan(
            data, frames, scan, clean, frequency, phase, coils, covariance, dwell_time_s, f0, conditions, labels
        )

    return make
