"""Runs a view on a session: the terminal application, plain lines, one snapshot, or JSON lines."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

import msgspec

from scanner_agent.errors import ScannerAgentError
from scanner_agent.view.model import Link, ScanView, ViewState
from scanner_agent.view.session import Session
from scanner_agent.view.text import changes, once
from scanner_agent.wire.follow import ControlError
from scanner_agent.wire.published import Publication

_PATIENCE_S = 5.0


def show_once(session: Session, scan_id: str | None, width: int) -> str:
    """One snapshot as plain text. Raises ControlError if no daemon answers, or it does not know the scan."""
    deadline = time.monotonic() + _PATIENCE_S
    while session.state.link is not Link.CONNECTED:
        if time.monotonic() > deadline:
            raise ControlError("no_answer", session.state.link_text or "no daemon answers")
        session.step()
    if scan_id is None:
        scan_id = latest(session.state)
    elif scan_id not in session.state.scans:
        raise ControlError("unknown_scan", f"the daemon does not know the scan {scan_id}")
    return once(session.state, scan_id, time.time(), width)


def latest(state: ViewState) -> str | None:
    """The scan that runs, else the last one."""
    running = [scan.scan_id for scan in state.scans.values() if not scan.ended]
    names = running or list(state.scans)
    return names[-1] if names else None


def follow_lines(
    session: Session, write: Callable[[str], None], *, until: Callable[[ViewState], bool], scan_id: str | None = None
) -> None:
    """Write a line for each thing that is new, until `until` says that it is enough."""
    seen: dict[str, ScanView] = {}
    link: Link | None = None
    while not until(session.state):
        session.step()
        state = session.state
        if state.link is not link:
            link = state.link
            write({Link.CONNECTING: "connecting", Link.CONNECTED: "connected", Link.LOST: "daemon lost"}[link])
        for name, scan in state.scans.items():
            if scan_id in (None, name) and scan is not seen.get(name):
                for line in changes(seen.get(name), scan):
                    write(line)
                seen[name] = scan


def json_line(publication: Publication) -> str:
    """A publication as one line of JSON: type, scan, place in the order, and the record."""
    return msgspec.json.encode(
        {
            "type": publication.type,
            "scan_id": publication.scan_id,
            "sequence": publication.sequence,
            "cursor": publication.cursor,
            "at": publication.at,
            "record": publication.decoded(),
        }
    ).decode()


def run_app(session: Session, *, scan_id: str | None = None, until: Callable[[ViewState], bool] | None = None) -> None:
    """The terminal application; ends when the person quits, or when `until` says so."""
    from scanner_agent.view.app import WatchApp

    colour = "NO_COLOR" not in os.environ  # Textual takes it away for itself
    app = WatchApp(lambda: session.state, scan_id=scan_id, colour=colour, until=until, act=session.act)
    stopping = threading.Event()
    failures: list[ScannerAgentError] = []

    def follow() -> None:
        try:
            while not stopping.is_set():
                session.step()
        except ScannerAgentError as error:
            failures.append(error)
            app.call_from_thread(app.exit)

    thread = threading.Thread(target=follow, name="session")
    thread.start()
    try:
        app.run()
    finally:
        stopping.set()
        thread.join()
    if failures:
        raise failures[0]


def print_line(line: str, stream: TextIO | None = None) -> None:
    """One line at once, so that a pipe sees it."""
    print(line, file=stream or sys.stdout, flush=True)
