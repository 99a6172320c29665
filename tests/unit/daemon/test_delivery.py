"""Sinks: delivered once taken, tried again when not, in time, no shell, signed; dry runs deliver nothing."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.server
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from scanner_agent.config import Sink
from scanner_agent.daemon import sinks
from scanner_agent.daemon.delivery import Attempt, Delivery, SinkError
from scanner_agent.daemon.sinks import Command, Webhook, make_deliverer
from scanner_agent.errors import ConfigError
from scanner_agent.records import Trigger, TriggerState
from tests.support import results
from tests.support.live import eventually, is_gone

SECRET = b"a secret of enough bytes"


def active(**changes: object) -> Trigger:
    now = time.time()
    return results.trigger(state="active", created_at=now, expires_at=now + 60, **changes)


def python(script: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script, *arguments)


def test_a_command_gets_arguments_and_the_trigger_on_its_input(tmp_path: Path) -> None:
    script = "import sys, json; json.dump([sys.argv[1:], json.load(sys.stdin)], open(sys.argv[1], 'w'))"
    out = tmp_path / "out.json"
    command = Command(python(script, str(out), "{trigger_id}", "{advice}={extend_shots}", "{text}"))
    trigger = active(text='$(reboot); `x` "quoted"')
    command.deliver(trigger, 20.0)
    arguments, given = json.loads(out.read_text())
    assert arguments[1:] == ["trigger-1", "extend=16", "{text}"]
    assert msgspec.convert(given, Trigger) == trigger


def test_a_command_does_not_see_the_daemon_s_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_DAEMON", "x")
    script = "import os, sys; sys.exit('SECRET_OF_THE_DAEMON' in os.environ)"
    Command(python(script)).deliver(active(), 20.0)


def test_a_command_that_fails_says_its_last_words() -> None:
    with pytest.raises(SinkError, match="exit code 3: no scanner here"):
        Command(python("import sys; print('no scanner here', file=sys.stderr); sys.exit(3)")).deliver(active(), 20.0)


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"sleep 1000 & echo $! > '{pid_file}'; wait"  # a shell is up long before the time is over
    with pytest.raises(SinkError, match="took longer than 2 s"):
        Command(("/bin/sh", "-c", script)).deliver(active(), 2.0)
    eventually(lambda: is_gone(int(pid_file.read_text())))


@pytest.mark.parametrize("arguments", [(), ("true",), ("./here",)])
def test_a_command_must_be_an_absolute_path(arguments: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="absolute"):
        Command(arguments)


class Hook(http.server.BaseHTTPRequestHandler):
    """Answers with the statuses in turn, the last one for ever; writes down what came."""

    statuses: ClassVar[list[int]] = [200]
    seen: ClassVar[list[tuple[dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Hook.seen.append((dict(self.headers), body))
        status = Hook.statuses.pop(0) if len(Hook.statuses) > 1 else Hook.statuses[0]
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def hook() -> Iterator[str]:
    Hook.statuses, Hook.seen = [200], []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook?site=1"
        server.shutdown()
        thread.join()


@pytest.fixture
def secret(tmp_path: Path) -> str:
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    return str(tmp_path / "secret")


def test_a_webhook_is_signed_over_time_and_body(hook: str, secret: str) -> None:
    trigger = active()
    Webhook(hook, secret).deliver(trigger, 20.0)
    ((headers, body),) = Hook.seen
    assert msgspec.json.decode(body, type=Trigger) == trigger
    assert headers["Idempotency-Key"] == "trigger-1"
    at, signature = (part.split("=", 1)[1] for part in headers["Scanner-Agent-Signature"].split(","))
    assert hmac.new(SECRET, at.encode() + b"." + body, hashlib.sha256).hexdigest() == signature
    assert abs(time.time() - int(at)) < 60


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_is_not_taken_is_not_followed(hook: str, secret: str, status: int) -> None:
    Hook.statuses = [status]
    with pytest.raises(SinkError, match=f"status {status}"):
        Webhook(hook, secret).deliver(active(), 20.0)
    assert len(Hook.seen) == 1


def test_a_webhook_that_is_away_or_silent_fails_in_time(secret: str) -> None:
    with pytest.raises(SinkError):
        Webhook("http://127.0.0.1:1/", secret).deliver(active(), 1.0)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        begin = time.monotonic()
        with pytest.raises(SinkError):
            Webhook(f"http://127.0.0.1:{deaf.getsockname()[1]}/", secret).deliver(active(), 0.5)
        assert time.monotonic() - begin < 10


def test_a_webhook_whose_answer_trickles_in_fails_in_time(secret: str) -> None:
    stopping = threading.Event()

    def trickle(server: socket.socket) -> None:
        peer, _ = server.accept()
        with peer, contextlib.suppress(OSError):
            peer.sendall(b"HTTP/1.1 200 OK\r\n")
            while not stopping.wait(0.05):
                peer.sendall(b"X-Slow: y\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=trickle, args=(server,))
        thread.start()
        begin = time.monotonic()
        try:
            with pytest.raises(SinkError):
                Webhook(f"http://127.0.0.1:{server.getsockname()[1]}/", secret).deliver(active(), 0.3)
            assert time.monotonic() - begin < 10
        finally:
            stopping.set()
            thread.join()


@pytest.mark.parametrize("url", ["http://example.org/", "ftp://127.0.0.1/", "nonsense"])
def test_a_webhook_beyond_this_machine_must_be_https(url: str, secret: str) -> None:
    with pytest.raises(ConfigError):
        Webhook(url, secret)


def test_a_webhook_needs_a_long_secret(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"short")
    with pytest.raises(ConfigError, match="16 bytes"):
        Webhook("https://example.org/", str(tmp_path / "short"))
    with pytest.raises(ConfigError, match="No such file"):
        Webhook("https://example.org/", str(tmp_path / "none"))


@pytest.mark.parametrize(
    "sink", [Sink(kind="pigeon"), Sink(kind="command"), Sink(kind="webhook", options={"url": "https://x", "extra": 1})]
)
def test_a_wrong_sink_is_a_config_error(sink: Sink) -> None:
    with pytest.raises(ConfigError, match=r"triggers\.sinks"):
        make_deliverer(sink)


class Plugin:
    """What an entry point gives."""

    failures = 0
    never: ClassVar[set[str]] = set()
    got: ClassVar[list[str]] = []
    error: ClassVar[type[Exception]] = SinkError

    def __init__(self, **options: object) -> None:
        self.options = options

    def deliver(self, trigger: Trigger, timeout_s: float) -> None:
        if Plugin.failures or trigger.trigger_id in Plugin.never:
            Plugin.failures = max(0, Plugin.failures - 1)
            raise Plugin.error("not now")
        Plugin.got.append(trigger.trigger_id)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Sink:
    class Point:
        name = "pigeon"

        def load(self) -> type[Plugin]:
            return Plugin

    monkeypatch.setattr(sinks, "entry_points", lambda group: [Point()])
    Plugin.got, Plugin.failures, Plugin.never, Plugin.error = [], 0, set(), SinkError
    return Sink(kind="pigeon", options={"coop": 3}, retry_s=0.01)


def test_an_installed_package_adds_a_sink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its entry point alone, as `pip install` would leave it."""
    made = tmp_path / "pigeon_sink-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeon-sink\nVersion: 1.0\n")
    (made / "entry_points.txt").write_text("[scanner_agent.sinks]\ncarrier = pigeon_sink:Carrier\n")
    (tmp_path / "pigeon_sink.py").write_text(
        "class Carrier:\n"
        "    def __init__(self, *, coop):\n        self.coop, self.got = coop, []\n"
        "    def deliver(self, trigger, timeout_s):\n        self.got.append((trigger.trigger_id, timeout_s))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    carrier = make_deliverer(Sink(kind="carrier", options={"coop": 3}))
    carrier.deliver(active(), 2.0)
    assert (carrier.coop, carrier.got) == (3, [("trigger-1", 2.0)])  # type: ignore[attr-defined]


def collected(delivery: Delivery, n: int) -> list[Attempt]:
    found: list[Attempt] = []
    deadline = time.monotonic() + 20

    def next_one() -> Attempt | None:
        return delivery.next_attempt()

    wait(lambda: (found.append(a) if (a := next_one()) else None) or len(found) >= n, deadline)
    return found


def wait(done: Callable[[], bool], deadline: float) -> None:
    event = threading.Event()
    while not done():
        assert time.monotonic() < deadline
        event.wait(0.005)


@pytest.mark.parametrize("error", [SinkError, KeyError])
def test_what_failed_is_tried_again_until_taken(plugin: Sink, error: type[Exception]) -> None:
    Plugin.failures, Plugin.error = 3, error
    delivery = Delivery([plugin])
    delivery.start()
    delivery.changed(active())
    attempts = collected(delivery, 4)
    assert [a.problem is None for a in attempts] == [False, False, False, True]
    assert Plugin.got == ["trigger-1"]
    delivery.close()


def test_only_active_triggers_are_delivered_and_no_longer_than_they_are(plugin: Sink) -> None:
    Plugin.never = {"trigger-1"}
    delivery = Delivery([plugin])
    delivery.start()
    delivery.changed(results.trigger())
    gone = msgspec.structs.replace(active(trigger_id="late"), expires_at=time.time() - 1)
    delivery.changed(gone)
    trigger = active()
    delivery.changed(trigger)
    collected(delivery, 2)
    delivery.changed(msgspec.structs.replace(trigger, state=TriggerState.WITHDRAWN))
    delivery.changed(active(trigger_id="second"))
    wait(lambda: bool(Plugin.got), time.monotonic() + 20)
    (courier,) = delivery._couriers
    wait(lambda: not courier._due, time.monotonic() + 20)  # what is tried again and again is always due
    assert Plugin.got == ["second"]
    delivery.close()


def test_a_dry_run_delivers_nothing_and_is_not_required(plugin: Sink) -> None:
    delivery = Delivery([msgspec.structs.replace(plugin, dry_run=True)])
    delivery.start()
    delivery.changed(active())
    (attempt,) = collected(delivery, 1)
    assert attempt.dry_run
    assert Plugin.got == []
    assert delivery.required == frozenset()
    delivery.close()


def test_a_sink_that_hangs_holds_up_nobody(plugin: Sink) -> None:
    hanging = Sink(kind="command", options={"arguments": list(python("import threading; threading.Event().wait()"))},
                   timeout_s=8.0)  # fmt: skip
    delivery = Delivery([hanging, plugin])
    delivery.start()
    delivery.changed(active())
    (attempt,) = collected(delivery, 1)
    assert attempt.sink == "2-pigeon"
    delivery.close()
