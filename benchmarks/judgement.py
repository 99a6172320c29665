"""Does the judgement see what goes wrong, and leave good scans alone? (issue 5)

    .venv/bin/python benchmarks/judgement.py [--fast] [--signs N] [--line N] [--cohorts N] [--figures FOLDER]

With `--keep FOLDER` every finished scan and replay is kept there, and is not run again: a run may be split over several
calls (by sequence and part), broken off and taken up again, and its tables made at the end from what is kept.

Three parts: the whole line (`ScanPipeline` on raw shots) on a few scans of each scenario; the judgement alone on the
sign model, which the first part checks, on many; the two studies replayed as cohorts. Seeds from 9 000 000 on and
severities drawn uniformly: tuning used seeds below 1 000 000.
"""

from __future__ import annotations

import argparse
import pickle
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from common import machine, table, write_json
from judgement_figures import write_confusion, write_roc
from judgement_runs import Outcome, by_signs, make_scan, scenarios_of, whole_line
from judgement_score import Rate, all_rates, good_scans, motion_delays, rate

from scanner_agent.scan_protocol import match_protocol
from scanner_agent.simulate import draw_cohort

SHOWING_SEED = 9_000_000
FAST_SCENARIOS = ("still", "motion_step", "motion_burst", "displaced_before", "low_snr")
_PART = 20
"""Scans between two savings."""
Task = tuple[str, str, int, int, bool]
"""Scenario, sequence, number, channels, whole line."""


def run_one(task: Task) -> Outcome:
    """Simulate and judge one scan."""
    scenario, sequence, number, n_coils, line = task
    seed = SHOWING_SEED + (500_000 if line else 0) + number
    severity = float(np.random.default_rng([seed, 5]).random())
    # Only mild drift is nothing wrong.
    severity *= 0.3 if scenario == "drift" else 1.0
    arguments: dict[str, Any] = {"severity": severity}
    if sequence == "MEGA-PRESS":
        arguments["n_shots"] = 320
    scan = make_scan(scenario, seed, sequence, n_coils, 2048 if line else 1024, **arguments)
    return whole_line(scan, scenario, seed) if line else by_signs(scan, scenario, seed)


def tasks(sequence: str, n: int, line: bool, chosen: Sequence[str]) -> list[Task]:
    """Scans of every scenario, alternately of 8 and 32 channels."""
    return [
        (scenario, sequence, number, 8 if number % 2 else 32, line)
        for scenario in scenarios_of(sequence)
        if scenario in chosen
        for number in range(n)
    ]


def run_all(jobs: int, work: Sequence[Task], label: str, keep: Path | None) -> list[Outcome]:
    """All scans, in processes; what an earlier call kept is taken over, even if it is more."""
    begin = time.perf_counter()
    done: list[Outcome] = []
    for scenario in dict.fromkeys(task[0] for task in work):
        chosen = [task for task in work if task[0] == scenario]
        name = f"{label} {scenario}"
        found: list[Outcome] = _kept(keep, name)
        for first in range(len(found), len(chosen), _PART):
            found += _mapper(jobs)(run_one, chosen[first : first + _PART])
            _keep(keep, name, found)
        print(f"  {label}: {scenario}, {len(found)} in {time.perf_counter() - begin:.0f} s", flush=True)
        done += found
    return done


def _file(keep: Path, name: str) -> Path:
    return keep / f"{name.replace(' ', '_')}.pickle"


def _kept(keep: Path | None, name: str) -> list[Any]:
    """What earlier calls left."""
    if keep is None or not _file(keep, name).exists():
        return []
    found: list[Any] = pickle.loads(_file(keep, name).read_bytes())  # noqa: S301 (our own file)
    return found


def _keep(keep: Path | None, name: str, found: list[Any]) -> None:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        part = _file(keep, name).with_suffix(".part")
        part.write_bytes(pickle.dumps(found))
        part.replace(_file(keep, name))


def _mapper(jobs: int) -> Callable[..., Iterable[Any]]:
    if jobs == 1:
        return map
    pool = ProcessPoolExecutor(jobs)
    return lambda function, work: pool.map(function, work, chunksize=4)


