"""`scanner-agent demo`: a simulated scanner, a real daemon and the view, in one terminal."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scanner_agent.cli.progress import say
from scanner_agent.errors import ScannerAgentError

if TYPE_CHECKING:
    from scanner_agent.records import ScanHeader, Shot
    from scanner_agent.simulate import SimulatedScan
    from scanner_agent.view.model import ViewState
    from scanner_agent.view.session import Session

_READY_WITHIN_S = 300.0
_REPORT_WITHIN_S = 120.0
_STORY = "A simulated patient, two scans: in the first one the head moves half-way."
_LOOK_S = 3.0
"""How long the end of a scan stays in view."""


class DemoError(ScannerAgentError):
    """The demonstration could not go on."""


@dataclass(frozen=True)
class Part:
    """One scan of the demonstration."""

    scan_id: str
    sequence: str
    scenario: str
    n_shots: int
    shot_interval_s: float
    """Instead of the repetition time."""
    snr_lcmodel: float
    """S/N that the whole scan would reach without the movement."""
    onset_shot: int | None = None

    def simulate(self, seed: int) -> SimulatedScan:
        """The scan, with 32 coils."""
        from scanner_agent.simulate import simulate_scan

        return simulate_scan(
            self.scenario,
            seed=seed,
            sequence=self.sequence,  # type: ignore[arg-type]
            n_shots=self.n_shots,
            onset_shot=self.onset_shot,
            severity=None if self.onset_shot is None else 0.7,
            snr_lcmodel=self.snr_lcmodel,
            scan_id=self.scan_id,
        )


PARTS = (
    Part("demo-press", "PRESS", "motion_step", n_shots=64, shot_interval_s=0.25, snr_lcmodel=10.0, onset_shot=32),
    Part("demo-mega-press", "MEGA-PRESS", "still", n_shots=160, shot_interval_s=0.08, snr_lcmodel=40.0),
)


def demo(
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 1,
) -> None:
    """Watch a simulated patient move half-way through a scan; ends by itself.

    A PRESS scan, then a MEGA-PRESS scan of 32 coils, time compressed, go through real sockets to a real daemon.

    It has free ports and a temporary folder of its own: a daemon that runs already is not disturbed.

    Example:

      scanner-agent demo
    """
    from scanner_agent.view.session import Session

    with _daemon() as (url, process, log):
        session = Session(url)
        try:
            sending = _Sending(url, seed)
            sending.start()
            try:
                _wait_until_ready(session, process)
                sending.ready.set()
                _show(session, sending)
                sending.finish()
            except ScannerAgentError as error:
                raise DemoError(f"{error}; the daemon says: {_last_words(log)}") from error
            finally:
                sending.end()
            reports = [scan.report for scan in session.state.scans.values() if scan.report is not None]
            if sending.left:
                say("You left the demonstration before its end.")
            elif len(reports) < len(PARTS):
                raise DemoError(f"{len(reports)} of {len(PARTS)} reports came; the daemon says: {_last_words(log)}")
        finally:
            session.close()
    if sys.stdout.isatty():
        from scanner_agent.view.text import report_lines

        for report in reports:
            say(f"{report.scan.scan_id}:")
            for line in report_lines(report):
                if not line.startswith("  note: "):  # for the physicist: in the report of a real scan
                    say(f"  {line}")
        say("It was all simulated, and is gone again. Next: `scanner-agent run`, and in another terminal `watch`.")


@contextlib.contextmanager
def _daemon() -> Iterator[tuple[str, subprocess.Popen[bytes], Path]]:
    """A daemon on free ports in a folder of its own; stopped and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="scanner-agent-demo-") as folder:
        port = _free_ports()
        config, log = Path(folder) / "agent.toml", Path(folder) / "daemon.log"
        state = Path(folder) / "state"
        config.write_text(f'state_directory = "{state.as_posix()}"\n[listen]\nport = {port}\n', encoding="utf-8")
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "scanner_agent.cli.demo_daemon", folder],
                stdin=subprocess.PIPE,  # its closing tells the daemon that this process is gone
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                yield f"tcp://127.0.0.1:{port}", process, log
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(15.0)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                if process.stdin is not None:
                    process.stdin.close()


def _free_ports() -> int:
    """The first of three neighbouring ports that nobody listens on."""
    for _ in range(100):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            for offset in (1, 2):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            return port
    raise DemoError("no three free neighbouring ports on this machine")


