"""Latest numbers of all series as Prometheus metrics, and the Grafana dashboard that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from scanner_agent.phantom.evaluate import Evaluation
from scanner_agent.phantom.values import kind_of

_SERIES = ("scanner", "coil", "phantom", "protocol")
_PREFIX = "scanner_agent_phantom_"
_PER_VALUE = {
    "value": "Latest value, in the unit of its name",
    "value_sd": "Its standard error by theory",
    "z": "Latest value, standardised against the baseline",
    "baseline_runs": "Runs in the baseline",
    "in_alarm": "1: in alarm after the latest run",
}


def metrics_text(evaluations: Sequence[Evaluation]) -> bytes:
    """Prometheus text format, for the node exporter's textfile folder or any scrape."""
    registry = CollectorRegistry()
    labels = (*_SERIES, "name")
    gauges = {n: Gauge(_PREFIX + n, text, labels, registry=registry) for n, text in _PER_VALUE.items()}
    runs = Gauge(_PREFIX + "runs", "Runs in the series", _SERIES, registry=registry)
    last_run = Gauge(_PREFIX + "last_run_time_seconds", "Unix time of the latest run", _SERIES, registry=registry)
    alarms = Gauge(_PREFIX + "alarms", "Alarms raised so far", _SERIES, registry=registry)
    for evaluation in evaluations:
        key = [getattr(evaluation.series, name) for name in _SERIES]
        runs.labels(*key).set(len(evaluation.runs))
        alarms.labels(*key).set(len(evaluation.alarms))
        if evaluation.runs:
            last_run.labels(*key).set(evaluation.runs[-1].measured_at)
        for name, chart in evaluation.charts.items():
            known = np.flatnonzero(np.isfinite(chart.values))
            if known.size == 0:
                continue
            at = int(known[-1])
            sd = evaluation.runs[at].values[name].sd
            gauges["value"].labels(*key, name).set(float(chart.values[at]))
            if sd is not None:
                gauges["value_sd"].labels(*key, name).set(sd)
            if np.isfinite(chart.z[at]):
                gauges["z"].labels(*key, name).set(float(chart.z[at]))
            gauges["baseline_runs"].labels(*key, name).set(int(chart.n_baseline[at]))
            gauges["in_alarm"].labels(*key, name).set(float(chart.alarmed[at] and kind_of(name).alarms))
    return generate_latest(registry)


def grafana_dashboard() -> dict[str, Any]:
    """A dashboard to import as it is; it asks for the Prometheus data source and filters by scanner and value."""
    source = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
    chosen = '{scanner=~"$scanner",name=~"$name"}'
    by_value = "{{scanner}} {{coil}} {{phantom}} {{name}}"
    panels = (
        ("In alarm", "stat", f"sum({_PREFIX}in_alarm{chosen})", "alarms now"),
        (
            "Days since the latest run",
            "stat",
            f"(time() - {_PREFIX}last_run_time_seconds) / 86400",
            "{{scanner}} {{phantom}}",
        ),
        ("Standardised values (z)", "timeseries", f"{_PREFIX}z{chosen}", by_value),
        ("Runs in the baseline", "timeseries", f"{_PREFIX}baseline_runs{chosen}", by_value),
        ("$name", "timeseries", f"{_PREFIX}value{chosen}", "{{scanner}} {{coil}} {{phantom}}"),
    )

    def variable(name: str) -> dict[str, Any]:
        query = f"label_values({_PREFIX}value, {name})"
        return {
            "name": name, "type": "query", "datasource": source, "query": {"query": query, "refId": name},
            "definition": query, "includeAll": True, "multi": True, "refresh": 2,
            "current": {"text": "All", "value": "$__all"},
        }  # fmt: skip

    def panel(number: int, title: str, kind: str, expression: str, legend: str) -> dict[str, Any]:
        place = (
            {"h": 5, "w": 12, "x": 12 * number, "y": 0}
            if kind == "stat"
            else {"h": 9, "w": 24, "x": 0, "y": 9 * number}
        )
        return {
            "id": number + 1, "title": title, "type": kind, "datasource": source, "gridPos": place,
            "targets": [{"refId": "A", "datasource": source, "expr": expression, "legendFormat": legend}],
            "fieldConfig": {"defaults": {}, "overrides": []}, "options": {},
            # Every value has a unit of its own: a panel for each.
            **({"repeat": "name", "repeatDirection": "h", "maxPerRow": 3} if title == "$name" else {}),
        }  # fmt: skip

    return {
        "__inputs": [{"name": "DS_PROMETHEUS", "label": "Prometheus", "type": "datasource", "pluginId": "prometheus"}],
        "title": "Phantom drift",
        "uid": "scanner-agent-phantom",
        "schemaVersion": 39,
        "version": 1,
        "time": {"from": "now-1y", "to": "now"},
        "templating": {"list": [variable("scanner"), variable("name")]},
        "panels": [panel(number, *row) for number, row in enumerate(panels)],
    }
