"""The results database: idempotent by cursor, whole or not at all, readable while written, migrated when old."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from scanner_agent import store as store_module
from scanner_agent.errors import StoreError
from scanner_agent.records import EndStatus, Health, Placement, PlacementResult, ScanEnd, ShotTrack, Verdict
from scanner_agent.store import Store
from tests.support.results import assessments, health, report, scan_header


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'results.db'}"


@pytest.fixture
def store(url: str):
    store = Store.open(url)
    yield store
    store.close()


def test_a_scan_is_read_back_as_it_was_written(store: Store) -> None:
    header, history, final = scan_header(), assessments(), report()
    records = [header, *history, ScanEnd(scan_id=header.scan_id, status=EndStatus.COMPLETE), final]
    assert store.cursor() == -1
    for cursor, record in enumerate(records):
        assert store.apply(cursor, record)
    assert store.cursor() == len(records) - 1
    assert store.header(header.scan_id) == header
    assert store.report(header.scan_id) == final
    assert store.assessments(header.scan_id) == list(history)
    assert store.shots(header.scan_id) == list(final.shots)
    assert store.findings(header.scan_id) == list(final.findings)
    assert sorted(m.name for m in store.metabolites(header.scan_id)) == sorted(m.name for m in final.metabolites)
    (summary,) = store.scans()
    assert (summary.verdict, summary.has_report, summary.end_status) == (final.verdict, True, "complete")


def test_a_record_seen_before_changes_nothing(store: Store) -> None:
    first, second = assessments()[:2]
    store.apply_all([(5, scan_header()), (6, first), (7, second)])
    assert not store.apply(6, second)
    assert store.apply_all([(5, scan_header(scan_id="other")), (6, first), (7, second)]) == 0
    assert [s.scan_id for s in store.scans()] == [first.scan_id]
    assert store.cursor() == 7


def test_a_scan_processed_again_after_a_crash_replaces_its_rows(store: Store) -> None:
    history = assessments()
    store.apply_all(enumerate([scan_header(), *history, report()]))
    before = (store.assessments("scan-1"), store.shots("scan-1"), store.findings("scan-1"), store.metabolites("scan-1"))
    store.apply_all((100 + i, record) for i, record in enumerate([scan_header(), *history, report()]))
    assert before == (
        store.assessments("scan-1"),
        store.shots("scan-1"),
        store.findings("scan-1"),
        store.metabolites("scan-1"),
    )


def test_a_batch_is_written_whole_or_not_at_all(store: Store) -> None:
    stranger = msgspec.structs.replace(assessments()[0], scan_id="never-announced")
    with pytest.raises(StoreError, match="cannot be written"):
        store.apply_all([(0, scan_header()), (1, stranger)])
    assert store.cursor() == -1
    assert store.scans() == []


def test_what_is_no_result_moves_the_cursor_only(store: Store) -> None:
    record: Health = health()
    assert store.apply(3, record)
    assert store.cursor() == 3
    assert store.scans() == []


def test_unknown_scans_are_none_or_empty(store: Store) -> None:
    assert store.report("nobody") is None
    assert store.header("nobody") is None
    assert store.shots("nobody") == []


def test_the_scans_of_a_visit_newest_first(store: Store) -> None:
    headers = [scan_header(scan_id=f"s{i}", visit_id="v1" if i != 1 else "v2", started_at=1000.0 + i) for i in range(4)]
    store.apply_all(enumerate(headers))
    assert [s.scan_id for s in store.scans(visit_id="v1")] == ["s3", "s2", "s0"]
    assert [s.scan_id for s in store.scans(limit=2)] == ["s3", "s2"]
    assert all(s.verdict is None and not s.has_report for s in store.scans())


def test_others_read_while_one_writes(url: str, store: Store) -> None:
    store.apply_all(enumerate([scan_header(), *assessments()]))
    reader = Store.open(url)
    with store._engine.begin() as connection:
        connection.execute(sa.text("UPDATE scans SET verdict = 'stop'"))
        (seen,) = reader.scans()
        assert seen.verdict == assessments()[-1].verdict
    (seen,) = reader.scans()
    assert seen.verdict is Verdict.STOP
    reader.close()


def test_reopening_keeps_the_schema_and_the_data(url: str, store: Store) -> None:
    store.apply_all(enumerate([scan_header(), report()]))
    again = Store.open(url)
    assert again.report("scan-1") == report()
    assert again.cursor() == 1
    again.close()


def test_a_database_of_a_newer_program_is_refused(url: str, store: Store, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "results.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match="9999"):
        Store.open(url)


def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "not.db").write_text("hello, this is not a database at all, really not" * 20)
    with pytest.raises(StoreError) as caught:
        Store.open(f"sqlite:///{tmp_path / 'not.db'}")
    assert "\n" not in str(caught.value)


def test_migration_leaves_a_schema_that_each_version_can_undo(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'm.db'}")
    store_module._migrate(engine)
    tables = set(sa.inspect(engine).get_table_names())
    assert {"scans", "shots", "assessments", "metabolites", "findings", "reports"} <= tables
    engine.dispose()


def test_an_older_database_gains_the_columns_of_what_is_measured_of_a_shot_now(tmp_path: Path) -> None:
    def columns(engine: sa.Engine) -> set[str]:
        return {str(column["name"]) for column in sa.inspect(engine).get_columns("shots")}

    engine = sa.create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    store_module._migrate(engine, "0003")
    assert "edit_offset_hz" not in columns(engine)
    engine.dispose()
    store = Store.open(f"sqlite:///{tmp_path / 'old.db'}")
    assert columns(store.engine) == {"scan_id", "shot_index", *ShotTrack.__struct_fields__} - {"index"}
    store.close()


def test_a_localiser_s_result_is_kept_once_beside_the_scan(store: Store) -> None:
    result = PlacementResult(state="not_moved", text="It lies still.")
    placement = Placement(placement_id="p", scan_id="later", made_at=5.0, initials="AB", result=result)
    before = Placement(placement_id="q", made_at=1.0, initials="AB", result=result)
    for cursor, record in ((1, placement), (2, before), (3, placement)):
        assert store.apply(cursor, record)
    assert store.placements("later") == [placement]
    assert store.placements("other") == []
