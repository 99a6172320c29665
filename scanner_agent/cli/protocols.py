"""`scanner-agent protocols list|check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Protocol files: what is expected of a scan and what it must reach.")


@app.command("list")
def list_protocols() -> None:
    """Print the shipped protocols with their gated metabolites and limits.

    Example:

      scanner-agent protocols list
    """
    from rich.console import Console
    from rich.table import Table

    from scanner_agent.scan_protocol import shipped_protocols

    table = Table("protocol", "title", "shots", "basis", "gated", "limits")
    for protocol in shipped_protocols():
        limits = []
        for limit in protocol.limits:
            bound = f">= {limit.minimum:g}" if limit.minimum is not None else f"<= {limit.maximum:g}"
            unit = "" if limit.unit == "1" else f" {limit.unit}"
            limits.append(f"{limit.metric}{f' {limit.metabolite}' if limit.metabolite else ''} {bound}{unit}")
        table.add_row(
            protocol.name,
            protocol.title,
            str(protocol.n_shots_planned),
            protocol.basis or "none",
            ", ".join(protocol.gated) or "none",
            "\n".join(limits),
        )
    Console().print(table)


@app.command("check")
def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Protocol files; without any, all shipped ones.")] = None,
) -> None:
    """Check protocol files: exit code 0 if all are good, 2 with one line per fault on stderr otherwise.

    Example:

      scanner-agent protocols check our_press.toml
    """
    from scanner_agent.basis import load_basis
    from scanner_agent.errors import ConfigError, SourceError
    from scanner_agent.scan_protocol import load_protocol, shipped_names

    faults = 0
    for target in files or shipped_names():
        name = str(target)
        try:
            protocol = load_protocol(name)
            if protocol.basis is not None:
                load_basis(protocol.basis)
        except SourceError as error:
            typer.echo(f"{name}: key `basis`: {error}", err=True)
            faults += 1
        except ConfigError as error:
            typer.echo(str(error), err=True)
            faults += 1
        else:
            typer.echo(f"{protocol.name}: good (hash {protocol.content_hash()})")
    if faults:
        raise typer.Exit(2)
