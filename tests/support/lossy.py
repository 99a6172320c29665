"""A disk that keeps only what was synced: on a power cut, all after the last sync is gone, or cut, or garbled."""

from __future__ import annotations

import os
import random
from pathlib import Path

from scanner_agent.durable import Files


class LossyFiles(Files):
    """Real files, with a note of what a power cut would leave."""

    def __init__(self) -> None:
        self._paths: dict[int, Path] = {}
        self._synced: dict[Path, int] = {}
        self._dirty_names: dict[Path, list[tuple[str, Path, Path | None]]] = {}

    def open(self, path: Path, *, create: bool) -> int:
        fd = super().open(path, create=create)
        self._paths[fd] = path
        if create:
            self._synced[path] = 0
            self._dirty_names.setdefault(path.parent, []).append(("create", path, None))
        else:
            self._synced.setdefault(path, os.fstat(fd).st_size)
        return fd

    def sync(self, fd: int) -> None:
        super().sync(fd)
        self._synced[self._paths[fd]] = os.fstat(fd).st_size

    def sync_directory(self, path: Path) -> None:
        super().sync_directory(path)
        self._dirty_names.pop(path, None)

    def truncate(self, fd: int, size: int) -> None:
        super().truncate(fd, size)
        path = self._paths[fd]
        self._synced[path] = min(self._synced[path], size)

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self._synced[new] = self._synced.pop(old)
        for fd, path in self._paths.items():
            if path == old:
                self._paths[fd] = new
        self._dirty_names.setdefault(new.parent, []).append(("rename", old, new))

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self._synced.pop(path, None)

    def close(self, fd: int) -> None:
        super().close(fd)
        self._paths.pop(fd, None)

    def cut_power(self, rng: random.Random) -> None:
        """What is left: synced bytes for certain, of the rest some part, perhaps garbled; names as last synced."""
        for fd in list(self._paths):
            self.close(fd)
        for path, synced in self._synced.items():
            if not path.exists():
                continue
            size = path.stat().st_size
            if size > synced:
                kept = rng.choice((0, rng.randint(0, size - synced), size - synced))
                with path.open("r+b") as file:
                    file.truncate(synced + kept)
                    if kept and rng.random() < 0.5:
                        file.seek(synced)
                        file.write(rng.choice((bytes(kept), rng.randbytes(kept))))
        for changes in self._dirty_names.values():
            for what, path, new in reversed(changes):
                if rng.random() < 0.5:
                    continue
                if what == "rename" and new is not None and new.exists():
                    new.rename(path)
                elif what == "create" and path.exists():
                    path.unlink()
