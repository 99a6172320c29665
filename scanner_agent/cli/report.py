"""`scanner-agent report`: a finished scan as one HTML page and as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scanner_agent.cli.daemon import ConfigOption
from scanner_agent.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from scanner_agent.records import Placement, ScanReport
    from scanner_agent.store import ScanSummary, Store


def report(
    scan: Annotated[
        str | None,
        typer.Argument(metavar="[SCAN]", help="Scan id (or its beginning), or a report's JSON; default: list scans."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Where to write the page; default: SCAN.html here.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Write the picture too (PNG, PDF or SVG).")] = None,
    json_out: Annotated[
        str | None, typer.Option("--json", metavar="OUT|-", help="Write the report as JSON; - is stdout.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write the report of a scan as one HTML page that needs nothing else.

    Without SCAN it lists the latest scans.

    Examples:

      scanner-agent report

      scanner-agent report scan-2024-11-19-3 --html report.html --figure report.png

      scanner-agent process scan.nii.gz --json report.json; scanner-agent report report.json
    """
    if scan is None:
        _list_scans(config)
        return
    found, placements = (read_report(Path(scan)), []) if scan.endswith(".json") else _from_store(scan, config)
    if json_out == "-":
        from scanner_agent.records import to_json

        sys.stdout.buffer.write(to_json(found) + b"\n")
        if html is None and figure is None:
            return
    elif json_out is not None:
        from scanner_agent.records import to_json

        Path(json_out).write_bytes(to_json(found) + b"\n")
    if figure is not None:
        from scanner_agent.report.figure import write_figure

        write_figure(figure, found)
    if html is None and (figure is not None or json_out is not None):
        return
    from scanner_agent.report.html import write_html

    page = html or Path(f"{found.scan.scan_id}.html")
    write_html(page, found, placements)
    print(page, file=sys.stderr)


def read_report(path: Path) -> ScanReport:
    """A report that was written as JSON. Raises SourceError."""
    import msgspec

    from scanner_agent.records import ScanReport

    try:
        return msgspec.json.decode(path.read_bytes(), type=ScanReport)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise SourceError(f"{path} is not a report of this program: {error}") from error


def _open_store(config: Path | None) -> Store:
    from scanner_agent.config import load_config
    from scanner_agent.store import Store

    url = load_config(config).store_url
    if url is None:
        raise ConfigError('the configuration keeps no store ([store] url = "off"): there are no scans to report')
    return Store.open(url)


def _from_store(scan: str, config: Path | None) -> tuple[ScanReport, list[Placement]]:
    store = _open_store(config)
    try:
        found = store.report(scan)
        if found is None:
            matching = [s.scan_id for s in store.scans(limit=1000) if s.scan_id.startswith(scan) and s.has_report]
            if len(matching) > 1:
                raise SourceError(f"{scan} could be any of {', '.join(matching[:5])}")
            found = store.report(matching[0]) if matching else None
        if found is None:
            state = "has not ended" if store.header(scan) is not None else "is not known"
            raise SourceError(f"no report: the scan {scan} {state}")
        return found, store.placements(found.scan.scan_id)
    finally:
        store.close()


def _list_scans(config: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    store = _open_store(config)
    try:
        scans = store.scans(limit=30)
    finally:
        store.close()
    if not scans:
        print("no scan yet")
        return
    table = Table("scan", "begun", "sequence", "verdict", "report")
    for scan in scans:
        table.add_row(scan.scan_id, _begun(scan), scan.sequence, scan.verdict, "yes" if scan.has_report else "not yet")
    Console().print(table)


def _begun(scan: ScanSummary) -> str:
    from datetime import datetime

    return "" if scan.started_at is None else f"{datetime.fromtimestamp(scan.started_at).astimezone():%Y-%m-%d %H:%M}"
