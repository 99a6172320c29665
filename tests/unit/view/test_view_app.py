"""The terminal application, driven by Textual's pilot at several sizes: every state legible, keys do what they say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from textual.widgets import Input

from scanner_agent.records import Advice
from scanner_agent.view.app import Block, WatchApp
from scanner_agent.view.model import Update, ViewState, after
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
        assert "± CRLB" in screen_text(app)
        await pilot.press("s")
        await settle(pilot)
        assert "main spectrum" in screen_text(app)


async def test_all_panes_at_once_where_there_is_room() -> None:
    app = app_of(states()["watch"])
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        text = screen_text(app)
        for part in ("main spectrum", "frequency Hz", "S/N", "± CRLB", "Limits", "Glu"):
            assert part in text


async def test_resizing_draws_anew() -> None:
    app = app_of(states()["watch"])
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.resize_terminal(130, 45)
        await settle(pilot)
        assert "± CRLB" in screen_text(app)
        await pilot.resize_terminal(70, 20)
        await settle(pilot)
        text = screen_text(app)
        assert len(text.splitlines()) == 20
        assert "± CRLB" not in text


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


class Recorded:
    """Stands for the session: runs requests at once against a client that writes them down."""

    def __init__(self, problem: str | None = None) -> None:
        self.calls: list[tuple[str, tuple[object, ...]]] = []
        self.problem = problem

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: self.calls.append((name, args))

    def act(self, request: Callable[[object], None], told: Callable[[str | None], None]) -> None:
        request(self)
        thread = threading.Thread(target=told, args=(self.problem,))
        thread.start()
        self.told = thread


FORMS = {
    "a": ("ab", ("acknowledge", ("scan-1", "ab"))),
    "n": ("ab\ncoughed", ("note", ("scan-1", "ab", "coughed"))),
    "k": ("ab\n12-15\ncoughed", ("note", ("scan-1", "ab", "coughed", 11, 14))),
    "r": ("ab\nextend\n16", ("request", ("scan-1", "ab", Advice.EXTEND, 16))),
    "c": ("yes\nab", ("confirm", ("trigger-1", "ab", True))),
}


def with_proposal() -> ViewState:
    update = Update(results.trigger(), "scan-1", "trigger/scan-1")
    return after(states()["watch"], update, NOW)


@pytest.mark.parametrize("key", list(FORMS))
async def test_a_key_opens_a_form_whose_answers_become_a_request(key: str) -> None:
    typed, expected = FORMS[key]
    recorded = Recorded()
    app = app_of(with_proposal(), act=recorded.act)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press(key)
        await settle(pilot)
        fields = list(app.screen.query(Input))
        for field, text in zip(fields, typed.split("\n"), strict=True):
            field.value = text
        fields[-1].focus()
        await pilot.press("enter")
        await settle(pilot)
        assert recorded.calls == [expected]
        await asyncio.to_thread(recorded.told.join)
        assert app.query_one("#banner") is not None


async def test_a_form_insists_on_initials_and_can_be_left() -> None:
    recorded = Recorded()
    app = app_of(with_proposal(), act=recorded.act)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("a", "enter")
        await settle(pilot)
        assert "1 to 8 letters or digits" in screen_text(app)
        await pilot.press("a", "b", "tab", "escape")
        await settle(pilot)
        assert recorded.calls == []
        assert len(app.screen_stack) == 1


async def test_initials_are_remembered_and_a_refusal_is_told() -> None:
    recorded = Recorded("the daemon says no")
    app = app_of(with_proposal(), act=recorded.act)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("a", "j", "d", "enter")
        await settle(pilot)
        await asyncio.to_thread(recorded.told.join)
        await pilot.pause(0.1)
        assert "the daemon says no" in screen_text(app)
        await pilot.press("n")
        await settle(pilot)
        assert app.screen.query_one("#initials", Input).value == "jd"
        assert app.focused is app.screen.query_one("#text", Input)


async def test_help_fits_the_smallest_terminal() -> None:
    app = app_of(states()["stop"])
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("question_mark")
        await settle(pilot)
        text = screen_text(app)
        assert "CANNOT JUDGE" in text
        assert "It advises; you decide." in text
        await pilot.press("escape")
        await settle(pilot)
        assert len(app.screen_stack) == 1
