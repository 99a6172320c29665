"""Numbers for Prometheus, on loopback, where the configuration asks for them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from scanner_agent.errors import ConfigError
from scanner_agent.records import Health


class Metrics:
    """Serves http://127.0.0.1:PORT/metrics from a thread of its own."""

    def __init__(self, port: int) -> None:
        """Raises `ConfigError` if the port is taken."""
        registry = CollectorRegistry()
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
