"""Phantom log: real dates, run lengths, false alarms, detection, causes, repeatability, speed.

python benchmarks/phantom.py [--fast] [PART …]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.common import ROOT, SHARED_DATA, table, write_json
from scanner_agent.phantom import rules
from scanner_agent.phantom.evaluate import Evaluation, evaluate, evaluate_all
from scanner_agent.phantom.monitor import watch
from scanner_agent.phantom.series import Run, SeriesKey
from scanner_agent.phantom.values import kind_of, sort_key
from tests.support.phantom_runs import KEY, make_runs

DATES = ("2016-11-11", "2017-09-04", "2018-07-06", "2018-08-20", "2018-11-19")


def run_lengths(fast: bool) -> list[list[object]]:
    """In-control run length of each classical rule, mean and SD known."""
    n, length = (1500, 2600) if fast else (6000, 2600)
    z = np.random.default_rng(101).standard_normal((n, length))
    rows: list[list[object]] = []
    for name, rule in rules.RULES.items():
        broken = rule(z)
        seen = broken.any(axis=1)
        first = np.where(seen, broken.argmax(axis=1) + 1, length)
        estimate, nominal = float(first.sum() / seen.sum()), rules.NOMINAL_RUN_LENGTH[name]
        rows.append([name, nominal, estimate, f"{100 * (estimate / nominal - 1):+.1f} %"])
    print(table(["rule", "nominal", "found", "off by"], rows))
    return rows


def _groups(n_series: int, n: int, seed: int, **change: Any) -> dict[SeriesKey, list[Run]]:
    keys = [SeriesKey(f"scanner {i}", KEY.coil, KEY.phantom, KEY.protocol) for i in range(n_series)]
    return {key: make_runs(n, seed * 10_000 + i, key=key, **change) for i, key in enumerate(keys)}


def _false_alarms(evaluations: list[Evaluation], first: int, last: int) -> tuple[int, float]:
    count = sum(first <= alarm.raised < last for e in evaluations for alarm in e.alarms)
    return count, count / len(evaluations) / (last - first) * 52.0


def false_alarms(fast: bool) -> list[list[object]]:
    """Alarms of the whole rule set over all values, per series and year of weekly runs, nothing being wrong."""
    n = 60 if fast else 300
    evaluations = evaluate_all(_groups(n, 176, 1), {})
    rows: list[list[object]] = []
    for first, last in ((0, 20), (20, 72), (72, 124), (124, 176)):
        count, rate = _false_alarms(evaluations, first, last)
        half = 1.96 * np.sqrt(max(count, 1)) / n / (last - first) * 52.0
        rows.append([f"runs {first + 1}-{last}", count, rate, f"± {half:.2f}"])
    print(table(["when", "alarms", "per series and year", "95 %"], rows))
    return rows


def detection(fast: bool) -> list[list[object]]:
    """Runs to the alarm, and to the first classical mark, after a change of one value."""
    charts = 1000 if fast else 4000
    rows: list[list[object]] = []
    for before in (20, 52, 104):
        for number, (name, step, slope) in enumerate(
            (
                ("1 SD", 1.0, 0.0),
                ("2 SD", 2.0, 0.0),
                ("2 % a month at CV 1 %", 0.0, 2.0 * 12 / 52),
            )
        ):
            x = np.random.default_rng([before, number]).standard_normal((before + 40, charts))
            after = np.arange(1, 41)[:, None]
            x[before:] += step + slope * after
            course = watch(x)
            # What was in (false) alarm already cannot be found: it is left out.
            calm = ~course.alarmed[before - 1]
            late_rules = course.new_rule[before:, calm] >= 0
            found = np.where(late_rules.any(axis=0), late_rules.argmax(axis=0) + 1, 99)
            z = np.nan_to_num(course.z)
            marked = np.zeros(z.T.shape, dtype=bool)
            for rule in ("shewhart_3s", "western_electric_2_of_3", "western_electric_4_of_5", "cusum", "ewma"):
                marked |= rules.RULES[rule](z.T)
            late = marked[:, before:]
            first_mark = np.where(late.any(axis=1), late.argmax(axis=1) + 1, 99)
            in_time = [float(np.mean(found <= within)) for within in (3, 8, 10)]
            rows.append([before, name, float(np.median(found)), *in_time, float(np.median(first_mark))])
    print(table(["baseline", "change", "median runs to alarm", "within 3", "8", "10", "median runs to a mark"], rows))
    return rows


CAUSES: Mapping[str, Callable[[float], dict[str, float]]] = {
    "shim": lambda a: {"water_fwhm_hz": a, "water_fwhm_fitted_hz": a, "fwhm_hz": 0.9 * a, "snr_reference": -0.75 * a},
    "coil": lambda a: {"snr_reference": -a / 2.5, "water_amplitude_per_ml": -a / 2.5},
    "gain": lambda a: {"water_amplitude_per_ml": a / 4, "noise_sd": a / 4},
    "temperature": lambda a: {"temperature_c": 5 * a, "water_amplitude_per_ml": -0.015 * a, "Ace/water": 0.015 * a},
    "frequency": lambda a: {"centre_frequency_hz": 60 * a},
    "suppression": lambda a: {"residual_water": 2 * a},
    "content": lambda a: {"Ace/water": -a / 10, "Lac/water": -a / 10},
}


def causes(fast: bool) -> list[list[object]]:
    """Named cause of the first alarm within 12 runs of a change of random size (0.25-0.75 in the table's units)."""
    n = 15 if fast else 60
    rows: list[list[object]] = []
    for number, (cause, pattern) in enumerate(CAUSES.items()):
        named: dict[str, int] = {}
        groups = {}
        for i in range(n):
            size = float(np.random.default_rng([number, i]).uniform(0.25, 0.75))
            key = SeriesKey(f"{cause} {i}", "c", "p", "q")
            groups[key] = make_runs(72, 500_000 + 1000 * number + i, key=key, change_at=60, change=pattern(size))
        for evaluation in evaluate_all(groups, {}):
            first = next((a.cause for a in evaluation.alarms if a.raised >= 60), "no alarm")
            named[first] = named.get(first, 0) + 1
        rows.append(
            [cause, named.get(cause, 0) / n, ", ".join(f"{k} {v}" for k, v in sorted(named.items()) if k != cause)]
        )
    print(table(["cause", "named right", "instead"], rows))
    print(f"all: {np.mean([row[1] for row in rows]):.3f}")
    return rows


def speed(fast: bool) -> list[list[object]]:
    """100,000 runs of 50 scanners: evaluation, chart page, one run more."""
    from scanner_agent.phantom.chart_html import page
    from scanner_agent.phantom.series import PhantomLog

    n = 200 if fast else 2000
    template = make_runs(n, 9)
    rng = np.random.default_rng(3)
    groups = {}
    for i in range(50):
        key = SeriesKey(f"scanner {i}", KEY.coil, KEY.phantom, KEY.protocol)
        order = rng.permutation(n)
        groups[key] = [
            Run(run_id=f"{i}-{j}", series=key, measured_at=run.measured_at, logged_at=0.0, values=template[k].values)
            for j, (run, k) in enumerate(zip(template, order, strict=True))
        ]
    rows: list[list[object]] = []

    def timed(what: str, work: Callable[[], Any]) -> Any:
        # Beside the clock the processor's time: on a busy machine the clock tells of the others' work.
        wall, cpu = time.perf_counter(), time.process_time()
        made = work()
        rows.append([what, time.perf_counter() - wall, time.process_time() - cpu])
        return made

    first = next(iter(groups))
    evaluate(first, groups[first][:30], [])  # kernels compiled
    evaluations = timed(f"rules, {50 * n} runs of 50 series", lambda: evaluate_all(groups, {}))
    timed(f"chart page of one scanner, {n} runs", lambda: page(evaluations[:1]))
    whole = timed(f"chart page of all 50, {50 * n} runs", lambda: page(evaluations))
    rows.append(["  its size, MB", len(whole) / 1e6, ""])
    with tempfile.TemporaryDirectory() as folder:
        log = PhantomLog(f"sqlite:///{folder}/p.sqlite")
        log.add(run for runs in groups.values() for run in runs)
        timed("all read from SQLite", log.runs)
        last = groups[first][-1]
        more = msgspec.structs.replace(last, run_id="one more", measured_at=last.measured_at + 604_800.0)

        def update() -> None:
            log.add([more])
            evaluate(first, log.runs(first), log.events(first))

        timed(f"one run more: written, series of {n} read and evaluated", update)
        log.close()
    print(table(["what", "clock (s)", "processor (s)"], rows))
    return rows


def _measured(scans: list[tuple[Path | None, Path | None, Any]]) -> list[Run]:
    from scanner_agent.cli.phantom_log import measure_file

    return [
        measure_file(
            file,
            water=water,
            noise=None,
            protocol=None,
            basis=None,
            phantom=None,
            scanner="Biograph mMR",
            coil="head",
            measured_at=None,
            note="",
        )
        for file, water, _ in scans
        if file is not None
    ]


def real(_fast: bool) -> list[list[object]]:
    """The five real dates."""
    folder = SHARED_DATA / "real" / "siemens_3t_phantom"
    scans: list[tuple[Path | None, Path | None, Any]] = []
    for date in DATES:
        water = folder / f"{date}_water.dcm"
        scans.append((folder / f"{date}_metabolite.dcm", water if water.exists() else None, None))
    runs = _measured(scans)
    names = sorted(runs[0].values, key=sort_key)
    rows: list[list[object]] = []
    for name in names:
        cells: list[object] = []
        for run in runs:
            v = run.values[name]
            sd = "" if v.sd is None else f" ± {v.sd:.2g}"
            form = ".0f" if kind_of(name).scale == "step" else ".4g"
            cells.append("–" if v.value is None else f"{v.value:{form}}{sd}")
        rows.append([name, *cells])
    print(table(["value", *DATES], rows))
    return rows


def repeatability(fast: bool) -> list[list[object]]:
    """Simulated repeats of one phantom: scatter of each value beside its own standard error."""
    from scanner_agent.cli.phantom_log import run_of, signals_of
    from scanner_agent.pipeline import start_pipeline
    from scanner_agent.records import EndStatus, ScanEnd
    from scanner_agent.simulate import SimulatedScan, simulate_phantom
    from scanner_agent.simulate.scan import ShotMaker

    runs = []
    for seed in range(10 if fast else 100):
        # The scanner and its coils stay as they are from run to run: only the noise is new.
        fixed = simulate_phantom(seed=7, n_coils=4)
        maker = ShotMaker(f"repeat-{seed}", 40_000 + seed, 1.7e9, fixed.maker.parts)
        scan = SimulatedScan(msgspec.structs.replace(fixed.header, scan_id=f"repeat-{seed}"), fixed.truth, maker)
        pipeline = start_pipeline(scan.header, scan.shots)
        for shot in scan.shots():
            pipeline.add(shot)
        report = pipeline.finish(ScanEnd(scan_id=scan.header.scan_id, status=EndStatus.COMPLETE, n_shots=4))
        runs.append(
            run_of(
                report,
                signals_of(pipeline, report, scan.shots),
                phantom=None,
                scanner=None,
                coil=None,
                measured_at=None,
                in_store=False,
            )
        )
    rows: list[list[object]] = []
    for name in sorted(runs[0].values, key=sort_key):
        pairs = [(v.value, v.sd) for run in runs if (v := run.values[name]).value is not None]
        if len(pairs) < len(runs):
            rows.append([name, "–", "–", "–", runs[0].values[name].reason or ""])
            continue
        values = np.array([value for value, _ in pairs], dtype=float)
        own = None if any(sd is None for _, sd in pairs) else float(np.sqrt(np.mean([sd**2 for _, sd in pairs if sd])))
        scatter = float(np.std(values, ddof=1))
        ratio = "–" if not own else f"{scatter / own:.2f}"
        rows.append([name, float(np.mean(values)), scatter, "–" if own is None else own, ratio])
    print(table(["value", "mean", "SD of repeats", "own SE", "ratio"], rows))
    return rows


PARTS: Mapping[str, Callable[[bool], list[list[object]]]] = {
    "real": real,
    "run_lengths": run_lengths,
    "false_alarms": false_alarms,
    "detection": detection,
    "causes": causes,
    "repeatability": repeatability,
    "speed": speed,
}


def main() -> None:
    """Run the parts named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART")
    chosen = parser.parse_args()
    results = {}
    for name in chosen.parts or PARTS:
        print(f"\n== {name}")
        results[name] = PARTS[name](chosen.fast)
    print(write_json("phantom", results).relative_to(ROOT))


if __name__ == "__main__":
    main()
