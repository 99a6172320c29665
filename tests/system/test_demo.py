"""The demonstration from end to end, without a terminal. Slow: it compiles on the first run and plays two scans."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import live

DEMONSTRATION = """
import json, sys, threading
from scanner_agent.cli.demo import _daemon
with _daemon() as (url, process, log):
    print(json.dumps([process.pid, str(log.parent)]), flush=True)
    threading.Event().wait()
"""


def test_a_killed_demonstration_leaves_nothing_behind() -> None:
    demonstration = subprocess.Popen([sys.executable, "-c", DEMONSTRATION], stdout=subprocess.PIPE, text=True)
    assert demonstration.stdout is not None
    pid, folder = json.loads(demonstration.stdout.readline())
    live.eventually(lambda: (Path(folder) / "state" / "lock").exists())
    demonstration.kill()
    demonstration.wait()
    demonstration.stdout.close()
    live.eventually(lambda: not Path(folder).exists())
    live.eventually(lambda: live.is_gone(pid))


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