def run_cohort(replay: int) -> dict[str, tuple[int, int]]:
    """One replay of both studies: (right, all) of each question."""
    counts: dict[str, tuple[int, int]] = {}

    def add(question: str, right: bool) -> None:
        k, n = counts.get(question, (0, 0))
        counts[question] = (k + right, n + 1)

    for study in (1, 2, "2b"):
        for member in draw_cohort(study, SHOWING_SEED + replay, frames=replay % 2 == 0):
            scan = member.simulate(n_points=1024)
            outcome = by_signs(scan, member.scenario, member.seed)
            if member.lost:
                half = (len(outcome.steps) + 1) // 2
                told = outcome.first_flag()
                add(f"study {study}: lost scan flagged by half-time", told is not None and told < half)
                add(f"study {study}: lost scan ends good", outcome.final.value == "good")
            else:
                add(f"study {study}: kept scan stopped", outcome.stopped)
                add(f"study {study}: kept scan flagged", outcome.flagged)
    return counts


def cohort_rates(jobs: int, n: int, keep: Path | None) -> list[Rate]:
    """Rates over all replays."""
    totals: dict[str, tuple[int, int]] = {}
    found = _kept(keep, "cohorts")
    for first in range(len(found), n, jobs):
        found += _mapper(jobs)(run_cohort, range(first, min(first + jobs, n)))
        _keep(keep, "cohorts", found)
    for counts in found:
        for question, (k, m) in counts.items():
            a, b = totals.get(question, (0, 0))
            totals[question] = (a + k, b + m)
    target = {"flagged by half-time": ">= 1.0", "stopped": "<= 0.0"}
    return [
        Rate(question, k, m, next((t for end, t in target.items() if question.endswith(end)), ""))
        for question, (k, m) in totals.items()
    ]


def roc(n: int) -> tuple[dict[str, list[tuple[float, float, float]]], dict[str, float]]:
    """ROC of movement against its threshold, of the levels against theirs, on the sign model (PRESS, 8 channels)."""
    cases = {
        "motion_step": ("motion_during_scan", "step_threshold", np.geomspace(10.0, 160.0, 7)),
        "lipid": ("lipid_contamination", "lipid_watch", np.geomspace(0.2, 5.0, 7)),
        "water_suppression_loss": ("water_suppression", "residual_water_watch", np.geomspace(1.0, 25.0, 7)),
    }
    curves: dict[str, list[tuple[float, float, float]]] = {}
    marks: dict[str, float] = {}
    for scenario, (kind, name, thresholds) in cases.items():
        points = []
        for threshold in thresholds:
            said: dict[str, list[bool]] = {"still": [], scenario: []}
            for which, answers in said.items():
                for number in range(n):
                    seed = SHOWING_SEED + 800_000 + number
                    scan = make_scan(which, seed, "PRESS", 8, 1024)
                    protocol = match_protocol(scan.header)
                    marks[scenario] = float(getattr(protocol.judgement, name))
                    settings = msgspec.structs.replace(protocol.judgement, **{name: float(threshold)})
                    outcome = by_signs(scan, which, seed, msgspec.structs.replace(protocol, judgement=settings))
                    answers.append(outcome.first_flag(kind) is not None)
            points.append((float(threshold), float(np.mean(said["still"])), float(np.mean(said[scenario]))))
        curves[scenario] = points
        print(f"  ROC {scenario}: " + ", ".join(f"{t:.3g}: {a:.2f}/{b:.2f}" for t, a, b in points), flush=True)
    return curves, marks


def check(line: Sequence[Outcome], signs: Sequence[Outcome]) -> list[list[object]]:
    """Sign model against whole line: flagged, stopped and first cause of each scenario."""
    rows: list[list[object]] = []
    for scenario in dict.fromkeys(o.scenario for o in line):
        a = [o for o in line if o.scenario == scenario]
        b = [o for o in signs if o.scenario == scenario]
        if not b:
            continue
        cells: list[object] = [scenario, len(a), len(b)]
        for question in ("flagged", "stopped"):
            cells += [float(np.mean([getattr(o, question) for o in chosen])) for chosen in (a, b)]
        for chosen in (a, b):
            kinds = [o.first_cause for o in chosen]
            common = max(set(kinds), key=kinds.count)
            cells.append(f"{common} {kinds.count(common) / len(kinds):.0%}")
        rows.append(cells)
    return rows


