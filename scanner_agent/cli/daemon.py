"""`run`, `send` and the commands that look after the daemon's files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scanner_agent.cli.progress import ProgressBar, say

if TYPE_CHECKING:
    from scanner_agent.wire import ClientKeys

DEFAULT_URL = "tcp://127.0.0.1:5570"
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="agent.toml; default: the one in the user's config folder, if any.")
]
ConnectOption = Annotated[str, typer.Option("--connect", metavar="URL", help="The daemon's ingest socket.")]
KeyOption = Annotated[
    Path | None, typer.Option("--key", help="Key file of `keys new`; needed where the daemon uses CURVE.")
]
ServerKeyOption = Annotated[
    str | None, typer.Option("--server-key", help="The daemon's public key (`keys list` shows it).")
]
EXIT_CODES = {"good": 0, "watch": 0, "stop": 3, "cannot_judge": 4}

keys_app = typer.Typer(no_args_is_help=True, help="CURVE keys: who may send, watch and control.")
config_app = typer.Typer(no_args_is_help=True, help="What is in force.")
spool_app = typer.Typer(no_args_is_help=True, help="Shots on disk.")
audit_app = typer.Typer(no_args_is_help=True, help="The record of what was decided and changed.")
systemd_app = typer.Typer(no_args_is_help=True, help="The service file.")


def register(app: typer.Typer) -> None:
    """Add these commands to the root."""
    app.command()(run)
    app.command()(send)
    app.command()(doctor)
    app.add_typer(keys_app, name="keys")
    app.add_typer(config_app, name="config")
    app.add_typer(spool_app, name="spool")
    app.add_typer(audit_app, name="audit")
    app.add_typer(systemd_app, name="systemd")


def run(config: ConfigOption = None) -> None:
    """Run the daemon until it is told to end (Ctrl-C, SIGTERM). Works without a config.

    Example:

      scanner-agent run --config /etc/scanner-agent/agent.toml
    """
    from scanner_agent.cli.start import run_daemon

    run_daemon(config)


def send(
    file: Annotated[Path, typer.Argument(help="NIfTI-MRS or a vendor file.")],
    water: Annotated[Path | None, typer.Option(help="File with the unsuppressed water reference.")] = None,
    noise: Annotated[Path | None, typer.Option(help="File with a noise scan.")] = None,
    connect: ConnectOption = DEFAULT_URL,
    speed: Annotated[float, typer.Option(min=0.01, help="Times faster than the scanner was.")] = 1.0,
    fast: Annotated[bool, typer.Option("--as-fast-as-possible", help="Do not wait between shots.")] = False,
    scan_id: Annotated[str | None, typer.Option(help="Resume this scan; default: a new id.")] = None,
    phantom: Annotated[
        bool | None, typer.Option("--phantom/--in-vivo", help="Say so where the file does not.", show_default=False)
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the report and print its verdict.")] = True,
    json_out: Annotated[
        str | None, typer.Option("--json", metavar="OUT|-", help="Write the report as JSON; - is stdout.")
    ] = None,
    key: KeyOption = None,
    server_key: ServerKeyOption = None,
) -> None:
    """Play a file to the daemon as if it came from the scanner now, a shot each TR.

    Exit code: 0 good or watch, 3 stop, 4 cannot judge, 2 unreadable input or no daemon.

    Examples:

      scanner-agent send scan.nii.gz --water water.nii.gz

      scanner-agent send scan.nii.gz --as-fast-as-possible
    """
    import secrets

    from scanner_agent.daemon.play import play
    from scanner_agent.records import counted, to_json
    from scanner_agent.sources import open_scan
    from scanner_agent.wire import wait_for_report

    keys = client_keys(key, server_key)
    chosen = scan_id or f"{file.name.split('.')[0][:40]}-{secrets.token_hex(4)}".lstrip("._-")
    source = open_scan(file, water=water, noise=noise, scan_id=_as_identifier(chosen), phantom=phantom)
    print(f"scan {source.header.scan_id}", file=sys.stderr)
    try:
        result = play(source, connect, speed=None if fast else speed, keys=keys, progress=ProgressBar("connecting"))
    except KeyboardInterrupt:
        print(f"stopped; go on with --scan-id {source.header.scan_id}", file=sys.stderr)
        raise typer.Exit(130) from None
    for refusal in result.refused:
        print(f"shot {refusal.shot_index} refused: {refusal.text} ({refusal.reason})", file=sys.stderr)
    print(f"{counted(result.acknowledged)} acknowledged in {result.seconds:.1f} s", file=sys.stderr)
    if not wait and json_out is None:
        return
    report, _ = wait_for_report(connect, source.header.scan_id, 600.0, keys=keys)
    if report is None:
        print("scanner-agent: no report came within 10 minutes", file=sys.stderr)
        raise typer.Exit(2)
    if json_out == "-":
        sys.stdout.buffer.write(to_json(report) + b"\n")
    else:
        if json_out is not None:
            Path(json_out).write_bytes(to_json(report) + b"\n")
        say(f"{report.verdict.value.upper().replace('_', ' ')}: {report.advice_text}")
        for finding in report.findings:
            say(f"  {finding.kind.value} ({finding.severity.value}): {finding.text}")
    raise typer.Exit(EXIT_CODES[report.verdict.value])


def _as_identifier(text: str) -> str:
    import re

    return re.sub(r"[^A-Za-z0-9_.\-]", "-", text)[:64]


def client_keys(key: Path | None, server_key: str | None) -> ClientKeys | None:
    """Keys of a client as its options name them; None without any."""
    from scanner_agent.errors import ConfigError

    if key is None and server_key is None:
        return None
    if key is None or server_key is None:
        raise ConfigError("--key and --server-key go together")
    from scanner_agent.daemon.keys import read_client_keys

    return read_client_keys(key, server_key)


@keys_app.command("new")
def keys_new(
    file: Annotated[Path, typer.Argument(help="Key file to make; stays on the client's machine.")],
) -> None:
    """Make a client's key pair and print its public key, to be allowed on the daemon's machine.

    Example:

      scanner-agent keys new bridge.key
    """
    from scanner_agent.daemon.keys import new_client_key

    print(new_client_key(file))


@keys_app.command("list")
def keys_list(config: ConfigOption = None) -> None:
    """Print the daemon's public key and the allow-list of each socket.

    Example:

      scanner-agent keys list
    """
    from scanner_agent.config import load_config
    from scanner_agent.daemon.keys import ENDPOINTS, allowed, server_keys

    directory = load_config(config).keys
    print(f"server   {server_keys(directory).public.decode()}")
    for endpoint in ENDPOINTS:
        for entry in allowed(directory, endpoint):
            print(f"{endpoint:8} {entry.public} {entry.name}")


@keys_app.command("allow")
def keys_allow(
    public: Annotated[str, typer.Argument(help="The client's public key (40 characters).")],
    name: Annotated[str, typer.Argument(help="Whose it is: a console or a role, not a person's name.")],
    ingest: Annotated[bool, typer.Option("--ingest", help="May send shots.")] = False,
    publish: Annotated[bool, typer.Option("--publish", help="May watch.")] = False,
    control: Annotated[bool, typer.Option("--control", help="May ask, acknowledge and act on triggers.")] = False,
    config: ConfigOption = None,
) -> None:
    """Put a key on the lists of the sockets named. A running daemon follows within a second.

    Example:

      scanner-agent keys allow 'PUBLIC-KEY' bridge --ingest
    """
    from scanner_agent.config import load_config
    from scanner_agent.daemon.keys import allow
    from scanner_agent.errors import ConfigError

    chosen = [n for n, wanted in (("ingest", ingest), ("publish", publish), ("control", control)) if wanted]
    if not chosen:
        raise ConfigError("name at least one of --ingest, --publish, --control")
    for endpoint in chosen:
        allow(load_config(config).keys, endpoint, public, name)
        print(f"{name} may use {endpoint}")


@keys_app.command("revoke")
def keys_revoke(name: Annotated[str, typer.Argument(help="Name or public key.")], config: ConfigOption = None) -> None:
    """Take a key off every list. A running daemon cuts it off within a second.

    Example:

      scanner-agent keys revoke bridge
    """
    from scanner_agent.config import load_config
    from scanner_agent.daemon.keys import revoke

    for endpoint in revoke(load_config(config).keys, name):
        print(f"{name} may no longer use {endpoint}")


@config_app.command("show")
def config_show(config: ConfigOption = None) -> None:
    """Print the configuration that is in force, defaults included.

    Example:

      scanner-agent config show > agent.toml
    """
    import msgspec

    from scanner_agent.config import load_config

    settings = load_config(config)
    shown = msgspec.to_builtins(settings)
    shown["state_directory"] = str(settings.state)
    shown["security"] = {"curve": settings.curve, "keys_directory": str(settings.keys)}
    shown["store"] = {"url": settings.store_url or "off"}
    for line in _toml(shown):
        print(line)


def _toml(table: dict[str, object], prefix: str = "") -> list[str]:
    import json

    lines = [f"[{prefix}]"] if prefix else []
    plain = {k: v for k, v in table.items() if not isinstance(v, dict)}
    lines += [
        f"# {key} is not set" if value is None else f"{key} = {json.dumps(value)}" for key, value in plain.items()
    ]
    for key, value in table.items():
        if isinstance(value, dict):
            lines += ["", *_toml(value, f"{prefix}.{key}" if prefix else key)]
    return lines


@spool_app.command("list")
def spool_list(config: ConfigOption = None) -> None:
    """List the scans on disk, oldest first.

    Example:

      scanner-agent spool list
    """
    from datetime import datetime

    from scanner_agent.config import load_config
    from scanner_agent.spool import list_scans, summary

    for path in list_scans(load_config(config).state / "spool"):
        line = summary(path)
        when = datetime.fromtimestamp(line.modified).isoformat(" ", "seconds")
        shots = ", ".join(f"{n} {kind}" for kind, n in sorted(line.n_shots.items())) or "no shots"
        print(f"{when}  {line.state:6}  {line.n_bytes / 1e6:8.1f} MB  {line.scan_id}  {shots}")


@spool_app.command("verify")
def spool_verify(config: ConfigOption = None) -> None:
    """Read every record of every scan and check it. Exit code 1 if anything is damaged.

    Example:

      scanner-agent spool verify
    """
    from scanner_agent.config import load_config
    from scanner_agent.spool import damaged_at, list_scans

    bad = 0
    paths = list_scans(load_config(config).state / "spool")
    for path in paths:
        where = damaged_at(path)
        if where is not None:
            bad += 1
            print(f"{path.name}: damaged (or being written) after byte {where} of {path.stat().st_size}")
    print(f"{len(paths) - bad} of {len(paths)} scans are whole")
    if bad:
        raise typer.Exit(1)


@spool_app.command("export")
def spool_export(
    scan_id: Annotated[str, typer.Argument(help="Scan, as `spool list` shows it.")],
    out: Annotated[Path, typer.Argument(help="NIfTI-MRS file to write (…nii.gz); water and noise go beside it.")],
    config: ConfigOption = None,
) -> None:
    """Write a spooled scan as NIfTI-MRS.

    Example:

      scanner-agent spool export scan-2024-11-19-3 scan.nii.gz
    """
    from scanner_agent.config import load_config
    from scanner_agent.records import ScanHeader
    from scanner_agent.sources import write_nifti_mrs
    from scanner_agent.spool import SpoolReader

    reader = SpoolReader(load_config(config).state / "spool", scan_id)
    header = reader.next()
    while reader.next() is not None:
        pass
    assert isinstance(header, ScanHeader)
    write_nifti_mrs(out, header, reader.replay())
    reader.close()
    print(out)


@audit_app.command("verify")
def audit_verify(
    config: ConfigOption = None,
    report: Annotated[
        Path | None, typer.Option(help="A report (JSON): the line that it names must be there, unchanged.")
    ] = None,
) -> None:
    """Check the chain of the audit record. Exit code 1 if it was changed or cut.

    Examples:

      scanner-agent audit verify

      scanner-agent audit verify --report report.json
    """
    from scanner_agent.cli.report import read_report
    from scanner_agent.config import load_config
    from scanner_agent.daemon.audit import Head, read_head, verify

    known = None
    if report is not None:
        made = read_report(report).provenance
        if made.audit_count is not None and made.audit_head is not None:
            known = Head(made.audit_count, made.audit_head)
    path = load_config(config).state / "audit.jsonl"
    wrong = verify(path, known)
    if wrong is not None:
        print(f"audit record: {wrong}")
        raise typer.Exit(1)
    head = read_head(path)
    print(f"audit record: {head.lines} lines, whole; head {head.hash}")


@systemd_app.command("print")
def systemd_print() -> None:
    """Print the service file, with the path of this installation in it.

    Example:

      scanner-agent systemd print > /etc/systemd/system/scanner-agent.service
    """
    from importlib.resources import files

    text = files("scanner_agent").joinpath("systemd", "scanner-agent.service").read_text(encoding="utf-8")
    program = str(Path(sys.argv[0]).resolve())
    print(text.replace("/usr/bin/scanner-agent", program), end="")


def doctor(config: ConfigOption = None) -> None:
    """Check what the daemon needs on this machine; says what is wrong and what to do. Exit code 1 if anything is.

    Example:

      scanner-agent doctor --config /etc/scanner-agent/agent.toml
    """
    from scanner_agent.config import load_config
    from scanner_agent.daemon.doctor import checks

    worst = 0
    for name, ok, text in checks(load_config(config)):
        worst |= not ok
        print(f"{'ok  ' if ok else 'FAIL'}  {name}: {text}")
    raise typer.Exit(worst)
