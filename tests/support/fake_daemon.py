"""The real ingest with the fake worker, as a process of its own: `fake_daemon.py CONFIG.toml`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from scanner_agent.config import load_config
from scanner_agent.daemon.ingest import run

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    worker = str(Path(__file__).with_name("fake_worker.py"))
    run(load_config(Path(sys.argv[1])), (sys.executable, worker), lambda _ingest: print("listening", flush=True))
