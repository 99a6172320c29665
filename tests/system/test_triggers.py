"""Triggers end to end: proposed, confirmed, delivered, kept through kills of the daemon and of the sink."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import pytest

from scanner_agent.records import Trigger, TriggerState
from scanner_agent.view.session import Session
from scanner_agent.wire import ShotSender
from tests.support import live
from tests.support.kill_campaign import own_protocols
from tests.support.kill_campaign import run as run_kills
from tests.support.trigger_campaign import Campaign, faults


@pytest.mark.parametrize("first_seed", [0, 1000, 2000])
def test_lives_with_faults_act_on_each_trigger_exactly_once(first_seed: int, tmp_path: Path) -> None:
    n_active = 0
    for seed in range(first_seed, first_seed + 6):
        folder = tmp_path / str(seed)
        folder.mkdir()
        life = Campaign(seed, folder).run(60)
        assert faults(life) == []
        n_active += len(life.told_active)
    assert n_active > 20


def send_stopping(daemon: live.Daemon, scan_id: str, n_shots: int = 4, **changes: object) -> None:
    scan = live.header(scan_id, scanner="stop 2", **changes)
    with ShotSender(scan, daemon.url) as sender:
        for index in range(n_shots):
            sender.send(live.shot(scan, index))
        sender.flush()


def the_trigger(daemon: live.Daemon, state: TriggerState) -> Trigger:
    with daemon.control() as control:
        live.eventually(lambda: any(t.state is state for t in control.triggers()))
        (trigger,) = [t for t in control.triggers() if t.state is state]
    return trigger


def audit(daemon: live.Daemon) -> list[dict[str, object]]:
    return [json.loads(line) for line in (daemon.state / "audit.jsonl").read_text().splitlines()]


def events(daemon: live.Daemon) -> list[object]:
    return [line["event"] for line in audit(daemon) if str(line["event"]).startswith("trigger")]


def test_a_stop_waits_for_a_person_and_survives_kills(tmp_path: Path) -> None:
    with live.running(tmp_path) as daemon:
        live.wait_ready(daemon)
        send_stopping(daemon, "stop-1")
        proposed = the_trigger(daemon, TriggerState.PROPOSED)
        daemon.kill()
        daemon.start()
        assert the_trigger(daemon, TriggerState.PROPOSED) == proposed
        with daemon.control() as person:
            person.confirm(proposed.trigger_id, "ab")
        daemon.kill()
        daemon.start()
        active = the_trigger(daemon, TriggerState.ACTIVE)
        assert active.trigger_id == proposed.trigger_id
        with daemon.control() as scanner:
            scanner.trigger_done(active.trigger_id)
            scanner.trigger_done(active.trigger_id)
            assert scanner.triggers() == ()
        assert events(daemon) == ["trigger_proposed", "trigger_active", "trigger_acknowledged"]


def test_the_view_shows_a_request_and_what_becomes_of_it(tmp_path: Path) -> None:
    with live.running(tmp_path) as daemon:
        live.wait_ready(daemon)
        early = Session(daemon.url)
        send_stopping(daemon, "stop-2")
        proposed = the_trigger(daemon, TriggerState.PROPOSED)
        late = Session(daemon.url)
        for session in (early, late):
            live.eventually(lambda session=session: _states(session) == [TriggerState.PROPOSED])  # type: ignore[misc]
        told: list[str | None] = []
        late.act(lambda control: control.confirm(proposed.trigger_id, "ab"), told.append)
        for session in (late, early):
            live.eventually(lambda session=session: _states(session) == [TriggerState.ACTIVE])  # type: ignore[misc]
            session.close()
        assert told == [None]


def _states(session: Session) -> list[TriggerState]:
    session.step(0.05)
    return [t.state for scan in session.state.scans.values() for t in scan.triggers.values()]


SINK = """
import json, os, pathlib, sys
trigger = json.load(sys.stdin)
folder = pathlib.Path(sys.argv[1])
with (folder / "attempts").open("a") as attempts:
    attempts.write(trigger["trigger_id"] + "\\n")
if (folder / "broken").exists():
    os.kill(os.getpid(), 9)
done = folder / trigger["trigger_id"]
if not done.exists():  # idempotent: known by its id
    done.touch()
    with (folder / "acts").open("a") as acts:
        acts.write(trigger["advice"] + "\\n")
