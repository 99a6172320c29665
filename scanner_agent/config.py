"""`agent.toml` as a checked frozen object. Unknown keys and values out of range are errors that name the key."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from platformdirs import user_config_path, user_state_path

from scanner_agent.errors import ConfigError

Port = Annotated[int, Meta(ge=1, le=65533)]
Positive = Annotated[float, Meta(gt=0)]


class Listen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the sockets are. Publish is the port after `port`, control the one after that."""

    address: str = "127.0.0.1"
    """IP address to bind; anything beyond loopback needs `security.curve`."""
    port: Port = 5570
    """Ingest socket."""


class Security(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may speak to the sockets."""

    curve: bool | None = None
    """CURVE encryption and allow-lists of keys; None: on beyond loopback, off on it."""
    keys_directory: str | None = None
    """The server's key and the allow-lists; None: `keys` beside the state."""


class WireLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one peer may ask of the daemon."""

    max_payload_bytes: Annotated[int, Meta(ge=4096, le=128 * 1024 * 1024)] = 32 * 1024 * 1024
    """Largest shot, bytes."""
    max_open_scans: Annotated[int, Meta(ge=1, le=1000)] = 16
    """Scans under way at once."""
    max_messages_per_s: Positive = 2000.0
    """Messages a second from one peer; more are refused, to be sent again."""
    max_new_scans_per_minute: Positive = 600.0
    """Scans announced in a minute, all peers together."""
    max_queued_messages: Annotated[int, Meta(ge=1, le=100_000)] = 64
    """Messages that wait in a socket per peer before the peer has to wait."""


class SpoolRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long shots are kept, and when they are refused."""

    max_age_days: Positive = 30.0
    """Finished scans older than this are removed."""
    max_bytes: Annotated[int, Meta(ge=1_000_000)] = 50_000_000_000
    """The oldest finished scans are removed while all scans together are larger."""
    journal_max_bytes: Annotated[int, Meta(ge=1_000_000)] = 2_000_000_000
    """The oldest journalled results are removed above this, once they are in the store."""
    free_space_floor_bytes: Annotated[int, Meta(ge=0)] = 500_000_000
    """Shots are refused while the disk has less free space."""
    silence_limit_s: Positive = 900.0
    """A scan without a message for so long is closed as aborted."""


class WorkerRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the worker counts as dead."""

    hang_limit_s: Positive = 120.0
    """A step of a scan (one shot, one shot of a replay, the last fit) that takes longer is a hang: the worker is
    killed and replaced. Far above what a busy machine needs for one."""
    max_tries: Annotated[int, Meta(ge=1, le=10)] = 2
    """Crashes or hangs on one scan after which it is `cannot_judge`."""


class StoreRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where results are kept for good."""

    url: str | None = None
    """SQLAlchemy URL; None: an SQLite file beside the spool; `off`: no store."""


class Metrics(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Numbers for Prometheus, on loopback."""

    port: Port | None = None
    """None: off."""


class Sink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where active triggers are delivered besides the control socket."""

    kind: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_\-]{0,31}$")]
    """`command`, `webhook`, or the name of an entry point in the group `scanner_agent.sinks`."""
    options: dict[str, Any] = {}
    """What the kind needs, see docs/operating.md."""
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 5.0
    """One attempt may take so long."""
    retry_s: Annotated[float, Meta(gt=0, le=600)] = 1.0
    """Wait after the first failed attempt; it doubles with each, up to a minute."""
    dry_run: bool = False
    """Only put on record what would have been delivered."""


class TriggerRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Guard rails of requests to the scanner side. Whether there are any at all is the protocol's `trigger_mode`."""

    max_per_scan: Annotated[int, Meta(ge=0, le=20)] = 3
    """Triggers by verdict for one scan, in whatever state."""
    max_per_visit: Annotated[int, Meta(ge=0, le=100)] = 6
    """The same for all scans of one visit."""
    cool_down_s: Annotated[float, Meta(ge=0)] = 60.0
    """Time between two triggers of one scan or visit."""
    lifetime_s: Annotated[float, Meta(gt=0)] = 1800.0
    """A trigger that nobody took over by then expires."""
    max_age_s: Annotated[float, Meta(gt=0)] = 120.0
    """A result older than this (read after the daemon was away) makes no trigger any more."""
    sinks: tuple[Sink, ...] = ()
    """Further places to deliver to."""


class AgentConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything the daemon is told."""

    state_directory: str | None = None
    """Spool, journal, store, audit; None: `$STATE_DIRECTORY` (systemd) or the user's state folder."""
    protocol_directories: tuple[str, ...] = ()
    """Further folders of protocol files, before those that ship with the program."""
    listen: Listen = Listen()
    """Sockets."""
    security: Security = Security()
    """Keys."""
    wire: WireLimits = WireLimits()
    """Limits on messages."""
    spool: SpoolRules = SpoolRules()
    """Shots on disk."""
    worker: WorkerRules = WorkerRules()
    """Processing."""
    store: StoreRules = StoreRules()
    """Results."""
    metrics: Metrics = Metrics()
    """Monitoring."""
    triggers: TriggerRules = TriggerRules()
    """Requests to the scanner side."""

    @property
    def state(self) -> Path:
        """Folder of spool, journal, store and audit."""
        if self.state_directory is not None:
            return Path(self.state_directory)
        given = os.environ.get("STATE_DIRECTORY")
        return Path(given.split(":")[0]) if given else user_state_path("scanner-agent")

    @property
    def keys(self) -> Path:
        """Folder of keys and allow-lists."""
        given = self.security.keys_directory
        return Path(given) if given is not None else self.state / "keys"

    @property
    def curve(self) -> bool:
        """Whether the sockets are encrypted and keyed."""
        given = self.security.curve
        return given if given is not None else not is_loopback(self.listen.address)

    @property
    def phantom_metrics(self) -> Path:
        """Metrics of the phantom log, which the daemon serves with its own."""
        return self.state / "phantom.prom"

    @property
    def store_url(self) -> str | None:
        """SQLAlchemy URL of the store, None if it is off."""
        given = self.store.url
        if given == "off":
            return None
        return given if given is not None else f"sqlite:///{self.state / 'results.sqlite'}"

    @property
    def urls(self) -> tuple[str, str, str]:
        """Ingest, publish and control."""
        host = f"[{self.listen.address}]" if ":" in self.listen.address else self.listen.address
        first, second, third = (f"tcp://{host}:{self.listen.port + i}" for i in range(3))
        return first, second, third


def is_loopback(address: str) -> bool:
    """Whether an IP address is this machine's own; raises `ConfigError` if it is no IP address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        raise ConfigError(f"listen.address: {address!r} is not an IP address") from None


def check(config: AgentConfig) -> AgentConfig:
    """The config, if its parts go together; raises `ConfigError`."""
    if not is_loopback(config.listen.address) and not config.curve:
        raise ConfigError(
            f"listen.address {config.listen.address} is reachable from other machines: security.curve must not be off"
        )
    return config


def parse_config(text: str, name: str = "agent.toml") -> AgentConfig:
    """A config from TOML text; raises `ConfigError` that names the file and the key."""
    try:
        values: dict[str, Any] = tomllib.loads(text)
        return check(msgspec.convert(values, AgentConfig))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def load_config(path: Path | None = None) -> AgentConfig:
    """The config of a file; without one, of `agent.toml` in `$CONFIGURATION_DIRECTORY` (systemd) or the user's config
    folder if it is there, else the defaults. Raises `ConfigError`.
    """
    chosen = path
    if chosen is None:
        given = os.environ.get("CONFIGURATION_DIRECTORY")
        folder = Path(given.split(":")[0]) if given else user_config_path("scanner-agent")
        chosen = folder / "agent.toml"
        if not chosen.exists():
            return AgentConfig()
    try:
        text = chosen.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{chosen}: cannot be read: {error}") from None
    return parse_config(text, str(chosen))
