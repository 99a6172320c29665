"""The command line's entry point."""

from __future__ import annotations

import sys
from pathlib import Path

from scanner_agent.errors import ScannerAgentError


def main() -> None:
    """Run a command; an expected error, or a file that cannot be had, becomes one line on stderr and exit code 2.

    The daemon starts past the table of all commands, which takes as long to build as the daemon to start: shots wait.
    """
    try:
        match sys.argv[1:]:
            case ["run"] | ["run", "--config", _] as arguments:
                from scanner_agent.cli.start import run_daemon

                run_daemon(Path(arguments[2]) if len(arguments) == 3 else None)
            case _:
                from scanner_agent.cli.app import app

                app()
    except ScannerAgentError as error:
        print(f"scanner-agent: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"scanner-agent: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(2)
