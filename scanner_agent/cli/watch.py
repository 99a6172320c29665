"""`scanner-agent watch`: the radiographer's view, one snapshot, or the stream as lines."""

from __future__ import annotations

import shutil
import sys
from typing import Annotated

import typer

from scanner_agent.cli.daemon import DEFAULT_URL, ConnectOption, KeyOption, ServerKeyOption, client_keys


def watch(
    connect: ConnectOption = DEFAULT_URL,
    once: Annotated[bool, typer.Option("--once", help="Print one snapshot as plain text and end.")] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="Follow the stream as lines of JSON.")] = False,
    key: KeyOption = None,
    server_key: ServerKeyOption = None,
    scan: Annotated[str | None, typer.Option(metavar="SCAN", help="A scan; default: the latest.")] = None,
) -> None:
    """Watch the daemon: keep going, look, or stop and do this.

    Without a terminal (in a pipe or a log) it prints a line for each thing that is new.

    Examples:

      scanner-agent watch

      scanner-agent watch --connect tcp://192.168.2.10:5570

      scanner-agent watch --once

      scanner-agent watch --json | jq 'select(.type == "assessment") | .record.verdict'
    """
    from scanner_agent.view.run import follow_lines, json_line, print_line, run_app, show_once
    from scanner_agent.view.session import Session

    on_publication = (lambda publication: print_line(json_line(publication))) if json_lines else None
    session = Session(connect, keys=client_keys(key, server_key), on_publication=on_publication)
    try:
        if once:
            width = max(60, min(shutil.get_terminal_size((80, 24)).columns, 120))
            print(show_once(session, scan, width))
        elif json_lines:
            while True:
                session.step(1.0)
        elif sys.stdout.isatty():
            run_app(session, scan_id=scan)
        else:
            follow_lines(session, print_line, until=lambda _state: False, scan_id=scan)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has gone: nothing to say, nobody to say it to
        raise typer.Exit(0) from None
    finally:
        session.close()
