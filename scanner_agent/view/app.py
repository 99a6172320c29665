"""The radiographer's view in a terminal. It only draws: a session knows, `present` finds the words."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.events import Resize
from textual.message import Message
from textual.widgets import Static

from scanner_agent.records import Verdict
from scanner_agent.view import actions, plots
from scanner_agent.view.banner import HEIGHT as BANNER_ROWS
from scanner_agent.view.banner import draw
from scanner_agent.view.dialogs import INITIALS, Form, Help
from scanner_agent.view.model import ScanView, ViewState
from scanner_agent.view.present import STATES, Panel, fraction_done, panel, tab_text
from scanner_agent.view.tables import limit_lines, table_lines

Act = Callable[[actions.Request, Callable[[str | None], None]], None]
REDRAW_S = 0.25
_TOLD_S = 3.0
_LEFT_AWAY = ("f", "k", "n", "⇥", "p", "t", "m", "s", "r")
WIDE, TALL = 110, 34
_PANES = ("spectrum", "shots", "table")
_EMPTY = "nothing to show"


class Block(Static):
    """A text that is redrawn only when it changed, so that nothing flickers and an idle view costs next to nothing."""

    def __init__(self, name: str) -> None:
        super().__init__("", id=name, markup=False)
        self._shown: Text | None = None

    def show(self, content: str | Text) -> None:
        """Draw this, unless it stands there already."""
        text = Text(content) if isinstance(content, str) else content
        if self._shown is None or text != self._shown or text.spans != self._shown.spans:
            self._shown = text
            self.update(text)


class PlotBlock(Block):
    """A block whose content depends on its size."""

    class Resized(Message):
        """It has another size now."""

    def on_resize(self, _event: Resize) -> None:
        """Have it drawn again."""
        self.post_message(self.Resized())


class WatchApp(App[int]):
    """One large state, its reason, and below it what it rests on."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "scanner-agent"
    CSS = """
    Screen { layout: vertical; overflow: hidden; }
    #head, #tabs, #progress, #forecast, #visit, #request { height: 1; }
    #banner { height: 5; content-align: center middle; text-style: bold; }
    #advice { height: auto; max-height: 2; text-style: bold; text-align: center; }
    #reason { height: auto; max-height: 2; text-align: center; }
    .hidden { display: none; }
    #head.alarmed { text-style: bold reverse; }
    #request { text-style: bold; }
    #banner.collecting, #banner.waiting { background: ansi_blue; color: ansi_bright_white; }
    #banner.good { background: ansi_green; color: ansi_black; }
    #banner.watch { background: ansi_yellow; color: ansi_black; }
    #banner.stop { background: ansi_red; color: ansi_bright_white; }
    #banner.cannot_judge { background: ansi_magenta; color: ansi_bright_white; }
    #banner.lost { background: ansi_white; color: ansi_black; }
    #body { height: 1fr; }
    #upper { height: 3fr; }
    #spectrum { height: 1fr; width: 1fr; }
    #shots { height: 2fr; }
    #table_scroll { height: 1fr; }
    Screen.wide #upper { layout: horizontal; }
    Screen.wide #table_scroll { width: 58; padding-left: 2; }
    #spectrum, #shots, #table { text-wrap: nowrap; text-overflow: clip; }
    #keys { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "pane('spectrum')"),
        Binding("t", "pane('shots')"),
        Binding("m", "pane('table')"),
        Binding("p", "next_part"),
        Binding("tab,right", "next_scan(1)", priority=True),
        Binding("shift+tab,left", "next_scan(-1)", priority=True),
        Binding("f", "freeze"),
        Binding("a", "do('acknowledge')"),
        Binding("n", "do('note')"),
        Binding("k", "do('mark')"),
        Binding("r", "do('ask')"),
        Binding("c", "confirm"),
        Binding("question_mark,h", "help"),
        Binding("q", "quit"),
        Binding("ctrl+c", "quit", priority=True),
    ]

    def __init__(
        self,
        state: Callable[[], ViewState],
        *,
        scan_id: str | None = None,
        clock: Callable[[], float] = time.time,
        colour: bool = True,
        until: Callable[[ViewState], bool] | None = None,
        act: Act | None = None,
    ) -> None:
        """`state` gives the latest state at any time; `clock` the Unix time that ages are counted from.

        `scan_id`: the scan to show; None: the latest. `colour`: False for plots without colour.
        `until`: ends the view when it says so. `act`: makes a control request elsewhere and tells what came of it.
        """
        super().__init__(ansi_color=True)
        self._latest, self._clock, self._colour, self._until = state, clock, colour, until
        self._frozen: tuple[ViewState, float] | None = None
        self._chosen = scan_id
        self._pane = "spectrum"
        self._part = 0
        self._bell_for: set[str] = set()
        self._drawn: tuple[object, ...] = ()
        self._layout: tuple[bool, str] | None = None
        self._act, self._initials = act, ""
        self._seen_by: dict[str, tuple[Verdict, str]] = {}
        """By scan: the verdict that was acknowledged here last, and the initials."""

    def compose(self) -> ComposeResult:
        """Fixed blocks; only their texts change."""
        yield Block("head")
        yield Block("tabs")
        yield Block("banner")
        yield Block("advice")
        yield Block("reason")
        yield Block("progress")
        yield Block("forecast")
        yield Block("visit")
        yield Block("request")
        with Container(id="body"):
            with Vertical(id="upper"):
                yield PlotBlock("spectrum")
                with VerticalScroll(id="table_scroll"):
                    yield Block("table")
            yield PlotBlock("shots")
        yield Block("keys")

    def on_mount(self) -> None:
        """Begin to follow the session."""
        self.set_interval(REDRAW_S, self.redraw)
        self.call_after_refresh(self.redraw)

    def on_resize(self, _event: Resize) -> None:
        """Draw at the new size."""
        self._drawn = ()
        self.call_after_refresh(self.redraw)

    def on_plot_block_resized(self, _message: PlotBlock.Resized) -> None:
        """Draw the plots at their new size."""
        self._draw_plots(self._scan())

    # -- drawing ------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Bring every block up to date; cheap when nothing changed within the second."""
        if not self.is_running:  # a tick while the application ends, when its blocks are being taken down
            return
        if self._until is not None and self._until(self._latest()):
            self.exit()
            return
        latest = self._latest()
        self._ring(latest)
        state, at = self._frozen or (latest, self._clock())
        drawn = (id(state), int(at), self._pane, self._part, self._chosen, self.size, self._now(latest))
        if drawn == self._drawn:
            return
        self._drawn = drawn
        scan_id = self._scan_id(state)
        scan = state.scans.get(scan_id) if scan_id is not None else None
        words = panel(state, scan_id, at)
        self._draw_words(state, words, scan)
        self._draw_body(scan)

    def _draw_words(self, state: ViewState, words: Panel, scan: ScanView | None) -> None:
        width, height = self.size
        frozen = self._frozen is not None
        alive = f"FROZEN, now {self._now(self._latest())} – f: go on" if frozen else words.alive
        seen = self._seen_by.get(scan.scan_id) if scan is not None else None
        if scan is not None and seen is not None and seen[0] is scan.verdict and not frozen:
            alive = f"seen by {seen[1]} · {alive}"
        room = max(0, width - len(alive) - 2)
        head = self._block("head")
        head.show(words.title[:room].ljust(room) + "  " + alive)
        head.set_class(words.alarmed or frozen, "alarmed")
        self._line("tabs", self._tabs(state) if len(state.scans) > 1 else "")
        banner = self._block("banner")
        tall = height >= 20
        rows = draw(words.symbol, words.word, width) if tall else [f"{words.symbol} {words.word}"]
        banner.styles.height = BANNER_ROWS if tall else 1
        banner.show("\n".join(rows))
        for style in ("lost", "waiting", *(verdict.value for verdict in Verdict)):
            banner.set_class(style == words.style, style)
        self._block("advice").show(words.advice)
        spare = max(1, min(len(words.reasons), 1 + (height - 24) // 4))
        self._block("reason").styles.max_height = 2 * spare
        self._block("reason").show("\n".join(words.reasons[:spare]))
        self._line("progress", _bar(scan, words.progress, width))
        self._line("forecast", _cut(words.forecast, width))
        self._line("visit", words.visit if height >= 26 else "")
        self._line("request", words.request)
        self._block("keys").show(self._keys(state, scan))

    def _draw_body(self, scan: ScanView | None) -> None:
        wide = self._wide
        layout = (wide, self._pane)
        self.screen.set_class(wide, "wide")
        for name, container in (("spectrum", "spectrum"), ("shots", "shots"), ("table", "table_scroll")):
            self.query_one(f"#{container}").set_class(not wide and name != self._pane, "hidden")
        self.query_one("#upper").set_class(not wide and self._pane == "shots", "hidden")
        if layout != self._layout:  # the sizes are not known before the next refresh
            self._layout = layout
            self.call_after_refresh(self._draw_plots, scan)
        else:
            self._draw_plots(scan)

    def _draw_plots(self, scan: ScanView | None) -> None:
        if not self.is_running:
            return
        for name, plot in (("spectrum", self._spectrum), ("shots", self._shots)):
            block = self._block(name)
            if block.display and block.size.width >= 20 and block.size.height >= 4:
                text = plot(scan, *block.size) if scan is not None else ""
                block.show(Text.from_ansi(text or _EMPTY, no_wrap=True))
        self._block("table").show(_table(scan) if scan is not None else _EMPTY)

    def _spectrum(self, scan: ScanView, width: int, height: int) -> str:
        if not scan.parts:
            return ""
        part = scan.parts[self._part % len(scan.parts)]
        title = plots.spectrum_title(part, colour=self._colour)
        return title + "\n" + plots.spectrum(part, scan.amounts, width, height - 1, colour=self._colour)

    def _shots(self, scan: ScanView, width: int, height: int) -> str:
        return plots.tracks(scan, width, height, colour=self._colour)

    def _tabs(self, state: ViewState) -> Text:
        """The scans from the latest backwards as far as they fit; the chosen one always."""
        chosen = self._scan_id(state)
        room = self.size.width - sum(len(tab_text(scan)) + 3 for scan in state.scans.values() if scan.scan_id == chosen)
        tabs: list[Text] = []
        for scan in reversed(list(state.scans.values())):
            text = f" {tab_text(scan)} "
            if scan.scan_id != chosen:
                room -= len(text) + 1
                if room < 0:
                    continue
            tabs.insert(0, Text(text, style="reverse bold" if scan.scan_id == chosen else ""))
        return Text("│").join(tabs)

    def _keys(self, state: ViewState, scan: ScanView | None) -> Text:
        """The keys that do something now, in the order of use."""
        keys = [] if self._wide or scan is None else [("s", "spectrum"), ("t", "shots"), ("m", "table")]
        if scan is not None and len(scan.parts) > 1:
            keys.append(("p", plots.PARTS.get(scan.parts[(self._part + 1) % len(scan.parts)].spectrum, "part")))
        if len(state.scans) > 1:
            keys.append(("⇥", "scan"))
        if scan is not None and self._act is not None:
            keys += [("c", "confirm")] if actions.proposed(scan) is not None else []
            keys += [("a", "seen"), ("r", "ask"), ("n", "note"), ("k", "mark")]
        keys += [] if scan is None else [("f", "freeze")]
        keys += [("?", "help"), ("q", "quit")]
        for key in _LEFT_AWAY:
            if sum(len(key) + len(word) + 2 for key, word in keys) <= self.size.width:
                break
            keys = [pair for pair in keys if pair[0] != key]
        return Text(" ").join(Text.assemble((key, "reverse"), " ", word) for key, word in keys)

    @property
    def _wide(self) -> bool:
        return self.size.width >= WIDE and self.size.height >= TALL

    def _line(self, name: str, content: str | Text) -> None:
        self._block(name).show(content)
        self._block(name).set_class(not content, "hidden")

    def _block(self, name: str) -> Block:
        return self.query_one(f"#{name}", Block)

    def _now(self, latest: ViewState) -> str:
        """How the scan in view is doing now: not what is shown while the picture is frozen."""
        scan_id = self._scan_id(self._frozen[0] if self._frozen is not None else latest)
        scan = latest.scans.get(scan_id) if scan_id is not None else None
        return "unchanged" if scan is None else " ".join(reversed(STATES[scan.verdict]))

    def _scan_id(self, state: ViewState) -> str | None:
        """The chosen scan, else the latest to have begun."""
        if self._chosen in state.scans:
            return self._chosen
        running = [scan.scan_id for scan in state.scans.values() if not scan.ended]
        names = running or list(state.scans)
        return names[-1] if names else None

    def _ring(self, state: ViewState) -> None:
        """The terminal's bell once when a scan comes to stop."""
        for scan in state.scans.values():
            if scan.verdict is not Verdict.STOP:
                self._bell_for.discard(scan.scan_id)
            elif scan.scan_id not in self._bell_for:
                self._bell_for.add(scan.scan_id)
                self.bell()

    # -- keys ---------------------------------------------------------------------------------------------------

    def action_pane(self, name: str) -> None:
        """Show one of the panes, where there is room for one only."""
        self._pane = name
        self.redraw()

    def action_next_part(self) -> None:
        """The next sub-spectrum."""
        self._part += 1
        self.redraw()

    def action_next_scan(self, step: int) -> None:
        """Another scan."""
        state = self._latest()
        names = list(state.scans)
        current = self._scan_id(state)
        if current is not None:
            self._chosen = names[(names.index(current) + step) % len(names)]
            self.redraw()

    def action_freeze(self) -> None:
        """Hold the picture; the state goes on behind it."""
        self._frozen = None if self._frozen is not None else (self._latest(), self._clock())
        self._drawn = ()
        self.redraw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The keys of the view are not its own while a dialog is open."""
        del parameters
        return not (action == "next_scan" and len(self.screen_stack) > 1)

    def action_help(self) -> None:
        """The page of help."""
        self.push_screen(Help())

    def action_confirm(self) -> None:
        """Decide on a request that waits."""
        scan = self._scan()
        trigger = actions.proposed(scan) if scan is not None else None
        if trigger is None:
            self.notify("No request waits for a decision.")
        else:
            self._ask_person(actions.confirm(trigger))

    def action_do(self, name: str) -> None:
        """Acknowledge, note, mark shots, or ask the scanner."""
        scan = self._scan()
        if scan is None:
            self.notify("There is no scan yet.")
        else:
            self._ask_person(_ACTIONS[name](scan))

    def _scan(self) -> ScanView | None:
        state = self._frozen[0] if self._frozen is not None else self._latest()
        scan_id = self._scan_id(state)
        return state.scans[scan_id] if scan_id is not None else None

    def _ask_person(self, action: actions.Action) -> None:
        act = self._act
        if act is None:
            return
        fields = tuple(replace(f, value=self._initials) if f == INITIALS else f for f in action.fields)

        def told(problem: str | None) -> None:
            self.call_from_thread(self._told, action, self._initials, problem)

        def filled(answer: dict[str, str] | None) -> None:
            if answer is not None:
                self._initials = answer["initials"]
                act(action.request(answer), told)

        self.push_screen(Form(action.title, fields), filled)

    def _told(self, action: actions.Action, initials: str, problem: str | None) -> None:
        """What came of a request: a note that passes, and who has seen the verdict as long as it is the same."""
        if problem is not None:
            self.notify(f"Not done: {problem}", severity="error")
            return
        self.notify(action.done, timeout=_TOLD_S)
        if action.seen is not None:
            self._seen_by[action.seen[0]] = (action.seen[1], initials)
            self._drawn = ()


_ACTIONS: dict[str, Callable[[ScanView], actions.Action]] = {
    "acknowledge": actions.acknowledge,
    "note": actions.note,
    "mark": actions.mark,
    "ask": actions.ask,
}


def _cut(text: str, width: int) -> str:
    """As many of its parts as fit."""
    while len(text) > width and ", " in text:
        text = text.rsplit(", ", 1)[0]
    return text


def _bar(scan: ScanView | None, text: str, width: int) -> str:
    done = fraction_done(scan) if scan is not None else None
    room = min(40, width - len(text) - 3)
    if done is None or room < 8:
        return text
    full = round(done * room)
    return text + "  " + "█" * full + "░" * (room - full)


def _table(scan: ScanView) -> Text:
    """Limits, then metabolites."""
    lines = ["Limits", *(f"  {line}" for line in limit_lines(scan)), "", *table_lines(scan)]
    return Text("\n".join(lines), no_wrap=True)
