"""Link framing, try counts, allow-lists and the answers to ZeroMQ's authentication requests."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
import zmq
from zmq.utils import z85

from scanner_agent.config import AgentConfig, WorkerRules
from scanner_agent.daemon.keys import AllowLists, allow, allowed, new_client_key, read_client_keys, revoke, server_keys
from scanner_agent.daemon.link import Unpacker, pack
from scanner_agent.daemon.supervisor import Supervisor
from scanner_agent.daemon.tries import MAX_KILLS_AT_ONE_PLACE, TryBook
from scanner_agent.daemon.zap import ZapHandler
from scanner_agent.errors import ConfigError


def test_messages_come_whole_however_the_bytes_are_cut() -> None:
    rng = random.Random(1)
    messages = [{"type": "x", "n": i, "data": rng.randbytes(rng.randrange(300))} for i in range(50)]
    stream = b"".join(pack(message) for message in messages)
    unpacker, got = Unpacker(), []
    while stream:
        n = rng.randrange(1, 200)
        got += unpacker.feed(stream[:n])
        stream = stream[n:]
    assert got == messages


def test_faults_count_twice_and_kills_from_outside_only_at_one_place(tmp_path: Path) -> None:
    supervisor = Supervisor(AgentConfig(worker=WorkerRules(max_tries=2)), TryBook(tmp_path))
    for position in range(10):
        supervisor.blame("a", position, "ended by SIGKILL", from_outside=True)
    assert supervisor.give_up_reason("a") is None
    for _ in range(MAX_KILLS_AT_ONE_PLACE):
        assert supervisor.give_up_reason("a") is None
        supervisor.blame("a", 3, "ended by SIGKILL", from_outside=True)
    assert "same shot" in (supervisor.give_up_reason("a") or "")
    supervisor.blame("b", 1, "ended by SIGSEGV")
    assert TryBook(tmp_path).get("b").count == 1  # on disk
    assert supervisor.give_up_reason("b") is None
    supervisor.blame("b", 9, "ValueError: x")
    assert "ValueError: x" in (supervisor.give_up_reason("b") or "")
    TryBook(tmp_path).clear("b")
    assert supervisor.give_up_reason("b") is None


def test_a_damaged_try_file_counts_as_none(tmp_path: Path) -> None:
    book = TryBook(tmp_path)
    book.add("a", 1, "x", from_outside=False)
    next(iter(tmp_path.glob("*.tries"))).write_bytes(b"{")
    assert book.get("a").count == 0


def test_allow_lists_name_bad_lines_and_a_broken_list_allows_nobody(tmp_path: Path) -> None:
    public = new_client_key(tmp_path / "a.key")
    allow(tmp_path, "ingest", public, "bridge")
    allow(tmp_path, "ingest", public, "bridge")
    assert [key.name for key in allowed(tmp_path, "ingest")] == ["bridge"]
    with pytest.raises(ConfigError, match="another key"):
        allow(tmp_path, "ingest", new_client_key(tmp_path / "b.key"), "bridge")
    for bad in ("short name", "Doe, Jane"):
        with pytest.raises(ConfigError):
            allow(tmp_path, "ingest", "x" * 39 if bad == "short name" else public, bad)
    lists = AllowLists(tmp_path)
    assert lists.name_of("ingest", public) == "bridge"
    assert lists.name_of("publish", public) is None
    (tmp_path / "allow-ingest").write_text(f"{public} bridge\nnonsense\n")
    assert lists.refresh() == {"ingest": (set(), {"bridge"})}
    assert lists.name_of("ingest", public) is None
    assert "line 2" in (lists.problem or "")
    (tmp_path / "allow-ingest").write_text(f"{public} bridge\n")
    assert lists.refresh() == {"ingest": ({"bridge"}, set())}
    assert lists.problem is None
    assert revoke(tmp_path, "bridge") == ["ingest"]
    with pytest.raises(ConfigError, match="on no list"):
        revoke(tmp_path, "bridge")


def test_secret_keys_are_private_and_not_shown(tmp_path: Path) -> None:
    keys = server_keys(tmp_path)
    assert server_keys(tmp_path) == keys
    assert keys.secret.decode() not in repr(keys)
    path = tmp_path / "server.secret"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        server_keys(tmp_path)
    new_client_key(tmp_path / "c.key")
    client = read_client_keys(tmp_path / "c.key", keys.public.decode())
    assert client.secret.decode() not in repr(client)
    text = (tmp_path / "c.key").read_text()
    (tmp_path / "c.key").write_text(text.replace(text.split()[1], keys.public.decode()))
    with pytest.raises(ConfigError, match="do not belong together"):
        read_client_keys(tmp_path / "c.key", keys.public.decode())
    with pytest.raises(ConfigError, match="there already"):
        new_client_key(tmp_path / "c.key")


def test_authentication_allows_curve_with_a_listed_key_in_its_domain_only(tmp_path: Path) -> None:
    public = new_client_key(tmp_path / "a.key")
    allow(tmp_path, "ingest", public, "bridge")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    zap = ZapHandler(context, AllowLists(tmp_path))
    raw = z85.decode(public.encode())

    def ask(domain: bytes, mechanism: bytes, *credentials: bytes) -> list[bytes]:
        return zap.answer([b"1.0", b"7", domain, b"127.0.0.1", b"", mechanism, *credentials])

    good = ask(b"ingest", b"CURVE", raw)
    assert (good[1], good[2], good[4]) == (b"7", b"200", public.encode())
    for refused in (
        ask(b"control", b"CURVE", raw),
        ask(b"", b"CURVE", raw),
        ask(b"ingest", b"NULL"),
        ask(b"ingest", b"PLAIN", b"user", b"password"),
        ask(b"ingest", b"CURVE", raw[:-1]),
        ask(b"ingest", b"CURVE", bytes(32)),
        ask(b"\xff\xfe", b"CURVE", raw),
    ):
        assert refused[2] == b"400"
    assert zap.answer([b"1.0"])[2] == b"500"
    assert zap.answer([b"2.0", b"1", b"", b"", b"", b""])[2] == b"500"
    zap.socket.close()
    context.term()


def test_a_worker_that_cannot_start_is_told_and_tried_again(tmp_path: Path) -> None:
    supervisor = Supervisor(AgentConfig(), TryBook(tmp_path), ("/does/not/exist",))
    assert not supervisor.start_if_due()
    assert "cannot be started" in (supervisor.trouble or "")
    assert not supervisor.is_dead()


def test_a_worker_that_dies_at_once_is_not_started_in_a_loop(tmp_path: Path) -> None:
    supervisor = Supervisor(AgentConfig(), TryBook(tmp_path), ("/bin/false",))
    starts, begin = 0, time.monotonic()
    while starts < 4:
        assert time.monotonic() < begin + 60.0
        starts += supervisor.start_if_due()
        if supervisor.is_dead():
            supervisor.bury()
        os.sched_yield()
    assert time.monotonic() - begin > 1.2, "at once, then after 0.2 s, then after 1 s"
    assert "ended with code 1" in (supervisor.trouble or "")
    supervisor.stop()
    assert signal.getsignal(signal.SIGCHLD) in (signal.SIG_DFL, None)
