"""The worker without its process."""

from __future__ import annotations

import gc
import queue
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from scanner_agent.config import AgentConfig, StoreRules
from scanner_agent.daemon.link import ChildLink, Message
from scanner_agent.daemon.worker import Worker
from scanner_agent.records import EndStatus, ScanEnd, ScanHeader, Shot
from scanner_agent.spool import Spool
from tests.support import live
from tests.support.fake_worker import FakePipeline, FakePipelines


class _Link:
    def __init__(self) -> None:
        self.inbox: queue.Queue[Message] = queue.Queue()
        self.sent: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


class _Watched(FakePipelines):
    def __init__(self) -> None:
        self.made: list[weakref.ref[FakePipeline]] = []

    def start(self, header: ScanHeader, replay: Callable[[], Iterator[Shot]]) -> FakePipeline:
        pipeline = super().start(header, replay)
        self.made.append(weakref.ref(pipeline))
        return pipeline


def test_a_finished_scan_leaves_memory_at_once(tmp_path: Path) -> None:
    """Arrays weigh nothing to the cyclic collector: a ring would keep many scans until it happens to run."""
    spool, scan = Spool(tmp_path / "spool"), live.header("scan")
    for record in (scan, *(live.shot(scan, i) for i in range(3)), ScanEnd(scan_id="scan", status=EndStatus.COMPLETE)):
        spool.put(record)
    spool.sync()
    (found,) = spool.unfinished()
    link, pipelines = _Link(), _Watched()
    config = AgentConfig(state_directory=str(tmp_path), store=StoreRules(url="off"))
    worker = Worker(config, cast(ChildLink, link), pipelines)
    gc.disable()
    try:
        worker._take({"type": "scan", "scan_id": "scan", "size": found.size, "ended": True, "give_up": None})
        while worker._work_once():
            pass
        assert link.sent[-1] == {"type": "done", "scan_id": "scan"}
        assert [made() for made in pipelines.made] == [None]
    finally:
        gc.enable()
        spool.close()
