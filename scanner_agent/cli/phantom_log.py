"""What `scanner-agent phantom log` does: a file through the pipeline, its numbers to a phantom run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scanner_agent.config import load_config
from scanner_agent.errors import SpoolError
from scanner_agent.fit.quality import term_rows
from scanner_agent.mrs.eddy import eddy_phase
from scanner_agent.mrs.quality import half_height_width_hz
from scanner_agent.phantom.definition import Phantom, guess_phantom
from scanner_agent.phantom.measure import Signals, measure
from scanner_agent.phantom.series import PhantomLog, Run, SeriesKey, new_id
from scanner_agent.phantom.signal import (
    ChannelNoise,
    CorrectionEffects,
    channel_noise,
    line_frequency_hz,
    line_snr,
    residual_water,
    water_shape,
)
from scanner_agent.records import ScanHeader, ScanReport, Shot, ShotKind
from scanner_agent.scan_protocol import ScanProtocol, load_protocols, match_protocol

if TYPE_CHECKING:
    from scanner_agent.pipeline import ScanPipeline

_DRAWS = 24


def signals_of(
    pipeline: ScanPipeline,
    report: ScanReport,
    shots: Callable[[], Iterable[Shot]],
    phantom: Phantom | None = None,
    water_centre_mhz: float | None = None,
) -> Signals:
    """What the signals of a finished pipeline say; `water_centre_mhz`: of the water file, if it is one apart."""
    chain, average = pipeline.chain, pipeline.average
    header, water = report.scan, chain.water
    dwell, f0 = header.dwell_time_s, header.spectrometer_frequency_mhz
    main = None if average is None else average.fids.get("main")
    # Seen from the metabolites' centre frequency, water measured at a lower one lies at a higher stored frequency.
    moved_hz = 0.0 if water_centre_mhz is None else 1e6 * (f0 - water_centre_mhz)
    late = [e.late_energy for e in chain.estimates if e.late_energy is not None]
    known = phantom or guess_phantom({amount.name for amount in report.metabolites})
    snr = suppression = distance = None
    if main is not None and average is not None:
        snr = line_snr(main, average.noise_sd["main"], dwell, f0)
        if water is not None:
            # The average went through the same correction as the corrected water.
            suppression = residual_water(main, water.corrected_fid, dwell, f0)
            # Correction by the water's phase has put water on 0 Hz, and the lines with it.
            water_hz = moved_hz + (0.0 if water.corrected_fid is not water.fid else water.frequency_hz)
            distance = line_frequency_hz(main, dwell, f0, known.line_ppm, report.quality.fwhm_hz or 2.0) - water_hz
    return Signals(
        line_from_water_hz=distance,
        noise_relative_sd=chain.coil_report.noise_relative_sd,
        by_correction=_by_correction(pipeline, report, known.line_ppm),
        correlations=_correlations(pipeline, known.reference),
        water_amplitude=None if water is None else water.amplitude,
        water_snr=None if water is None else water.snr,
        water_shape=None if water is None else water_shape(water.corrected_fid, dwell),
        residual_water=suppression,
        snr_reference=snr,
        late_energy=float(np.mean(late)) if late else None,
        noise=_noise(header, shots),
    )


def _by_correction(pipeline: ScanPipeline, report: ScanReport, near_ppm: float) -> CorrectionEffects:
    """The eddy-current correction drawn again with more noise on the water, and everything measured after it."""
    water, average, header = pipeline.chain.water, pipeline.average, report.scan
    if water is None or average is None or "main" not in average.fids or not np.isfinite(water.snr):
        return CorrectionEffects()
    if water.corrected_fid is water.fid or water.fid.size != average.fids["main"].size:
        return CorrectionEffects()
    dwell, f0, fwhm_hz = header.dwell_time_s, header.spectrometer_frequency_mhz, report.quality.fwhm_hz
    noise_sd = float(np.abs(water.fid[0]) / water.snr)
    rng = np.random.default_rng(_DRAWS)  # always the same draws: a run measured twice gives the same numbers
    amounts: list[dict[str, float]] = []
    snr, frequency, width, share, residual = [], [], [], [], []
    for real, imaginary in noise_sd * rng.standard_normal((_DRAWS, 2, water.fid.size)):
        noisy = water.fid + real + 1j * imaginary
        phase = eddy_phase(noisy, dwell, noise_sd)
        corrected = noisy * np.exp(-1j * phase)
        fid = average.fids["main"] * np.exp(-1j * (phase - water.phase_rad))
        width.append(half_height_width_hz(corrected, dwell) or np.nan)
        shape = water_shape(corrected, dwell)
        share.append(np.nan if shape is None else shape.lorentz_share)
        own_noise = average.noise_sd["main"] * (rng.standard_normal(fid.size) + 1j * rng.standard_normal(fid.size))
        residual.append(residual_water(fid + own_noise, corrected, dwell, f0))
        snr.append(line_snr(fid, average.noise_sd["main"], dwell, f0))
        frequency.append(line_frequency_hz(fid, dwell, f0, near_ppm, fwhm_hz or 2.0))
        fit = pipeline.refit(replace(average, fids={"main": fid})).get("main")
        amounts.append({} if fit is None else fit.amounts)
    shares = {}
    for name in amounts[0]:
        drawn = np.array([found.get(name, np.nan) for found in amounts])
        if np.isfinite(drawn).all() and drawn.min() > 0.0:
            shares[name] = float(np.std(drawn, ddof=1) / np.mean(drawn))
    sds = [float(np.std(drawn, ddof=1)) for drawn in (snr, frequency, width, share, residual)]
    return CorrectionEffects(shares, *sds)


def _correlations(pipeline: ScanPipeline, reference: str) -> dict[str, float]:
    """Correlation of every amount's error with that of the reference, by the fit's covariance."""
    fit = pipeline.fits.get("main")
    if fit is None:
        return {}
    rows = term_rows(fit.names, fit.edited)
    if reference not in rows or fit.crlb_sd.get(reference, 0.0) <= 0.0:
        return {}
    return {
        name: float(row @ fit.covariance @ rows[reference]) / (fit.crlb_sd[name] * fit.crlb_sd[reference])
        for name, row in rows.items()
        if fit.crlb_sd.get(name, 0.0) > 0.0
    }


def _noise(header: ScanHeader, shots: Callable[[], Iterable[Shot]]) -> ChannelNoise | None:
    if header.n_coils < 2:
        return None
    samples = [shot.data for shot in shots() if shot.shot_kind is ShotKind.NOISE]
    return channel_noise(np.concatenate(samples, axis=1)) if samples else None


def run_of(
    report: ScanReport,
    signals: Signals | None,
    *,
    phantom: Phantom | None,
    scanner: str | None,
    coil: str | None,
    measured_at: float | None,
    in_store: bool,
    note: str = "",
) -> Run:
    """The phantom run of a report."""
    header = report.scan
    known = phantom or guess_phantom({amount.name for amount in report.metabolites})
    now = time.time()
    return Run(
        run_id=new_id(),
        series=SeriesKey(
            scanner or header.scanner or "unknown",
            coil or header.coil_name or "unknown",
            known.name,
            report.provenance.protocol,
        ),
        measured_at=measured_at or header.started_at or now,
        logged_at=now,
        values=measure(report, known, signals),
        settings=_settings(header, signals),
        scan_id=header.scan_id if in_store else None,
        note=note,
    )


def _settings(header: ScanHeader, signals: Signals | None) -> dict[str, str | float | None]:
    place, size = header.voxel_position_mm, header.voxel_size_mm
    noise = None if signals is None else signals.noise
    return {
        "transmit_reference": header.transmit_reference,
        "receiver_gain": header.receiver_gain,
        "software_version": header.software_version,
        "coil_name": header.coil_name,
        "shim_linewidth_hz": header.shim_linewidth_hz,
        "voxel_position_mm": None if place is None else " ".join(f"{v:.1f}" for v in place),
        "voxel_size_mm": None if size is None else " ".join(f"{v:.1f}" for v in size),
        "noise_sd_per_channel": None if noise is None else " ".join(f"{v:.4g}" for v in noise.sd),
        "scan_id": header.scan_id,
    }


def measure_file(
    file: Path,
    *,
    water: Path | None,
    noise: Path | None,
    protocol: str | None,
    basis: str | None,
    phantom: Phantom | None,
    scanner: str | None,
    coil: str | None,
    measured_at: float | None,
    note: str,
) -> Run:
    """Process one file as a phantom scan. Raises SourceError and ConfigError, one line each."""
    from scanner_agent.offline import process_file
    from scanner_agent.sources import open_scan

    processed = process_file(
        file, water=water, noise=noise, protocol=protocol, basis=basis, phantom=True, progress=_Silent()
    )
    return run_of(
        processed.report,
        signals_of(
            processed.pipeline,
            processed.report,
            processed.source.shots,
            phantom,
            None if water is None else open_scan(water, phantom=True).header.spectrometer_frequency_mhz,
        ),
        phantom=phantom,
        scanner=scanner,
        coil=coil,
        measured_at=measured_at,
        in_store=False,
        note=note,
    )


def spooled_signals(spool: Path, report: ScanReport, own: Sequence[ScanProtocol]) -> Signals | None:
    """Signals of a scan that the daemon took, from its shots in the spool; None if they are no longer there.

    The report is a function of header and shots: the pipeline that runs again here has the daemon's very numbers.
    """
    from scanner_agent.pipeline import start_pipeline
    from scanner_agent.spool import SpoolReader

    try:
        reader = SpoolReader(spool, report.scan.scan_id)
    except SpoolError:
        return None
    try:
        header = reader.next()
        while reader.next() is not None:
            pass
        if not isinstance(header, ScanHeader):
            return None
        pipeline = start_pipeline(header, reader.replay, protocol=match_protocol(header, own))
        for shot in reader.replay():
            pipeline.add(shot)
        return signals_of(pipeline, pipeline.finish(report.end), reader.replay)
    finally:
        reader.close()


def live_runs(
    log: PhantomLog,
    config: Path | None,
    *,
    phantom: Phantom | None,
    scanner: str | None,
    coil: str | None,
    note: str,
) -> list[Run]:
    """Runs of the phantom scans that the daemon finished and that are not logged yet. Raises ConfigError."""
    settings = load_config(config)
    own = load_protocols(settings.protocol_directories)
    runs = []
    for scan_id in log.phantom_scans_not_logged():
        report = log.store.report(scan_id)
        if report is None:
            continue
        signals = spooled_signals(settings.state / "spool", report, own)
        run = run_of(
            report, signals, phantom=phantom, scanner=scanner, coil=coil, measured_at=None, in_store=True, note=note
        )
        runs.append(run)
    return runs


class _Silent:
    """A phantom scan takes seconds: no progress is shown."""

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def step(self, text: str, done: int, total: int | None) -> None:
        """Nothing is shown."""
