"""The terminal application, driven by Textual's pilot at several sizes: every state legible, keys do what they say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scanner_agent.view.app import Block, WatchApp
from scanner_agent.view.model import ViewState, after
from scanner_agent.view.present import STATES
from tests.support import results
from tests.support.views import NOW, states

SIZES = [(80, 24), (120, 40), (60, 18)]


def app_of(state: ViewState | Callable[[], ViewState], **options: object) -> WatchApp:
    source = state if callable(state) else (lambda: state)
    return WatchApp(source, clock=lambda: NOW, **options)  # type: ignore[arg-type]


def screen_text(app: WatchApp) -> str:
    """What stands on the screen, row by row."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


async def settle(pilot: object) -> None:
    for _ in range(3):
        await pilot.pause()  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", list(states()))
async def test_each_state_at_each_size(name: str, size: tuple[int, int]) -> None:
    state = states()[name]
    app = app_of(state)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        text = screen_text(app)
        lines = text.splitlines()
        assert len(lines) == size[1]
        scan = state.scans.get("scan-1")
        if scan is not None and name != "lost":
            word, symbol = STATES[scan.verdict]
            banner = app.query_one("#banner", Block)
            assert banner.has_class(scan.verdict.value)
            assert (f"{symbol} {word}" in text) or "█" in text
            assert scan.verdict.value in " ".join(banner.classes)
        if name in ("good", "watch", "stop"):
            assert "shots used" in text
            assert state.scans["scan-1"].assessment.advice_text[:20] in text
        assert lines[-1].endswith("q quit")


async def test_panes_by_key_where_only_one_fits() -> None:
    app = app_of(states()["watch"])
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "main spectrum" in screen_text(app)
        await pilot.press("t")
        await settle(pilot)
        assert "frequency Hz" in screen_text(app)
        assert "main spectrum" not in screen_text(app)
        await pilot.press("m")
        await settle(pilot)
        assert "amount ± CRLB" in screen_text(app)
        await pilot.press("s")
        await settle(pilot)
        assert "main spectrum" in screen_text(app)


async def test_all_panes_at_once_where_there_is_room() -> None:
    app = app_of(states()["watch"])
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        text = screen_text(app)
        for part in ("main spectrum", "frequency Hz", "S/N", "amount ± CRLB", "Limits", "Glu"):
            assert part in text


async def test_resizing_draws_anew() -> None:
    app = app_of(states()["watch"])
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.resize_terminal(130, 45)
        await settle(pilot)
        assert "amount ± CRLB" in screen_text(app)
        await pilot.resize_terminal(70, 20)
        await settle(pilot)
        text = screen_text(app)
        assert len(text.splitlines()) == 20
        assert "amount ± CRLB" not in text


async def test_scans_are_chosen_by_key_and_the_latest_is_shown_first() -> None:
    state = after(states()["watch"], results.snapshot(4, header=results.scan_header(scan_id="second")), NOW)
    app = app_of(state)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert screen_text(app).startswith("second")
        await pilot.press("tab")
        await settle(pilot)
        assert screen_text(app).startswith("scan-1")


async def test_freeze_holds_the_picture_while_the_state_goes_on() -> None:
    box = [states()["good"]]
    app = app_of(lambda: box[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("f")
        box[0] = states()["stop"]
        app.redraw()
        await settle(pilot)
        assert screen_text(app).startswith("FROZEN")
        assert app.query_one("#banner").has_class("good")
        await pilot.press("f")
        await settle(pilot)
        assert app.query_one("#banner").has_class("stop")


async def test_an_unchanged_state_is_not_drawn_again() -> None:
    app = app_of(states()["watch"])
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        updates = 0
        for block in app.query(Block):
            update = block.update

            def counted(*args: object, _update: Callable[..., None] = update, **kw: object) -> None:
                nonlocal updates
                updates += 1
                _update(*args, **kw)

            block.update = counted  # type: ignore[method-assign]
        for _ in range(20):
            app.redraw()
        await settle(pilot)
        assert updates == 0


async def test_it_ends_when_told() -> None:
    app = app_of(states()["ended"], until=lambda state: True)
    async with app.run_test(size=(80, 24)) as pilot:
        app.redraw()
        await settle(pilot)
    assert app.return_code == 0


async def test_q_quits() -> None:
    app = app_of(states()["good"])
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("q")
    assert app.return_code == 0
