"""GABA-edited difference spectra of benchmarks/fit.py: voxels of the project's simulator, with known truth.

`edited` adds noise to a voxel's difference without any shot (as if all shots were aligned by the truth), so that only
the fit is judged; `edited_scans` sends whole raw scans through the pipeline.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from common import table
from numpy.typing import NDArray

from scanner_agent.basis import load_basis
from scanner_agent.fit import FitResult, FitSettings, fit_spectrum, gaba_unit_area, gaussian_gaba, prepare
from scanner_agent.fit.macromolecules import edited_terms, gaussian_fid
from scanner_agent.mrs.axes import WATER_PPM
from scanner_agent.pipeline import start_pipeline
from scanner_agent.records import EndStatus, ScanEnd
from scanner_agent.simulate import simulate_scan
from scanner_agent.simulate.relaxation import Timing, macromolecule_weight, metabolite_weight
from scanner_agent.simulate.subjects import Subject, draw_subject
from scanner_agent.simulate.voxel import Sampling, draw_details, lineshape, voxel_signals

BASIS, TE_S, TR_S = "mega_te68_3t", 0.068, 2.0
GABA_SNRS = (3.0, 7.0, 15.0)
"""Height of GABA+ in the difference over the SD of the noise, spectrum of the whole FID."""
SAMPLING = Sampling(2048, 0.0005, 123.25)
TIMING = Timing(TE_S, TR_S, 123.25)


def edited_truth(amounts_mm: Any, macromolecules: Any) -> dict[str, float]:
    """Apparent GABA+, Glx and tCr at TE and TR of the scan, from the amounts that went in."""

    def total(*names: str) -> float:
        return sum(float(amounts_mm[n]) * metabolite_weight(n, TIMING) for n in names)

    co_edited = float(macromolecules["MM3co"]) * macromolecule_weight(TIMING, TE_S)
    return {"GABA+": total("GABA") + co_edited, "Glx": total("Glu", "Gln"), "tCr": total("Cr", "PCr")}


def draw_edited(gaba_snr: float, seed: int) -> tuple[NDArray[np.complex128], dict[str, float]]:
    """Difference FID (n_points,) of a random person's voxel, noise added, and its truth."""
    rng = np.random.default_rng([seed, int(10 * gaba_snr)])
    sets = load_basis(BASIS)
    grid = (SAMPLING.n_points, SAMPLING.dwell_time_s, SAMPLING.spectrometer_frequency_mhz)
    # Eddy currents are the chain's business.
    person = replace(draw_subject(rng, 0), eddy_hz=(0.0, 0.0))
    details = draw_details(rng, SAMPLING, person.fwhm_hz)
    played = {name: sets[name].resampled(*grid) for name in ("on", "off")}
    voxel = voxel_signals(person, played, SAMPLING, TIMING, details, person.fwhm_hz)
    fid = voxel.tissue["edit"] + voxel.tissue["saturation"]
    time = SAMPLING.times_s
    height = _gaba_height(person, time)
    noise = rng.standard_normal((2, time.size)) * height / (gaba_snr * np.sqrt(time.size))
    turn = np.exp(2j * np.pi * 1.5 * rng.standard_normal() * time + 0.1j * rng.standard_normal())
    return fid * turn + noise[0] + 1j * noise[1], edited_truth(person.amounts_mm, person.macromolecules)


def _gaba_height(person: Subject, time: NDArray[np.float64]) -> float:
    """Highest point of GABA and MM3co at 3.0 ppm, the person's own line."""
    f0 = SAMPLING.spectrometer_frequency_mhz
    gaba = load_basis(BASIS)["difference"].resampled(SAMPLING.n_points, SAMPLING.dwell_time_s, f0).fid("GABA")
    co_edited = next(t for t in edited_terms(f0) if t.name == "MM3co")
    fid = person.amounts_mm["GABA"] * metabolite_weight("GABA", TIMING) * gaba
    fid = fid + person.macromolecules["MM3co"] * gaussian_fid(co_edited, time, f0)
    fid = fid * lineshape(person, SAMPLING, person.fwhm_hz)
    fid[0] *= 0.5
    ppm = WATER_PPM - np.fft.fftfreq(time.size, SAMPLING.dwell_time_s) / f0
    return float(np.max(np.fft.fft(fid).real[(ppm > 2.9) & (ppm < 3.15)]))


