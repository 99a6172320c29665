"""How near the signal chain comes to the limit: `python benchmarks/chain.py [--fast] [PART …]`.

Parts: coils, alignment, mega, order, water, time, real. Truth is drawn here (basis set of the package, coils and
noise at random with any complex correlation); seeds are fixed per cell. Times are CPU times: set
OMP_NUM_THREADS=1 for them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from common import SHARED_DATA, machine, table, write_json

from scanner_agent.basis import load_basis
from scanner_agent.mrs.chain import ScanChain
from scanner_agent.mrs.noise import noise_band, noise_samples
from scanner_agent.mrs.quality import half_height_width_hz
from scanner_agent.mrs.water import without_water
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
        chain = ScanChain(*self.data.shape[1:], self.dwell_time_s, F0, edited=edited)
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


def metabolites(kind: str, n_points: int, dwell_time_s: float, width_hz: float) -> dict[str | None, np.ndarray]:
    """Noise-free FIDs per edit condition, of usual brain amounts."""
    sets = load_basis("press_te35_3t" if kind == "PRESS" else "mega_te68_3t")
    t = np.arange(n_points) * dwell_time_s
    found = {}
    for spectrum, condition in (("main", None), ("on", "on"), ("off", "off")):
        if spectrum in sets:
            basis = sets[spectrum].resampled(n_points, dwell_time_s, F0)
            fid = sum(AMOUNTS[n] * f for n, f in zip(basis.names, basis.fids, strict=True) if n in AMOUNTS)
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
) -> Drawn:
    """A scan; `snr`: NAA's height over the noise per shot, best combination. Water and lipid vary from shot to shot."""
    rng = np.random.default_rng(seed)
    t = np.arange(n_points) * dwell_time_s
    clean = metabolites(kind, n_points, dwell_time_s, width_hz)
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
        signal = clean[conditions[j]] + naa * residual * rng.uniform(0.7, 1.3) * water_line * np.exp(
            1j * (2.0 + 0.5 * rng.normal())
        )
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


def combined_fraction(scan: Drawn, chain: ScanChain) -> float:
    """S/N of the chain's weights over that of the best possible ones."""
    weights = chain.coil_weights
    best = np.sqrt(np.real(scan.coils.conj() @ np.linalg.solve(scan.covariance, scan.coils)))
    got = abs(np.vdot(weights, scan.coils)) / np.sqrt(np.real(weights.conj() @ scan.covariance @ weights))
    return float(got / best)


def coils(fast: bool) -> list[dict[str, float]]:
    """Combined S/N over the known optimum."""
    rows, result = [], []
    for n_coils in (8, 20, 32, 64):
        for references in (True, False):
            found = []
            for seed in range(2 if fast else 8):
                scan = draw(
                    100 + seed, n_coils=n_coils, references=references, snr=3.5, n_shots=16 if fast else 64,
                    residual=(0.5, 2.0, 20.0)[seed % 3], n_points=1024, dwell_time_s=5e-4,
                )  # fmt: skip
                live, _ = scan.chain()
                found.append((combined_fraction(scan, live), combined_fraction(scan, live.refined(scan.shots))))
            live_f, last_f = np.array(found).T
            rows.append([n_coils, references, live_f.mean(), live_f.min(), last_f.mean(), last_f.min()])
            result.append({"n_coils": n_coils, "references": references, "live": live_f.mean(), "last": last_f.mean(),
                           "worst_live": live_f.min(), "worst_last": last_f.min()})  # fmt: skip
    print("\nCombined S/N over the optimum (live: frozen weights of the stream; last: final pass)")
    print(table(["coils", "water+noise scan", "live mean", "live min", "last mean", "last min"], rows))
    return result


