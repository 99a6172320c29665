"""The demonstration from end to end, without a terminal. Slow: it compiles on the first run and plays two scans."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_tells_of_the_movement_and_ends_by_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scanner_agent", "demo"], capture_output=True, text=True, timeout=880, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "motion_during_scan" in done.stdout
    for scan in ("demo-press", "demo-mega-press"):
        assert f"{scan}: report: " in done.stdout
    assert "lost (" in done.stdout, "the report says which shots were lost"
