"""Brings the journal into the results database, in a thread of its own: a database in trouble stops nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from scanner_agent.errors import ScannerAgentError, StoreError
from scanner_agent.journal import JournalReader

_BATCH = 100
_LOOK_S = 5.0
_PAUSES_S = (0.2, 1.0, 5.0, 15.0, 60.0)


class Recorder(threading.Thread):
    """Follows the journal by the cursor that the database itself holds."""

    def __init__(self, journal: Path, url: str, synced: int, say: Callable[[str | None], None]) -> None:
        super().__init__(name="recorder", daemon=True)
        self._journal, self._url, self._say = journal, url, say
        self._synced = synced
        self._changed = threading.Condition()
        self._stopping = False
        self._failures = 0
        self.cursor: int | None = None
        """Cursor of the last entry in the database; None: not known yet."""

    def journal_grew(self, cursor: int) -> None:
        """Entries up to this cursor are on disk."""
        with self._changed:
            self._synced = cursor
            self._changed.notify()

    def stop(self) -> None:
        """End the thread after its present batch."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def run(self) -> None:
        """Follow until stopped; after trouble, wait ever longer and begin afresh."""
        while not self._stopping:
            try:
                self._follow()
            except ScannerAgentError as error:
                self._say(f"results are not being stored: {error}")
                with self._changed:
                    if not self._stopping:
                        self._changed.wait(_PAUSES_S[min(self._failures, len(_PAUSES_S) - 1)])
                self._failures += 1

    def _follow(self) -> None:
        from scanner_agent.store import Store

        store = Store.open(self._url)
        file = _sqlite_file(self._url)
        same = _identity(file)
        reader = None
        try:
            self.cursor = max(store.cursor(), 0)
            reader = JournalReader(self._journal, self.cursor)
            self._say(None)
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping or self._synced > reader.cursor, _LOOK_S)
                    if self._stopping:
                        return
                    up_to = self._synced
                if _identity(file) != same:  # SQLite would go on writing into the file that no longer has a name
                    raise StoreError("its file was removed or replaced; it is made again from the journal")
                store.apply_all([(entry.cursor, entry.decoded()) for entry in reader.read(up_to, _BATCH)])
                self.cursor = reader.cursor
                self._failures = 0
                self._say(None)
        finally:
            if reader is not None:
                reader.close()
            store.close()


def _sqlite_file(url: str) -> Path | None:
    """The file of a SQLite database, None for any other."""
    prefix = "sqlite:///"
    return Path(url.removeprefix(prefix)) if url.startswith(prefix) else None


def _identity(file: Path | None) -> tuple[int, int] | None:
    """What tells a file from another of the same name; None if there is none."""
    try:
        state = file.stat() if file is not None else None
    except OSError:
        return None
    return None if state is None else (state.st_dev, state.st_ino)