def report(title: str, rates: Sequence[Rate]) -> None:
    """Print rates as a table."""
    print(f"\n{title}\n")
    print(table(["rate", "cases", "value [95 %]", "target", "met"], [r.row() for r in rates if r.n]), flush=True)


def main() -> None:
    """Run what is asked for, print tables, write out/judgement.json and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="a minute: few scenarios, few scans, PRESS")
    parser.add_argument("--signs", type=int, default=200, help="scans of each scenario on the sign model")
    parser.add_argument("--line", type=int, default=10, help="scans of each scenario through the whole line")
    parser.add_argument("--cohorts", type=int, default=100, help="replays of the two studies")
    parser.add_argument("--roc", type=int, default=60, help="scans of each point of an ROC curve")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--sequences", nargs="+", default=["PRESS", "MEGA-PRESS"])
    parser.add_argument("--scenarios", nargs="+", help="these only")
    parser.add_argument("--figures", type=Path, help="folder for the PNGs")
    parser.add_argument("--keep", type=Path, help="folder for finished scans")
    given = parser.parse_args()
    chosen: Sequence[str] = given.scenarios or scenarios_of("MEGA-PRESS")
    if given.fast:
        chosen, given.sequences = FAST_SCENARIOS, ["PRESS"]
        given.signs, given.line, given.cohorts, given.roc = 12, 1, 0, 0
    print(f"{machine()}\n")
    result: dict[str, Any] = {}
    panels: dict[str, Sequence[Outcome]] = {}
    for sequence in given.sequences:
        signs = run_all(given.jobs, tasks(sequence, given.signs, False, chosen), f"{sequence} signs", given.keep)
        line = run_all(given.jobs, tasks(sequence, given.line, True, chosen), f"{sequence} line", given.keep)
        panels |= {f"{sequence}, signs": signs, f"{sequence}, whole line": line}
        for name, outcomes in (("signs", signs), ("whole line", line)):
            if not outcomes:
                continue
            rates = all_rates(outcomes)
            report(f"{sequence}, {name}", rates)
            delays = motion_delays(outcomes)
            spent = float(np.mean([o.judge_ms for o in outcomes]))
            if delays:
                print(f"motion_step: median delay {np.median(delays):g} shots")
            print(f"judging one shot: {spent:.2f} ms")
            result[f"{sequence} {name}"] = {
                "rates": [r.json() for r in rates],
                "median_delay_shots": float(np.median(delays)) if delays else None,
                "judge_ms": spent,
            }
        rows = check(line, signs)
        if rows:
            header = ["scenario", "n line", "n signs", "flagged line", "signs", "stopped line", "signs", "first, line"]
            print(f"\n{sequence}: sign model against whole line\n")
            print(table([*header, "first, signs"], rows))
            result[f"{sequence} check"] = rows
        every = good_scans(signs)
        if every:
            report(f"{sequence}, all good scenarios together", [
                rate("stop at any shot", (o.stopped for o in every), "<= 0.01"),
                rate("watch or finding above note", (o.flagged for o in every), "<= 0.05"),
            ])  # fmt: skip
    if given.cohorts:
        rates = cohort_rates(given.jobs, given.cohorts, given.keep)
        report(f"cohorts ({given.cohorts} replays asked for)", rates)
        result["cohorts"] = [r.json() for r in rates]
    curves, marks = roc(given.roc) if given.roc else ({}, {})
    result["roc"] = curves
    if given.figures is not None:
        given.figures.mkdir(parents=True, exist_ok=True)
        if any(panels.values()):
            write_confusion(given.figures / "judgement_confusion.png", panels)
        if curves:
            write_roc(given.figures / "judgement_roc.png", curves, marks)
    print(f"\nwritten: {write_json('judgement', result)}")


if __name__ == "__main__":
    main()