def errors(scan: Drawn, chain: ScanChain) -> dict[str, float]:
    """Errors of frequency, phase; what the average loses by them."""
    estimates = chain.estimates
    frequency = np.array([e.frequency_hz for e in estimates]) - scan.frequency_hz
    frequency -= np.median(frequency)
    phase = np.radians([e.phase_deg for e in estimates]) - scan.phase_rad
    phase = np.angle(np.exp(1j * (phase - np.angle(np.sum(np.exp(1j * phase))))))
    t = np.arange(scan.data.shape[2]) * scan.dwell_time_s
    signal = scan.clean[scan.conditions[0]]
    weights = np.array([e.weight for e in estimates])
    # The clean signal sent through the same corrections: what is lost is alignment alone.
    kept = sum(
        w * signal * np.exp(-1j * (p + 2 * np.pi * f * t)) for w, f, p in zip(weights, frequency, phase, strict=True)
    ) / np.sum(weights)
    naa = np.exp(-2j * np.pi * (4.65 - 2.01) * F0 * t)
    before = np.abs(np.sum(signal * naa * np.exp(-t / 0.2)))
    line = (np.abs(4.65 - np.fft.fftfreq(t.size, scan.dwell_time_s) / F0 - 2.01) < 0.06).astype(float)
    widths = [half_height_width_hz(np.fft.ifft(np.fft.fft(s) * line), scan.dwell_time_s) for s in (kept, signal)]
    powers = [float(np.sum(t**k * np.abs(signal) ** 2)) for k in range(3)]
    return {
        "sd_f": float(np.std(frequency)),
        "crlb_f": float(scan.noise_sd / np.sqrt(powers[2] - powers[1] ** 2 / powers[0]) / 2 / np.pi),
        "crlb_p": float(scan.noise_sd * np.sqrt(powers[2] / (powers[0] * powers[2] - powers[1] ** 2))),
        "sd_p": float(np.std(phase)),
        "se_f": float(np.mean([e.frequency_sd_hz for e in estimates])),
        "se_p": float(np.radians(np.mean([e.phase_sd_deg for e in estimates]))),
        "outliers": int(np.count_nonzero(np.abs(frequency) > 3.0)),
        "shots": len(estimates),
        "snr_kept": float(np.abs(np.sum(kept * naa * np.exp(-t / 0.2))) / before)
        * float(np.sqrt(np.sum(weights) ** 2 / np.sum(weights**2) / len(weights))),
        "wider_hz": float((widths[0] or np.nan) - (widths[1] or np.nan)),
        "left_out": int(np.count_nonzero(weights == 0)),
    }


def alignment(fast: bool) -> list[dict[str, float]]:
    """Frequency and phase errors over their bounds; S/N and width kept."""
    rows, result = [], []
    cells = [
        (snr, residual, lipid, 0.0)
        for snr in (3.0, 5.0, 10.0)
        for residual, lipid in ((0.5, 0.0), (5.0, 0.0), (20.0, 3.0))
    ]
    cells += [(snr, 2.0, 0.0, 20.0) for snr in (3.0, 5.0)]
    for snr, residual, lipid, spread in cells if not fast else cells[3:5]:
        per = []
        for seed in range(1 if fast else 6):
            scan = draw(
                1000 + seed, snr=snr, residual=residual, lipid=lipid, spread_hz=spread, n_points=1024, dwell_time_s=5e-4
            )
            per.append(errors(scan, scan.chain()[0].refined(scan.shots)))
        mean = {k: float(np.mean([p[k] for p in per])) for k in per[0]}
        rms = {k: float(np.sqrt(np.mean([p[k] ** 2 for p in per]))) for k in ("sd_f", "sd_p")}
        row = {
            "snr": snr, "residual": residual, "lipid": lipid, "spread_hz": spread, "sd_f_hz": rms["sd_f"],
            "f_over_crlb": rms["sd_f"] / mean["crlb_f"], "f_over_se": rms["sd_f"] / mean["se_f"],
            "p_over_crlb": rms["sd_p"] / mean["crlb_p"], "p_over_se": rms["sd_p"] / mean["se_p"],
            "outliers": sum(p["outliers"] for p in per), "shots": sum(p["shots"] for p in per),
            "snr_kept": mean["snr_kept"], "wider_hz": mean["wider_hz"], "left_out": sum(p["left_out"] for p in per),
        }  # fmt: skip
        result.append(row)
        rows.append(list(row.values()))
    print("\nAlignment, final pass (CRLB: of frequency, phase, amplitude with the signal known, no nuisance)")
    print(table(list(result[0]), rows))
    return result


