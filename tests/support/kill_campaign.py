"""Triggers through kills of real processes: the daemon at any moment of a scan, the client before and after its act.

The scan is sent on by the sending client, which sends again what was not acknowledged; the daemon is started again on
the same state, the client on the same file. Tests do a few runs, `benchmarks/triggers.py` tens.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from scanner_agent.errors import ScannerAgentError
from scanner_agent.wire import ControlClient, ShotSender
from tests.support import live

CLIENT = Path(__file__).with_name("idempotent_client.py")
OWN_PROTOCOL = """
extends = "press_te35_tr3000_3t"
name = "our_press"
title = "Our PRESS"
source = "the site's own"
trigger_mode = "auto"
"""


def own_protocols(folder: Path) -> str:
    """A site's folder of protocols with one in mode `auto`; the line of the configuration that names it."""
    folder.mkdir()
    (folder / "our_press.toml").write_text(OWN_PROTOCOL)
    return f"protocol_directories = [{str(folder)!r}]"


@dataclass
class Outcome:
    """What came of all runs."""

    runs: int = 0
    daemon_kills: int = 0
    client_deaths: int = 0
    acts: Counter[str] = field(default_factory=Counter)
    """How often each trigger was acted on."""
    scans: Counter[str] = field(default_factory=Counter)
    """Acts by scan: its verdict has one cause, so one trigger."""
    faults: list[str] = field(default_factory=list)


class _Client:
    """Keeps the client alive."""

    def __init__(self, url: str, acts: Path, seed: int) -> None:
        self.url, self.acts, self.seed, self.deaths = url, acts, seed, 0
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            arguments = [sys.executable, str(CLIENT), self.url, str(self.acts), str(self.seed + self.deaths)]
            self._process = subprocess.Popen(arguments, cwd=CLIENT.parents[2])
            if self._stopping.is_set():
                self._process.kill()
            self._process.wait()
            self.deaths += not self._stopping.is_set()

    def stop(self) -> None:
        self._stopping.set()
        if self._process is not None:
            self._process.kill()
        self._thread.join()


def run(folder: Path, n_runs: int, seed: int) -> Outcome:
    """`n_runs` scans that stop, each with a kill of the daemon at a random moment."""
    rng = random.Random(seed)
    outcome = Outcome()
    acts = folder / "acts"
    extra = own_protocols(folder / "protocols")
    with live.running(folder, extra, "[triggers]\ncool_down_s = 0\n") as daemon:
        live.wait_ready(daemon)
        client = _Client(daemon.url, acts, 1000 * seed)
        try:
            for number in range(n_runs):
                scan_id = f"killed-{seed}-{number}"
                _one(daemon, scan_id, rng)
                outcome.runs += 1
                outcome.daemon_kills += 1
                try:
                    live.eventually(lambda scan_id=scan_id: _settled(daemon, acts, scan_id), 60.0)  # type: ignore[misc]
                except AssertionError:
                    outcome.faults.append(f"{scan_id}: its trigger did not come to an end")
        finally:
            client.stop()
            outcome.client_deaths = client.deaths
        lines = [line.split() for line in acts.read_text().splitlines()]
        outcome.acts.update(trigger_id for trigger_id, _ in lines)
        outcome.scans.update(scan_id for _, scan_id in lines)
        outcome.faults += [f"{what} acted on {n} times" for what, n in (outcome.acts + outcome.scans).items() if n > 1]
        events = Counter(json.loads(line)["event"] for line in (daemon.state / "audit.jsonl").read_text().splitlines())
        if events["trigger_acknowledged"] != outcome.runs:
            outcome.faults.append(f"{events['trigger_acknowledged']} acknowledged of {outcome.runs}")
    return outcome


def _one(daemon: live.Daemon, scan_id: str, rng: random.Random) -> None:
    """Send a scan whose verdict is stop from its second shot on; kill the daemon meanwhile, start it again."""
    scan = live.header(scan_id, scanner="stop 1", echo_time_s=0.035, repetition_time_s=3.0)
    wait_s = rng.choice((0.0, 0.01, 0.02, 0.04, 0.08)) * (0.5 + rng.random())

    def send() -> None:
        with ShotSender(scan, daemon.url) as sender:
            for index in range(4):
                sender.send(live.shot(scan, index))
            sender.end()

    sending = threading.Thread(target=send)
    sending.start()
    sending.join(wait_s)
    daemon.kill()
    daemon.start()
    sending.join(60.0)


def _settled(daemon: live.Daemon, acts: Path, scan_id: str) -> bool:
    if not acts.exists() or scan_id not in acts.read_text():
        return False
    try:
        with ControlClient(daemon.url, timeout_s=1.0) as control:
            return control.triggers() == ()
    except ScannerAgentError:
        return False
