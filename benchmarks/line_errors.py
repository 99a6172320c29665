"""What the whole line measures on simulated scans: the constants of `scanner_agent/simulate/measured_errors.py`.

    .venv/bin/python benchmarks/line_errors.py [--sequence MEGA-PRESS] [--scans N] [--first-seed SEED]

Scans of tuning seeds (below 1,000,000) go through the whole line. Printed are the errors of single shots over those of
the table, the law of %SD in S/N and linewidth, S/N as planned over LCModel's, and by how much forecasts made on the way
miss the end, in logs: that is where `forecast_*` in the protocols comes from.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from common import machine, table
from judgement_runs import make_scan
from numpy.typing import ArrayLike

from scanner_agent.mrs.shots import ShotEstimate
from scanner_agent.pipeline import start_pipeline
from scanner_agent.records import EndStatus, Forecast, Interval, MetaboliteAmount, Quality, ScanEnd
from scanner_agent.simulate import measured_errors

SCENARIOS = ("still", "poor_shim", "low_snr", "still", "lipid", "water_suppression_loss", "no_dummy", "still")
CALM = ("still", "no_dummy")
FRACTIONS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)
BROKEN_FIT_QUALITY = 4.0
SIGNS = {
    "frequency_hz": "frequency_sd_hz",
    "phase_deg": "phase_sd_deg",
    "amplitude": "amplitude_sd",
    "broadening_hz": "broadening_sd_hz",
    "water": "residual_water_sd",
    "lipid": "lipid_sd",
}


@dataclass(frozen=True)
class Stage:
    """What the fit says after a part of the shots."""

    fraction: float
    quality: Quality
    percent_sd: Mapping[str, float]
    forecast: Forecast | None


@dataclass(frozen=True)
class Measured:
    """One scan as the line saw it."""

    scenario: str
    truth: Mapping[str, Any]
    n_shots: int
    on_the_way: Sequence[Stage]
    end: Stage
    shots: Sequence[ShotEstimate]


def measure(seed: int, sequence: str) -> Measured:
    """Simulate a scan and take it through the line."""
    scenario = SCENARIOS[seed % len(SCENARIOS)]
    arguments: dict[str, Any] = {"severity": float(np.random.default_rng([seed, 9]).random())}
    if sequence == "MEGA-PRESS":
        arguments["n_shots"] = 160 if seed % 2 else 320
    scan = make_scan(scenario, seed, sequence, 8 if seed % 2 else 32, 2048, **arguments)
    n = int(scan.header.n_shots_planned or 0)
    pipeline = start_pipeline(scan.header, scan.shots)
    wanted = {max(1, round(fraction * n)) - 1: fraction for fraction in FRACTIONS}
    stages = [
        Stage(wanted[made.shot_index], made.quality, _percent_sd(made.metabolites), made.forecast)
        for shot in scan.shots()
        for made in pipeline.add(shot)
        if made.shot_index in wanted
    ]
    shots = pipeline.chain.estimates
    report = pipeline.finish(ScanEnd(scan_id=scan.header.scan_id, status=EndStatus.COMPLETE, n_shots=n))
    end = Stage(1.0, report.quality, _percent_sd(report.metabolites), None)
    return Measured(scenario, scan.truth, n, stages, end, shots)


def _percent_sd(metabolites: Iterable[MetaboliteAmount]) -> dict[str, float]:
    return {m.name: m.percent_sd_lcmodel for m in metabolites if m.percent_sd_lcmodel is not None}


def _robust_sd(values: ArrayLike) -> float:
    """From the 90th percentile of the distances from the median: what a 90 % interval has to hold."""
    found = np.asarray(values, dtype=np.float64)
    return float(np.percentile(np.abs(found - np.median(found)), 90) / 1.645)


def shot_errors(scans: Sequence[Measured]) -> list[list[object]]:
    """Reported errors over the table's in still scans, and those of the frequency in truth: median and SD of scans."""
    rows: list[list[object]] = []
    of = {None: measured_errors.PRESS, "off": measured_errors.OFF, "on": measured_errors.ON}
    found: dict[tuple[str | None, str], list[float]] = defaultdict(list)
    for scan in (s for s in scans if s.scenario in CALM):
        width = scan.truth["quality"]["fwhm_hz"]
        for condition in {e.edit_condition for e in scan.shots}:
            shots = [e for e in scan.shots if e.edit_condition == condition and e.frequency_sd_hz is not None]
            snr = scan.truth["quality"]["snr_naa_planned"] / np.sqrt(scan.n_shots / (2 if condition else 1))
            for name, field in SIGNS.items():
                said = [value for e in shots if (value := getattr(e, field)) is not None]
                expected = measured_errors.at(getattr(of[condition], name), snr, width)
                found[condition, name].append(float(np.median(said)) / expected)
            off = [(e.frequency_hz or 0.0) - scan.truth["shots"]["frequency_hz"][e.shot_index] for e in shots]
            expected = measured_errors.at(of[condition].frequency_hz, snr, width)
            found[condition, "frequency, in truth"].append(_robust_sd(off) / expected)
    for (shots_of, name), ratios in sorted(found.items(), key=str):
        rows.append([shots_of or "all", name, float(np.median(ratios)), float(np.std(ratios))])
    return rows