def mega(fast: bool) -> list[dict[str, float]]:
    """GABA+ and choline of the difference spectrum against the truth-aligned one."""
    rows, result = [], []
    for drift in (0.0, 10.0) if not fast else (10.0,):
        per = []
        for seed in range(1 if fast else 4):
            n_shots = 48 if fast else 160
            scan = draw(
                2000 + seed, kind="MEGA", n_shots=n_shots, snr=6.0, drift_hz=drift / n_shots, n_points=2048,
                dwell_time_s=5e-4, pattern=("on", "off"),
            )  # fmt: skip
            last = scan.chain()[0].refined(scan.shots)
            average = last.average()
            t = np.arange(scan.data.shape[2]) * scan.dwell_time_s
            sums: dict[str, np.ndarray] = {}
            for e in last.estimates:
                signal = scan.clean[e.edit_condition]
                f = scan.frequency_hz[e.shot_index] - e.frequency_hz
                p = scan.phase_rad[e.shot_index] - np.radians(e.phase_deg)
                if e.edit_condition == "on":
                    # Estimates tell ON in OFF's frame by the link of the references; the average is linked anew.
                    f += last.link[0] - average.link_frequency_hz
                    p += last.link[1] - np.radians(average.link_phase_deg)
                w = average.weights[e.shot_index]
                sums[e.edit_condition] = sums.get(e.edit_condition, 0) + w * signal * np.exp(
                    1j * (p + 2 * np.pi * f * t)
                )
                sums["w" + e.edit_condition] = sums.get("w" + e.edit_condition, 0) + w
            on, off = (sums[c] / sums["w" + c] for c in ("on", "off"))
            turn = np.vdot(scan.clean["off"], off)
            shift = np.median([e.frequency_hz for e in last.estimates] - scan.frequency_hz)
            difference = (on - off) * np.exp(-1j * np.angle(turn) + 2j * np.pi * shift * t)
            ideal = scan.clean["on"] - scan.clean["off"]
            ppm = 4.65 - np.fft.fftfreq(t.size, scan.dwell_time_s) / F0
            spectra = [np.fft.fft(x) for x in (difference, ideal, scan.clean["off"])]
            gaba = (ppm > 2.85) & (ppm < 3.15)
            cho = (ppm > 3.16) & (ppm < 3.29)
            areas = [abs(np.sum(s[gaba])) for s in spectra[:2]]
            per.append(
                (areas[0] / areas[1] - 1, np.ptp(np.abs(spectra[0] - spectra[1])[cho]) / np.abs(spectra[2][cho]).max())
            )
        gaba_error, choline = np.array(per).T
        rows.append(
            [drift, 100 * gaba_error.mean(), 100 * np.abs(gaba_error).max(), 100 * choline.mean(), 100 * choline.max()]
        )
        result.append(
            {"drift_hz": drift, "gaba_error": float(np.abs(gaba_error).max()), "choline": float(choline.max())}
        )
    print("\nMEGA difference against the truth-aligned one")
    print(table(["drift Hz", "GABA+ mean %", "GABA+ worst %", "residual tCho mean %", "worst %"], rows))
    return result


def order(fast: bool) -> list[dict[str, float]]:
    """Is the order of ON and OFF found without labels?"""
    rows, result = [], []
    patterns = {
        "on,off": ("on", "off"), "off,on": ("off", "on"), "1-1-0-0": ("on", "on", "off", "off"),
        "blocked": ("on",) * 8 + ("off",) * 8,
    }  # fmt: skip
    for name, pattern in patterns.items():
        right = told = 0
        runs = 3 if fast else 50
        for seed in range(runs):
            scan = draw(
                3000 + seed,
                kind="MEGA",
                n_shots=16,
                snr=4.0,
                n_points=1024,
                dwell_time_s=5e-4,
                pattern=pattern,
                references=False,
            )
            decided = [e.edit_condition for e in scan.chain(labelled=False)[0].estimates]
            told += decided[0] is not None
            right += decided == scan.conditions
        rows.append([name, runs, told, right])
        result.append({"pattern": name, "runs": runs, "told": told, "right": right})
    print("\nOrder of ON and OFF from the data alone, 16 shots, NAA S/N 4 per shot")
    print(table(["order", "scans", "decided", "right"], rows))
    return result