def _wait_until_ready(session: Session, process: subprocess.Popen[bytes]) -> None:
    """Step until the daemon's worker has compiled; a progress line meanwhile."""
    from rich.console import Console

    console = Console(stderr=True)
    began = time.monotonic()
    said = -10.0
    status = console.status(_STORY) if console.is_terminal else None
    if status is None:
        console.print(_STORY)
    with status or contextlib.nullcontext():
        while (health := session.state.health) is None or not health.ready:
            elapsed = time.monotonic() - began
            if process.poll() is not None or elapsed > _READY_WITHIN_S:
                raise DemoError(f"the daemon did not become ready within {_READY_WITHIN_S:g} s")
            text = f"Getting ready (a minute or so the first time): {elapsed:.0f} s"
            if status is not None:
                status.update(f"{_STORY} {text}")
            elif elapsed - said >= 10.0:
                said = elapsed
                console.print(text)
            session.step(0.25)


def _show(session: Session, sending: _Sending) -> None:
    from scanner_agent.view.run import follow_lines, print_line, run_app

    until = _Ending(sending)
    if sys.stdout.isatty():
        run_app(session, until=until)
        sending.left = not until.reached
    else:
        follow_lines(session, print_line, until=until)


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return " | ".join(line for line in lines[-6:] if line.strip()) or "none"


@dataclass
class _Sending:
    """Plays the scans in a thread of its own, as the scanner side would."""

    url: str
    seed: int
    failed: ScannerAgentError | None = None
    all_sent_at: float | None = None
    ready: threading.Event = field(default_factory=threading.Event)
    next_scan: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    left: bool = False
    """A person has quit the view before the end."""

    def start(self) -> None:
        """Begin to make the scans; they are played once `ready` is set."""
        self.thread = threading.Thread(target=self._play_all, name="scanner")
        self.thread.start()

    def finish(self) -> None:
        """Wait for the end; raises what went wrong."""
        self.end()
        if self.failed is not None:
            raise self.failed

    def end(self) -> None:
        """Stop sending."""
        self.stop.set()
        self.ready.set()
        self.next_scan.set()
        if self.thread is not None:
            self.thread.join()

    def _play_all(self) -> None:
        try:
            for n, (part, (header, shots)) in enumerate(zip(PARTS, self._made(), strict=True)):
                self.ready.wait()
                self._play(part, header, shots)
                if n + 1 < len(PARTS):
                    self.next_scan.wait(_REPORT_WITHIN_S)
                if self.stop.is_set():
                    return
        except ScannerAgentError as error:
            self.failed = error
        finally:
            self.all_sent_at = time.monotonic()

    def _made(self) -> Iterator[tuple[ScanHeader, Iterable[Shot]]]:
        """The scans; the first one whole, so that it is there by the time that the daemon is ready."""
        for n, part in enumerate(PARTS):
            scan = part.simulate(self.seed + n)
            yield scan.header, list(scan.shots()) if n == 0 else scan.shots()

    def _play(self, part: Part, header: ScanHeader, shots: Iterable[Shot]) -> None:
        from scanner_agent.records import ShotKind
        from scanner_agent.wire.client import ShotSender

        with ShotSender(header, self.url) as sender:
            due = time.monotonic()
            for shot in shots:
                sender.send(shot)
                if shot.shot_kind is ShotKind.METABOLITE:
                    due += part.shot_interval_s
                    if self.stop.wait(max(0.0, due - time.monotonic())):
                        return
            sender.end()


@dataclass
class _Ending:
    """Tells when enough has been seen: each report has stood for a while, or nothing more can come."""

    sending: _Sending
    seen: dict[str, float] = field(default_factory=dict)
    count: int = 0
    counted_at: float = 0.0
    reached: bool = False

    def __call__(self, state: ViewState) -> bool:
        self.reached = self._is_over(state)
        return self.reached

    def _is_over(self, state: ViewState) -> bool:
        now = time.monotonic()
        for name, scan in state.scans.items():
            if scan.report is not None:
                self.seen.setdefault(name, now)
        if self.seen and now - min(self.seen.values()) > _LOOK_S:
            self.sending.next_scan.set()
        if self.sending.failed is not None:
            return True
        if len(self.seen) == len(PARTS):
            return now - max(self.seen.values()) > _LOOK_S
        sent = self.sending.all_sent_at
        return sent is not None and now - max(sent, self.assessed_at(state, now)) > _REPORT_WITHIN_S

    def assessed_at(self, state: ViewState, now: float) -> float:
        """When a shot was last judged: on a slow machine the daemon may still be at it."""
        count = sum(scan.n_used + scan.n_left_out for scan in state.scans.values())
        if count != self.count:
            self.count, self.counted_at = count, now
        return self.counted_at
