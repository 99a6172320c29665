"""From a suspicion to a proof, with real processes: daemon, worker, folder watch and view, each by its command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from scanner_agent.cli.placement_line import Line
from scanner_agent.config import load_config
from scanner_agent.placement import Voxel, voxel_of_header
from scanner_agent.placement.check import result_of
from scanner_agent.placement.registration import Registration
from scanner_agent.placement.similarity import head_centre
from scanner_agent.records import Advice, Placement, PlacementResult, TriggerState
from scanner_agent.simulate import simulate_scan
from scanner_agent.store import Store
from scanner_agent.wire import ControlClient, ShotSender
from tests.support.dicom_series import write_classic
from tests.support.live import Daemon, eventually, header, running, shot, wait_ready
from tests.support.localisers import Recipe, head, localiser, motion_of

COMMAND = (sys.executable, "-m", "scanner_agent")


def result_for(shift_mm: tuple[float, float, float]) -> PlacementResult:
    motion = np.eye(4)
    motion[:3, 3] = shift_mm
    voxel = Voxel(np.array([5.0, -35.0, 20.0]), np.array([20.0, 20.0, 20.0]), np.eye(3))
    return result_of(Registration(motion, 1.3, 0.1, 0.2, 8, 0.001, 0.5, 0.4), voxel)


def journalled(control: ControlClient) -> list[Placement]:
    return [r for e in control.entries(0, 200) if isinstance(r := e.decoded(), Placement)]


def view_once(daemon: Daemon) -> str:
    done = subprocess.run(
        [*COMMAND, "watch", "--once", "--connect", daemon.url], capture_output=True, text=True, timeout=60, check=True
    )
    return " ".join(done.stdout.split())


def test_a_displaced_scan_asks_for_a_localiser_whose_result_goes_everywhere(tmp_path: Path) -> None:
    planned = head(seed=1)
    centre = head_centre(planned)
    motion = motion_of(np.random.default_rng(4), centre, 7.0, 6.0)
    for name in ("t1", "in", "export"):
        (tmp_path / name).mkdir()
    write_classic(tmp_path / "t1", planned, SeriesInstanceUID="1.2.1", AcquisitionTime="110000")
    for stack in localiser(planned, motion, Recipe(contrast="t2_like"), 2, centre):
        write_classic(tmp_path / "export", stack, SeriesInstanceUID="1.2.2")

    source = simulate_scan("displaced_before", seed=1, n_coils=4, n_shots=16, scan_id="displaced")
    daemon = Daemon(tmp_path, command=(*COMMAND, "run", "--config")).start()
    watch: subprocess.Popen[str] | None = None
    try:
        wait_ready(daemon, 100.0)
        with ShotSender(source.header, daemon.url) as sender, daemon.control() as control:
            for one in source.shots():
                sender.send(one)
            sender.flush()
            eventually(lambda: any(t.advice is Advice.LOCALISE for t in control.triggers()))
            (asked,) = [t for t in control.triggers() if t.advice is Advice.LOCALISE]
            assert asked.state is TriggerState.PROPOSED
            assert asked.evidence
            control.confirm(asked.trigger_id, "AB")

            watch = subprocess.Popen(
                [*COMMAND, "placement", "watch", str(tmp_path / "in"), str(tmp_path / "t1"), "--connect", daemon.url,
                 "--out", str(tmp_path / "out"), "--settle", "1.0", "--once"],
                stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert watch.stdout is not None
            assert watch.stdout.readline().startswith("watching in")
            for file in sorted((tmp_path / "export").iterdir()):
                file.rename(tmp_path / "in" / file.name)
            said = watch.communicate(timeout=200)[0]
            assert watch.returncode == 0, said
            assert f"on record of scan {source.header.scan_id}" in said

            (placement,) = journalled(control)
            assert placement.scan_id == source.header.scan_id
            assert placement.result.state == "moved"
            truth = voxel_of_header(source.header).moved(motion)
            assert np.linalg.norm(np.subtract(placement.result.new_position_mm, truth.position_mm)) < 0.7
            assert control.snapshot().placement == placement
            eventually(lambda: not any(t.advice is Advice.LOCALISE for t in control.triggers()))
            (place_again,) = [t for t in control.triggers() if t.advice is Advice.REPRESCRIBE]
            assert place_again.placement_id == placement.placement_id
            assert place_again.evidence["centre_displacement_mm"] == placement.result.centre_displacement_mm
            told = view_once(daemon)
            assert f"Localiser: {placement.result.text}" in told
            assert "New prescription, Siemens: Position" in told
            sender.end(n_shots=16)
            eventually(lambda: control.snapshot().report is not None)
            (left,) = [t for t in control.triggers() if t.advice is Advice.REPRESCRIBE]
            assert left.placement_id == placement.placement_id
        assert (tmp_path / "out").is_dir()
        url = load_config(daemon.config).store_url
        assert url is not None
        store = Store.open(url)
        eventually(lambda: store.placements(source.header.scan_id) == [placement])
        store.close()
    finally:
        if watch is not None and watch.poll() is None:
            watch.kill()
            watch.wait()
        daemon.stop()


def test_before_the_spectroscopy_and_through_the_daemon_s_death(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        wait_ready(daemon)
        line = Line(daemon.url, None, "PLC", None)
        assert line.scan_now() is None
        assert "before the spectroscopy" in line.put(None, result_for((4.0, -2.0, 5.0)))
        assert "Waiting for the first scan. Localiser: The head has moved" in view_once(daemon)
        with daemon.control() as control:
            assert [p.scan_id for p in journalled(control)] == [None]
            scan = header("s1")
            with ShotSender(scan, daemon.url) as sender:
                sender.send(shot(scan, 0))
                sender.flush()
            eventually(lambda: line.scan_now() == scan)
            assert line.put(scan, result_for((0.1, 0.0, 0.2))) == "on record of scan s1"
        daemon.kill()
        daemon.start()
        wait_ready(daemon)
        with daemon.control() as control:
            eventually(lambda: control.placement_before_scan() is not None)
            assert [p.scan_id for p in journalled(control)] == [None, "s1"]
            assert control.triggers() == ()
            eventually(lambda: any(line.scan_id == "s1" for line in control.scans()))
            eventually(lambda: (p := control.snapshot("s1").placement) is not None and p.result.state == "not_moved")
        audit = [json.loads(text) for text in (daemon.state / "audit.jsonl").read_text().splitlines()]
        assert [entry["scan_id"] for entry in audit if entry["event"] == "placement"] == [None, "s1"]


def test_a_scan_of_the_patient_before_is_not_taken_for_this_one(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        wait_ready(daemon)
        scan = header("before")
        with ShotSender(scan, daemon.url) as sender:
            sender.send(shot(scan, 0))
            sender.end(n_shots=1)
        with daemon.control() as control:
            eventually(lambda: control.scans()[0].ended)
        assert Line(daemon.url, None, "PLC", None).scan_now() is None
        named = Line(daemon.url, "before", "PLC", None)
        assert named.scan_now() == scan
        assert named.put(scan, result_for((4.0, -2.0, 5.0))) == "on record of scan before"
        with daemon.control() as control:  # the scan has its report: what it asks for, it asks all the same
            eventually(lambda: [t.advice for t in control.triggers()] == [Advice.REPRESCRIBE])
            assert control.snapshot("before").placement == journalled(control)[0]


def test_no_daemon_is_said_and_does_not_stop_the_watch() -> None:
    line = Line("tcp://127.0.0.1:1", "s1", "PLC", None, patience_s=0.0)
    assert line.put(None, result_for((0.0, 0.0, 0.0))).startswith("not on record: no daemon answers")
