"""The HTML report in a real browser, at the width of a phone and of a desk."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scanner_agent.report.html import html_page
from tests.support import results

CHROMIUM = shutil.which("chromium")
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=10000",
    "--enable-logging=stderr",
]
# Written into the page's title, so that `--dump-dom` tells what the layout came to.
PROBE = """<script>addEventListener("load", () => setTimeout(() => {
  const drawn = document.querySelectorAll(".chart .main-svg").length > 0;
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const buttons = [...document.querySelectorAll("[data-title]")].map((b) => b.dataset.title).join(",");
  document.title = "drawn=" + drawn + " overflow=" + wide + " charts=" +
    document.querySelectorAll(".js-plotly-plot").length + " buttons=" + buttons;
}, 1500));</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: chromium)")
@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_draws_and_fits(width: int, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(html_page(results.report()).replace("</body>", PROBE + "</body>"), encoding="utf-8")
    done = subprocess.run(
        [CHROMIUM or "", *OPTIONS, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},1600",
         "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    assert "drawn=true" in title.group(1)
    assert "charts=3" in title.group(1)
    assert "overflow=0" in title.group(1)
    assert "Share" not in title.group(1)
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert complaints == []