def percent_sd_laws(scans: Sequence[Measured]) -> list[list[object]]:
    """log %SD at the end over log S/N and log linewidth: value at 1 and 6.3 Hz, both powers, scatter of scans; and the
    power of S/N within a scan."""
    rows: list[list[object]] = []
    sound = [s for s in scans if (s.end.quality.fit_quality or np.inf) < BROKEN_FIT_QUALITY]
    for name in sorted(set[str]().union(*(s.end.percent_sd for s in sound))):
        have = [s for s in sound if s.end.percent_sd.get(name, np.inf) < 100.0]
        if len(have) < max(4, 0.8 * len(sound)):
            continue
        design = np.array([_place(s.end.quality) for s in have])
        logs = np.log([s.end.percent_sd[name] for s in have])
        plane = np.linalg.lstsq(design, logs, rcond=None)[0]
        steps = [
            (_place(stage.quality)[1] - _place(s.end.quality)[1], stage.percent_sd[name] / s.end.percent_sd[name])
            for s in have
            for stage in s.on_the_way
            if stage.fraction > 0.1 and stage.quality.snr_lcmodel and name in stage.percent_sd
        ]
        x, y = np.array([(along, np.log(ratio)) for along, ratio in steps]).T
        law: list[object] = [float(np.exp(plane[0])), *map(float, plane[1:]), float(np.std(logs - design @ plane))]
        rows.append([name, len(have), *law, float(x @ y / (x @ x))])
    return rows


def _place(quality: Quality) -> tuple[float, float, float]:
    width = (quality.fwhm_hz or np.nan) / measured_errors.REFERENCE_WIDTH_HZ
    return 1.0, float(np.log(quality.snr_lcmodel or np.nan)), float(np.log(width))


def scales(scans: Sequence[Measured]) -> list[list[object]]:
    """S/N as planned over LCModel's against the linewidth; subtraction artefact times S/N."""
    calm = [s for s in scans if s.scenario in CALM and s.end.quality.snr_lcmodel]
    logs = np.log([s.truth["quality"]["snr_naa_planned"] / (s.end.quality.snr_lcmodel or np.nan) for s in calm])
    widths = np.log([s.truth["quality"]["fwhm_hz"] / measured_errors.REFERENCE_WIDTH_HZ for s in calm])
    power, level = np.polyfit(widths, logs, 1)
    rows: list[list[object]] = [["S/N planned over LCModel's at 6.3 Hz; power", float(np.exp(level)), float(power)]]
    of = [stage.quality for s in calm for stage in (*s.on_the_way, s.end)]
    artefacts = [q.subtraction_artefact * q.snr_lcmodel for q in of if q.subtraction_artefact and q.snr_lcmodel]
    if artefacts:
        rows.append(
            ["artefact x S/N: median; SD of log", float(np.median(artefacts)), float(np.std(np.log(artefacts)))]
        )
    return rows


def forecast_errors(scans: Sequence[Measured]) -> list[list[object]]:
    """log(end / forecast) by stage: median, SD, SD that the interval claims, part of the ends that it holds."""
    found: dict[tuple[float, str], list[tuple[float, float]]] = defaultdict(list)
    for scan in scans:
        for stage in scan.on_the_way:
            if stage.forecast is None:
                continue
            said: list[tuple[str, Interval | None, float | None]] = [
                ("S/N", stage.forecast.snr_lcmodel, scan.end.quality.snr_lcmodel),
                ("linewidth", stage.forecast.fwhm_hz, scan.end.quality.fwhm_hz),
            ]
            said += [(f"%SD {name}", x, scan.end.percent_sd.get(name)) for name, x in stage.forecast.percent_sd.items()]
            for name, interval, value in said:
                if interval is not None and value is not None:
                    claimed = float(np.log(interval.high / interval.low)) / 3.29
                    found[stage.fraction, name].append((float(np.log(value / interval.expected)), claimed))
    rows: list[list[object]] = []
    for (fraction, name), pairs in sorted(found.items()):
        miss, claimed = np.array(pairs).T
        held = float(np.mean(np.abs(miss) <= 1.645 * claimed))
        summary = [float(np.median(miss)), _robust_sd(miss), float(np.median(claimed)), held]
        rows.append([f"{fraction:.3g}", name, len(pairs), *summary])
    return rows


def main() -> None:
    """Run the scans, print the four tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequence", default="PRESS", choices=["PRESS", "MEGA-PRESS"])
    parser.add_argument("--scans", type=int, default=64)
    parser.add_argument("--first-seed", type=int, default=2000)
    given = parser.parse_args()
    print(f"{machine()}\n")
    scans = []
    for n in range(given.scans):
        scans.append(measure(given.first_seed + n, given.sequence))
        if (n + 1) % 8 == 0:
            print(f"  {n + 1} of {given.scans}", flush=True)
    for header, rows in (
        (["shots", "error over the table's", "median", "SD"], shot_errors(scans)),
        (["%SD", "scans", "at 1", "power of S/N", "of width", "SD", "within a scan"], percent_sd_laws(scans)),
        (["scale", "value", "and"], scales(scans)),
        (["after", "forecast of", "scans", "median miss", "its SD", "claimed", "held"], forecast_errors(scans)),
    ):
        print(f"\n{table(header, rows)}")


if __name__ == "__main__":
    main()
