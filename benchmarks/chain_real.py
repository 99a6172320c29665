"""The signal chain on real scans, for `chain.py`."""

from __future__ import annotations

import numpy as np
from common import SHARED_DATA, table

from scanner_agent.mrs.chain import ScanChain
from scanner_agent.mrs.noise import noise_band, noise_samples
from scanner_agent.records import ShotKind
from scanner_agent.sources import open_scan


def real(_fast: bool) -> list[dict[str, float]]:
    """The real 7 T scan: S/N against plain averaging and no whitening."""
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
