"""Numbers for Prometheus, on loopback, where the configuration asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, start_http_server
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from scanner_agent.errors import ConfigError
from scanner_agent.records import Health


class Metrics:
    """Serves http://127.0.0.1:PORT/metrics from a thread of its own."""

    def __init__(self, port: int, phantoms: Path | None = None) -> None:
        """Raises `ConfigError` if the port is taken. `phantoms`: file that `phantom log` keeps, served as it is."""
        registry = CollectorRegistry()
        if phantoms is not None:
            registry.register(_TextFile(phantoms))
        self._ready = Gauge("scanner_agent_ready", "1: compiled and following the spool", registry=registry)
        self._state = Gauge("scanner_agent_state", "1 for the state the daemon is in", ["state"], registry=registry)
        self._open = Gauge("scanner_agent_scans_open", "Scans under way", registry=registry)
        self._waiting = Gauge("scanner_agent_shots_waiting", "Spooled, not yet processed", registry=registry)
        self._totals = {
            "shots_acknowledged": Counter("scanner_agent_shots_acknowledged", "Shots kept", registry=registry),
            "messages_refused": Counter("scanner_agent_messages_refused", "Messages refused", registry=registry),
            "worker_restarts": Counter("scanner_agent_worker_restarts", "Workers replaced", registry=registry),
        }
        self._seen = dict.fromkeys(self._totals, 0)
        try:
            self._server, self._thread = start_http_server(port, addr="127.0.0.1", registry=registry)
        except OSError as error:
            raise ConfigError(f"metrics.port {port}: {error.strerror}") from None

    def update(self, health: Health) -> None:
        """Take over the numbers of one state of health."""
        self._ready.set(health.ready)
        for state in ("starting", "ok", "degraded", "refusing"):
            self._state.labels(state).set(state == health.state)
        self._open.set(health.scans_open)
        self._waiting.set(health.shots_waiting)
        for name, counter in self._totals.items():
            now: int = getattr(health, name)
            counter.inc(now - self._seen[name])
            self._seen[name] = now

    def close(self) -> None:
        """End the thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _TextFile(Collector):
    """Metrics that another process wrote; none while there is no such file, or one that makes no sense."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def collect(self) -> Iterator[Metric]:
        """Read it anew for every scrape."""
        try:
            found = list(text_string_to_metric_families(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return
        yield from found
