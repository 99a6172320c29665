"""CPU time of the whole line, by part, on simulated scans (8 channels, 2048 points): where a shot's time goes.

    OMP_NUM_THREADS=1 python benchmarks/line_cpu.py [--sequence MEGA-PRESS] [--shots 160] [--scans 3]

The scan's end is counted with its shots; making them is not. Parts overlap: `last pass` holds chain parts of its own.
Writes out/line_cpu.json.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
from common import machine, table, write_json
from judgement_runs import make_scan

from scanner_agent.judge import Judge
from scanner_agent.mrs.chain import ScanChain
from scanner_agent.pipeline import assemble, start_pipeline
from scanner_agent.pipeline.fitting import SpectrumFits
from scanner_agent.records import EndStatus, ScanEnd

PARTS: tuple[tuple[str, Any, str], ...] = (
    ("chain: a shot", ScanChain, "add"),
    ("chain: an average, ON onto OFF", ScanChain, "average"),
    ("fits", SpectrumFits, "fit"),
    ("judgement", Judge, "observe"),
    ("judgement", Judge, "assess"),
    ("judgement", Judge, "settle"),
    ("numbers of an average", assemble, "quality"),
    ("of it GABA+ by Gaussians", assemble, "gaussian_gaba"),
    ("last pass", ScanChain, "refined"),
)


def timed(function: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    """`function` with its CPU seconds added to `spent`."""

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        begin = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            spent[name] += time.process_time() - begin

    return call


def run(sequence: str, seed: int, n_shots: int) -> float:
    """CPU seconds of one scan from its first shot to its report, shots made before."""
    scan = make_scan("still", seed, sequence, 8, 2048, n_shots=n_shots)
    shots = list(scan.shots())
    begin = time.process_time()
    pipeline = start_pipeline(scan.header, lambda: iter(shots))
    for shot in shots:
        pipeline.add(shot)
    pipeline.finish(ScanEnd(scan_id=scan.header.scan_id, status=EndStatus.COMPLETE, n_shots=n_shots))
    return time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequence", default="MEGA-PRESS")
    parser.add_argument("--shots", type=int, default=160)
    parser.add_argument("--scans", type=int, default=3)
    options = parser.parse_args()
    print(machine())
    run(options.sequence, 700, 16)
    spent: dict[str, float] = defaultdict(float)
    for name, owner, function in PARTS:
        setattr(owner, function, timed(getattr(owner, function), name, spent))
    whole = [run(options.sequence, 701 + k, options.shots) for k in range(options.scans)]
    per_shot = 1e3 / (options.shots * options.scans)
    rows = [["whole line", float(np.sum(whole)) * per_shot], *([name, s * per_shot] for name, s in spent.items())]
    print(f"\n{options.sequence}, {options.shots} shots, {options.scans} scans: CPU ms a shot")
    print(table(["part", "ms"], rows))
    write_json("line_cpu", {"sequence": options.sequence, "shots": options.shots, **{str(n): v for n, v in rows}})


if __name__ == "__main__":
    main()
