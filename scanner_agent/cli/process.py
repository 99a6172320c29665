"""`scanner-agent process`: the whole line on a file, in this process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scanner_agent.cli.progress import ProgressBar

if TYPE_CHECKING:
    from scanner_agent.records import ScanReport

EXIT_CODES = {"good": 0, "watch": 0, "stop": 3, "cannot_judge": 4}


def process(
    file: Annotated[Path, typer.Argument(help="NIfTI-MRS (raw or combined) or a vendor file.")],
    water: Annotated[Path | None, typer.Option(help="File with the unsuppressed water reference.")] = None,
    noise: Annotated[Path | None, typer.Option(help="File with a noise scan.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Protocol, by name or .toml file; default: the one that the header fits.")
    ] = None,
    basis: Annotated[
        str | None, typer.Option(help="Basis set: a shipped name, .npz, .BASIS or FSL-MRS folder.")
    ] = None,
    phantom: Annotated[
        bool | None, typer.Option("--phantom/--in-vivo", help="Say so where the file does not.", show_default=False)
    ] = None,
    json_out: Annotated[
        str | None, typer.Option("--json", metavar="OUT|-", help="Write the report as JSON; - is stdout.")
    ] = None,
    nifti: Annotated[Path | None, typer.Option(help="Write the combined, aligned average as NIfTI-MRS.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Write a picture of the result (PNG, PDF or SVG).")] = None,
) -> None:
    """Process a file and say whether the scan is good.

    Exit code: 0 good or watch, 3 stop, 4 cannot judge, 2 unreadable input or wrong usage.

    Examples:

      scanner-agent process scan.nii.gz --water water.nii.gz

      scanner-agent process meas.dat --json report.json --figure report.png

      scanner-agent process phantom.dcm --phantom --json - | jq .verdict
    """
    from scanner_agent.offline import process_file, write_average
    from scanner_agent.view.text import report_lines

    result = process_file(
        file, water=water, noise=noise, protocol=protocol, basis=basis, phantom=phantom, progress=ProgressBar("reading")
    )
    if nifti is not None:
        write_average(nifti, result)
    if figure is not None:
        from scanner_agent.report.figure import write_figure

        write_figure(figure, result.report)
    _write(result.report, json_out)
    if json_out != "-":
        for line in report_lines(result.report):
            print(line)
    raise typer.Exit(EXIT_CODES[result.report.verdict.value])


def _write(report: ScanReport, json_out: str | None) -> None:
    from scanner_agent.records import to_json

    if json_out == "-":
        sys.stdout.buffer.write(to_json(report) + b"\n")
    elif json_out is not None:
        Path(json_out).write_bytes(to_json(report) + b"\n")
