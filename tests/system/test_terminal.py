"""The view in real (pseudo-)terminals: 16 colours, none, poor ones and slow ones, as over SSH."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scanner_agent.wire import ShotSender
from tests.support import live
from tests.support.terminal import Terminal

SIXTEEN = {*range(10), *range(21, 30), *range(30, 38), 39, *range(40, 48), 49, *range(90, 98), *range(100, 108)}
NO_COLOURS = {*range(10), *range(21, 30), 39, 49}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Daemon]:
    with live.running(tmp_path_factory.mktemp("terminal")) as running:
        live.wait_ready(running)
        yield running


def send(daemon: live.Daemon, scan_id: str, first: int, last: int, *, end: bool = False) -> None:
    scan = live.header(scan_id, scanner=f"stop {last}" if end else "stop 2", n_shots_planned=400)
    with ShotSender(scan, daemon.url) as sender:
        for index in range(first, last):
            sender.send(live.shot(scan, index))
        sender.flush()
        if end:
            sender.end()


@pytest.mark.parametrize(
    ("environment", "allowed"),
    [
        ({"TERM": "xterm"}, SIXTEEN),
        ({"TERM": "linux", "LANG": "C.UTF-8"}, SIXTEEN),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, NO_COLOURS),
    ],
    ids=["xterm", "linux", "no colour"],
)
def test_every_terminal_shows_the_state_in_colours_that_it_has(
    daemon: live.Daemon, environment: dict[str, str], allowed: set[int]
) -> None:
    send(daemon, "terminal-1", 0, 4)
    with Terminal(
        "watch", "--connect", daemon.url, "--scan", "terminal-1", columns=80, rows=18, environment=environment
    ) as terminal:
        screen = terminal.screen
        assert terminal.read_until(lambda: "■ STOP" in screen.text and "4 shots used" in screen.text), screen.text
        assert "Repeat it." in screen.text
        terminal.press("?")
        assert terminal.read_until(lambda: "It advises; you decide." in screen.text), screen.text
        terminal.press("\x1b")
        assert terminal.read_until(lambda: "It advises" not in screen.text)
    assert terminal.code == 0
    assert screen.styles <= allowed, sorted(screen.styles - allowed)


def test_a_terminal_that_does_not_read_shows_the_latest_when_it_does(daemon: live.Daemon) -> None:
    """What was drawn meanwhile has not piled up: the view waits, its state goes on."""
    send(daemon, "slow-1", 0, 2)
    with Terminal(
        "watch", "--connect", daemon.url, "--scan", "slow-1", columns=80, rows=24, environment={"TERM": "xterm"}
    ) as terminal:
        screen = terminal.screen
        assert terminal.read_until(lambda: "2 shots used" in screen.text), screen.text
        for first in range(2, 302, 20):  # nobody reads
            send(daemon, "slow-1", first, first + 20)
            with daemon.control() as control:
                live.eventually(lambda n=first + 20: len(control.snapshot("slow-1").tracks) == n)  # type: ignore[misc]
        before = screen.n_bytes
        assert terminal.read_until(lambda: "302 shots used" in screen.text), screen.text
        assert screen.n_bytes - before < 200_000
        assert screen.n_cleared <= 2, "drawn over, not cleared: no flicker"


def test_the_screen_follows_a_daemon_that_goes_and_comes(tmp_path: Path) -> None:
    with live.running(tmp_path) as daemon:
        live.wait_ready(daemon)
        send(daemon, "gone-1", 0, 4)
        with Terminal("watch", "--connect", daemon.url, columns=80, rows=18, environment={"TERM": "xterm"}) as terminal:
            screen = terminal.screen
            assert terminal.read_until(lambda: "■ STOP" in screen.text), screen.text
            daemon.kill()
            assert terminal.read_until(lambda: "✕ NO LINK" in screen.text and "Last known: STOP" in screen.text)
            assert "not connected" in screen.text.splitlines()[0]
            daemon.start()
            assert terminal.read_until(lambda: "■ STOP" in screen.text and "last shot" in screen.text), screen.text
