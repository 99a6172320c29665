"""Edited scans for `chain.py`: the difference spectrum, and the order of ON and OFF."""

from __future__ import annotations

import numpy as np
from chain_scans import F0, Drawn, draw, resampled
from common import table

from scanner_agent.mrs.shots import Average, ShotEstimate

_FIT_PPM = (2.7, 4.1)
_EDITED = ("GABA", "Glu", "Gln", "NAA", "NAAG", "GSH", "Asp")


def gaba_plus(difference: np.ndarray, dwell_time_s: float, width_hz: float) -> float:
    """GABA+ at 3 ppm (protons x amount) of a difference FID, by linear combination at the known width.

    Complex spectrum of 2.7-4.1 ppm, real amounts of what editing changes, the macromolecule of 3.0 ppm, a complex cubic
    baseline. A plain area would not do: the imaginary part of NAA's tail is larger than all of GABA+.
    """
    n = difference.size
    t = np.arange(n) * dwell_time_s
    ppm = 4.65 - np.fft.fftfreq(n, dwell_time_s) / F0
    inside = (ppm > _FIT_PPM[0]) & (ppm < _FIT_PPM[1])
    sets = resampled("MEGA", n, dwell_time_s)
    (names, on), (_, off) = sets["on"], sets["off"]
    decay = np.exp(-np.pi * width_hz * t)
    fids = [(on[names.index(m)] - off[names.index(m)]) * decay for m in _EDITED]
    fids.append(np.exp((2j * np.pi * (4.65 - 3.0) * F0 - np.pi * 14.0) * t) * decay)
    x = (ppm[inside] - 3.4) / 0.7
    baseline = [x**k * unit for k in range(4) for unit in (1.0 + 0j, 1j)]
    columns = np.array([np.fft.fft(f)[inside] for f in fids] + baseline).T
    design = np.concatenate([columns.real, columns.imag])
    data = np.fft.fft(difference)[inside]
    lengths = np.linalg.norm(design, axis=0)
    amounts = np.linalg.lstsq(design / lengths, np.concatenate([data.real, data.imag]), rcond=None)[0] / lengths
    return float(2 * amounts[0] + amounts[len(_EDITED)])


def through(
    scan: Drawn, clean: dict[str | None, np.ndarray], estimates: tuple[ShotEstimate, ...], average: Average, link: tuple
) -> dict[str, np.ndarray]:
    """ON and OFF of a scan without noise, sent through the corrections and weights that noise had its part in."""
    t = np.arange(scan.data.shape[2]) * scan.dwell_time_s
    sums: dict[str, np.ndarray] = {}
    totals: dict[str, float] = {}
    for e in estimates:
        frequency = scan.frequency_hz[e.shot_index] - e.frequency_hz
        phase = scan.phase_rad[e.shot_index] - np.radians(e.phase_deg)
        if e.edit_condition == "on":
            # Estimates tell ON in OFF's frame by the link of the references; the average is linked anew.
            frequency += link[0] - average.link_frequency_hz
            phase += link[1] - np.radians(average.link_phase_deg)
        weight = average.weights[e.shot_index]
        turned = clean[e.edit_condition] * np.exp(1j * (phase + 2 * np.pi * frequency * t))
        sums[e.edit_condition] = sums.get(e.edit_condition, 0) + weight * turned
        totals[e.edit_condition] = totals.get(e.edit_condition, 0.0) + weight
    return {c: sums[c] / totals[c] for c in sums}


