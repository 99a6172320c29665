"""Phantom runs and events in the results database: rows are added, never changed or taken away.

A run that was wrong is corrected by a new row that names it, or withdrawn by one; readers see the last word, the
database keeps every word.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError

from scanner_agent.errors import SourceError, StoreError
from scanner_agent.phantom.values import Value
from scanner_agent.store import Store

_META = sa.MetaData()
_SERIES = ("scanner", "coil", "phantom", "protocol")
_RUNS = sa.Table(
    "phantom_runs",
    _META,
    sa.Column("run_id", sa.String(36), primary_key=True),
    *(sa.Column(name, sa.String(200)) for name in _SERIES),
    sa.Column("measured_at", sa.Double),
    sa.Column("logged_at", sa.Double),
    sa.Column("scan_id", sa.String(64)),
    sa.Column("corrects", sa.String(36)),
    sa.Column("withdrawn", sa.Boolean),
    sa.Column("note", sa.Text),
    sa.Column("settings", sa.Text),
    sa.Column("measured", sa.Text),
)
_EVENTS = sa.Table(
    "phantom_events",
    _META,
    sa.Column("event_id", sa.String(36), primary_key=True),
    sa.Column("scanner", sa.String(200)),
    sa.Column("coil", sa.String(200)),
    sa.Column("happened_at", sa.Double),
    sa.Column("logged_at", sa.Double),
    sa.Column("text", sa.Text),
    sa.Column("corrects", sa.String(36)),
    sa.Column("withdrawn", sa.Boolean),
)
_BATCH = 2000


class SeriesKey(Struct, frozen=True, order=True):
    """What is compared with itself over time."""

    scanner: str
    """The site's name for the scanner, or the maker's."""
    coil: str
    """Receive coil."""
    phantom: str
    """Which test object."""
    protocol: str
    """How it was measured."""

    def __str__(self) -> str:
        """The four, for people."""
        return " · ".join((self.scanner, self.coil, self.phantom, self.protocol))


class Run(Struct, frozen=True, kw_only=True):
    """One phantom scan, as logged."""

    run_id: str
    """Unique for ever."""
    series: SeriesKey
    """Where it belongs."""
    measured_at: float
    """Start of the scan, Unix time, seconds."""
    logged_at: float
    """When the row was written, Unix time, seconds."""
    values: dict[str, Value]
    """By name."""
    settings: dict[str, str | float | None] = {}
    """Header settings that matter: voltage, gain, software, placement, channel noise."""
    scan_id: str | None = None
    """The scan, if its report is in the store."""
    corrects: str | None = None
    """Run whose place this one takes."""
    withdrawn: bool = False
    """True: the corrected run was no good and nothing takes its place."""
    note: str = ""
    """Why it was corrected or withdrawn, or what else is to be known."""


class Event(Struct, frozen=True, kw_only=True):
    """Something done to a scanner: from then on its series have new baselines."""

    event_id: str
    """Unique for ever."""
    scanner: str
    """Whose."""
    coil: str | None = None
    """Only series with this coil; None: all of the scanner's."""
    happened_at: float
    """Unix time, seconds."""
    logged_at: float
    """Unix time, seconds."""
    text: str
    """What was done."""
    corrects: str | None = None
    """Event whose place this one takes."""
    withdrawn: bool = False
    """True: the corrected event never was."""


def new_id() -> str:
    """A run's or event's id: unique without asking anyone, so that several writers never meet."""
    return str(uuid.uuid4())


