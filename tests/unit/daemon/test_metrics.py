"""The numbers for Prometheus."""

from __future__ import annotations

import urllib.request

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
