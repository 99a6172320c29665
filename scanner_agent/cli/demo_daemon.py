"""The demonstration's daemon: `python -m scanner_agent.cli.demo_daemon FOLDER`, with a pipe as standard input.

It ends when told to, or when the pipe's other end is closed: when the demonstration dies, whatever of. It then
removes the folder, as nobody else will.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from pathlib import Path

from scanner_agent.config import load_config
from scanner_agent.daemon.ingest import Ingest, run


def main(folder: Path) -> None:
    """Serve with the configuration in the folder until alone."""
    alone = threading.Event()

    def watch(ingest: Ingest) -> None:
        os.read(sys.stdin.fileno(), 1)  # nothing is ever written: it returns when there is nobody to write
        alone.set()
        ingest.stop()

    run(
        load_config(folder / "agent.toml"),
        on_start=lambda ingest: threading.Thread(target=watch, args=(ingest,), daemon=True).start(),
    )
    if alone.is_set():
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