def mega(fast: bool) -> list[dict[str, float]]:
    """GABA+ and choline of the difference spectrum against the truth-aligned one."""
    rows, result = [], []
    width = 5.0
    cells = [(10.0, 48, 6.0)] if fast else [(0.0, 320, 6.0), (10.0, 320, 6.0), (10.0, 160, 6.0), (10.0, 320, 1e3)]
    for drift, n_shots, snr in cells:
        per = []
        for seed in range(1 if fast else 3 if snr > 100 else 8):
            scan = draw(
                2000 + seed, kind="MEGA", n_shots=n_shots, snr=snr, drift_hz=drift / n_shots, n_points=2048,
                dwell_time_s=5e-4, width_hz=width, pattern=("on", "off"),
            )  # fmt: skip
            last = scan.chain()[0].refined(scan.shots)
            average = last.average()
            got = through(scan, scan.clean, last.estimates, average, last.link or (0.0, 0.0))
            t = np.arange(scan.data.shape[2]) * scan.dwell_time_s
            ideal = scan.clean["on"] - scan.clean["off"]
            shift = float(np.median([e.frequency_hz for e in last.estimates] - scan.frequency_hz))
            turn = np.angle(np.vdot(scan.clean["off"], got["off"] * np.exp(2j * np.pi * shift * t)))
            frame = np.exp(1j * (2 * np.pi * shift * t - turn))
            difference = (got["on"] - got["off"]) * frame
            ppm = 4.65 - np.fft.fftfreq(t.size, scan.dwell_time_s) / F0
            spectra = [np.fft.fft(x) for x in (difference, ideal, scan.clean["off"])]
            cho = (ppm > 3.16) & (ppm < 3.29)
            truth = gaba_plus(ideal, scan.dwell_time_s, width)
            # What noise does to GABA+ of the same scan aligned with the truth: the fit is linear in it.
            rng = np.random.default_rng((seed, 7))
            sd = float(np.hypot(average.noise_sd["on"], average.noise_sd["off"]))
            noise = sd * (rng.normal(size=(20, t.size)) + 1j * rng.normal(size=(20, t.size)))
            by_noise = np.std([gaba_plus(x, scan.dwell_time_s, width) for x in noise]) / truth
            per.append(
                (
                    gaba_plus(difference, scan.dwell_time_s, width) / truth - 1,
                    np.ptp(np.abs(spectra[0] - spectra[1])[cho]) / np.abs(spectra[2][cho]).max(),
                    by_noise,
                    average.subtraction_artefact,
                )
            )
        gaba, choline, by_noise, artefact = np.array(per).T
        row = {
            "drift_hz": drift, "shots": n_shots, "snr": snr, "scans": len(per), "gaba_mean": gaba.mean(),
            "gaba_rms": np.sqrt(np.mean(gaba**2)), "gaba_worst": np.abs(gaba).max(), "gaba_by_noise": by_noise.mean(),
            "choline_mean": choline.mean(), "choline_worst": choline.max(), "told_artefact": artefact.mean(),
        }  # fmt: skip
        result.append({k: float(v) for k, v in row.items()})
        rows.append([drift, n_shots, snr, len(per), *(100 * float(v) for v in list(row.values())[4:])])
    print("\nMEGA difference against the truth-aligned one, %")
    print(
        table(
            ["drift Hz", "shots", "S/N", "scans", "GABA+ mean", "rms", "worst", "(by noise)", "residual tCho mean",
             "worst", "told artefact"],
            rows,
        )
    )  # fmt: skip
    return result


def order(fast: bool) -> list[dict[str, float]]:
    """Is the order of ON and OFF found without labels? And is nothing said where there is nothing to go by?"""
    rows, result = [], []
    patterns = {
        "on, off": ("on", "off"), "off, on": ("off", "on"),
        "1-1-0-0": ("on", "on", "off", "off"), "0-0-1-1": ("off", "off", "on", "on"),
        "blocked, on first": ("on",) * 8 + ("off",) * 8, "blocked, off first": ("off",) * 8 + ("on",) * 8,
        "water only": ("on", "off"),
    }  # fmt: skip
    for name in ("on, off", "blocked, on first", "water only") if fast else patterns:
        pattern = patterns[name]
        told = right = 0
        runs = 1 if fast else 167
        for seed in range(runs):
            rng = np.random.default_rng((seed, 3))
            scan = draw(
                30000 + seed, kind="MEGA", n_shots=16, snr=rng.uniform(3.0, 8.0), n_points=512, dwell_time_s=1e-3,
                width_hz=rng.uniform(3.0, 10.0), residual=rng.uniform(0.5, 10.0), pattern=pattern,
                water_only=name == "water only",
            )  # fmt: skip
            decided = [e.edit_condition for e in scan.chain(labelled=False)[0].estimates]
            told += decided[-1] is not None
            right += decided == scan.conditions
        rows.append([name, runs, told, right])
        print(name, runs, told, right, flush=True)
        result.append({"pattern": name, "runs": runs, "told": told, "right": right})
    print("\nOrder of ON and OFF from the data alone: 16 shots, NAA S/N 3-8 a shot, width 3-10 Hz, water 0.5-10 x NAA")
    print(table(["order", "scans", "decided", "right"], rows))
    return result
