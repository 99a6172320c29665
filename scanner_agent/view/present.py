"""What is said of a scan, in words and rows: pure functions from the model to text, without layout or colour codes."""

from __future__ import annotations

from dataclasses import dataclass

from scanner_agent.records import (
    Advice,
    Forecast,
    Health,
    Placement,
    Severity,
    TriggerState,
    Verdict,
    counted,
)
from scanner_agent.view.model import Link, ScanView, ViewState
from scanner_agent.view.tables import NOTHING, current_limits, limit_text, number

STATES = {
    Verdict.COLLECTING: ("COLLECTING", "…"),
    Verdict.GOOD: ("GOOD", "✓"),
    Verdict.WATCH: ("WATCH", "!"),
    Verdict.STOP: ("STOP", "■"),
    Verdict.CANNOT_JUDGE: ("CANNOT JUDGE", "?"),
}
_DEEDS = {
    Advice.EXTEND: "more shots",
    Advice.RESHIM: "shim again",
    Advice.REPRESCRIBE: "place the voxel again",
    Advice.REPEAT: "run the scan again",
    Advice.LOCALISE: "repeat the localiser",
    Advice.CHECK_HARDWARE: "check the hardware",
}


@dataclass(frozen=True)
class Panel:
    """One scan's texts. `style` is a key for colours: a verdict's value, or `lost` / `waiting`."""

    title: str
    word: str
    symbol: str
    style: str
    advice: str
    reasons: tuple[str, ...]
    progress: str
    forecast: str
    alive: str
    alarmed: bool
    """True if `alive` tells of something wrong."""
    visit: str
    request: str
    """A trigger that waits for a person, or what became of the last one."""


def panel(state: ViewState, scan_id: str | None, at: float) -> Panel:
    """Texts for one scan, or for the wait before the first."""
    alive, alarmed = _alive(state, state.scans.get(scan_id) if scan_id is not None else None, at)
    scan = state.scans.get(scan_id) if scan_id is not None else None
    if scan is None:
        placed = state.placement
        word, waiting = _NO_SCAN[state.link]
        if state.link is Link.CONNECTED and _starting(state.health):
            waiting = _GETTING_READY
        return Panel(
            title="no scan yet",
            word=word,
            symbol="✕" if state.link is Link.LOST else "…",
            style="lost" if state.link is Link.LOST else "waiting",
            advice=waiting if placed is None else f"{waiting} {_told(placed)}",
            reasons=(*((state.link_text,) if state.link_text else ()), *prescription(placed, None)),
            progress="",
            forecast="",
            alive=alive,
            alarmed=alarmed,
            visit="",
            request="",
        )
    placed = _placement(state, scan)
    moved = placed is not None and placed.result.state == "moved"
    # Shots cannot show where the voxel lies: what an image has proved is not to stand under a carefree word.
    shown = Verdict.WATCH if moved and scan.verdict in (Verdict.COLLECTING, Verdict.GOOD) else scan.verdict
    word, symbol = STATES[shown]
    style = shown.value
    advice = _advice(scan)
    reasons = _reasons(scan, advice)
    if placed is not None and moved:
        reasons = (*prescription(placed, scan), advice, *reasons)
        advice = _told(placed)
    elif placed is not None:
        reasons = (_told(placed), *reasons)
    if state.link is Link.LOST and not scan.ended:
        # A verdict that can no longer change must not look alive.
        advice = f"Not connected: the scan goes on unchecked. Last known: {word} – {advice}"
        word, symbol, style = "NO LINK", "✕", "lost"
    elif _fallen_silent(state, scan, at) and shown in (Verdict.COLLECTING, Verdict.GOOD, Verdict.WATCH):
        advice = f"No shot comes any more: look at the scanner. Last known: {word} – {advice}"
        word, symbol, style = "NO DATA", "✕", "lost"
    return Panel(
        title=_title(scan),
        word=word,
        symbol=symbol,
        style=style,
        advice=advice,
        reasons=reasons,
        progress=_progress(scan, at),
        forecast=_forecast(scan),
        alive=alive,
        alarmed=alarmed,
        visit=_visit(state, scan),
        request=_request(scan),
    )


