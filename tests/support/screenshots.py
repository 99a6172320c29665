"""Pictures of the view for the documentation: `python -m tests.support.screenshots` writes `docs/view/*.svg`."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from scanner_agent.view.app import WatchApp
from scanner_agent.view.model import Update, ViewState, after
from tests.support import results
from tests.support.views import NOW, states

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "view"


async def picture(name: str, state: ViewState, size: tuple[int, int], *keys: str) -> None:
    """One picture, after pressing some keys."""
    app = WatchApp(
        lambda: state, clock=lambda: NOW, act=lambda request, told: None, colour="NO_COLOR" not in os.environ
    )
    async with app.run_test(size=size) as pilot:
        await pilot.pause(1.0)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(1.0)
        FOLDER.mkdir(exist_ok=True)
        drawn = app.export_screenshot(title=f"scanner-agent watch: {name}")
        (FOLDER / f"{name}.svg").write_text(_without_web_fonts(drawn), encoding="utf-8")


def _without_web_fonts(svg: str) -> str:
    """The picture with the reader's own monospaced font: nothing is fetched from anywhere."""
    svg = re.sub(r"\s*@font-face \{.*?\}\n", "\n", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*<!-- Generated with Rich[^>]*-->", "", svg)
    return svg.replace("font-family: Fira Code, monospace", "font-family: monospace")


async def main() -> None:
    """All of them."""
    if "NO_COLOR" in os.environ:
        await picture("stop_no_colour", states()["stop"], (80, 24))
        return
    for name, state in states().items():
        await picture(name, state, (80, 24))
    proposal = after(states()["watch"], Update(results.trigger(), "scan-1", "trigger/scan-1"), NOW)
    await picture("watch_120x40", proposal, (120, 40))
    await picture("confirm", proposal, (80, 24), "c")
    await picture("request", states()["watch"], (80, 24), "r")
    await picture("shots", states()["watch"], (80, 24), "t")
    await picture("table", states()["watch"], (80, 24), "m")
    await picture("help", states()["good"], (80, 24), "question_mark")


if __name__ == "__main__":
    asyncio.run(main())
