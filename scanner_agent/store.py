"""Results in a database: fed from the journal's records by cursor, read by reports and the phantom log.

SQLite by default (write-ahead log, so that readers never wait for the writer), PostgreSQL by its URL. A record and the
cursor it came from are written in one transaction, so that applying the journal again, from anywhere, changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from scanner_agent.errors import StoreError
from scanner_agent.records import (
    Assessment,
    Finding,
    MetaboliteAmount,
    Placement,
    ScanEnd,
    ScanHeader,
    ScanReport,
    ShotTrack,
    Verdict,
)

T = TypeVar("T", bound=msgspec.Struct)
_TRACK_FIELDS = tuple(name for name in ShotTrack.__struct_fields__ if name != "index")
_QUALITY_COLUMNS = ("snr_lcmodel", "snr_naa", "fwhm_hz", "fwhm_ppm", "water_fwhm_hz", "frequency_drift_hz_per_min")


class ScanSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list of scans."""

    scan_id: str
    """The scan."""
    visit_id: str | None
    """Its visit's pseudonym."""
    sequence: str | None
    """As in the header."""
    scanner: str | None
    """As in the header."""
    is_phantom: bool | None
    """As in the header."""
    started_at: float | None
    """Unix time, seconds."""
    end_status: str | None
    """complete, aborted, or None while it runs."""
    verdict: Verdict | None
    """The latest: final once there is a report."""
    has_report: bool
    """Whether the scan was finished."""