def water(fast: bool) -> list[dict[str, float]]:
    """What water removal does to the metabolites, and its time."""
    rows, result = [], []
    for n_points, dwell in ((2048, 5e-4), (4096, 2.5e-4)):
        clean = metabolites("PRESS", n_points, dwell, 5.0)[None]
        t = np.arange(n_points) * dwell
        rng = np.random.default_rng(5)
        ppm = 4.65 - np.fft.fftfreq(n_points, dwell) / F0
        window = (ppm > 0.5) & (ppm < 4.1)
        changes, spent = [], []
        for k in range(3 if fast else 30):
            size = (0.5, 5.0, 20.0, 100.0)[k % 4] * 3 * AMOUNTS["NAA"]
            residual = size * np.exp(1j * rng.normal()) * np.exp(-np.pi * 7 * t + 2j * np.pi * rng.normal() * t)
            residual = residual + 0.4 * size * np.exp(2j * np.pi * 4 * t - np.pi * 14 * t)
            noise = (rng.normal(size=n_points) + 1j * rng.normal(size=n_points)) * 0.15
            without_water(clean + residual + noise, dwell, F0)
            start = time.process_time()
            cleaned = without_water(clean + residual + noise, dwell, F0)
            spent.append(1e3 * (time.process_time() - start))
            change = np.fft.fft(cleaned - clean - noise)[window]
            target = np.fft.fft(clean)[window]
            # Change of a common amount: projection on the metabolites' spectrum.
            changes.append(abs(np.vdot(target, change)) / np.real(np.vdot(target, target)))
        rows.append([n_points, 100 * np.median(changes), 100 * np.max(changes), np.median(spent), np.max(spent)])
        result.append({"n_points": n_points, "worst_change": float(np.max(changes)), "ms": float(np.median(spent))})
    print("\nWater removal (HSVD, 40 components): change of the metabolites, CPU ms")
    print(table(["points", "median %", "worst %", "median ms", "worst ms"], rows))
    return result


def times(fast: bool) -> list[dict[str, float]]:
    """CPU time per shot, whole set, memory kept."""
    rows, result = [], []
    for n_coils, n_points, n_shots in ((8, 2048, 64), (32, 4096, 64), (32, 4096, 320))[: 1 if fast else 3]:
        scan = draw(4000, n_coils=n_coils, n_points=n_points, n_shots=n_shots, snr=5.0, eddy=True)
        scan.chain()
        start = time.process_time()
        chain, spent = scan.chain()
        whole = time.process_time() - start
        start = time.process_time()
        chain.refined(scan.shots)
        last = time.process_time() - start
        kept = (
            sum(k.fid.nbytes + k.aligned.nbytes for k in chain._kept if k.fid is not None and k.aligned is not None)
            / 1e6
        )
        early, late = float(np.median(spent[12:28])), float(np.median(spent[-16:]))
        rows.append([n_coils, n_points, n_shots, float(np.median(spent)), early, late, max(spent), whole, last, kept])
        result.append({"n_coils": n_coils, "n_points": n_points, "n_shots": n_shots, "ms": float(np.median(spent)),
                       "ms_early": early, "ms_late": late, "whole_s": whole, "last_pass_s": last,
                       "kept_mb": kept})  # fmt: skip
    print("\nCPU time (one thread)")
    print(
        table(
            [
                "coils",
                "points",
                "shots",
                "ms/shot",
                "shots 12-28",
                "last 16",
                "worst ms",
                "whole s",
                "last pass s",
                "kept MB",
            ],
            rows,
        )
    )
    return result


