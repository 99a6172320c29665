"""Shots too weak to be aligned by themselves, for `chain.py`."""

from __future__ import annotations

import numpy as np
from chain_scans import draw
from common import table


def weak(fast: bool) -> list[dict[str, float | str]]:
    """Errors, told and true, of scans of weak shots; S/N that their average keeps."""
    rows = []
    for snr, jitter_hz, drift_hz in (
        (2.0, 0.3, 0.02), (2.0, 1.0, 0.1), (1.5, 0.3, 0.02), (1.5, 1.0, 0.1), (1.0, 0.3, 0.02), (0.75, 0.3, 0.02),
    ):  # fmt: skip
        found: dict[str, list[tuple[float, ...]]] = {"stream": [], "last pass": []}
        for seed in range(1 if fast else 8):
            scan = draw(26000 + seed, snr=snr, jitter_hz=jitter_hz, drift_hz=drift_hz, n_points=1024, dwell_time_s=5e-4)
            live, _ = scan.chain()
            signal = scan.clean[None]
            t = np.arange(signal.size) * scan.dwell_time_s
            naa = np.exp(-2j * np.pi * (4.65 - 2.01) * 123.25 * t - t / 0.2)
            for name, chain in (("stream", live), ("last pass", live.refined(scan.shots))):
                known = [e for e in chain.estimates if e.frequency_hz is not None]
                at = [e.shot_index for e in known]
                frequency = np.array([e.frequency_hz for e in known]) - scan.frequency_hz[at]
                frequency -= np.median(frequency)
                phase = np.exp(1j * (np.radians([e.phase_deg for e in known]) - scan.phase_rad[at]))
                phase = np.angle(phase / np.sum(phase))
                weights = np.array([e.weight for e in known])
                kept = sum(
                    w * signal * np.exp(-1j * (p + 2 * np.pi * f * t))
                    for w, f, p in zip(weights, frequency, phase, strict=True)
                ) / np.sum(weights)
                worth = np.sqrt(np.sum(weights) ** 2 / np.sum(weights**2) / len(scan.data))
                found[name].append(
                    (
                        np.mean(frequency**2),
                        np.mean([e.frequency_sd_hz**2 for e in known]),
                        np.mean(phase**2),
                        np.mean(np.radians([e.phase_sd_deg for e in known]) ** 2),
                        np.count_nonzero(np.abs(frequency) > 3.0) + len(scan.data) - len(known),
                        abs(np.sum(kept * naa)) / abs(np.sum(signal * naa)) * worth,
                    )
                )
        for name, scans in found.items():
            f2, told_f2, p2, told_p2, far, kept_snr = np.mean(scans, axis=0)
            rows.append(
                {
                    "NAA S/N": snr, "jitter Hz": jitter_hz, "drift Hz/shot": drift_hz, "": name,
                    "f rms Hz": float(np.sqrt(f2)), "/ told": float(np.sqrt(f2 / told_f2)),
                    "phase rms deg": float(np.degrees(np.sqrt(p2))), "phase / told": float(np.sqrt(p2 / told_p2)),
                    "far or lost, %": float(100 * far / len(scan.data)), "S/N kept": float(kept_snr),
                    "worst": float(min(s[-1] for s in scans)),
                }
            )  # fmt: skip
    print("\nWeak shots: 64 a scan, 10 degrees of phase jitter, water 2 x NAA; far: more than 3 Hz off, or not aligned")
    print(table(list(rows[0]), [list(row.values()) for row in rows]))
    return rows
