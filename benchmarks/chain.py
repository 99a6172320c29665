"""How near the signal chain comes to the limit: `python benchmarks/chain.py [--fast] [PART …]`.

Parts: coils, alignment, outliers, weak, mega, order, water, first, time, real. Truth is drawn (basis set of the
package, coils and noise at random with any complex correlation); seeds are fixed per cell. Times are CPU times: set
OMP_NUM_THREADS=1 for them.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from chain_edited import mega, order
from chain_first import first
from chain_real import real
from chain_scans import AMOUNTS, F0, Drawn, draw, metabolites
from chain_weak import weak
from common import machine, table, write_json

from scanner_agent.mrs.align import align_band
from scanner_agent.mrs.chain import ScanChain
from scanner_agent.mrs.quality import half_height_width_hz
from scanner_agent.mrs.water import without_water


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


def bounds(signal: np.ndarray, scan: Drawn, nuisance: bool = False) -> dict[str, float]:
    """Cramer-Rao bounds of one shot whose signal is known: frequency (Hz), phase at the first point and where it is
    known best (rad); phase, frequency and amplitude free.

    `nuisance`: with what a chain must be blind to taken out, residual water (damped lines of 4.42-4.88 ppm) and
    everything outside 1.8-4.2 ppm (lipids, water's foot).
    """
    n, dt = signal.size, scan.dwell_time_s
    t = np.arange(n) * dt
    columns = np.array([2j * np.pi * t * signal, 1j * signal, signal])
    spectra = np.fft.fft(columns, axis=1) / np.sqrt(n)
    if nuisance:
        band = align_band(n, dt, F0, align_ppm=(1.8, 4.2))
        clean = np.array([band.without_nuisance(c) for c in columns])
        spectra = np.fft.fft(clean, axis=1)[:, band.bins] / np.sqrt(clean.shape[1])
    fisher = np.real(np.conj(spectra) @ spectra.T) / scan.noise_sd**2
    sds = np.sqrt(np.diag(np.linalg.inv(fisher)))
    return {"f": float(sds[0]), "p": float(sds[1]), "centre": float(1 / np.sqrt(fisher[1, 1]))}


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
    known, fair = bounds(signal, scan), bounds(signal, scan, nuisance=True)
    # Where in the FID the phase is known best: there its error does not depend on the frequency's.
    power = np.abs(signal) ** 2
    centre_s = float(np.sum(t * power) / np.sum(power))
    return {
        "sd_f": float(np.std(frequency)),
        "sd_p": float(np.std(phase)),
        "sd_centre": float(np.std(phase + 2 * np.pi * frequency * centre_s)),
        **{f"known_{k}": v for k, v in known.items()},
        **{f"fair_{k}": v for k, v in fair.items()},
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
        (snr, residual, lipid, 0.0, 5.0)
        for snr in (3.0, 5.0, 10.0)
        for residual, lipid in ((0.5, 0.0), (5.0, 0.0), (20.0, 3.0))
    ]
    cells += [(snr, 2.0, 0.0, 20.0, 5.0) for snr in (3.0, 5.0)] + [(3.0, 2.0, 0.0, 0.0, 12.0)]
    for cell, (snr, residual, lipid, spread, width) in enumerate(cells if not fast else cells[3:5]):
        per = []
        for seed in range(1 if fast else 6):
            scan = draw(
                11000 + 100 * cell + seed, snr=snr, residual=residual, lipid=lipid, spread_hz=spread, n_points=1024,
                dwell_time_s=5e-4, width_hz=width,
            )  # fmt: skip
            per.append(errors(scan, scan.chain()[0].refined(scan.shots)))
        mean = {k: float(np.mean([p[k] for p in per])) for k in per[0]}
        rms = {k: float(np.sqrt(np.mean([p[k] ** 2 for p in per]))) for k in ("sd_f", "sd_p", "sd_centre")}
        row = {
            "snr": snr, "water": residual, "lipid": lipid, "spread": spread, "width": width,
            "f_hz": rms["sd_f"], "f/rule": rms["sd_f"] * snr / 1.3, "f/known": rms["sd_f"] / mean["known_f"],
            "f/fair": rms["sd_f"] / mean["fair_f"], "f/se": rms["sd_f"] / mean["se_f"],
            "p_deg": np.degrees(rms["sd_p"]), "p/rule": np.degrees(rms["sd_p"]) * snr / 17.0,
            "p/known": rms["sd_p"] / mean["known_p"], "p/fair": rms["sd_p"] / mean["fair_p"],
            "centre/fair": rms["sd_centre"] / mean["fair_centre"], "p/se": rms["sd_p"] / mean["se_p"],
            "beyond 3 Hz": sum(p["outliers"] for p in per), "shots": sum(p["shots"] for p in per),
            "snr_kept": mean["snr_kept"], "wider_hz": mean["wider_hz"], "left_out": sum(p["left_out"] for p in per),
        }  # fmt: skip
        result.append(row)
        rows.append(list(row.values()))
    print(
        "\nAlignment, final pass. f frequency, p phase at the first point, centre: where it is known best; over: rule"
        " 1.3 Hz / S/N and 17 deg / S/N; known: bound with the signal known, nothing else there; fair: blind to water,"
        " and to what lies outside 1.8-4.2 ppm; se: as reported"
    )
    print(table(list(result[0]), rows))
    return result


def outliers(fast: bool) -> list[dict[str, float]]:
    """Shots far off in 10,000 at the lowest S/N, with shifts of up to 20 Hz from shot to shot."""
    beyond = shots = 0
    worst = 0.0
    for seed in range(1 if fast else 20):
        scan = draw(
            21000 + seed, snr=3.0, residual=(0.5, 2.0, 10.0)[seed % 3], spread_hz=20.0, drift_hz=0.01, n_points=1024,
            dwell_time_s=5e-4, n_shots=64 if fast else 500,
        )  # fmt: skip
        estimates = scan.chain()[0].refined(scan.shots).estimates
        error = np.array([e.frequency_hz for e in estimates]) - scan.frequency_hz
        error = np.abs(error - np.median(error))
        beyond, shots, worst = beyond + int(np.sum(error > 3.0)), shots + error.size, max(worst, float(error.max()))
    print(f"\nOutliers: {beyond} of {shots} shots at S/N 3 are more than 3 Hz off, the worst {worst:.2f} Hz")
    return [{"shots": shots, "beyond": beyond, "worst_hz": worst}]


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


PARTS = {
    "coils": coils,
    "alignment": alignment,
    "outliers": outliers,
    "weak": weak,
    "mega": mega,
    "order": order,
    "water": water,
    "first": first,
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
