"""The terminal application, driven by Textual's pilot at several sizes: every state legible, keys do what they say."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable

import pytest
from rich.style import Style
from rich.text import Text
from textual.containers import Vertical
from textual.pilot import Pilot
from textual.widgets import Input

from scanner_agent.records import Advice, TriggerState
from scanner_agent.view.app import Block, PlotBlock, WatchApp
from scanner_agent.view.model import Update, ViewState, after
from scanner_agent.view.present import STATES, panel
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


async def settle(pilot: Pilot[int]) -> None:
    """Until the screen stays as it is.

    Textual's own pause waits for a process that is idle; on a busy machine one that is kept waiting looks the same.
    """
    assert isinstance(pilot.app, WatchApp)
    shown, n_same, deadline = "", 0, time.monotonic() + 20.0
    while n_same < 3:
        assert time.monotonic() < deadline, shown
        await pilot.pause(0.01)  # longer than a resize waits for the next one
        before, shown = shown, screen_text(pilot.app)
        n_same = n_same + 1 if shown == before else 0


async def press(pilot: Pilot[int], *keys: str) -> None:
    """Each key when the one before has had its effect."""
    for key in keys:
        await pilot.press(key)
        await settle(pilot)


async def shows(pilot: Pilot[int], text: str) -> None:
    """Until the text stands there, as it does for a while when something is told."""
    assert isinstance(pilot.app, WatchApp)
    deadline = time.monotonic() + 20.0
    while text not in screen_text(pilot.app):
        assert time.monotonic() < deadline, screen_text(pilot.app)
        await pilot.pause(0.01)


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
        if scan is not None and name not in ("lost", "silent"):
            word, symbol = STATES[scan.verdict]
            banner = app.query_one("#banner", Block)
            assert banner.has_class(scan.verdict.value)
            assert (f"{symbol} {word}" in text) or "█" in text
            assert scan.verdict.value in " ".join(banner.classes)
        if name in ("good", "watch", "stop"):
            assert "shots used" in text
            assert state.scans["scan-1"].assessment.advice_text[:20] in text
        assert lines[-1].endswith("q quit")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("name", list(states()))
async def test_each_state_without_colour(name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same words and symbols stand there, the plots have no colour of their own."""
    app = app_of(states()[name])
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        coloured = screen_text(app).splitlines()
    monkeypatch.setenv("NO_COLOR", "1")
    app = app_of(states()[name], colour=False)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        plain = screen_text(app).splitlines()
        assert app.no_color
        assert plain[:9] == coloured[:9]
        assert plain[-1] == coloured[-1]
        for block in ("spectrum", "shots"):
            spans = (app.query_one(f"#{block}", Block)._shown or Text()).spans
            assert not any(Style.parse(str(span.style)).color for span in spans)


async def test_panes_by_key_where_only_one_fits() -> None:
    app = app_of(states()["watch"])
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "Spectrum with" in screen_text(app)
        await press(pilot, "t")
        assert "frequency 4.7 Hz" in screen_text(app)
        assert "Spectrum with" not in screen_text(app)
        await press(pilot, "m")
        assert "± CRLB" in screen_text(app)
        await press(pilot, "s")
        assert "Spectrum with" in screen_text(app)


async def test_all_panes_at_once_where_there_is_room() -> None:
    app = app_of(states()["watch"])
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        text = screen_text(app)
        for part in ("Spectrum with", "frequency 4.7 Hz", "S/N", "± CRLB", "Limits", "Glu"):
            assert part in text


async def test_what_comes_while_the_application_ends_is_not_drawn() -> None:
    """The timer and a late resize may fire once more when the blocks are gone already."""
    app = app_of(states()["watch"])
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
    assert not app.query(Block)
    app._drawn = ()
    app.redraw()
    app.on_plot_block_resized(PlotBlock.Resized())


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


