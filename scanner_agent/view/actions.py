"""What a person can do from the view: each key's form, and the control request that it becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scanner_agent.records import Advice, Trigger, TriggerState
from scanner_agent.view.dialogs import INITIALS, TEXT, Field
from scanner_agent.view.model import ScanView
from scanner_agent.wire.follow import ControlClient

Request = Callable[[ControlClient], None]
_ADVICE = {
    "extend": Advice.EXTEND,
    "repeat": Advice.REPEAT,
    "reshim": Advice.RESHIM,
    "represcribe": Advice.REPRESCRIBE,
}


@dataclass(frozen=True)
class Action:
    """A form, what its answers become, and what is said when it is done."""

    title: str
    fields: tuple[Field, ...]
    request: Callable[[dict[str, str]], Request]
    done: str


def acknowledge(scan: ScanView) -> Action:
    """A person has seen the verdict."""
    return Action(
        f"Acknowledge {scan.verdict.value.replace('_', ' ').upper()} of {scan.scan_id}",
        (INITIALS,),
        lambda answer: lambda control: control.acknowledge(scan.scan_id, answer["initials"]),
        "acknowledged",
    )


def note(scan: ScanView) -> Action:
    """A remark for the record."""
    return Action(
        f"Note on {scan.scan_id}",
        (INITIALS, TEXT),
        lambda answer: lambda control: control.note(scan.scan_id, answer["initials"], answer["text"]),
        "noted",
    )


def mark(scan: ScanView) -> Action:
    """A remark on some shots, by the numbers that the view shows (from 1)."""
    last = max(scan.tracks, default=0) + 1
    shots = Field("shots", "Shots", r"[1-9]\d{0,4}(\s*-\s*[1-9]\d{0,4})?", "a number, or from-to like 12-15", str(last))

    def request(answer: dict[str, str]) -> Request:
        numbers = [int(text) - 1 for text in answer["shots"].split("-")]
        first, last = min(numbers), max(numbers)
        return lambda control: control.note(scan.scan_id, answer["initials"], answer["text"], first, last)

    return Action(f"Mark shots of {scan.scan_id}", (INITIALS, shots, TEXT), request, "marked")


def ask(scan: ScanView) -> Action:
    """Ask the scanner side for something in the person's name."""
    what = Field(
        "advice", "What: extend, repeat, reshim or represcribe", "|".join(_ADVICE), "one of these words", "repeat"
    )
    shots = Field("shots", "With extend: by how many shots", r"\d{0,4}", "a number, or nothing")

    def request(answer: dict[str, str]) -> Request:
        advice = _ADVICE[answer["advice"]]
        n_shots = int(answer["shots"] or 0) or None
        extend = n_shots if advice is Advice.EXTEND else None
        return lambda control: control.request(scan.scan_id, answer["initials"], advice, extend)

    return Action(f"Ask the scanner, scan {scan.scan_id}", (INITIALS, what, shots), request, "asked for")


def proposed(scan: ScanView) -> Trigger | None:
    """The latest request that waits for a person."""
    waiting = [t for t in scan.triggers.values() if t.state is TriggerState.PROPOSED]
    return max(waiting, key=lambda trigger: trigger.created_at, default=None)


def confirm(trigger: Trigger) -> Action:
    """Let a proposed request go out, or not."""
    choice = Field("choice", "Send it to the scanner? (yes or no)", "yes|no", "yes or no", "yes")

    def request(answer: dict[str, str]) -> Request:
        accept = answer["choice"] == "yes"
        return lambda control: control.confirm(trigger.trigger_id, answer["initials"], accept)

    return Action(f"Request to the scanner: {trigger.text}", (choice, INITIALS), request, "decided")
