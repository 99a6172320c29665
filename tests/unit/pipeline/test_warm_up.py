"""After the warm-up nothing is left to compile: the first patient does not wait for a compiler."""

from __future__ import annotations

import os
import sys

import pytest

from scanner_agent.pipeline import ScanPipelines, start_pipeline
from scanner_agent.records import EndStatus, ScanEnd
from scanner_agent.simulate import simulate_scan


def compiled_signatures() -> set[tuple[str, str]]:
    kernels = (
        (f"{name}.{attribute}", value)
        for name, module in list(sys.modules.items())
        if name.startswith("scanner_agent.")
        for attribute, value in vars(module).items()
        if hasattr(value, "nopython_signatures")
    )
    return {(name, str(signature)) for name, kernel in kernels for signature in kernel.nopython_signatures}


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_scans_after_the_warm_up_compile_nothing() -> None:
    said: list[str] = []
    ScanPipelines().warm_up(said.append)
    assert said == ["compiling for PRESS", "compiling for MEGA-PRESS"]
    before = compiled_signatures()
    assert before
    for sequence, n_shots in (("PRESS", 14), ("MEGA-PRESS", 20)):
        scan = simulate_scan("motion_burst", seed=3, sequence=sequence, n_coils=4, n_points=1024, n_shots=n_shots)
        pipeline = start_pipeline(scan.header, scan.shots)
        for shot in scan.shots():
            pipeline.add(shot)
        pipeline.finish(ScanEnd(scan_id=scan.header.scan_id, status=EndStatus.COMPLETE, n_shots=n_shots))
    assert compiled_signatures() - before == set()