async def test_any_size_after_any_other_is_whole() -> None:
    """No row longer than the terminal, the state on top, the keys at the bottom; at a size seen before, as before."""
    app = app_of(states()["stop"])
    rng = random.Random(7)
    sizes = [(80, 24), (200, 60), (40, 10), (110, 34), (109, 33), (20, 5), (300, 20), (50, 90)]
    sizes += [(rng.randint(30, 180), rng.randint(8, 60)) for _ in range(4)] + [(80, 24)]
    seen: dict[tuple[int, int], str] = {}
    async with app.run_test(size=(80, 24)) as pilot:
        for columns, rows in sizes:
            await pilot.resize_terminal(columns, rows)
            await settle(pilot)
            text = screen_text(app)
            lines = text.splitlines()
            assert len(lines) == rows
            assert max(map(len, lines)) <= columns
            assert "last shot" in lines[0]
            if rows >= 8:
                assert lines[0].startswith("scan-1")
                assert "■ STOP" in text or "█" in text
                assert "q quit" in lines[-1]
            assert seen.setdefault((columns, rows), text) == text


async def test_scans_are_chosen_by_key_and_the_latest_is_shown_first() -> None:
    state = after(states()["watch"], results.snapshot(4, header=results.scan_header(scan_id="second")), NOW)
    app = app_of(state)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert screen_text(app).startswith("second")
        await press(pilot, "tab")
        assert screen_text(app).startswith("scan-1")


async def test_of_many_scans_the_chosen_one_is_always_among_the_tabs() -> None:
    state = states()["watch"]
    for number in range(8):
        header = results.scan_header(scan_id=f"another-scan-{number}")
        state = after(state, results.snapshot(4, header=header), NOW)
    app = app_of(state, scan_id="scan-1")
    async with app.run_test(size=(80, 24)) as pilot:
        for _ in range(9):
            await settle(pilot)
            title, tabs, *_rest = screen_text(app).splitlines()
            assert title.split(" · ")[0] in tabs
            assert len(tabs) <= 80
            await pilot.press("tab")


async def test_freeze_holds_the_picture_while_the_state_goes_on() -> None:
    box = [states()["good"]]
    app = app_of(lambda: box[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("f")
        box[0] = states()["stop"]
        app.redraw()
        await settle(pilot)
        assert "FROZEN, now ■ STOP – f: go on" in screen_text(app)
        assert app.query_one("#banner").has_class("good")
        await press(pilot, "f")
        assert app.query_one("#banner").has_class("stop")
        assert "FROZEN" not in screen_text(app)


async def test_a_stop_behind_a_frozen_picture_still_rings() -> None:
    box = [states()["good"]]
    app = app_of(lambda: box[0])
    rung: list[int] = []
    app.bell = lambda: rung.append(1)  # type: ignore[method-assign]
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("f")
        box[0] = states()["stop"]
        for _ in range(3):
            app.redraw()
        assert rung == [1]


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
    async with app.run_test(size=(80, 24)):
        app.redraw()
    assert app.return_code == 0


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_what_ends_a_program_ends_the_view(key: str) -> None:
    app = app_of(states()["good"])
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        app.simulate_key(key)
        deadline = time.monotonic() + 20.0
        while app.return_code is None and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
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
    "r": ("ab\n2\n16", ("request", ("scan-1", "ab", Advice.EXTEND, 16))),
    "c": ("yes\nab", ("confirm", ("trigger-1", "ab", True))),
}

LABELS = {
    "a": ("I have seen WATCH",),
    "n": ("Note (no",),
    "k": ("Shots:", "Note (no"),
    "r": ("1  run the scan again", "What, by its number:", "5  repeat the localiser", "How many more shots"),
    "c": ("yes or no",),
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
        await press(pilot, key)
        fields = list(app.screen.query(Input))
        for field, text in zip(fields, typed.split("\n"), strict=True):
            field.value = text
        fields[-1].focus()
        await press(pilot, "enter")
        assert recorded.calls == [expected]
        await asyncio.to_thread(recorded.told.join)
        assert app.query_one("#banner") is not None


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("key", list(FORMS))
async def test_a_form_shows_all_it_asks_and_is_no_larger(key: str, size: tuple[int, int]) -> None:
    app = app_of(with_proposal(), act=Recorded().act)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await press(pilot, key)
        fields = list(app.screen.query(Input))
        assert {field.region.height for field in fields} == {1}
        assert app.screen.query_one(Vertical).region.height <= 8 + 3 * len(fields)
        text = screen_text(app)
        assert text.count("┃") % 2 == 0
        assert "Enter: next, then send    Esc: cancel" in text
        for label in LABELS[key]:
            assert label in text


async def test_keys_that_find_nothing_say_so() -> None:
    app = app_of(states()["waiting"], act=Recorded().act)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("a")
        await shows(pilot, "There is no scan yet.")


async def test_who_has_seen_a_verdict_stands_there_until_it_changes() -> None:
    recorded = Recorded()
    box = [states()["stop"]]
    app = app_of(lambda: box[0], act=recorded.act)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "a", "j", "d", "enter")
        await asyncio.to_thread(recorded.told.join)
        app.redraw()
        await settle(pilot)
        assert "seen by jd" in screen_text(app).splitlines()[0]
        box[0] = states()["watch"]
        app.redraw()
        await settle(pilot)
        assert "seen by jd" not in screen_text(app)


def test_a_request_that_waits_for_a_person_is_shown_before_later_ones_that_do_not() -> None:
    waits = results.trigger(trigger_id="t1", advice="reshim", state="proposed", created_at=NOW)
    later = results.trigger(trigger_id="t2", advice="represcribe", state="active", created_at=NOW + 5.0)
    last = results.trigger(trigger_id="t3", advice="extend", state="expired", created_at=NOW + 9.0)
    state = states()["watch"]
    told = []
    for trigger in (last, later, waits):
        state = after(state, Update(trigger, "scan-1", f"trigger/{trigger.trigger_id}"), NOW)
        told.append(panel(state, "scan-1", NOW).request)
    assert ["expired" in told[0], "sent" in told[1], "press c" in told[2]] == [True] * 3


@pytest.mark.parametrize("trigger_state", list(TriggerState))
@pytest.mark.parametrize("advice", [Advice.EXTEND, Advice.REPEAT, Advice.REPRESCRIBE, Advice.CHECK_HARDWARE])
def test_a_request_s_line_fits_and_says_what_and_how_it_stands(advice: Advice, trigger_state: TriggerState) -> None:
    trigger = results.trigger(advice=advice.value, state=trigger_state.value)
    state = after(states()["watch"], Update(trigger, "scan-1", "trigger/scan-1"), NOW)
    line = panel(state, "scan-1", NOW).request
    assert line.startswith("Request: ")
    assert len(line) <= 80
    assert ("press c" in line) is (trigger_state is TriggerState.PROPOSED)


async def test_a_form_insists_on_initials_and_can_be_left() -> None:
    recorded = Recorded()
    app = app_of(with_proposal(), act=recorded.act)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "a", "enter")
        assert "1 to 8 letters or digits" in screen_text(app)
        await press(pilot, "a", "b", "tab", "escape")
        assert recorded.calls == []
        assert len(app.screen_stack) == 1


