"""`scanner-agent phantom …`: the phantom log, its charts and its alarms."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scanner_agent.cli.daemon import ConfigOption
from scanner_agent.cli.phantom_tools import (
    day,
    evaluations,
    moment,
    number,
    open_log,
    refresh_metrics,
    say_alarms,
    say_new_software,
    write,
)
from scanner_agent.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from scanner_agent.phantom.series import Run

app = typer.Typer(no_args_is_help=True, help="Phantom runs over months: log, charts, alarms on real change.")

StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="Database, e.g. sqlite:///phantom.sqlite; default: the daemon's."),
]
ScannerOption = Annotated[str | None, typer.Option(help="Only (or, when logging: as) this scanner.")]
CoilOption = Annotated[str | None, typer.Option(help="Only (or, when logging: as) this coil.")]
PhantomOption = Annotated[
    str | None, typer.Option(help="Phantom: a shipped name or a .toml file; for reading, its name.")
]


@app.command()
def log(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Phantom scans.")] = None,
    water: Annotated[
        list[Path] | None, typer.Option(help="Water reference; once for each FILE, in their order.")
    ] = None,
    noise: Annotated[Path | None, typer.Option(help="Noise scan (with one FILE).")] = None,
    live: Annotated[bool, typer.Option("--live", help="Log the phantom scans that the daemon finished since.")] = False,
    scanner: ScannerOption = None,
    coil: CoilOption = None,
    phantom: PhantomOption = None,
    protocol: Annotated[str | None, typer.Option(help="Protocol; default: the one that the header fits.")] = None,
    basis: Annotated[str | None, typer.Option(help="Basis set.")] = None,
    date: Annotated[str | None, typer.Option(help="When it was measured, if the file does not say (ISO 8601).")] = None,
    note: Annotated[str, typer.Option(help="Kept with the run.")] = "",
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Measure phantom scans and log them; says what changed.

    Exit code: 0 logged and in control, 3 logged and a new alarm was raised, 2 not logged.

    Examples:

      scanner-agent phantom log metabolite.dcm --water water.dcm --scanner "3T A"

      scanner-agent phantom log --live
    """
    from scanner_agent.phantom.definition import load_phantom
    from scanner_agent.phantom.evaluate import evaluate

    known = None if phantom is None else load_phantom(phantom)
    files, waters = files or [], water or []
    if not files and not live:
        raise ConfigError("name a file, or --live")
    if waters and len(waters) != len(files):
        raise ConfigError(f"{len(files)} files and {len(waters)} water references: give one for each, or none")
    opened = open_log(store, config)
    alarmed = False
    try:
        from scanner_agent.cli import phantom_log

        runs: list[Run] = []
        for place, file in enumerate(files):
            runs.append(
                phantom_log.measure_file(
                    file,
                    water=waters[place] if waters else None,
                    noise=noise,
                    protocol=protocol,
                    basis=basis,
                    phantom=known,
                    scanner=scanner,
                    coil=coil,
                    measured_at=moment(date),
                    note=note,
                )
            )
        if live:
            runs += phantom_log.live_runs(opened, config, phantom=known, scanner=scanner, coil=coil, note=note)
        opened.add(runs)
        for run in runs:
            print(f"logged {run.run_id[:8]}  {day(run.measured_at)}  {run.series}")
        for key in dict.fromkeys(run.series for run in runs):
            evaluation = evaluate(key, opened.runs(key), opened.events(key))
            new = {place for place, run in enumerate(evaluation.runs) if run.run_id in {r.run_id for r in runs}}
            alarmed |= say_alarms(evaluation, new)
            say_new_software(evaluation, new)
        refresh_metrics(opened, store, config)
    finally:
        opened.close()
    raise typer.Exit(3 if alarmed else 0)


@app.command("list")
def list_(
    scanner: ScannerOption = None, coil: CoilOption = None, phantom: PhantomOption = None,
    store: StoreOption = None, config: ConfigOption = None,
) -> None:  # fmt: skip
    """One line per series: runs, latest, state, a sparkline of its ratio.

    Example:

      scanner-agent phantom list --scanner "3T A"
    """
    from rich.console import Console
    from rich.table import Table

    from scanner_agent.phantom.spark import sparkline
    from scanner_agent.phantom.values import kind_of

    table = Table("series", "runs", "latest", "state", "last 30")
    for evaluation in evaluations(store, config, scanner, coil, phantom):
        charts = [c for n, c in evaluation.charts.items() if kind_of(n).alarms]
        alarms = [c.name for c in charts if c.state == "alarm"]
        states = "alarm: " + ", ".join(alarms) if alarms else (charts[0].state if charts else "nothing measured")
        shown = f"{charts[0].name} {sparkline(charts[0].values[-30:])}" if charts else ""
        last = day(evaluation.runs[-1].measured_at) if evaluation.runs else ""
        table.add_row(str(evaluation.series), str(len(evaluation.runs)), last, states, shown)
    Console().print(table if table.row_count else "no phantom run yet")