class PhantomLog:
    """The phantom part of a results database. One instance per thread; any number of processes write at once."""

    def __init__(self, url: str) -> None:
        """Open, creating or migrating the schema as needed; `url` as for `Store.open`. Raises StoreError."""
        self._store = Store.open(url)
        self._engine = self._store.engine

    def close(self) -> None:
        """Release all connections."""
        self._store.close()

    def add(self, runs: Iterable[Run]) -> int:
        """Add runs, all or none; how many were new (a run id that is there already is passed over)."""
        rows = [_run_row(run) for run in runs]
        with self._transaction() as connection:
            return _insert_new(connection, _RUNS, "run_id", rows)

    def add_events(self, events: Iterable[Event]) -> int:
        """Add events, all or none; how many were new."""
        with self._transaction() as connection:
            return _insert_new(connection, _EVENTS, "event_id", [msgspec.structs.asdict(event) for event in events])

    def correct(self, run_id: str, changes: dict[str, float | None], *, note: str, now: float | None = None) -> Run:
        """Write a new row in the place of a run, with other values. Raises SourceError if there is no such run."""
        old = self.run(run_id)
        values = dict(old.values)
        for name, value in changes.items():
            if name not in values:
                raise SourceError(f"the run has no value {name!r}; there are: {', '.join(sorted(values))}")
            values[name] = Value(value, None, note if value is None else None)
        new = msgspec.structs.replace(
            old, run_id=new_id(), values=values, corrects=old.run_id, note=note, logged_at=now or time.time()
        )
        self.add([new])
        return new

    def withdraw(self, run_id: str, *, note: str, now: float | None = None) -> Run:
        """Write a row that takes a run out of its series. Raises SourceError if there is no such run."""
        old = self.run(run_id)
        gone = msgspec.structs.replace(
            old, run_id=new_id(), corrects=old.run_id, withdrawn=True, note=note, logged_at=now or time.time()
        )
        self.add([gone])
        return gone

    def run(self, run_id: str) -> Run:
        """A run by its id or the beginning of it, withdrawn and corrected ones too. Raises SourceError."""
        query = sa.select(_RUNS).where(_RUNS.c.run_id.startswith(run_id, autoescape=True)).limit(2)
        with self._transaction() as connection:
            rows = connection.execute(query).all()
        if len(rows) != 1:
            raise SourceError(f"{'no' if not rows else 'more than one'} phantom run begins with {run_id!r}")
        return _run(rows[0])

    def series(self) -> list[tuple[SeriesKey, int]]:
        """All series with the number of their rows, sorted."""
        columns = [_RUNS.c[name] for name in _SERIES]
        query = sa.select(*columns, sa.func.count()).group_by(*columns)
        with self._transaction() as connection:
            return sorted((SeriesKey(*row[:4]), int(row[4])) for row in connection.execute(query))

    def runs(self, series: SeriesKey | None = None, *, history: bool = False) -> list[Run]:
        """Runs in the order of measurement; with `history` the corrected and withdrawn ones, too."""
        query = sa.select(_RUNS)
        if series is not None:
            query = query.where(*(_RUNS.c[name] == getattr(series, name) for name in _SERIES))
        with self._transaction() as connection:
            found = [_run(row) for row in connection.execute(query)]
        if not history:
            found = _last_word(found)
        return sorted(found, key=lambda run: (run.measured_at, run.logged_at, run.run_id))

    def events(self, series: SeriesKey | None = None) -> list[Event]:
        """Events in the order of time; of one series those that concern it."""
        with self._transaction() as connection:
            rows = connection.execute(sa.select(_EVENTS)).mappings().all()
        events = [msgspec.convert({str(k): v for k, v in row.items()}, Event) for row in rows]
        replaced = {event.corrects for event in events}
        events = [event for event in events if event.event_id not in replaced and not event.withdrawn]
        if series is not None:
            events = [e for e in events if e.scanner == series.scanner and e.coil in (None, series.coil)]
        return sorted(events, key=lambda event: (event.happened_at, event.event_id))

    def phantom_scans_not_logged(self) -> list[str]:
        """Finished phantom scans in the store that no run refers to, oldest first."""
        logged = {run.scan_id for run in self.runs(history=True)}
        scans = [s for s in self._store.scans(limit=100_000) if s.is_phantom and s.has_report]
        return [s.scan_id for s in reversed(scans) if s.scan_id not in logged]

    @property
    def store(self) -> Store:
        """The results database that the log is part of."""
        return self._store

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
            raise StoreError(f"phantom log: {' '.join(str(cause).split())}") from error


def _insert_new(connection: sa.Connection, table: sa.Table, key: str, rows: Sequence[dict[str, Any]]) -> int:
    n_new = 0
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        column = table.c[key]
        known = set(connection.scalars(sa.select(column).where(column.in_([row[key] for row in batch]))))
        new = [row for row in batch if row[key] not in known]
        if new:
            connection.execute(sa.insert(table), new)
        n_new += len(new)
    return n_new


def _last_word(runs: list[Run]) -> list[Run]:
    replaced = {run.corrects for run in runs}
    return [run for run in runs if run.run_id not in replaced and not run.withdrawn]


_VALUES = msgspec.json.Decoder(dict[str, Value])
_SETTINGS = msgspec.json.Decoder(dict[str, str | float | None])


def _run_row(run: Run) -> dict[str, Any]:
    row = {name: getattr(run.series, name) for name in _SERIES}
    plain = ("run_id", "measured_at", "logged_at", "scan_id", "corrects", "withdrawn", "note")
    row |= {name: getattr(run, name) for name in plain}
    row["settings"] = msgspec.json.encode(run.settings).decode()
    row["measured"] = msgspec.json.encode(run.values).decode()
    return row


def _run(row: sa.Row[Any]) -> Run:
    cells: list[Any] = list(row)
    run_id, scanner, coil, phantom, protocol, measured_at, logged_at, scan_id, corrects, withdrawn, note = cells[:11]
    return Run(
        run_id=run_id,
        series=SeriesKey(scanner, coil, phantom, protocol),
        measured_at=measured_at,
        logged_at=logged_at,
        values=_VALUES.decode(cells[12]),
        settings=_SETTINGS.decode(cells[11]),
        scan_id=scan_id,
        corrects=corrects,
        withdrawn=withdrawn,
        note=note,
    )