class Store:
    """The results database. One instance per thread of use; several processes may read while one writes."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._tables = sa.MetaData()
        self._tables.reflect(engine)

    @classmethod
    def open(cls, url: str) -> Store:
        """Open, creating or migrating the schema as needed.

        url: SQLAlchemy's, e.g. `sqlite:///results.db` or `postgresql+psycopg://…`. Raises StoreError, also when the
        database was written by a newer version of this program.
        """
        with _as_store_error("cannot be opened"):
            engine = sa.create_engine(url)
            if engine.dialect.name == "sqlite":
                event.listen(engine, "connect", _configure_sqlite)
            _migrate(engine)
            return cls(engine)

    def close(self) -> None:
        """Release all connections."""
        self._engine.dispose()

    @property
    def engine(self) -> sa.Engine:
        """The connection pool, for rooms that keep tables of their own in this database (the phantom log)."""
        return self._engine

    # -- writing ------------------------------------------------------------------------------------------------

    def cursor(self) -> int:
        """Cursor of the last journal record applied; -1 before the first."""
        with self._reading() as connection:
            return self._cursor(connection)

    def apply(self, cursor: int, record: msgspec.Struct) -> bool:
        """Write one journal record; False if its cursor was applied before. Raises StoreError: try again later."""
        return self.apply_all([(cursor, record)]) == 1

    def apply_all(self, records: Iterable[tuple[int, msgspec.Struct]]) -> int:
        """Write journal records, in order, in one transaction; how many were new.

        Raises StoreError: none was written.
        """
        with _as_store_error("cannot be written"), self._engine.begin() as connection:
            last = self._cursor(connection)
            n_new = 0
            for cursor, record in records:
                if cursor <= last:
                    continue
                self._write(connection, record)
                last = cursor
                n_new += 1
            if n_new:
                table = self._tables.tables["journal_cursor"]
                if connection.execute(sa.update(table).values(cursor=last)).rowcount == 0:
                    connection.execute(sa.insert(table).values(id=1, cursor=last))
        return n_new

    def _write(self, connection: sa.Connection, record: msgspec.Struct) -> None:
        if isinstance(record, ScanHeader):
            self._put_header(connection, record)
        elif isinstance(record, Assessment):
            self._put_assessment(connection, record)
        elif isinstance(record, ScanReport):
            self._put_report(connection, record)
        elif isinstance(record, ScanEnd):
            scans = self._tables.tables["scans"]
            values = {"end_status": str(record.status), "end_reason": record.reason}
            connection.execute(sa.update(scans).where(scans.c.scan_id == record.scan_id).values(values))
        elif isinstance(record, Placement):
            self._put_placement(connection, record)
        # Frames, health and triggers are not results: the cursor moves past them.

    def _put_header(self, connection: sa.Connection, header: ScanHeader) -> None:
        self._replace(
            connection,
            "scans",
            {"scan_id": header.scan_id},
            {
                "visit_id": header.visit_id,
                "sequence": header.sequence,
                "scanner": header.scanner,
                "is_phantom": header.is_phantom,
                "started_at": header.started_at,
                "header": msgspec.json.encode(header),
            },
        )

    def _put_assessment(self, connection: sa.Connection, assessment: Assessment) -> None:
        scan = {"scan_id": assessment.scan_id}
        self._replace(connection, "scans", scan, {"verdict": str(assessment.verdict), "advice": str(assessment.advice)})
        self._replace(
            connection,
            "assessments",
            scan | {"n_shots_seen": assessment.n_shots_used + assessment.n_shots_left_out},
            {
                "shot_index": assessment.shot_index,
                "verdict": str(assessment.verdict),
                "advice": str(assessment.advice),
                "n_shots_used": assessment.n_shots_used,
                "record": msgspec.json.encode(assessment),
            },
        )
        if assessment.track is not None:
            self._put_track(connection, assessment.scan_id, assessment.track)
        self._put_findings(connection, assessment.scan_id, assessment.findings)

    def _put_report(self, connection: sa.Connection, report: ScanReport) -> None:
        scan_id = report.scan.scan_id
        scan = {"scan_id": scan_id}
        self._put_header(connection, report.scan)
        self._replace(
            connection,
            "scans",
            scan,
            {
                "end_status": str(report.end.status),
                "end_reason": report.end.reason,
                "verdict": str(report.verdict),
                "advice": str(report.advice),
            },
        )
        for track in report.shots:
            self._put_track(connection, scan_id, track)
        self._put_findings(connection, scan_id, report.findings)
        self._delete(connection, "metabolites", scan_id)
        for amount in report.metabolites:
            connection.execute(
                sa.insert(self._tables.tables["metabolites"]).values(scan | msgspec.structs.asdict(amount))
            )
        self._replace(
            connection,
            "reports",
            scan,
            {name: getattr(report.quality, name) for name in _QUALITY_COLUMNS}
            | {
                "verdict": str(report.verdict),
                "protocol": report.provenance.protocol,
                "version": report.provenance.version,
                "record": msgspec.json.encode(report),
            },
        )

    def _put_placement(self, connection: sa.Connection, placement: Placement) -> None:
        self._replace(
            connection,
            "placements",
            {"placement_id": placement.placement_id},
            {
                "scan_id": placement.scan_id,
                "made_at": placement.made_at,
                "state": placement.result.state,
                "record": msgspec.json.encode(placement),
            },
        )

    def _put_track(self, connection: sa.Connection, scan_id: str, track: ShotTrack) -> None:
        values = {name: getattr(track, name) for name in _TRACK_FIELDS}
        self._replace(connection, "shots", {"scan_id": scan_id, "shot_index": track.index}, values)

    def _put_findings(self, connection: sa.Connection, scan_id: str, findings: tuple[Finding, ...]) -> None:
        self._delete(connection, "findings", scan_id)
        for rank, finding in enumerate(findings):
            values = msgspec.structs.asdict(finding)
            values |= {"kind": str(finding.kind), "severity": str(finding.severity)}
            values["evidence"] = msgspec.json.encode(finding.evidence)
            connection.execute(sa.insert(self._tables.tables["findings"]).values(scan_id=scan_id, rank=rank, **values))

    def _replace(self, connection: sa.Connection, name: str, key: dict[str, Any], values: dict[str, Any]) -> None:
        """Update the row of that key, or insert it: plain SQL, the same on every database."""
        table = self._tables.tables[name]
        where = sa.and_(*(table.c[column] == value for column, value in key.items()))
        if connection.execute(sa.update(table).where(where).values(values)).rowcount == 0:
            connection.execute(sa.insert(table).values(key | values))

    def _delete(self, connection: sa.Connection, name: str, scan_id: str) -> None:
        table = self._tables.tables[name]
        connection.execute(sa.delete(table).where(table.c.scan_id == scan_id))

    def _cursor(self, connection: sa.Connection) -> int:
        value = connection.execute(sa.select(self._tables.tables["journal_cursor"].c.cursor)).scalar()
        return -1 if value is None else int(value)

    # -- reading ------------------------------------------------------------------------------------------------

    def scans(self, *, visit_id: str | None = None, limit: int = 50) -> list[ScanSummary]:
        """The latest scans, newest first; of one visit if asked."""
        scans, reports = self._tables.tables["scans"], self._tables.tables["reports"]
        columns = [scans.c[name] for name in ScanSummary.__struct_fields__ if name != "has_report"]
        query = sa.select(*columns, reports.c.scan_id.is_not(None).label("has_report"))
        query = query.select_from(scans.outerjoin(reports, reports.c.scan_id == scans.c.scan_id))
        if visit_id is not None:
            query = query.where(scans.c.visit_id == visit_id)
        query = query.order_by(scans.c.started_at.desc().nulls_last(), scans.c.scan_id.desc()).limit(limit)
        with self._reading() as connection:
            return [msgspec.convert(_plain(row), ScanSummary) for row in connection.execute(query).mappings()]

    def header(self, scan_id: str) -> ScanHeader | None:
        """The scan's header; None if the scan is unknown."""
        return self._record("scans", "header", scan_id, ScanHeader)

    def report(self, scan_id: str) -> ScanReport | None:
        """The scan's report; None if there is none (yet)."""
        return self._record("reports", "record", scan_id, ScanReport)

    def assessments(self, scan_id: str) -> list[Assessment]:
        """All assessments of a scan, in the order of its shots."""
        table = self._tables.tables["assessments"]
        query = sa.select(table.c.record).where(table.c.scan_id == scan_id).order_by(table.c.n_shots_seen)
        with self._reading() as connection:
            return [msgspec.json.decode(row.record, type=Assessment) for row in connection.execute(query)]

    def shots(self, scan_id: str) -> list[ShotTrack]:
        """Tracks of a scan's metabolite shots, by index."""
        table = self._tables.tables["shots"]
        query = sa.select(table).where(table.c.scan_id == scan_id).order_by(table.c.shot_index)
        with self._reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            msgspec.convert({name: row[name] for name in _TRACK_FIELDS} | {"index": row["shot_index"]}, ShotTrack)
            for row in rows
        ]

    def findings(self, scan_id: str) -> list[Finding]:
        """Findings of a scan, most important first."""
        table = self._tables.tables["findings"]
        query = sa.select(table).where(table.c.scan_id == scan_id).order_by(table.c.rank)
        with self._reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            msgspec.convert(_plain(row) | {"evidence": msgspec.json.decode(row["evidence"])}, Finding) for row in rows
        ]

    def metabolites(self, scan_id: str) -> list[MetaboliteAmount]:
        """Final amounts of a scan."""
        table = self._tables.tables["metabolites"]
        query = sa.select(table).where(table.c.scan_id == scan_id).order_by(table.c.spectrum, table.c.name)
        with self._reading() as connection:
            return [msgspec.convert(_plain(row), MetaboliteAmount) for row in connection.execute(query).mappings()]

    def placements(self, scan_id: str) -> list[Placement]:
        """What repeat localisers told of a scan's voxel, in the order of time."""
        table = self._tables.tables["placements"]
        query = sa.select(table.c.record).where(table.c.scan_id == scan_id).order_by(table.c.made_at)
        with self._reading() as connection:
            return [msgspec.json.decode(row.record, type=Placement) for row in connection.execute(query)]

    def _record(self, name: str, column: str, scan_id: str, kind: type[T]) -> T | None:
        table = self._tables.tables[name]
        with self._reading() as connection:
            data = connection.execute(sa.select(table.c[column]).where(table.c.scan_id == scan_id)).scalar()
        return None if data is None else msgspec.json.decode(data, type=kind)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with _as_store_error("cannot be read"), self._engine.connect() as connection:
            yield connection


def _plain(row: sa.RowMapping) -> dict[str, Any]:
    """A row as a dict; its keys become exact `str`, which msgspec insists on."""
    return {str(name): value for name, value in row.items()}


@contextmanager
def _as_store_error(what: str) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, CommandError, msgspec.MsgspecError) as error:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        raise StoreError(f"results database {what}: {' '.join(str(cause).split())}") from error


def _configure_sqlite(connection: Any, _record: Any) -> None:
    """Write-ahead log: readers and writer do not wait for each other; a commit survives a crash of the program."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _migrate(engine: sa.Engine, revision: str = "head") -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)  # its setup is of no interest to who reads the daemon's log
    config = Config()
    config.set_main_option("script_location", "scanner_agent:migrations")
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
