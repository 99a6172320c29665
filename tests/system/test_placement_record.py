"""A placement check's result goes on a running daemon's record, and asks for re-prescription."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scanner_agent.cli.placement import report_result
from scanner_agent.placement import Voxel
from scanner_agent.placement.check import result_of
from scanner_agent.placement.registration import Registration
from scanner_agent.records import Advice
from scanner_agent.wire import ControlClient, ShotSender
from tests.support.live import eventually, header, running, shot, wait_ready


def test_note_and_request_reach_the_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    motion = np.eye(4)
    motion[:3, 3] = [4.0, -2.0, 5.0]
    voxel = Voxel(np.array([5.0, -35.0, 20.0]), np.array([20.0, 20.0, 20.0]), np.eye(3))
    result = result_of(Registration(motion, 1.3, 0.1, 0.2, 8, 0.001, 0.5, 0.4), voxel)
    assert result.state == "moved"
    with running(tmp_path) as daemon:
        wait_ready(daemon)
        report_result(daemon.url, None, "PLC", result, ask=True)
        assert "no scan yet" in capsys.readouterr().out
        scan = header("s1")
        with ShotSender(scan, daemon.url) as sender:
            sender.open()
            sender.send(shot(scan, 0))
            sender.flush()
        with ControlClient(daemon.url) as control:
            eventually(lambda: bool(control.scans()))
            report_result(daemon.url, None, "PLC", result, ask=True)
            eventually(lambda: any(t.advice is Advice.REPRESCRIBE for t in control.triggers()))
    lines = [json.loads(line) for line in (tmp_path / "state/audit.jsonl").read_text().splitlines()]
    notes = [line for line in lines if "Localiser: The head has moved" in json.dumps(line)]
    assert len(notes) == 1
    assert "Philips: Offc. AP 37.00, RL -9.00, FH 25.00 mm" in json.dumps(notes[0])


def test_no_daemon_is_said_and_does_not_stop_the_watch(capsys: pytest.CaptureFixture[str]) -> None:
    voxel = Voxel(np.zeros(3), np.array([20.0, 20.0, 20.0]), np.eye(3))
    result = result_of(Registration(np.eye(4), 1.3, 0.1, 0.2, 8, 0.001, 0.5, 0.4), voxel)
    report_result("tcp://127.0.0.1:1", "s1", "PLC", result, ask=False)
    assert "not on record" in capsys.readouterr().out
