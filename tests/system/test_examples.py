"""The senders of docs/examples, written from docs/wire.md alone, against the live daemon."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from scanner_agent.records import Advice
from scanner_agent.wire import wait_for_report
from tests.support import live

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def test_the_example_sender_is_short_and_its_scan_arrives_whole(tmp_path: Path) -> None:
    script = EXAMPLES / "send_scan.py"
    code = [line for line in script.read_text().splitlines() if line.strip() and not line.lstrip().startswith('"""')]
    assert len(code) <= 40
    data = np.random.default_rng(1).normal(size=(5, 2, 128, 2)).astype(np.float32).view(np.complex64)[..., 0]
    np.save(tmp_path / "shots.npy", data)
    with live.running(tmp_path) as daemon:
        command = [sys.executable, str(script), str(tmp_path / "shots.npy"), "123.2", "0.0005", daemon.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        report, _ = wait_for_report(daemon.url, done.stdout.strip(), 20.0)
        assert report is not None
        energies = [track.amplitude for track in report.shots]
        np.testing.assert_allclose(energies, np.mean(np.abs(data) ** 2, axis=(1, 2)), rtol=1e-6)


def test_the_example_trigger_client_acts_once_and_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "shots.npy", np.ones((1, 1, 64), np.complex64))
    with live.running(tmp_path) as daemon:
        command = [sys.executable, str(EXAMPLES / "send_scan.py"), str(tmp_path / "shots.npy"), "123.2", "0.0005"]
        scan_id = subprocess.run([*command, daemon.url], capture_output=True, text=True, timeout=60).stdout.strip()
        control_url = f"tcp://127.0.0.1:{daemon.port + 2}"
        client = subprocess.Popen(
            [sys.executable, str(EXAMPLES / "trigger_client.py"), control_url], stdout=subprocess.PIPE, text=True
        )
        try:
            with daemon.control() as control:
                control.request(scan_id, "AB", Advice.EXTEND, 16)
                assert client.stdout is not None
                assert client.stdout.readline() == "extend 16 Asked for by AB.\n"
                live.eventually(lambda: control.triggers() == ())
        finally:
            client.kill()
            client.wait()
            assert client.stdout is not None
            client.stdout.close()