@app.command()
def show(
    run: Annotated[str | None, typer.Argument(help="A run's id or its beginning; default: whole series.")] = None,
    scanner: ScannerOption = None, coil: CoilOption = None, phantom: PhantomOption = None,
    store: StoreOption = None, config: ConfigOption = None,
) -> None:  # fmt: skip
    """Every value of a series with its baseline, state and sparkline; or all of one run.

    Examples:

      scanner-agent phantom show

      scanner-agent phantom show 3f2a
    """
    from rich.console import Console
    from rich.table import Table

    from scanner_agent.phantom.chart_html import limits
    from scanner_agent.phantom.chart_html import shown as drawn
    from scanner_agent.phantom.spark import sparkline
    from scanner_agent.phantom.values import kind_of, sort_key

    console = Console()
    if run is not None:
        opened = open_log(store, config)
        try:
            found = opened.run(run)
        finally:
            opened.close()
        console.print(f"{found.run_id}  {day(found.measured_at)}  {found.series}", found.note, sep="\n")
        table = Table("value", "measured", "± SD", "why not")
        for name in sorted(found.values, key=sort_key):
            v = found.values[name]
            table.add_row(kind_of(name).label, number(v.value), number(v.sd, 2), v.reason or "")
        console.print(table)
        for name, setting in found.settings.items():
            if setting is not None:
                console.print(f"{name}: {setting}")
        return
    for evaluation in evaluations(store, config, scanner, coil, phantom):
        table = Table("value", "latest", "± SD", "baseline", "state", "last 30", title=str(evaluation.series))
        for name, chart in evaluation.charts.items():
            y = drawn(chart)
            if y.size == 0 or y[y == y].size == 0:
                continue
            last = evaluation.runs[-1].values.get(name)
            centre = float(limits(chart, 3.0)[0][-1])
            kind = kind_of(name)
            table.add_row(
                kind.label,
                "" if last is None else number(last.value),
                "" if last is None else number(last.sd, 2),
                "" if centre != centre else number(centre),
                chart.state.removeprefix("baseline ") if kind.alarms else "charted only",
                sparkline(y[-30:]),
            )
        console.print(table)
        say_alarms(evaluation, None)


@app.command()
def chart(
    out: Annotated[Path, typer.Argument(help=".html: interactive page; .png, .pdf, .svg: picture of one series.")],
    scanner: ScannerOption = None, coil: CoilOption = None, phantom: PhantomOption = None,
    store: StoreOption = None, config: ConfigOption = None,
) -> None:  # fmt: skip
    """Control charts: one page that needs nothing else, or a picture.

    Examples:

      scanner-agent phantom chart charts.html

      scanner-agent phantom chart head.png --scanner "3T A" --coil head
    """
    found = evaluations(store, config, scanner, coil, phantom)
    if not found:
        raise SourceError("no phantom run fits: there is nothing to chart")
    if out.suffix.lower() in (".html", ".htm"):
        from scanner_agent.phantom.chart_html import write_page

        write_page(out, found)
    else:
        from scanner_agent.phantom.chart_png import write_picture

        if len(found) > 1:
            raise ConfigError(f"{len(found)} series fit and a picture shows one: add --scanner, --coil or --phantom")
        write_picture(out, found[0])
    print(out, file=sys.stderr)


