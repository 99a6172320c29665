"""A phantom scan through the real daemon: logged with the very values that its file gives."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path

from typer.testing import CliRunner

from scanner_agent.cli.daemon import spool_app
from scanner_agent.cli.phantom import app as phantom
from scanner_agent.phantom.metrics import grafana_dashboard
from scanner_agent.phantom.series import PhantomLog
from scanner_agent.simulate import simulate_phantom
from scanner_agent.wire import ShotSender, wait_for_report
from tests.support.live import Daemon, eventually, free_port, stored_reports, wait_ready


def test_live_values_are_those_of_the_file_and_the_daemon_serves_them(tmp_path: Path) -> None:
    scan = simulate_phantom(seed=3, n_coils=4, n_points=1024)
    metrics_port = free_port()
    daemon = Daemon(
        tmp_path,
        tables=f"[metrics]\nport = {metrics_port}\n[spool]\nfree_space_floor_bytes = 1000000",
        command=(sys.executable, "-m", "scanner_agent", "run", "--config"),
    ).start()
    run, config = CliRunner(), ["--config", str(daemon.config)]
    try:
        wait_ready(daemon, 100.0)
        with ShotSender(scan.header, daemon.url) as sender:
            for shot in scan.shots():
                sender.send(shot)
            sender.end(n_shots=4)
        report, _ = wait_for_report(daemon.url, scan.header.scan_id, 60.0)
        assert report is not None
        database = daemon.state / "results.sqlite"
        eventually(lambda: scan.header.scan_id in stored_reports(database))
        logged = run.invoke(phantom, ["log", "--live", *config])
        assert logged.exit_code == 0, logged.output
        again = run.invoke(phantom, ["log", "--live", *config])
        assert again.exit_code == 0, again.output
        assert "logged" not in again.output
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=20) as answer:
            scraped = answer.read().decode()
    finally:
        daemon.stop()
    # Every query of the dashboard names a metric that the daemon serves.
    for panel in grafana_dashboard()["panels"]:
        for target in panel["targets"]:
            named = [word for word in _words(target["expr"]) if word.startswith("scanner_agent_")]
            assert named
            for name in named:
                assert f"\n{name}{{" in scraped or name == "scanner_agent_phantom_z"  # z: from 20 runs on

    file = tmp_path / "scan.nii.gz"
    exported = run.invoke(spool_app, ["export", scan.header.scan_id, str(file), *config])
    assert exported.exit_code == 0, exported.output
    offline = f"sqlite:///{tmp_path / 'offline.sqlite'}"
    from_file = run.invoke(phantom, ["log", str(file), "--store", offline])
    assert from_file.exit_code == 0, from_file.output
    (live_run,) = PhantomLog(f"sqlite:///{database}").runs()
    (file_run,) = PhantomLog(offline).runs()
    assert live_run.series == file_run.series
    assert live_run.measured_at == file_run.measured_at
    assert live_run.values == file_run.values
    assert live_run.values["temperature_c"].value is not None
    assert live_run.values["noise_sd_channel_04"].value is not None


def _words(expression: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "_" else " " for c in expression).split()
