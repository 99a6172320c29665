"""Faults, small: benchmarks/faults.py runs the same campaigns large."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from scanner_agent.config import AgentConfig
from scanner_agent.daemon.intake import Intake
from scanner_agent.errors import SpoolError
from scanner_agent.journal import JournalReader, JournalWriter, last_cursor
from scanner_agent.records import EndStatus, ScanEnd
from scanner_agent.spool import Spool, SpoolReader
from scanner_agent.store import Store
from scanner_agent.wire import DeliveryError, ShotSender, wait_for_report
from scanner_agent.wire.codec import Ack, Request, encode_request
from tests.support import faults, live, shaped
from tests.support.lossy import LossyFiles
from tests.support.proxy import MessageProxy, TcpProxy


def test_kills_lose_nothing(tmp_path: Path) -> None:
    outcome = faults.kill_campaign(tmp_path, 8, n_senders=2, seed=1)
    assert outcome.sound, outcome
    assert outcome.n_shots > 0


def power_cut(folder: Path, seed: int) -> tuple[int, int]:
    """Fill a spool on a lossy disk, cut the power at a random moment; (acknowledged, of these still there)."""
    rng = random.Random(seed)
    files = LossyFiles()
    try:
        spool = Spool(folder, files)
        intake = Intake(AgentConfig(), spool, instance="", version="")
        scans = [live.header(f"s{i}", n_points=64) for i in range(3)]
        queue: list[Request] = [item for scan in scans for item in (scan, *(live.shot(scan, i) for i in range(6)))]
        queue.sort(key=lambda item: rng.random() + (0 if item in scans else 0.5))
        queue += [ScanEnd(scan_id=scan.scan_id, status=EndStatus.COMPLETE) for scan in scans]
        acknowledged: list[Ack] = []
        stop_at = rng.randint(1, len(queue))
        while stop_at > 0:
            n = rng.randint(1, 4)
            batch, queue, stop_at = queue[:n], queue[n:], stop_at - n
            replies = intake.handle([encode_request(item) for item in batch])
            acknowledged += [reply for reply in replies if isinstance(reply, Ack)]
        for item in queue[: rng.randint(0, 3)]:  # written, not synced: the power goes in between
            if intake.spool.find(item.scan_id) is not None:  # type: ignore[union-attr]
                intake._take(encode_request(item))
    finally:
        files.cut_power(rng)
    spool = Spool(folder)
    kept = 0
    for ack in acknowledged:
        scan = spool.find(ack.scan_id)
        if scan is None or scan.header is None:
            continue
        if ack.of == "shot":
            kept += (ack.shot_kind, ack.shot_index) in scan.digests
        else:
            kept += ack.of == "header" or scan.end is not None
    spool.close()
    return len(acknowledged), kept


@pytest.mark.parametrize("seed", range(20))
def test_a_power_cut_takes_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    acknowledged, kept = power_cut(tmp_path / "spool", seed)
    assert acknowledged > 0
    assert kept == acknowledged


def test_a_power_cut_takes_no_journal_entry_that_was_synced(tmp_path: Path) -> None:
    for seed in range(20):
        rng, files = random.Random(seed), LossyFiles()
        journal = JournalWriter(tmp_path / str(seed), files, segment_bytes=2000)
        for position in range(rng.randint(1, 20)):
            journal.append("s", position, [(1, live.header("s"))])
        synced = journal.cursor
        last = list(JournalReader(tmp_path / str(seed)).read(synced))[-1]
        journal._file.append(msgspec.msgpack.encode(msgspec.structs.replace(last, cursor=synced + 1)))
        files.cut_power(rng)
        assert last_cursor(tmp_path / str(seed)) in (synced, synced + 1)
        assert len(list(JournalReader(tmp_path / str(seed)).read(synced))) == synced


def test_a_bad_network_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with live.running(tmp_path) as daemon:
        tcp = TcpProxy(daemon.port, cut_probability=0.02, delay_s=0.002, seed=4)
        messages = MessageProxy(f"tcp://127.0.0.1:{tcp.port}", loss=0.05, repeat=0.1, reorder=0.1, seed=5)
        try:
            scan = live.header("rough", n_points=512)
            resent = faults.send_scan(f"tcp://127.0.0.1:{messages.port}", scan, 40)
        finally:
            messages.close()
            tcp.close()
        assert resent > 0
        report, _ = wait_for_report(daemon.url, "rough", 30.0)
        assert report is not None
        daemon.stop()
    outcome = faults.inspect(daemon.state, [(scan, 40)], faults.Outcome())
    assert outcome.sound, outcome


def test_packets_that_the_kernel_drops_lose_and_double_nothing(tmp_path: Path) -> None:
    inside = ["unshare", "-n", "sh", "-c"]
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "ip", "tc"))):
        pytest.skip("needs root, unshare, ip and tc")
    if subprocess.run([*inside, shaped.SETUP], capture_output=True, check=False).returncode != 0:
        pytest.skip("no network of its own with netem or tbf can be had here")
    script = f"{shaped.SETUP} && exec {sys.executable} {shaped.__file__} {tmp_path}"
    done = subprocess.run([*inside, script], stdout=subprocess.PIPE, text=True, check=True, timeout=100)
    found = json.loads(done.stdout)
    assert found["dropped"] > 50
    assert found["sound"]
    assert found["shots"] == 42


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root for a small tmpfs")
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_told_and_over_when_it_is_over(tmp_path: Path, small_disk: Path) -> None:
    with live.running(small_disk, tables="[spool]\nfree_space_floor_bytes = 0\n[store]\nurl = 'off'") as daemon:
        ballast = small_disk / "ballast"
        scan = live.header("full", n_coils=4, n_points=4096)
        with ShotSender(scan, daemon.url) as sender, daemon.control() as control:
            sender.send(live.shot(scan, 0))
            sender.flush()
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))
            sender.send(live.shot(scan, 1))
            live.eventually(lambda: (sender.pump(0.05), control.health().state == "refusing")[1])
            assert sender.acknowledged == 1
            ballast.unlink()
            sender.flush()
            assert sender.acknowledged == 2
            live.eventually(lambda: control.health().state != "refusing")
            sender.end(n_shots=2)
        report, _ = wait_for_report(daemon.url, "full", 30.0)
        assert report is not None
        assert len(report.shots) == 2


def test_a_read_only_spool_is_told_and_over_when_it_is_over(tmp_path: Path, small_disk: Path) -> None:
    with live.running(small_disk, tables="[spool]\nfree_space_floor_bytes = 0\n[store]\nurl = 'off'") as daemon:
        spool = str(daemon.state / "spool")
        scan = live.header("ro")
        with ShotSender(scan, daemon.url) as sender, daemon.control() as control:
            sender.end()
            control.health()
            # Files that are open stay writable; no new one can be made.
            subprocess.run(["mount", "--bind", spool, spool], check=True)
            try:
                subprocess.run(["mount", "-o", "remount,bind,ro", spool], check=True)
                with pytest.raises(DeliveryError), ShotSender(live.header("ro-2"), daemon.url, patience_s=2.0):
                    pass
                health = control.health()
                assert health.state == "refusing"
                assert "Read-only file system" in health.problems[0]
            finally:
                subprocess.run(["umount", "-l", spool], check=True)
            live.eventually(lambda: control.health().state != "refusing")
        faults.send_scan(daemon.url, live.header("ro-3"), 2)


def test_a_database_that_is_gone_or_locked_stops_nothing(tmp_path: Path) -> None:
    with live.running(tmp_path) as daemon:
        live.wait_ready(daemon)
        database = daemon.state / "results.sqlite"
        live.eventually(database.exists)
        scan = live.header("first")
        faults.send_scan(daemon.url, scan, 4)
        live.eventually(lambda: _stored(database) > 4)
        lock = sqlite3.connect(database, isolation_level=None, timeout=30.0)
        lock.execute("BEGIN EXCLUSIVE")
        faults.send_scan(daemon.url, live.header("locked-out"), 4)
        report, _ = wait_for_report(daemon.url, "locked-out", 30.0)
        assert report is not None
        lock.execute("ROLLBACK")
        lock.close()
        live.eventually(lambda: _stored(database) == last_cursor(daemon.state / "journal"), 60.0)
        with daemon.control() as control:
            live.eventually(lambda: control.health().state == "ok")
        daemon.stop()
    store = Store.open(f"sqlite:///{database}")
    assert store.cursor() == last_cursor(daemon.state / "journal")
    assert store.report("locked-out") == report
    store.close()


def _stored(database: Path) -> int:
    """Cursor in the database; read without the store's own code, which would migrate it at the same time."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT cursor FROM journal_cursor").fetchone()
    except sqlite3.OperationalError:
        return 0
    return int(row[0]) if row else 0


def test_the_reader_of_a_missing_scan_says_so(tmp_path: Path) -> None:
    with pytest.raises(SpoolError):
        SpoolReader(tmp_path, "none")
