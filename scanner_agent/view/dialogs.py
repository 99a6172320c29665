"""Dialogs of the terminal view: a form of a few fields, and the help."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static


@dataclass(frozen=True)
class Field:
    """One line to fill in; `pattern` is what it must match, `hint` says so."""

    name: str
    label: str
    pattern: str
    hint: str
    value: str = ""


INITIALS = Field("initials", "Your initials", r"[A-Za-z0-9]{1,8}", "Your initials, please: 1 to 8 letters or digits")
TEXT = Field("text", "Note (no name of a patient)", r".{1,500}", "Write a note of 1 to 500 characters")


def _id(field: Field) -> str:
    """Its widget's id, apart from the ids of the view below, whose style sheet holds for dialogs too."""
    return f"field_{field.name}"


class Form(ModalScreen[dict[str, str] | None]):
    """Asks for some fields; gives their values, or None if the person thought better of it."""

    CSS = """
    Form { align: center middle; }
    Form > Vertical { width: 64; height: auto; border: heavy ansi_default; padding: 0 1; background: ansi_default; }
    Form Input { height: 1; border: none; padding: 0; background: ansi_default; color: ansi_default;
                 text-style: underline; }
    Form Input:focus { background: ansi_default; }
    Form .problem { text-style: bold; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel")]

    def __init__(self, title: str, fields: tuple[Field, ...]) -> None:
        super().__init__()
        self._title, self._fields = title, fields

    def compose(self) -> ComposeResult:
        """Title, fields, what is wrong, keys."""
        with Vertical():
            yield Static(self._title, markup=False)
            for field in self._fields:
                yield Static(f"{field.label}:", markup=False)
                yield Input(value=field.value, id=_id(field), select_on_focus=True)
            yield Static("", id="problem", classes="problem", markup=False)
            yield Static("Enter: next, then send    Esc: cancel", markup=False)

    def on_mount(self) -> None:
        """Begin at the first field that is empty."""
        empty = [field for field in self._fields if not field.value]
        self.query_one(f"#{_id((empty or self._fields[-1:])[0])}", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """From field to field; after the last one to what is not right yet, or send."""
        values = {field.name: self.query_one(f"#{_id(field)}", Input).value.strip() for field in self._fields}
        wrong = [field for field in self._fields if re.fullmatch(field.pattern, values[field.name]) is None]
        here = next(n for n, field in enumerate(self._fields) if _id(field) == event.input.id)
        last = here == len(self._fields) - 1
        if last and not wrong:
            self.dismiss(values)
            return
        stay = self._fields[here] in wrong
        self.query_one("#problem", Static).update(self._fields[here].hint if stay else "")
        following = self._fields[here] if stay else wrong[0] if last else self._fields[here + 1]
        self.query_one(f"#{_id(following)}", Input).focus()

    def action_cancel(self) -> None:
        """Leave without doing anything."""
        self.dismiss(None)


_HELP = """\
The large word says how the scan is doing:
  … COLLECTING   too early to say        ✓ GOOD   keep going
  ! WATCH        look: read the reason   ■ STOP   stop, do what it says
  ? CANNOT JUDGE something it needs is missing: no verdict, good or bad
  ✕ NO LINK      not connected: the scan itself goes on
  ✕ NO DATA      no shot comes any more: look at the scanner
Below: what to do, why, how far the scan is, how it will probably end.
A shot is one measurement (one TR); x marks shots that are left out.
%SD is the uncertainty of an amount: the smaller, the better.

 s t m  spectrum / shots / metabolites     a  I have seen it (initials)
 p      next part of an edited scan        c  send a request, or not
 Tab    another scan, also ← →             r  ask the scanner
 f      freeze the picture, and go on      n  note for the record
 k      note on some of the shots          q  quit (the check goes on)

It advises; you decide. The scan goes on whatever happens here.
Esc closes this."""


class Help(ModalScreen[None]):
    """What the view shows and what its keys do."""

    CSS = """
    Help { align: center middle; }
    Help > Static { width: 78; height: auto; border: heavy ansi_default; padding: 0 1; background: ansi_default; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,h,question_mark,enter", "close")]

    def compose(self) -> ComposeResult:
        """One page."""
        yield Static(_HELP, markup=False)

    def action_close(self) -> None:
        """Back to the view."""
        self.dismiss(None)
