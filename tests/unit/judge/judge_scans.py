"""Small sign generators for the tests of the judgement: what the signal chain and the fit would say of a simple head.

Noise as derived in docs/science.md 3.2: SD_f = 1.3 Hz/SNR, SD_phase = 17 degrees/SNR, SD_a = 0.22/SNR per shot. A still
head breathes: sinusoids whose rate wanders, as `scanner_agent.simulate` draws them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scanner_agent.judge import FitSummary, Judge, Judgement, ScanContext, ShotSigns
from scanner_agent.records import ScanHeader
from scanner_agent.scan_protocol import ScanProtocol, load_protocol
from scanner_agent.simulate.physiology import draw_physiology


def press_header(**fields: Any) -> ScanHeader:
    base: dict[str, Any] = {
        "scan_id": "s1",
        "spectrometer_frequency_mhz": 123.25,
        "dwell_time_s": 5e-4,
        "n_coils": 8,
        "n_points": 2048,
        "sequence": "PRESS",
        "echo_time_s": 0.035,
        "repetition_time_s": 3.0,
        "n_shots_planned": 64,
        "shim_linewidth_hz": 8.0,
        "prescan_frequency_hz": 0.0,
    }
    return ScanHeader(**(base | fields))


def mega_header(**fields: Any) -> ScanHeader:
    mega = {
        "sequence": "MEGA-PRESS",
        "echo_time_s": 0.068,
        "repetition_time_s": 2.0,
        "n_shots_planned": 320,
        "n_edit_conditions": 2,
        "edit_pulse_ppm": (1.9, 7.46),
    }
    return press_header(**(mega | fields))


@dataclass
class Scan:
    """Signs of all shots and the truth that the fits are made from."""

    header: ScanHeader
    protocol: ScanProtocol
    signs: list[ShotSigns]
    snr_end: float = 16.5
    """S/N (LCModel's scale) of a whole undisturbed scan."""
    fwhm_hz: float = 6.5
    percent_sd_end: float = 10.0
    fit_quality: float = 1.5
    offset_hz: float | None = 0.0
    """Of the whole spectrum, as the fit finds it; None: it cannot tell."""
    lipid_ratio: float = 0.1
    context: ScanContext = field(default_factory=lambda: ScanContext(water_fwhm_hz=8.0, water_frequency_hz=0.0))
    seed: int = 0

    def fit(self, shots: tuple[int, ...]) -> FitSummary | None:
        """What a fit of these shots would give; its errors are those of the average, the same for the same shots."""
        if not shots:
            return None
        by_index = {x.shot_index: x for x in self.signs}
        used = [by_index[i] for i in shots]
        total = self.header.n_shots_planned or 64
        n = float(len(used))
        wider = float(np.mean([x.broadening_hz or 0.0 for x in used]))
        amplitude = float(np.mean([x.amplitude or 1.0 for x in used]))
        q_end = self.fit_quality
        # Residual variance of the whole scan = noise (1) + what the model leaves (q - 1).
        residual = (total / n + q_end - 1.0) / q_end
        snr = self.snr_end * amplitude / math.sqrt(residual) * self.fwhm_hz / max(self.fwhm_hz + wider, 1.0)
        rng = np.random.default_rng([self.seed, len(used)])
        noise = 0.3 / max(snr, 1.0)
        snr *= math.exp(rng.normal(0.0, noise / 2))
        fwhm = (self.fwhm_hz + max(wider, -2.0)) * math.exp(rng.normal(0.0, noise))
        percent = self.percent_sd_end * self.snr_end / snr * math.exp(rng.normal(0.0, noise))
        f0 = self.header.spectrometer_frequency_mhz
        names = self.protocol.gated
        return FitSummary(
            shots=frozenset(shots),
            n_effective=n,
            snr_lcmodel=snr,
            snr_naa=2.2 * snr,
            fwhm_hz=fwhm,
            fwhm_ppm=fwhm / f0,
            percent_sd_lcmodel=dict.fromkeys(names, percent),
            percent_sd=dict.fromkeys(names, percent * 0.8),
            fit_quality=1.0 + (q_end - 1.0) * n / total,
            frequency_offset_hz=self.offset_hz,
            residual_water_ratio=1.0,
            lipid_ratio=self.lipid_ratio,
            subtraction_artefact=0.02,
        )


def still_scan(
    seed: int,
    *,
    header: ScanHeader | None = None,
    protocol: str = "press_te35_tr3000_3t",
    snr: float = 3.5,
    strength: float = 1.0,
    **truth: Any,
) -> Scan:
    """A head that breathes and does nothing else. `snr`: NAA peak over noise of one shot."""
    header = header or press_header()
    rng = np.random.default_rng(seed)
    n = header.n_shots_planned or 64
    tr = header.repetition_time_s or 2.0
    physiology = draw_physiology(rng, n, tr, header.spectrometer_frequency_mhz, strength)
    water = 1.5 * (1.0 + 0.15 * np.sin(np.arange(n) * math.pi / 2)) * np.exp(0.1 * rng.standard_normal(n))
    sd_f, sd_phase, sd_a = 1.3 / snr, 17.0 / snr, 0.22 / snr
    edited = header.n_edit_conditions == 2
    signs = []
    for i in range(n):
        on = edited and i % 2 == 0
        signs.append(
            ShotSigns(
                shot_index=i,
                edit_condition=("on" if on else "off") if edited else None,
                frequency_hz=float(physiology.frequency_hz[i] + rng.normal(0, sd_f)),
                frequency_sd_hz=sd_f,
                phase_deg=float(physiology.phase_deg[i] + rng.normal(0, sd_phase)),
                phase_sd_deg=sd_phase,
                amplitude=float(physiology.amplitude[i] * math.exp(rng.normal(0, sd_a))),
                amplitude_sd=sd_a,
                broadening_hz=float(rng.normal(0, 2 * sd_f)),
                broadening_sd_hz=2 * sd_f,
                misfit=float(1.0 + rng.normal(0, 0.1)),
                misfit_sd=0.1,
                residual_water=float(water[i] * (1.3 if on else 1.0)),
                residual_water_sd=0.05,
                water_phase_deg=float(np.degrees(rng.normal(0, 0.1)) + 40.0 * on),
                water_phase_sd_deg=3.0,
                lipid=float(0.4 + rng.normal(0, 0.1)),
                lipid_sd=0.1,
                late_energy=float(rng.normal()),
                noise_log_variance=rng.normal(0.0, 0.045, header.n_coils),
                noise_log_variance_sd=0.045,
                snr=snr,
            )
        )
    return Scan(header=header, protocol=load_protocol(protocol), signs=signs, seed=seed, **truth)


def changed(scan: Scan, first: int, last: int, change: Callable[[ShotSigns], dict[str, Any]]) -> Scan:
    """The scan with shots first to last (included) changed."""
    signs = [replace(x, **change(x)) if first <= x.shot_index <= last else x for x in scan.signs]
    return replace(scan, signs=signs)


def step(
    scan: Scan,
    at: int,
    *,
    hz: float = 4.0,
    wider: float = 2.0,
    amplitude: float = 0.85,
    water: float = 3.0,
    turn: float = 90.0,
) -> Scan:
    """A new pose from shot `at` on."""
    return changed(
        scan,
        at,
        10**6,
        lambda x: {
            "frequency_hz": (x.frequency_hz or 0.0) + hz,
            "broadening_hz": (x.broadening_hz or 0.0) + wider,
            "amplitude": (x.amplitude or 1.0) * amplitude,
            "residual_water": (x.residual_water or 1.0) * water,
            "water_phase_deg": (x.water_phase_deg or 0.0) + turn,
        },
    )


def burst(scan: Scan, first: int, last: int, seed: int = 1) -> Scan:
    """Shots first to last spoilt: random phase, signal lost, frequency scattered."""
    rng = np.random.default_rng(seed)
    return changed(
        scan,
        first,
        last,
        lambda x: {
            "phase_deg": (x.phase_deg or 0.0) + rng.normal(0, 60.0),
            "amplitude": (x.amplitude or 1.0) * rng.uniform(0.3, 0.8),
            "frequency_hz": (x.frequency_hz or 0.0) + rng.normal(0, 1.5),
            "misfit": 1.0 + abs(rng.normal(0, 0.8)),
        },
    )


def judged(scan: Scan, *, every_fit: bool = True) -> tuple[list[Judgement], Judgement]:
    """All judgements on the way, and the final one."""
    judge = Judge(scan.header, scan.protocol)
    live = []
    for signs in scan.signs:
        shots = judge.observe(signs)
        live.append(judge.assess(scan.fit(shots) if every_fit else None, scan.context))
    poses = judge.settle(scan.signs)
    fits = {i: fit for i, shots in enumerate(poses) if (fit := scan.fit(shots)) is not None}
    return live, judge.finish(fits, scan.context)
