"""What a person can do from the view: each key's form, and the control request that it becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scanner_agent.records import Advice, Trigger, TriggerState, Verdict
from scanner_agent.view.dialogs import INITIALS, TEXT, Field
from scanner_agent.view.model import ScanView
from scanner_agent.view.present import asked_for
from scanner_agent.wire.follow import ControlClient

Request = Callable[[ControlClient], None]
_CHOICES = (Advice.REPEAT, Advice.EXTEND, Advice.RESHIM, Advice.REPRESCRIBE, Advice.LOCALISE)


@dataclass(frozen=True)
class Action:
    """A form, what its answers become, and what is said when it is done."""

    title: str
    fields: tuple[Field, ...]
    request: Callable[[dict[str, str]], Request]
    done: str
    seen: tuple[str, Verdict] | None = None
    """Scan and verdict that a person says to have seen."""


def acknowledge(scan: ScanView) -> Action:
    """A person has seen the verdict."""
    return Action(
        f"I have seen {scan.verdict.value.replace('_', ' ').upper()} of {scan.scan_id}",
        (INITIALS,),
        lambda answer: lambda control: control.acknowledge(scan.scan_id, answer["initials"]),
        f"{scan.verdict.value.replace('_', ' ').upper()} seen: on the record",
        (scan.scan_id, scan.verdict),
    )


def note(scan: ScanView) -> Action:
    """A remark for the record."""
    return Action(
        f"Note on {scan.scan_id}",
        (INITIALS, TEXT),
        lambda answer: lambda control: control.note(scan.scan_id, answer["initials"], answer["text"]),
        "Note: on the record",
    )


def mark(scan: ScanView) -> Action:
    """A remark on some shots, by the numbers that the view shows (from 1)."""
    last = max(scan.tracks, default=0) + 1
    shots = Field(
        "shots", "Shots", r"[1-9]\d{0,4}(\s*-\s*[1-9]\d{0,4})?", "A shot's number, or from-to like 12-15", str(last)
    )

    def request(answer: dict[str, str]) -> Request:
        numbers = [int(text) - 1 for text in answer["shots"].split("-")]
        first, last = min(numbers), max(numbers)
        return lambda control: control.note(scan.scan_id, answer["initials"], answer["text"], first, last)

    return Action(f"Mark shots of {scan.scan_id}", (INITIALS, shots, TEXT), request, "Note on shots: on the record")


def ask(scan: ScanView) -> Action:
    """Ask the scanner side for something in the person's name."""
    menu = "\n".join(f"  {number}  {asked_for(advice)}" for number, advice in enumerate(_CHOICES, start=1))
    what = Field("what", f"{menu}\nWhat, by its number", f"[1-{len(_CHOICES)}]", "Type one of the numbers above")
    forecast = scan.assessment.forecast if scan.assessment is not None else None
    needed = forecast.shots_needed if forecast is not None else None
    shots = Field("shots", "How many more shots (2 only)", r"\d{0,4}", "A number, or nothing", str(needed or ""))

    def request(answer: dict[str, str]) -> Request:
        advice = _CHOICES[int(answer["what"]) - 1]
        n_shots = int(answer["shots"] or 0) or None
        extend = n_shots if advice is Advice.EXTEND else None
        return lambda control: control.request(scan.scan_id, answer["initials"], advice, extend)

    return Action(f"Ask the scanner, scan {scan.scan_id}", (INITIALS, what, shots), request, "Sent to the scanner")


def proposed(scan: ScanView) -> Trigger | None:
    """The latest request that waits for a person."""
    waiting = [t for t in scan.triggers.values() if t.state is TriggerState.PROPOSED]
    return max(waiting, key=lambda trigger: trigger.created_at, default=None)


def confirm(trigger: Trigger) -> Action:
    """Let a proposed request go out, or not."""
    choice = Field("choice", "Send it to the scanner? (yes or no)", "y|yes|n|no", "Type yes or no", "yes")

    def request(answer: dict[str, str]) -> Request:
        accept = answer["choice"].startswith("y")
        return lambda control: control.confirm(trigger.trigger_id, answer["initials"], accept)

    return Action(f"Request to the scanner: {trigger.text}", (choice, INITIALS), request, "Decided: on the record")
