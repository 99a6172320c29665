"""The session asks again when the daemon has come to know more."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from scanner_agent.records import Health, ScanSnapshot
from scanner_agent.view.session import Session
from scanner_agent.wire.control import ScanLine
from scanner_agent.wire.published import Publication, encode_record
from tests.support import results


class Control:
    """A daemon that has just started: its worker tells it of the scans before only when it is ready."""

    ready = False

    def health(self) -> Health:
        return results.health(ready=self.ready)

    def scans(self) -> tuple[ScanLine, ...]:
        return (ScanLine(scan_id="scan-1"),) if self.ready else ()

    def snapshot(self, scan_id: str) -> ScanSnapshot:
        assert scan_id == "scan-1"
        return results.snapshot(8)

    def triggers(self) -> tuple[object, ...]:
        return ()

    def placement_before_scan(self) -> None:
        return None

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session("tcp://127.0.0.1:1")
    session._control.close()
    yield session
    session.close()


def told(health: Health, sequence: int) -> Publication:
    record = msgspec.Raw(encode_record(health))
    return Publication(type="health", scan_id=None, instance="run-1", sequence=sequence, at=0.0, record=record)


def test_scans_from_before_a_restart_are_fetched_once_the_daemon_knows_them(session: Session) -> None:
    session._control = control = Control()  # type: ignore[assignment]
    assert session._ask_all()
    assert session.state.scans == {}
    session._take_publication(told(results.health(ready=False), 1))
    assert session.state.scans == {}
    control.ready = True
    session._take_publication(told(results.health(), 2))
    assert list(session.state.scans) == ["scan-1"]
    assert session.state.health is not None
    assert session.state.health.ready
