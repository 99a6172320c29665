"""`send`, and the commands that look after the daemon's files, against a live daemon."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from scanner_agent.cli.app import app
from scanner_agent.daemon.play import play
from scanner_agent.errors import SourceError
from scanner_agent.records import ScanHeader, Shot, ShotKind
from scanner_agent.sources import open_scan, write_nifti_mrs
from scanner_agent.wire import ShotSender, wait_for_report
from tests.support import live


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Daemon]:
    with live.running(tmp_path_factory.mktemp("commands"), tables="[store]\nurl = 'off'") as running:
        live.wait_ready(running)
        yield running


@pytest.fixture(scope="module")
def scan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scan = live.header("file", n_points=512, repetition_time_s=0.5, echo_time_s=0.03)
    path = tmp_path_factory.mktemp("file") / "scan.nii.gz"
    shots = [live.shot(scan, i, ShotKind.WATER_REFERENCE) for i in range(2)] + [live.shot(scan, i) for i in range(6)]
    write_nifti_mrs(path, scan, shots)
    return path


def _run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def leaves(group: TyperGroup, *path: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from leaves(command, *path, name)
        else:
            yield *path, name


@pytest.mark.parametrize("command", list(leaves(get_command(app))), ids=" ".join)
def test_every_command_s_help_has_an_example(command: tuple[str, ...]) -> None:
    code, out, _ = _run(*command, "--help")
    assert code == 0
    assert f"scanner-agent {' '.join(command)}" in out.partition("Example")[2]


def test_send_plays_a_file_prints_the_verdict_and_resumes(daemon: live.Daemon, scan_file: Path) -> None:
    water = scan_file.with_name("scan_water.nii.gz")
    arguments = (
        "send", scan_file, "--water", water, "--connect", daemon.url, "--as-fast-as-possible", "--scan-id", "one",
    )  # fmt: skip
    code, out, err = _run(*arguments)
    assert code == 0
    assert out.startswith("GOOD: Done.")
    assert "8 shots acknowledged" in err
    code, _, err = _run(*arguments)  # the same scan again: nothing is sent twice
    assert code == 0
    assert "0 shots acknowledged" in err
    code, out, _ = _run(*arguments[:-1], "two", "--json", "-")
    assert json.loads(out)["verdict"] == "good"


def test_spooled_scans_are_listed_verified_and_exported(daemon: live.Daemon, scan_file: Path, tmp_path: Path) -> None:
    config = ("--config", daemon.config)
    _run("send", scan_file, "--connect", daemon.url, "--as-fast-as-possible", "--scan-id", "kept")
    code, out, _ = _run("spool", "list", *config)
    assert code == 0
    assert any("kept" in line and "6 metabolite" in line for line in out.splitlines())
    assert _run("spool", "verify", *config)[0] == 0
    assert _run("spool", "export", "kept", tmp_path / "out.nii.gz", *config)[0] == 0
    again, first = open_scan(tmp_path / "out.nii.gz"), open_scan(scan_file)
    for a, b in zip(again.shots(), first.shots(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    live.eventually(lambda: bool(list((daemon.state / "spool").glob("*.done"))))
    path = next((daemon.state / "spool").glob("*.done"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + b"xxx")
    code, out, _ = _run("spool", "verify", *config)
    path.write_bytes(whole)
    assert code == 1
    assert path.name in out


def test_the_audit_record_is_checked_against_a_report(daemon: live.Daemon, scan_file: Path, tmp_path: Path) -> None:
    config = ("--config", daemon.config)
    arguments = ("send", scan_file, "--connect", daemon.url, "--as-fast-as-possible")
    for name in ("a", "b"):
        assert _run(*arguments, "--scan-id", f"audited-{name}", "--json", tmp_path / f"{name}.json")[0] == 0
    code, out, _ = _run("audit", "verify", *config, "--report", tmp_path / "b.json")
    assert code == 0, out
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(SourceError, match=r"other\.json is not a report"):
        _run("audit", "verify", *config, "--report", tmp_path / "other.json")
    path = daemon.state / "audit.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole.splitlines(keepends=True)[0])
    code, out, _ = _run("audit", "verify", *config, "--report", tmp_path / "b.json")
    path.write_bytes(whole)
    assert code == 1
    assert "the tail was cut" in out


def test_keys_are_made_allowed_listed_and_revoked(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(f"state_directory = {str(tmp_path / 'state')!r}")
    code, out, _ = _run("keys", "new", tmp_path / "bridge.key")
    public = out.strip()
    assert code == 0
    assert len(public) == 40
    assert _run("keys", "allow", public, "bridge", "--ingest", "--control", "--config", config)[0] == 0
    _, out, _ = _run("keys", "list", "--config", config)
    assert [line.split()[0] for line in out.splitlines()] == ["server", "ingest", "control"]
    assert (tmp_path / "bridge.key").stat().st_mode & 0o777 == 0o600
    assert _run("keys", "revoke", "bridge", "--config", config)[0] == 0
    assert len(_run("keys", "list", "--config", config)[1].splitlines()) == 1
    assert (tmp_path / "bridge.key").read_text().split()[3] not in out  # the secret is shown nowhere


def test_config_show_can_be_read_back_and_the_unit_names_this_program(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(f"state_directory = {str(tmp_path)!r}\n[listen]\nport = 6001")
    _, out, _ = _run("config", "show", "--config", config)
    again = tmp_path / "again.toml"
    again.write_text(out)
    assert _run("config", "show", "--config", again)[1] == out
    assert "port = 6001" in out
    code, out, _ = _run("systemd", "print")
    assert code == 0
    assert "ExecStart=/usr/bin/" not in out


class _Source:
    """A scan in memory."""

    def __init__(self, header: ScanHeader, shots: list[Shot]) -> None:
        self.header, self._shots = header, shots

    def shots(self) -> list[Shot]:
        return self._shots


class _Silent:
    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def step(self, text: str, done: int, total: int | None) -> None: ...


def test_a_played_scan_goes_on_where_an_earlier_sender_stopped(daemon: live.Daemon) -> None:
    scan = live.header("resumed")
    with ShotSender(scan, daemon.url) as sender:
        for index in (0, 1, 4):
            sender.send(live.shot(scan, index))
        sender.flush()
    shots = [live.shot(scan, index) for index in range(6)]
    sent: list[int] = []
    play(_Source(scan, shots), daemon.url, speed=None, progress=_Silent(), on_shot=lambda s: sent.append(s.shot_index))
    assert sent == [2, 3, 5]
    report, _ = wait_for_report(daemon.url, "resumed", 20.0)
    assert report is not None
    assert [track.index for track in report.shots] == list(range(6))


def test_bad_shots_are_refused_one_by_one_and_the_rest_arrives(daemon: live.Daemon) -> None:
    scan = live.header("with-nan")
    shots = [live.shot(scan, index) for index in range(4)]
    shots[2].data[0, 5] = np.nan
    result = play(_Source(scan, shots), daemon.url, speed=None, progress=_Silent())
    assert [(r.shot_index, r.reason) for r in result.refused] == [(2, "not_finite")]
    assert result.acknowledged == 3
    report, _ = wait_for_report(daemon.url, "with-nan", 20.0)
    assert report is not None
    assert report.end.n_shots == 4
    assert [track.index for track in report.shots] == [0, 1, 3]


def test_a_played_scan_can_be_stopped(daemon: live.Daemon) -> None:
    scan = live.header("stopped", repetition_time_s=0.05)
    stop = threading.Event()
    shots = [live.shot(scan, index) for index in range(50)]
    play(
        _Source(scan, shots),
        daemon.url,
        speed=1.0,
        progress=_Silent(),
        stop=stop,
        on_shot=lambda shot: stop.set() if shot.shot_index == 3 else None,
    )
    report, _ = wait_for_report(daemon.url, "stopped", 20.0)
    assert report is not None
    assert report.end.status.value == "aborted"
    assert len(report.shots) == 4
