"""The numbers for Prometheus."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import msgspec
import pytest

from scanner_agent.daemon.metrics import Metrics
from scanner_agent.errors import ConfigError
from scanner_agent.records import Health
from tests.support.live import free_port


def test_health_becomes_metrics_and_counters_only_grow() -> None:
    port = free_port()
    metrics = Metrics(port)
    health = Health(
        ready=True,
        state="degraded",
        scans_open=2,
        shots_acknowledged=10,
        shots_waiting=3,
        messages_refused=1,
        worker_restarts=0,
        version="0",
        at=0.0,
    )
    metrics.update(health)
    metrics.update(msgspec.structs.replace(health, shots_acknowledged=15))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    with pytest.raises(ConfigError, match=str(port)):
        Metrics(port)
    metrics.close()
    assert "scanner_agent_shots_acknowledged_total 15.0" in lines
    assert 'scanner_agent_state{state="degraded"} 1.0' in lines
    assert 'scanner_agent_state{state="ok"} 0.0' in lines
    assert "scanner_agent_scans_open 2.0" in lines


def test_numbers_of_the_phantom_log_are_served_as_they_stand(tmp_path: Path) -> None:
    port, kept = free_port(), tmp_path / "phantom.prom"
    metrics = Metrics(port, kept)

    def scraped() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    try:
        assert "phantom" not in scraped()
        kept.write_text('# TYPE scanner_agent_phantom_runs gauge\nscanner_agent_phantom_runs{scanner="A"} 3.0\n')
        assert 'scanner_agent_phantom_runs{scanner="A"} 3.0' in scraped()
        kept.write_text("scanner_agent_phantom_runs{ 3")
        assert "scanner_agent_ready" in scraped()
    finally:
        metrics.close()
