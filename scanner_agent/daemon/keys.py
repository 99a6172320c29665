"""CURVE keys: the daemon's own, and one list of allowed client keys per socket.

keys/server.secret           the daemon's pair (mode 0600)
keys/allow-ingest            one line per key: Z85 public key, name
keys/allow-publish
keys/allow-control
NAME.key                     a client's pair, made by `keys new`, kept where the client runs
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import NamedTuple

import zmq

from scanner_agent.daemon.tries import write_durably
from scanner_agent.durable import private_directory
from scanner_agent.errors import ConfigError
from scanner_agent.wire import ClientKeys

ENDPOINTS = ("ingest", "publish", "control")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$")
_Z85 = re.compile(r"^[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}$")


class ServerKeys(NamedTuple):
    """The daemon's pair, Z85."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        """Without the secret."""
        return f"ServerKeys(public={self.public.decode()!r})"


class AllowedKey(NamedTuple):
    """One line of a list."""

    public: str
    name: str


def _write_pair(path: Path, public: bytes, secret: bytes) -> None:
    write_durably(path, b"public " + public + b"\nsecret " + secret + b"\n")


def _read_pair(path: Path) -> tuple[bytes, bytes]:
    try:
        mode = path.stat().st_mode
        lines = dict(line.split(" ", 1) for line in path.read_text(encoding="ascii").splitlines())
    except (OSError, ValueError) as error:
        raise ConfigError(f"key file {path}: cannot be read: {error}") from None
    if mode & 0o077:
        raise ConfigError(f"key file {path}: others can read it; run: chmod 600 {path}")
    public, secret = lines.get("public", ""), lines.get("secret", "")
    if not _Z85.match(public) or not _Z85.match(secret):
        raise ConfigError(f"key file {path}: holds no key pair")
    if zmq.curve_public(secret.encode()) != public.encode():
        raise ConfigError(f"key file {path}: its two keys do not belong together")
    return public.encode(), secret.encode()


def server_keys(directory: Path) -> ServerKeys:
    """The daemon's pair; made when there is none. Raises `ConfigError`, `SpoolError`."""
    path = private_directory(directory) / "server.secret"
    if not path.exists():
        _write_pair(path, *_new_pair())
    return ServerKeys(*_read_pair(path))


def new_client_key(path: Path) -> str:
    """Make a client's pair; its public key. Raises `ConfigError` if the file is there already."""
    if path.exists():
        raise ConfigError(f"{path} is there already")
    public, secret = _new_pair()
    _write_pair(path, public, secret)
    return public.decode()


def _new_pair() -> tuple[bytes, bytes]:
    """Public and secret key. One key of 85 begins like an option of the command line: another is made."""
    while True:
        public, secret = zmq.curve_keypair()
        if not public.startswith(b"-"):
            return public, secret


def read_client_keys(path: Path, server_public: str) -> ClientKeys:
    """A client's keys for one daemon; raises `ConfigError`."""
    if not _Z85.match(server_public):
        raise ConfigError("the server key is not a Z85 key of 40 characters")
    public, secret = _read_pair(path)
    return ClientKeys(server_public=server_public.encode(), public=public, secret=secret)


def allowed(directory: Path, endpoint: str) -> list[AllowedKey]:
    """The list of one socket; raises `ConfigError` that names a bad line."""
    path = directory / f"allow-{endpoint}"
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    keys = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("# "):
            continue
        public, _, name = line.partition(" ")
        if not _Z85.match(public) or not _NAME.match(name.strip()):
            raise ConfigError(f"{path}, line {number}: must be a Z85 key of 40 characters and a name")
        keys.append(AllowedKey(public, name.strip()))
    return keys


def _write(directory: Path, endpoint: str, keys: list[AllowedKey]) -> None:
    text = "".join(f"{key.public} {key.name}\n" for key in keys)
    write_durably(private_directory(directory) / f"allow-{endpoint}", text.encode("ascii"))


def allow(directory: Path, endpoint: str, public: str, name: str) -> None:
    """Put a key on the list of a socket; raises `ConfigError`."""
    if not _Z85.match(public):
        raise ConfigError(f"{public!r} is not a Z85 key of 40 characters")
    if not _NAME.match(name):
        raise ConfigError(f"{name!r} is not a name (letters, digits, _ . -)")
    keys = allowed(directory, endpoint)
    if any(key.name == name and key.public != public for key in keys):
        raise ConfigError(f"{name} has another key on the list of {endpoint}: revoke it first")
    _write(directory, endpoint, [*(key for key in keys if key.public != public), AllowedKey(public, name)])


def revoke(directory: Path, name_or_key: str) -> list[str]:
    """Take a key off every list; the sockets it was on. Raises `ConfigError` if it was on none."""
    found = []
    for endpoint in ENDPOINTS:
        keys = allowed(directory, endpoint)
        left = [key for key in keys if name_or_key not in (key.name, key.public)]
        if len(left) != len(keys):
            _write(directory, endpoint, left)
            found.append(endpoint)
    if not found:
        raise ConfigError(f"{name_or_key} is on no list")
    return found


class AllowLists:
    """The lists as the daemon sees them: read again when a file changes. A list that cannot be read allows nobody."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stamps: dict[str, tuple[int, int, int] | None] = {}
        self._keys: dict[str, dict[str, str]] = {endpoint: {} for endpoint in ENDPOINTS}
        self.problem: str | None = None
        """What is wrong with a list."""
        self.refresh()

    def refresh(self) -> dict[str, tuple[set[str], set[str]]]:
        """Read what has changed: per socket the names added and removed."""
        changes: dict[str, tuple[set[str], set[str]]] = {}
        for endpoint in ENDPOINTS:
            stamp: tuple[int, int, int] | None = None
            with contextlib.suppress(OSError):
                state = (self._directory / f"allow-{endpoint}").stat()
                stamp = (state.st_mtime_ns, state.st_ino, state.st_size)
            if endpoint in self._stamps and self._stamps[endpoint] == stamp:
                continue
            self._stamps[endpoint] = stamp
            try:
                new = {key.public: key.name for key in allowed(self._directory, endpoint)}
                self.problem = None
            except ConfigError as error:
                new, self.problem = {}, str(error)
            old = self._keys[endpoint]
            added = {name for public, name in new.items() if public not in old}
            removed = {name for public, name in old.items() if public not in new}
            self._keys[endpoint] = new
            if added or removed:
                changes[endpoint] = (added, removed)
        return changes

    def name_of(self, endpoint: str, public: str) -> str | None:
        """Name of a key that may use a socket, None if it may not."""
        return self._keys.get(endpoint, {}).get(public)
