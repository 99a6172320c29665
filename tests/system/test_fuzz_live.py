"""Mutated frames onto the live sockets: the daemon answers, stays up, and other scans go on."""

from __future__ import annotations

from pathlib import Path

import zmq

from scanner_agent.wire import wait_for_report
from scanner_agent.wire.sockets import CONTROL, INGEST, client_socket, endpoint
from tests.support import faults, live
from tests.support.fuzz import mutated


def throw(daemon: live.Daemon, n: int, seed: int) -> int:
    """Send mutated messages to ingest and control; how many were answered."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sockets = [
        client_socket(context, zmq.DEALER, endpoint(daemon.url, which), queue=100) for which in (INGEST, CONTROL)
    ]
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    answered = 0
    for i, frames in enumerate(mutated(seed, n)):
        sockets[i % 10 == 9].send_multipart(frames or [b""])
        # As docs/wire.md asks: at most 16 unanswered; who floods is not answered every time.
        while answered + 16 <= i + 1 or (i + 1 == n and answered < n):
            ready = poller.poll(20_000)
            for socket, _ in ready:
                socket.recv_multipart()
                answered += 1
            if not ready:
                return answered
    context.destroy(linger=0)
    return answered


def test_garbage_on_the_sockets_is_answered_and_does_no_harm(tmp_path: Path) -> None:
    with live.running(tmp_path, tables="[store]\nurl = 'off'") as daemon:
        assert throw(daemon, 3000, seed=3) == 3000
        with daemon.control() as control:
            health = control.health()
            assert health.messages_refused > 1000
            assert health.worker_restarts == 0
        scan = live.header("afterwards")
        faults.send_scan(daemon.url, scan, 4)
        report, _ = wait_for_report(daemon.url, "afterwards", 20.0)
        assert report is not None