"""


def test_a_command_sink_that_dies_is_called_again_also_after_the_daemon_died(tmp_path: Path) -> None:
    folder = tmp_path / "sink"
    folder.mkdir()
    (folder / "broken").touch()
    script = tmp_path / "sink.py"
    script.write_text(SINK)
    tables = (
        f"[[triggers.sinks]]\nkind = 'command'\nretry_s = 0.1\n"
        f"options = {{ arguments = [{sys.executable!r}, {str(script)!r}, {str(folder)!r}] }}\n"
        "[[triggers.sinks]]\nkind = 'command'\ndry_run = true\noptions = { arguments = ['/bin/false'] }\n"
    )
    with live.running(tmp_path, tables=tables) as daemon:
        live.wait_ready(daemon)
        send_stopping(daemon, "stop-3")
        proposed = the_trigger(daemon, TriggerState.PROPOSED)
        assert not (folder / "attempts").exists(), "nothing is delivered before a person has confirmed"
        with daemon.control() as person:
            person.confirm(proposed.trigger_id, "ab")
        live.eventually(lambda: (folder / "attempts").exists())
        daemon.kill()
        daemon.start()
        before = len((folder / "attempts").read_text().splitlines())
        live.eventually(lambda: len((folder / "attempts").read_text().splitlines()) > before)
        live.eventually(lambda: "trigger_not_delivered" in events(daemon))
        (folder / "broken").unlink()
        live.eventually(lambda: "trigger_acknowledged" in events(daemon))
        assert (folder / "acts").read_text() == "repeat\n"
        assert "trigger_dry_run" in events(daemon)
        with daemon.control() as control:
            live.eventually(lambda: not [p for p in control.health().problems if "sink" in p or "python" in p])


class Hook(http.server.BaseHTTPRequestHandler):
    """Takes nothing the first time; checks the signature as docs/operating.md tells a receiver to."""

    secret = b"shared by daemon and console"
    taken: ClassVar[list[dict[str, object]]] = []
    refusals = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        at, signature = (part.split("=", 1)[1] for part in self.headers["Scanner-Agent-Signature"].split(","))
        right = hmac.new(Hook.secret, at.encode() + b"." + body, hashlib.sha256).hexdigest()
        genuine = hmac.compare_digest(right, signature) and abs(time.time() - int(at)) < 300
        if genuine and Hook.refusals:
            Hook.taken.append(json.loads(body))
        Hook.refusals += not Hook.taken
        self.send_response(204 if Hook.taken else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def test_a_site_s_protocol_in_mode_auto_reaches_every_sink_without_a_person(tmp_path: Path) -> None:
    Hook.taken, Hook.refusals = [], 0
    folder = tmp_path / "sink"
    folder.mkdir()
    (tmp_path / "sink.py").write_text(SINK)
    (tmp_path / "secret").write_bytes(Hook.secret)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tables = (
            "[[triggers.sinks]]\nkind = 'command'\nretry_s = 0.1\n"
            f"options = {{ arguments = [{sys.executable!r}, {str(tmp_path / 'sink.py')!r}, {str(folder)!r}] }}\n"
            "[[triggers.sinks]]\nkind = 'webhook'\nretry_s = 0.1\n"
            f"options = {{ url = 'http://127.0.0.1:{server.server_port}/hook', "
            f"secret_file = {str(tmp_path / 'secret')!r} }}\n"
        )
        with live.running(tmp_path, own_protocols(tmp_path / "protocols"), tables) as daemon:
            live.wait_ready(daemon)
            send_stopping(daemon, "auto-1", echo_time_s=0.035, repetition_time_s=3.0)
            live.eventually(lambda: "trigger_acknowledged" in events(daemon))
            assert set(events(daemon)) == {
                "trigger_active", "trigger_delivered", "trigger_not_delivered", "trigger_acknowledged"
            }  # fmt: skip
            assert events(daemon).count("trigger_delivered") == 2
            (told,) = Hook.taken
            assert (told["scan_id"], told["advice"], told["state"]) == ("auto-1", "repeat", "active")
            assert (folder / "acts").read_text() == "repeat\n"
            # The shipped protocol, which asks a person, still holds for other scans.
            send_stopping(daemon, "ask-1", echo_time_s=0.030, repetition_time_s=2.0)
            assert the_trigger(daemon, TriggerState.PROPOSED).scan_id == "ask-1"
        server.shutdown()


def test_kills_of_real_processes_act_on_each_trigger_exactly_once(tmp_path: Path) -> None:
    outcome = run_kills(tmp_path, 3, seed=5)
    assert outcome.faults == []
    assert outcome.daemon_kills == len(outcome.acts) == 3


def test_a_wrong_sink_stops_the_start_in_one_line(tmp_path: Path) -> None:
    import subprocess

    config = tmp_path / "agent.toml"
    config.write_text(
        f"state_directory = {str(tmp_path / 'state')!r}\n[listen]\nport = {live.free_port()}\n"
        "[[triggers.sinks]]\nkind = 'pigeon'\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "scanner_agent", "run", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        env=dict(os.environ),
        check=False,
    )
    assert done.returncode == 2
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .endswith("no sink 'pigeon'; there are command, webhook and installed plugins")
    )
