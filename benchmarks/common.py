"""What all benchmarks share: where the real files are, where results go, how a table is printed."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT))  # for what the tests have already: `tests.support`


def machine() -> str:
    """One line that names the machine and the Python."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def write_json(name: str, result: Any) -> Path:
    """Write a result to `out/NAME.json` (not under version control)."""
    path = ROOT / "out" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), "result": result}, indent=1, default=float))
    return path


def table(header: list[str], rows: list[list[object]]) -> str:
    """A plain-text table, columns aligned."""
    cells = [header] + [[f"{c:.4g}" if isinstance(c, float) else str(c) for c in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])