@app.command()
def event(
    text: Annotated[str, typer.Argument(help='What was done, e.g. "software upgrade".')],
    scanner: Annotated[str, typer.Option(help="Which scanner.")],
    coil: Annotated[str | None, typer.Option(help="Only this coil's series.")] = None,
    date: Annotated[str | None, typer.Option(help="When (ISO 8601, UTC unless said otherwise); default: now.")] = None,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Note what was done to a scanner: from then on its series have new baselines.

    Example:

      scanner-agent phantom event "software upgrade" --scanner "3T A" --date 2018-11-01
    """
    import time

    from scanner_agent.phantom.series import Event, new_id

    opened = open_log(store, config)
    try:
        now = time.time()
        noted = Event(
            event_id=new_id(), scanner=scanner, coil=coil, happened_at=moment(date) or now, logged_at=now, text=text
        )
        opened.add_events([noted])
        known = any(key.scanner == scanner for key, _ in opened.series())
        refresh_metrics(opened, store, config)
    finally:
        opened.close()
    print(f"noted {noted.event_id[:8]}  {day(noted.happened_at)}  {text}")
    if not known:
        print(f"no series of scanner {scanner!r} is logged yet", file=sys.stderr)


@app.command()
def correct(
    run: Annotated[str, typer.Argument(help="The run's id or its beginning.")],
    note: Annotated[str, typer.Option(help="Why; kept.")],
    value: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=NUMBER", help="New value; NAME= : missing.")
    ] = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take the run out of its series.")] = False,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Correct or withdraw a run by a new row; the old one stays in the database.

    Examples:

      scanner-agent phantom correct 3f2a --set temperature_c=21.3 --note "thermometer read"

      scanner-agent phantom correct 3f2a --withdraw --note "wrong sphere"
    """
    changes: dict[str, float | None] = {}
    for text in value or []:
        name, equals, figure = text.partition("=")
        try:
            changes[name] = float(figure) if figure else None
        except ValueError:
            equals = ""
        if not equals:
            raise ConfigError(f"--set {text}: write NAME=NUMBER")
    if withdraw == bool(changes):
        raise ConfigError("give either --set or --withdraw")
    opened = open_log(store, config)
    try:
        new = opened.withdraw(run, note=note) if withdraw else opened.correct(run, changes, note=note)
        refresh_metrics(opened, store, config)
    finally:
        opened.close()
    print(f"{new.run_id[:8]} stands for {str(new.corrects)[:8]}")


@app.command()
def report(
    month: Annotated[str, typer.Option(help="YYYY-MM.")],
    out: Annotated[Path | None, typer.Option(help="Markdown file; default: the terminal.")] = None,
    scanner: ScannerOption = None, coil: CoilOption = None, phantom: PhantomOption = None,
    store: StoreOption = None, config: ConfigOption = None,
) -> None:  # fmt: skip
    """The month for the physicist's file.

    Example:

      scanner-agent phantom report --month 2018-11 --out 2018-11.md
    """
    from scanner_agent.phantom.month import month_report

    write(month_report(evaluations(store, config, scanner, coil, phantom), month).encode(), out)


@app.command("export")
def export_(
    out: Annotated[Path | None, typer.Argument(help="CSV file; default: the terminal.")] = None,
    history: Annotated[bool, typer.Option("--history", help="Corrected and withdrawn rows, too.")] = False,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """All runs as CSV.

    Example:

      scanner-agent phantom export runs.csv
    """
    from scanner_agent.phantom.csv_file import to_csv

    opened = open_log(store, config)
    try:
        text = to_csv(opened.runs(history=history))
    finally:
        opened.close()
    write(text.encode(), out)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV as `export` writes it; see docs/phantom.md.")],
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Add the runs of a CSV file; runs that are there already are passed over.

    Example:

      scanner-agent phantom import runs.csv --store sqlite:///phantom.sqlite
    """
    from scanner_agent.phantom.csv_file import from_csv

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{file}: {error}") from error
    opened = open_log(store, config)
    try:
        runs = from_csv(text)
        print(f"{opened.add(runs)} of {len(runs)} runs were new")
        refresh_metrics(opened, store, config)
    finally:
        opened.close()


@app.command()
def metrics(
    out: Annotated[Path | None, typer.Argument(help="Text file for a node exporter; default: the terminal.")] = None,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="Print the Grafana dashboard instead.")] = False,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Latest values, z and alarms as Prometheus metrics; or the Grafana dashboard that shows them.

    Examples:

      scanner-agent phantom metrics /var/lib/node_exporter/phantom.prom

      scanner-agent phantom metrics --dashboard grafana.json
    """
    import json

    from scanner_agent.phantom.metrics import grafana_dashboard, metrics_text

    if dashboard:
        write(json.dumps(grafana_dashboard(), indent=1).encode() + b"\n", out)
    else:
        write(metrics_text(evaluations(store, config, None, None, None)), out)
