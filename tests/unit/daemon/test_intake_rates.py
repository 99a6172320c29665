"""Too many new scans at once."""

from __future__ import annotations

from pathlib import Path

from scanner_agent.config import AgentConfig, WireLimits
from scanner_agent.daemon.intake import Intake
from scanner_agent.records import EndStatus, ScanEnd
from scanner_agent.spool import Spool
from scanner_agent.wire.codec import Ack, Refusal, encode_request
from tests.support.live import header


def test_new_scans_are_held_back_beyond_the_rate(tmp_path: Path) -> None:
    config = AgentConfig(wire=WireLimits(max_new_scans_per_minute=0.001, max_open_scans=1000))
    intake = Intake(config, Spool(tmp_path), instance="", version="")
    replies = []
    for i in range(105):
        batch = [header(f"s{i}"), ScanEnd(scan_id=f"s{i}", status=EndStatus.COMPLETE)]
        replies.append(intake.handle([encode_request(item) for item in batch])[0])
    assert [isinstance(reply, Ack) for reply in replies] == [True] * 100 + [False] * 5
    last = replies[-1]
    assert isinstance(last, Refusal)
    assert (last.reason, last.retry) == ("too_many_scans", True)
    intake.spool.close()
