"""What the terminal view costs: CPU, memory and bytes to the terminal while it follows a scan of 320 shots at TR 1 s.

    python benchmarks/view.py [--fast]

A publisher with the daemon's sockets sends made-up results of real size (spectrum of 400 points, 25 metabolites, the
finding half-way); `scanner-agent watch` runs in a pseudo-terminal of 120 x 40 cells, as over SSH, and of 80 x 24.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import struct
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import zmq
from common import table, write_json

from scanner_agent.records import Assessment, ScanSnapshot, ShotTrack
from scanner_agent.wire.control import ControlReply, ScanLine, encode_control_reply
from scanner_agent.wire.published import Heartbeat, Publication, encode_publication, encode_record, record_name
from tests.support import live, results

_TICKS = os.sysconf("SC_CLK_TCK")


class Publisher(threading.Thread):
    """Publishes one scan's results at a steady pace and answers snapshots of it."""

    def __init__(self, n_shots: int, interval_s: float) -> None:
        super().__init__()
        self.port = live.free_port()
        self.n_shots, self.interval_s = n_shots, interval_s
        self.stopping = threading.Event()
        self.begin = threading.Event()
        self._sequence: dict[str, int] = {}
        self._made: list[Assessment] = []

    def assessments(self) -> Iterator[Assessment]:
        """As many as asked for, from the made-up scan of 32 shots stretched."""
        pattern = results.assessments()
        for i in range(self.n_shots):
            base = pattern[i * len(pattern) // self.n_shots]
            track = msgspec.structs.replace(base.track or ShotTrack(index=0, used=True), index=i, used=True)
            yield msgspec.structs.replace(
                base,
                shot_index=i,
                n_shots_used=i + 1,
                n_shots_left_out=0,
                n_shots_planned=self.n_shots,
                metabolites=results.amounts() * 4,
                track=track,
            )

    def run(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        publish, control = context.socket(zmq.PUB), context.socket(zmq.ROUTER)
        publish.bind(f"tcp://127.0.0.1:{self.port + 1}")
        control.bind(f"tcp://127.0.0.1:{self.port + 2}")
        upcoming = self.assessments()
        beat = due = time.monotonic()
        while not self.stopping.is_set():
            now = time.monotonic()
            if now >= beat:
                beat = now + 1.0
                self._publish(publish, Heartbeat(at=time.time(), interval_s=1.0, journal_cursor=0), None)
                self._publish(publish, results.health(at=time.time()), None)
            if self.begin.is_set() and now >= due:
                due = max(due, now - 1.0) + self.interval_s
                if (assessment := next(upcoming, None)) is None:
                    break
                self._made.append(assessment)
                self._publish(publish, assessment, "scan-1")
                self._publish(publish, results.frame(assessment.shot_index or 0), "scan-1")
            if control.poll(50, zmq.POLLIN):
                peer, request = control.recv_multipart()
                control.send_multipart([peer, encode_control_reply(self._answer(msgspec.msgpack.decode(request)))])
        publish.close(0)
        control.close(0)
        context.term()

    def _publish(self, socket: zmq.Socket[bytes], record: object, scan_id: str | None) -> None:
        name = record_name(record)  # type: ignore[arg-type]
        key = f"{name}/{scan_id}"
        sequence = self._sequence[key] = self._sequence.get(key, -1) + 1
        raw = msgspec.Raw(encode_record(record))  # type: ignore[arg-type]
        publication = Publication(
            type=name, scan_id=scan_id, instance="bench", sequence=sequence, at=time.time(), record=raw
        )
        socket.send_multipart(encode_publication(publication))

    def _answer(self, request: dict[str, str]) -> ControlReply:
        reply = ControlReply(request_id=request["request_id"])
        if request["type"] == "scans":
            lines = (ScanLine(scan_id="scan-1"),) if self._made else ()
            return msgspec.structs.replace(reply, scans=lines)
        if request["type"] == "health":
            return msgspec.structs.replace(reply, health=results.health(at=time.time()))
        if request["type"] == "snapshot":
            last = self._made[-1] if self._made else None
            tracks = tuple(a.track for a in self._made if a.track is not None)
            header = results.scan_header(n_shots_planned=self.n_shots, repetition_time_s=self.interval_s)
            snapshot = ScanSnapshot(
                header=header, protocol="bench", limits=results.limits(), tracks=tracks, assessment=last
            )
            return msgspec.structs.replace(reply, snapshot=snapshot)
        return reply


def watched(columns: int, rows: int, n_shots: int, interval_s: float) -> dict[str, float]:
    """Numbers of one view over one scan."""
    publisher = Publisher(n_shots, interval_s)
    publisher.start()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(columns), LINES=str(rows))
        url = f"tcp://127.0.0.1:{publisher.port}"
        os.execv(sys.executable, [sys.executable, "-m", "scanner_agent", "watch", "--connect", url])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    written = [0]
    cleared = [0]

    def drain() -> None:
        try:
            while data := os.read(terminal, 65536):
                written[0] += len(data)
                cleared[0] += data.count(b"\x1b[2J")
        except OSError:  # the terminal is closed: the view has ended
            return

    reader = threading.Thread(target=drain)
    reader.start()
    threading.Event().wait(6.0)  # started and connected: what follows is following
    cpu, drawn, clears, begin = _cpu_s(pid), written[0], cleared[0], time.monotonic()
    publisher.begin.set()
    publisher.join()
    seconds = time.monotonic() - begin
    numbers = {
        "cpu %": 100 * (_cpu_s(pid) - cpu) / seconds,
        "memory MB": _memory_mb(pid),
        "kB/s to the terminal": (written[0] - drawn) / seconds / 1e3,
        "bytes per shot / cells": (written[0] - drawn) / n_shots / (columns * rows),
        "screen cleared": cleared[0] - clears,
        "start cpu s": cpu,
    }
    os.write(terminal, b"q")
    os.waitpid(pid, 0)
    reader.join()
    os.close(terminal)
    return numbers


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmRSS"))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="40 shots instead of 320")
    n_shots = 40 if parser.parse_args().fast else 320
    rows = {f"{c} x {r}": watched(c, r, n_shots, 1.0) for c, r in ((120, 40), (80, 24))}
    names = list(next(iter(rows.values())))
    print(table(["terminal", *names], [[size, *(values[name] for name in names)] for size, values in rows.items()]))
    write_json("view", {"n_shots": n_shots, "by_size": rows})


if __name__ == "__main__":
    main()