def real(_fast: bool) -> list[dict[str, float]]:
    """The real 7 T scan: S/N against plain averaging and no whitening."""
    from scanner_agent.sources import open_scan

    folder = SHARED_DATA / "real" / "siemens_7t_steam_4ch_16shots"
    if not folder.is_dir():
        print("\nreal: ../shared/data is not here, skipped")
        return []
    source = open_scan(folder / "metab_raw.nii.gz", water=folder / "wref_raw.nii.gz")
    h = source.header
    chain = ScanChain(h.n_coils, h.n_points, h.dwell_time_s, h.spectrometer_frequency_mhz).refined(source.shots)
    print(chain.steps)
    raw = np.stack([s.data for s in source.shots() if s.shot_kind is ShotKind.METABOLITE])
    water_sum = np.mean([s.data for s in source.shots() if s.shot_kind is ShotKind.WATER_REFERENCE], axis=0)

    ppm = 4.65 - np.fft.fftfreq(h.n_points, h.dwell_time_s) / h.spectrometer_frequency_mhz
    t = np.arange(h.n_points) * h.dwell_time_s
    eddy = np.exp(-1j * chain.water.phase_rad)
    estimates = chain.estimates
    turns = [np.exp(-1j * (np.radians(e.phase_deg) + 2 * np.pi * e.frequency_hz * t)) for e in estimates]

    def snr(weights: np.ndarray, aligned: bool) -> float:
        shots = np.array([np.conj(weights) @ s for s in raw]) * eddy
        if aligned:
            shots = shots * np.array(turns)
        spectra = np.fft.fft(shots)
        mean = np.fft.fft(np.mean(shots, axis=0))
        # Noise from the scatter of the shots about their mean, off the signals: nothing that repeats counts as noise.
        quiet = (ppm > 6) & (ppm < 20)
        thermal = np.sqrt(
            np.sum(np.abs(spectra - spectra.mean(axis=0))[:, quiet] ** 2) / (len(raw) - 1) / quiet.sum() / 2
        )
        top = (ppm > 1.9) & (ppm < 2.12)
        phase = np.angle(mean[top][np.argmax(np.abs(mean[top]))])
        real_part = np.real(mean * np.exp(-1j * phase))
        floor = 0.5 * (real_part[(ppm > 1.78) & (ppm < 1.84)].mean() + real_part[(ppm > 2.16) & (ppm < 2.2)].mean())
        return float((real_part[top].max() - floor) / (thermal / np.sqrt(len(raw))))

    plain = water_sum[:, 2]
    best = np.eye(raw.shape[1])[int(np.argmax(np.abs(plain) / np.sqrt(np.var(raw[:, :, -1000:], axis=(0, 2)))))]
    in_phase = plain / np.abs(plain)
    rows = [
        ["whitened, aligned (the chain)", snr(chain.coil_weights, True)],
        ["whitened, plain average", snr(chain.coil_weights, False)],
        ["weights = sensitivity, aligned", snr(plain, True)],
        ["weights = sensitivity, plain average", snr(plain, False)],
        ["sum in phase, plain average", snr(in_phase, False)],
        ["best single coil, plain average", snr(best, False)],
    ]
    print("\nReal 7 T scan, 4 coils x 16 shots: NAA height over floor / thermal noise")
    print(table(["", "S/N"], rows))
    frequency = np.array([e.frequency_hz for e in estimates])
    phase = np.array([e.phase_deg for e in estimates])
    print(
        "frequency Hz", np.round(frequency, 2), "+-", round(float(np.mean([e.frequency_sd_hz for e in estimates])), 2)
    )
    print("phase deg", np.round(phase, 1), "+-", round(float(np.mean([e.phase_sd_deg for e in estimates])), 1))
    print("weights", np.round([e.weight for e in estimates], 2))
    water_only = open_scan(SHARED_DATA / "real" / "siemens_7t_steam_32ch_water" / "water_reference.nii.gz")
    frame = next(iter(water_only.shots()))
    head = water_only.header
    many = ScanChain(head.n_coils, head.n_points, head.dwell_time_s, head.spectrometer_frequency_mhz)
    many.add_water_reference(frame.data)
    # Water has not died away in the tail: noise from what of the spectrum lies outside -0.5 to 5.6 ppm.
    band = noise_band(head.n_points, head.dwell_time_s, head.spectrometer_frequency_mhz)
    quiet = noise_samples(frame.data, band)

    def water_snr(weights: np.ndarray) -> float:
        noise = np.sqrt(np.mean(np.abs(np.conj(weights) @ quiet) ** 2) / 2)
        return float(np.abs(np.conj(weights) @ frame.data[:, 2]) / noise)

    units = np.eye(head.n_coils)
    pattern = frame.data[:, 2]
    more = [
        ["GLS, whitened", water_snr(many.coil_weights)],
        ["weights = sensitivity", water_snr(pattern)],
        ["sum in phase", water_snr(pattern / np.abs(pattern))],
        ["plain sum", water_snr(np.ones(head.n_coils))],
        ["best single coil", max(water_snr(u) for u in units)],
    ]
    print("\nReal 7 T water, 32 coils: first point / noise; water FWHM", round(many.water.fwhm_hz, 2), "Hz")
    print(table(["", "S/N"], more))
    return [{"name": str(n), "snr": float(s)} for n, s in rows + more]


PARTS = {
    "coils": coils,
    "alignment": alignment,
    "mega": mega,
    "order": order,
    "water": water,
    "time": times,
    "real": real,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--fast", action="store_true")
    options = parser.parse_args()
    print(machine())
    result = {name: PARTS[name](options.fast) for name in options.parts or PARTS}
    write_json("chain_" + "_".join(options.parts) if options.parts else "chain", result)


if __name__ == "__main__":
    main()
