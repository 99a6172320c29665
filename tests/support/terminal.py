"""A terminal for tests: runs a command in a pseudo-terminal and keeps what its screen shows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping

_TOKEN = re.compile(
    r"\x1b\[(?P<row>\d+);(?P<column>\d+)H|\x1b\[(?P<home>H)|\x1b\[(?P<sgr>[\d;:]*)m|\x1b\[(?P<clear>2)J"
    r"|\x1b\[[?>=<]?[\d;]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[=>78]|\x1bP[^\x1b]*\x1b\\"
    r"|(?P<control>[\r\n\x07\x08])|(?P<text>[^\x1b\r\n\x07\x08]+)"
)


class Screen:
    """The characters on the screen, from what was written to it: placing, text, clearing."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.cells = [[" "] * columns for _ in range(rows)]
        self.row = self.column = 0
        self.styles: set[int] = set()
        """All parameters of colours and attributes that were used."""
        self.n_cleared = 0
        self.n_bytes = 0
        self._rest = ""

    def write(self, data: bytes) -> None:
        """Take in what a program wrote. Characters are one column wide, as the view's are."""
        self.n_bytes += len(data)
        text = self._rest + data.decode(errors="replace")
        cut = max(text.rfind("\x1b"), 0) if len(text) - text.rfind("\x1b") < 64 else len(text)
        self._rest = text[cut:]
        self._take(text[:cut])

    def _take(self, text: str) -> None:
        for match in _TOKEN.finditer(text):
            if match["text"]:
                for character in match["text"]:
                    if self.row < self.rows and self.column < self.columns:
                        self.cells[self.row][self.column] = character
                    self.column += 1
            elif match["row"]:
                self.row, self.column = int(match["row"]) - 1, int(match["column"]) - 1
            elif match["home"]:
                self.row = self.column = 0
            elif match["sgr"] is not None:
                self.styles |= {int(part or 0) for part in re.split("[;:]", match["sgr"])}
            elif match["clear"]:
                self.n_cleared += 1
                self.cells = [[" "] * self.columns for _ in range(self.rows)]
            elif match["control"] == "\n":
                self.row += 1
            elif match["control"] == "\r":
                self.column = 0

    @property
    def text(self) -> str:
        """The rows."""
        if self._rest:
            rest, self._rest = self._rest, ""
            if _TOKEN.fullmatch(rest) or not rest.startswith("\x1b"):
                self._take(rest)
            else:
                self._rest = rest
        return "\n".join("".join(row).rstrip() for row in self.cells)


class Terminal:
    """`scanner-agent` with some arguments in a terminal; use as a context manager, which ends it."""

    def __init__(self, *arguments: str, columns: int, rows: int, environment: Mapping[str, str]) -> None:
        self.screen = Screen(columns, rows)
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            for name in ("NO_COLOR", "COLORTERM", "FORCE_COLOR"):
                os.environ.pop(name, None)
            os.environ.update(environment, COLUMNS=str(columns), LINES=str(rows))
            os.execv(sys.executable, [sys.executable, "-m", "scanner_agent", *arguments])
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exception: object) -> None:
        self.press("q")
        self.read_until(lambda: False, 30.0)  # to its end
        os.close(self._fd)
        _, status = os.waitpid(self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._fd, keys.encode())

    def read_until(self, done: Callable[[], bool], timeout_s: float = 60.0) -> bool:
        """Read what is written until the screen is as wanted; False when the program ended or the time is over."""
        deadline = time.monotonic() + timeout_s
        while not done():
            if not select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return False
            try:
                data = os.read(self._fd, 65536)
            except OSError:  # how Linux says that the other side has closed
                return False
            if not data:
                return False
            self.screen.write(data)
        return True