def edited(n: int) -> dict[str, Any]:
    """GABA+ and Glx of differences that truth has aligned, with the Gaussian model beside."""
    basis = load_basis(BASIS)["difference"]
    grid = {
        "dwell_time_s": SAMPLING.dwell_time_s,
        "spectrometer_frequency_mhz": SAMPLING.spectrometer_frequency_mhz,
    }
    prep = prepare(
        basis, SAMPLING.dwell_time_s, SAMPLING.n_points, SAMPLING.spectrometer_frequency_mhz, FitSettings(edited=True)
    )
    unit = gaba_unit_area(basis)
    lines: list[list[object]] = []
    for snr in GABA_SNRS:
        found = []
        flagged = 0
        for k in range(n):
            fid, truth = draw_edited(snr, 80_000 + k)
            r = fit_spectrum(fid, prep, **grid)
            flagged += bool(r.flags)
            found.append(_errors(r, truth, gaussian_gaba(r, unit)))
        lines.append([snr, *_summary(np.array(found)), flagged])
    head = ["GABA+ S/N", "bias%", "RMS%", "SD%", "Glx bias%", "RMS%", "SD%", "Gauss bias%", "RMS%", "flagged"]
    print(f"\nMEGA difference spectra of simulated voxels, aligned by the truth, {n} draws each (bias: median)")
    print(table(head, lines))
    return {str(line[0]): line[1:] for line in lines}


def _errors(r: FitResult, truth: dict[str, float], gauss: Any) -> tuple[float, ...]:
    by_gauss = np.nan if gauss is None or gauss.amount is None else gauss.amount / truth["GABA+"] - 1
    gaba, glx = (r.amounts[m] / truth[m] - 1 for m in ("GABA+", "Glx"))
    return gaba, glx, r.crlb_sd["GABA+"] / truth["GABA+"], r.crlb_sd["Glx"] / truth["Glx"], by_gauss


def _summary(found: NDArray[np.float64]) -> list[float]:
    a = 100 * found
    rms, middle = np.sqrt(np.nanmean(a**2, axis=0)), np.nanmedian(a, axis=0)
    chosen = (middle[0], rms[0], rms[2], middle[1], rms[1], rms[3], middle[4], rms[4])
    return [round(float(v), 1) for v in chosen]


def edited_scans(n: int) -> dict[str, Any]:
    """GABA+ and Glx over tCr of OFF from raw scans (8 coils, 320 shots) through the whole chain."""
    ratios = []
    for k in range(n):
        scan = simulate_scan("still", seed=81_000 + k, sequence="MEGA-PRESS", n_coils=8, echo_time_s=TE_S)
        pipeline = start_pipeline(scan.header, scan.shots)
        for shot in scan.shots():
            pipeline.add(shot)
        n_shots = scan.header.n_shots_planned or 0
        report = pipeline.finish(ScanEnd(scan_id=scan.header.scan_id, status=EndStatus.COMPLETE, n_shots=n_shots))
        found = {(m.spectrum, m.name): m.amplitude for m in report.metabolites}
        truth = edited_truth(scan.truth["subject"]["amounts_mm"], scan.truth["subject"]["macromolecules"])
        tcr = found["off", "tCr"]
        ratios.append([found["difference", m] / tcr / (truth[m] / truth["tCr"]) - 1 for m in ("GABA+", "Glx")])
    a = 100 * np.array(ratios)
    lines: list[list[object]] = [
        [m, round(float(np.median(a[:, i])), 1), round(float(np.sqrt(np.mean(a[:, i] ** 2))), 1)]
        for i, m in enumerate(("GABA+/tCr", "Glx/tCr"))
    ]
    print(f"\nMEGA scans through the chain, {n} scans of 320 shots")
    print(table(["", "bias%", "RMS%"], lines))
    return {str(line[0]): line[1:] for line in lines}