_NO_SCAN = {
    Link.CONNECTING: ("CONNECTING", "Looking for the quality check."),
    Link.CONNECTED: ("WAITING", "Waiting for the first scan."),
    Link.LOST: ("NO LINK", "The quality check does not answer. On its machine: scanner-agent run"),
}
_LONG_SILENCE_S = 10.0
_GETTING_READY = "Getting ready. A scan may begin: its shots are kept, the verdict comes later."


def _starting(health: Health | None) -> bool:
    return health is not None and not health.ready


def _title(scan: ScanView) -> str:
    parts = [scan.scan_id]
    if scan.header is not None:
        sequence = scan.header.sequence
        if sequence is not None and scan.header.echo_time_s is not None:
            sequence += f" TE {1000 * scan.header.echo_time_s:g}"
        parts += [text for text in (sequence, scan.header.scanner) if text]
    if scan.protocol is not None:
        parts.append(scan.protocol)
    return " · ".join(parts)


def _advice(scan: ScanView) -> str:
    text = None
    if scan.report is not None:
        text = f"Scan ended. {scan.report.advice_text}"
        if scan.report.end.status.value == "aborted":
            text = f"Scan aborted{_because(scan.report.end.reason)}. {scan.report.advice_text}"
    elif scan.assessment is not None:
        text = scan.assessment.advice_text
    return text or "Keep going: the first shots are being collected."


def _placement(state: ViewState, scan: ScanView) -> Placement | None:
    """The localiser's result to show with a scan: its own, or a later one that belongs to no scan (yet)."""
    before = state.placement
    newer = before is not None and (scan.last_shot_at is None or before.made_at > scan.last_shot_at)
    if before is None or not newer:
        return scan.placement
    return before if scan.placement is None or before.made_at > scan.placement.made_at else scan.placement


def _told(placement: Placement) -> str:
    return f"Localiser: {placement.result.text}"


def prescription(placement: Placement | None, scan: ScanView | None) -> tuple[str, ...]:
    """The new prescription as the scanner's console takes it; for every vendor if the scanner is not known."""
    consoles = placement.result.consoles if placement is not None else {}
    scanner = (scan.header.scanner or "").lower() if scan is not None and scan.header is not None else ""
    known = {vendor: text for vendor, text in consoles.items() if vendor.lower() in scanner.split()}
    return tuple(f"New prescription, {vendor}: {text}" for vendor, text in (known or consoles).items())


def _fallen_silent(state: ViewState, scan: ScanView, at: float) -> bool:
    """Silent for so long that the large word must not say that all is well. Shots that wait do not count."""
    silent = scan.silent_for_s(at)
    waiting = state.health.shots_waiting if state.health is not None else 0
    return silent is not None and not waiting and silent > (scan.shot_interval_s or 0.0) + _LONG_SILENCE_S


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _reasons(scan: ScanView, advice: str) -> tuple[str, ...]:
    """Why, most important first, without what the advice has said."""
    flagged = [f.text for f in scan.findings if f.severity is not Severity.NOTE]
    so_far = "" if scan.ended else "So far "
    broken = [so_far + limit_text(check) for check in current_limits(scan) if check.met is False]
    notes = [f.text for f in scan.findings if f.severity is Severity.NOTE]
    return tuple(text for text in flagged + broken + notes if text not in advice)


def _progress(scan: ScanView, at: float) -> str:
    used, left_out = scan.n_used, scan.n_left_out
    planned = scan.n_planned
    parts = [f"{counted(used)} used", f"{left_out} left out", f"{NOTHING if planned is None else planned} planned"]
    if planned and not scan.ended and scan.silent_for_s(at) is None:
        seen = used + left_out
        interval = scan.shot_interval_s
        if interval is not None and planned > seen:
            parts.append(f"{_duration((planned - seen) * interval)} left")
    return " · ".join(parts)


def fraction_done(scan: ScanView) -> float | None:
    """Shots seen over shots planned, 0-1; None if nobody says how many are planned."""
    if scan.ended:
        return 1.0
    planned = scan.n_planned
    if not planned or scan.assessment is None:
        return 0.0 if planned else None
    return min(1.0, (scan.n_used + scan.n_left_out) / planned)


