"""All commands, `scanner-agent …`: thin; heavy imports happen inside the command that needs them."""

from __future__ import annotations

import typer

from scanner_agent.cli import basis, daemon, demo, phantom, placement, process, protocols, report, simulate, watch

app = typer.Typer(
    name="scanner-agent",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Real-time quality control for single-voxel MR spectroscopy: a verdict while the patient is on the table.",
)
daemon.register(app)
app.command()(demo.demo)
app.command()(watch.watch)
app.command()(report.report)
app.command()(process.process)
app.command()(simulate.simulate)
app.add_typer(protocols.app, name="protocols")
app.add_typer(basis.app, name="basis")
app.add_typer(phantom.app, name="phantom")
app.add_typer(placement.app, name="placement")
