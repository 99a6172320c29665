"""The signal chain on real scans, for `chain.py`."""

from __future__ import annotations

import numpy as np
from common import ROOT, SHARED_DATA, table

from scanner_agent.mrs.chain import ScanChain
from scanner_agent.mrs.noise import noise_band, noise_samples
from scanner_agent.mrs.water import without_water
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
        mean = np.fft.fft(np.mean(shots, axis=0))
        # Noise from the scatter of the shots about their mean, far off the signals: nothing that repeats counts as
        # noise. Of shots that are not aligned, so that the foot of the water line counts alike.
        quiet = (ppm > 10) & (ppm < 22)
        spectra = np.fft.fft(np.array([np.conj(weights) @ s for s in raw]) * eddy)
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
    philips = philips_dynamics()
    draw_real(h.dwell_time_s, h.spectrometer_frequency_mhz, chain, *philips)
    return [{"name": str(n), "snr": float(s)} for n, s in rows + more]


def philips_dynamics() -> tuple[float, float, ScanChain]:
    """Frequency track of the 16 real Philips dynamics, of 8 excitations each; water is ten times the largest line."""
    source = open_scan(SHARED_DATA / "real" / "philips_3t_press55_dynamics" / "dynamics.dcm")
    h = source.header
    chain = ScanChain(h.n_coils, h.n_points, h.dwell_time_s, h.spectrometer_frequency_mhz, phantom=True)
    chain = chain.refined(source.shots)
    estimates = [e for e in chain.estimates if e.frequency_hz is not None]
    print("\nReal Philips dynamics:", len(estimates), "of", len(chain.estimates), "frames aligned")
    for name in (
        "frequency_hz",
        "frequency_sd_hz",
        "phase_deg",
        "phase_sd_deg",
        "residual_water",
        "water_frequency_hz",
    ):
        print(name, np.round([getattr(e, name) for e in estimates], 2))
    if chain.water is not None:
        print(
            "water frames:",
            chain.water.n_shots,
            "FWHM",
            chain.water.fwhm_hz,
            "at Hz",
            round(chain.water.frequency_hz, 2),
        )
    return h.dwell_time_s, h.spectrometer_frequency_mhz, chain


def draw_real(
    dwell_7t_s: float, f0_7t: float, chain_7t: ScanChain, dwell_s: float, f0: float, chain: ScanChain
) -> None:
    """Tracks and average spectra of both scans to out/chain_real.png."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(13, 6), layout="constrained")
    rows = (
        ("7 T STEAM, 4 coils, 16 shots", dwell_7t_s, f0_7t, chain_7t),
        ("3 T Philips, 16 dynamics", dwell_s, f0, chain),
    )
    for (name, dt, mhz, scan), (track, phase, spectrum) in zip(rows, axes, strict=True):
        known = [e for e in scan.estimates if e.frequency_hz is not None]
        index = [e.shot_index + 1 for e in known]
        track.errorbar(index, [e.frequency_hz for e in known], [e.frequency_sd_hz for e in known], fmt=".-")
        phase.errorbar(index, [e.phase_deg for e in known], [e.phase_sd_deg for e in known], fmt=".-")
        for part, unit in ((track, "frequency, Hz"), (phase, "phase, degrees")):
            part.set(title=name, xlabel="shot", ylabel=unit)
        fid = scan.average().fids["main"]
        ppm = 4.65 - np.fft.fftshift(np.fft.fftfreq(fid.size, dt)) / mhz
        values = np.fft.fftshift(np.fft.fft(without_water(fid, dt, mhz)))
        shown = (ppm > 0) & (ppm < 4.4)
        # In the phase of the line at 2 ppm, over what lies on either side of it.
        at = int(np.argmax(np.abs(values) * (np.abs(ppm - 2.0) < 0.08)))
        flanks = (np.abs(np.abs(ppm - ppm[at]) - 0.12) < 0.02).nonzero()[0]
        line = values[at] - np.mean(values[flanks])
        spectrum.plot(ppm[shown], np.real(values[shown] * np.exp(-1j * np.angle(line))))
        spectrum.set(title="average, water removed", xlabel="ppm", xlim=(4.4, 0), yticks=[])
    path = ROOT / "out" / "chain_real.png"
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
