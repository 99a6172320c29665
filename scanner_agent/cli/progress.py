"""The progress bar of commands that take their time."""

from __future__ import annotations


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
