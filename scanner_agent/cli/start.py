"""The daemon's start: without the command line's own weight, as shots wait from the first moment."""

from __future__ import annotations

from pathlib import Path

from scanner_agent.config import load_config
from scanner_agent.daemon.ingest import Ingest
from scanner_agent.daemon.ingest import run as run_ingest


def run_daemon(config: Path | None) -> None:
    """Run until SIGTERM or SIGINT. Raises `ScannerAgentError`."""
    settings = load_config(config)

    def say(_ingest: Ingest) -> None:
        for name, url in zip(("ingest", "publish", "control"), settings.urls, strict=True):
            print(f"{name:8} {url}", flush=True)
        print(f"state    {settings.state}", flush=True)

    run_ingest(settings, on_start=say)
