"""Ways to deliver an active trigger besides the control socket: a command, a webhook, or what an entry point adds.

A delivery that returns has been taken over; one that raises `SinkError` is tried again. The receiver may be told of the
same trigger more than once and knows it by its id.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from scanner_agent.config import Sink, is_loopback
from scanner_agent.daemon.delivery import Deliverer, SinkError
from scanner_agent.errors import ConfigError
from scanner_agent.records import Trigger

GROUP = "scanner_agent.sinks"
_FIELDS = ("trigger_id", "scan_id", "advice", "extend_shots", "reason")


def make_deliverer(sink: Sink) -> Deliverer:
    """The deliverer that a sink's configuration names. Raises ConfigError.

    An entry point of the group `scanner_agent.sinks` is called with the options as keyword arguments.
    """
    if sink.kind == "command":
        return Command(**_options(sink, CommandOptions))
    if sink.kind == "webhook":
        return Webhook(**_options(sink, WebhookOptions))
    found = [point for point in entry_points(group=GROUP) if point.name == sink.kind]
    if not found:
        raise ConfigError(f"triggers.sinks: no sink {sink.kind!r}; there are command, webhook and installed plugins")
    made: Deliverer = found[0].load()(**sink.options)
    return made


class CommandOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of `command`."""

    arguments: tuple[str, ...]
    """Program (an absolute path) and arguments. `{trigger_id}`, `{scan_id}`, `{advice}`, `{extend_shots}` and
    `{reason}` are filled in."""


class WebhookOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of `webhook`."""

    url: str
    """https, or http to this machine."""
    secret_file: str
    """File with the shared secret, at least 16 bytes."""


def _options(sink: Sink, kind: type[msgspec.Struct]) -> dict[str, Any]:
    try:
        return msgspec.structs.asdict(msgspec.convert(sink.options, kind))
    except msgspec.ValidationError as error:
        raise ConfigError(f"triggers.sinks, {sink.kind}: {error}") from None


class Command:
    """Runs a program with arguments, without a shell; its standard input is the trigger as JSON. Exit code 0: taken."""

    def __init__(self, arguments: tuple[str, ...]) -> None:
        if not arguments or not Path(arguments[0]).is_absolute():
            raise ConfigError("triggers.sinks, command: `arguments` must begin with the program's absolute path")
        self._arguments = arguments

    def deliver(self, trigger: Trigger, timeout_s: float) -> None:
        """Run it; its whole process group is ended when it takes too long."""
        values = {name: _text(getattr(trigger, name)) for name in _FIELDS}
        arguments = [_filled(argument, values) for argument in self._arguments]
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                start_new_session=True,
            )
        except OSError as error:
            raise SinkError(f"{arguments[0]} cannot be run: {error.strerror}") from error
        try:
            _, complaint = process.communicate(msgspec.json.encode(trigger), timeout_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise SinkError(f"{arguments[0]} took longer than {timeout_s:g} s") from None
        if process.returncode != 0:
            words = complaint.decode(errors="replace").strip().splitlines()
            raise SinkError(f"{arguments[0]}: exit code {process.returncode}{': ' + words[-1][:200] if words else ''}")


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _filled(argument: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        argument = argument.replace(f"{{{name}}}", value)
    return argument


class Webhook:
    """POSTs the trigger as JSON with a signature that shows who sent it, what and when. Status 2xx: taken.

    `Scanner-Agent-Signature: t=<Unix seconds>,v1=<hex>`, where v1 is HMAC-SHA256 over `<t>.<body>` with the secret.
    """

    def __init__(self, url: str, secret_file: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"triggers.sinks, webhook: {url!r} is no http or https address")
        if parts.scheme == "http" and not _local(parts.hostname):
            raise ConfigError("triggers.sinks, webhook: beyond this machine only https is allowed")
        try:
            self._secret = Path(secret_file).read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"triggers.sinks, webhook: {secret_file}: {error.strerror}") from error
        if len(self._secret) < 16:
            raise ConfigError(f"triggers.sinks, webhook: the secret in {secret_file} is shorter than 16 bytes")
        self._parts = parts

    def deliver(self, trigger: Trigger, timeout_s: float) -> None:
        """Send it. Redirections are not followed: they would carry the trigger elsewhere."""
        body = msgspec.json.encode(trigger)
        at = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": trigger.trigger_id,
            "Scanner-Agent-Signature": f"t={at},v1={sign(self._secret, at, body)}",
        }
        path = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
        connection = self._connect(timeout_s)
        # The connection's own limit is for each piece: an answer that trickles in would never come to it.
        late = threading.Event()
        end = threading.Timer(timeout_s, _cut, (connection, late))
        end.start()
        try:
            connection.request("POST", path, body, headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise SinkError(f"webhook {self._parts.hostname}: {type(error).__name__}: {error}") from error
        finally:
            end.cancel()
            connection.close()
        if late.is_set():  # an answer that was cut short may look like a whole one
            raise SinkError(f"webhook {self._parts.hostname} took longer than {timeout_s:g} s")
        if not 200 <= status < 300:
            raise SinkError(f"webhook {self._parts.hostname}: status {status}")

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        host = self._parts.hostname or ""
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, self._parts.port, timeout=timeout_s)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, self._parts.port, timeout=timeout_s, context=context)


def _cut(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError, AttributeError):  # closed meanwhile, or not connected yet
        connection.sock.shutdown(socket.SHUT_RDWR)


def sign(secret: bytes, at: str, body: bytes) -> str:
    """HMAC-SHA256 of `<at>.<body>`, hex."""
    return hmac.new(secret, at.encode() + b"." + body, hashlib.sha256).hexdigest()


def _local(host: str) -> bool:
    try:
        return host == "localhost" or is_loopback(host)
    except ConfigError:
        return False  # a name
