"""A folder into which a scanner or PACS exports: which series in it are new and complete."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

_Key = tuple[str, str]
_NIFTI = ""
"""In place of a SeriesInstanceUID."""


@dataclass
class _Series:
    files: dict[Path, tuple[int, int]] = field(default_factory=dict)
    changed_at: float = 0.0
    handed_out: bool = False


class SeriesWatcher:
    """Finds settled series: complete as far as can be told, because nothing of them has changed for a while.

    Files of one folder with one SeriesInstanceUID are a series, and so are the NIfTI files that come into one folder
    together (converters write one for each plane). What is there at the start is old. A DICOM series that grows after
    it was handed out is handed out again, whole, when it has settled.
    """

    def __init__(self, folder: Path, settle_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Look at the folder once; `clock` gives seconds."""
        self._folder, self._settle_s, self._clock = folder, settle_s, clock
        self._series: dict[_Key, _Series] = {}
        self._uid: dict[tuple[Path, int, int], str | None] = {}
        self._old = set(self._present())

    def settled(self) -> list[list[Path]]:
        """Series that have settled since the last call, each as its sorted files. Call it again and again."""
        now = self._clock()
        for path, state in self._present():
            if (path, state) in self._old:
                continue
            key = self._key(path, state)
            if key is None:
                continue
            series = self._series.setdefault(key, _Series())
            if series.files.get(path) != state:
                series.files[path] = state
                series.changed_at, series.handed_out = now, False
        ready = []
        for (_, uid), series in self._series.items():
            if not series.handed_out and now - series.changed_at >= self._settle_s:
                series.handed_out = True
                ready.append(sorted(series.files))
                if uid == _NIFTI:  # nothing tells which later file would belong to these
                    self._old.update(series.files.items())
                    series.files.clear()
        return ready

    def _present(self) -> list[tuple[Path, tuple[int, int]]]:
        found = []
        for path in self._folder.rglob("*"):
            try:
                if path.is_file() and not path.name.startswith("."):
                    stat = path.stat()
                    found.append((path, (stat.st_size, stat.st_mtime_ns)))
            except OSError:  # gone or not yet readable: it comes again
                continue
        return found

    def _key(self, path: Path, state: tuple[int, int]) -> _Key | None:
        """Series that a file belongs to; None for what is no image (or not yet whole)."""
        if path.name.lower().endswith((".nii", ".nii.gz")):
            return str(path.parent), _NIFTI
        seen = (path, *state)
        if seen not in self._uid:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
                self._uid[seen] = str(dataset.get("SeriesInstanceUID") or "") or None
            except (InvalidDicomError, OSError, EOFError, ValueError, KeyError):
                self._uid[seen] = None
        uid = self._uid[seen]
        return None if uid is None else (str(path.parent), uid)
