"""What commands say while they work and at their end: a progress bar, lines that wrap between words."""

from __future__ import annotations

import shutil
import sys
import textwrap


def say(line: str) -> None:
    """One line to stdout; in a terminal it wraps between words, as far in as it began."""
    if not sys.stdout.isatty():
        print(line, flush=True)
        return
    inset = " " * (len(line) - len(line.lstrip()) + 2)
    width = shutil.get_terminal_size().columns
    rows = textwrap.wrap(line, width, subsequent_indent=inset, drop_whitespace=True) if len(line) > width else [line]
    print("\n".join(rows), flush=True)


class ProgressBar:
    """A bar on stderr, only where somebody looks; `begin` is what it says before the first step."""

    def __init__(self, begin: str) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        self._progress = Progress(console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task(begin, total=None)

    def __enter__(self) -> ProgressBar:
        """Show it."""
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Take it away."""
        self._progress.stop()

    def step(self, text: str, done: int, total: int | None) -> None:
        """Show how far the work is."""
        self._progress.update(self._task, description=text, completed=done, total=total)