def _duration(seconds: float) -> str:
    total = max(0, round(seconds))
    return f"{total} s" if total < 60 else f"{total // 60} min {total % 60:02d} s"


def _forecast(scan: ScanView) -> str:
    if scan.report is not None:
        return ""
    forecast = scan.assessment.forecast if scan.assessment is not None else None
    if forecast is None:
        return "Forecast: not yet"
    return "Forecast: " + ", ".join(_forecast_parts(forecast))


def _forecast_parts(forecast: Forecast) -> list[str]:
    parts = []
    chance = forecast.probability_pass
    if chance is not None:
        says = "will pass" if chance >= 0.9 else "will not pass" if chance <= 0.1 else "may pass"
        parts.append(f"{says} ({100 * chance:.0f} %)")
    if forecast.shots_needed:
        parts.append(f"{forecast.shots_needed} extra shots needed")
    elif forecast.shots_needed == 0:
        parts.append("no extra shots needed")
    elif forecast.can_extend is False:
        parts.append("more shots cannot help")
    snr = forecast.snr_lcmodel
    if snr is not None:
        parts.append(f"S/N {number(snr.expected)} ({number(snr.low)}–{number(snr.high)}) at the end")
    for name, interval in list(forecast.percent_sd.items())[:1]:
        parts.append(f"%SD of {name} {number(interval.expected)} ({number(interval.low)}–{number(interval.high)})")
    return parts or [next(iter(forecast.missing.values()), "not yet")]


def _alive(state: ViewState, scan: ScanView | None, at: float) -> tuple[str, bool]:
    if state.link is not Link.CONNECTED:
        since = "" if state.link_since is None else f" for {_duration(at - state.link_since)}"
        text = f"not connected{since}, trying again" if state.link is Link.LOST else "connecting"
        return text, state.link is Link.LOST
    health = state.health
    if health is not None and health.state == "refusing":
        return "shots cannot be kept: " + "; ".join(health.problems), True
    if scan is None or scan.last_shot_at is None:
        return ("getting ready" if _starting(health) else "connected"), False
    if scan.ended:
        return ("scan ended" if scan.report is not None else "scan ended, the report is being made"), False
    waiting = health.shots_waiting if health is not None else 0
    silent = scan.silent_for_s(at)
    if silent is not None and not waiting:
        return f"no data for {_duration(silent)}", True
    age = f"last shot {max(0.0, at - scan.last_shot_at):.0f} s ago"
    return (f"{age}, {waiting} shots waiting", False) if waiting > 1 else (age, False)


def _visit(state: ViewState, scan: ScanView) -> str:
    others = state.visit(scan.scan_id)
    if not others:
        return ""
    return "Visit: " + " · ".join(tab_text(other) for other in others)


def tab_text(scan: ScanView) -> str:
    """Short name of a scan with its state's symbol."""
    word, symbol = STATES[scan.verdict]
    return f"{scan.scan_id} {symbol} {word}"


def asked_for(advice: Advice, extend_shots: int | None = None) -> str:
    """What is asked of the scanner side, in a few words."""
    return (
        f"{extend_shots} more shots" if advice is Advice.EXTEND and extend_shots else _DEEDS.get(advice, advice.value)
    )


def _request(scan: ScanView) -> str:
    texts = {
        TriggerState.PROPOSED: "press c to send it to the scanner, or not",
        TriggerState.ACTIVE: "sent, the scanner has not answered yet",
        TriggerState.ACKNOWLEDGED: "taken over by the scanner",
        TriggerState.EXPIRED: "expired, nobody took it over",
        TriggerState.WITHDRAWN: "taken back",
    }
    # What waits for a person, else for the scanner, else what came last.
    shown = max(
        scan.triggers.values(),
        key=lambda t: (t.state is TriggerState.PROPOSED, t.state is TriggerState.ACTIVE, t.created_at),
        default=None,
    )
    if shown is None:
        return ""
    return f"Request: {asked_for(shown.advice, shown.extend_shots)} – {texts[shown.state]}"