async def test_enter_goes_from_field_to_field_also_to_those_that_may_stay_empty() -> None:
    recorded = Recorded()
    app = app_of(with_proposal(), act=recorded.act)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "r", "j", "d", "enter", "9", "enter")
        assert "Type one of the numbers above" in screen_text(app)
        await press(pilot, "backspace", "2", "enter", "8", "enter")
        assert recorded.calls == [("request", ("scan-1", "jd", Advice.EXTEND, 8))]
        await asyncio.to_thread(recorded.told.join)


async def test_the_scanner_can_be_asked_for_a_localiser() -> None:
    recorded = Recorded()
    app = app_of(states()["watch"], act=recorded.act)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "r", "j", "d", "enter", "5", "enter", "enter")
        assert recorded.calls == [("request", ("scan-1", "jd", Advice.LOCALISE, None))]
        await asyncio.to_thread(recorded.told.join)


async def test_initials_are_remembered_and_a_refusal_is_told() -> None:
    recorded = Recorded("the daemon says no")
    app = app_of(with_proposal(), act=recorded.act)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        await press(pilot, "a", "j", "d", "enter")
        await asyncio.to_thread(recorded.told.join)
        await shows(pilot, "the daemon says no")
        await press(pilot, "n")
        assert app.screen.query_one("#field_initials", Input).value == "jd"
        assert app.focused is app.screen.query_one("#field_text", Input)


async def test_help_fits_the_smallest_terminal() -> None:
    app = app_of(states()["stop"])
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "question_mark")
        text = screen_text(app)
        assert "CANNOT JUDGE" in text
        assert "It advises; you decide." in text
        await press(pilot, "escape")
        assert len(app.screen_stack) == 1
