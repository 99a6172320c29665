"""From causes and forecast to one verdict and one sentence, without flicker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scanner_agent.judge.seen import Cause, Seen
from scanner_agent.judgement_settings import JudgementSettings
from scanner_agent.records import Advice, FindingKind, Forecast, Severity, Verdict, counted

_BADNESS = {
    Verdict.COLLECTING: 0,
    Verdict.GOOD: 1,
    Verdict.WATCH: 2,
    Verdict.STOP: 3,
    Verdict.CANNOT_JUDGE: 4,
}


@dataclass(frozen=True, kw_only=True)
class Raw:
    """A verdict with what belongs to it."""

    verdict: Verdict
    advice: Advice
    text: str
    causes: tuple[Cause, ...]
    extend_shots: int | None = None
    sudden: bool = False
    """True where waiting would cost shots: shown at once."""


def decide(seen: Seen, causes: Sequence[Cause], foreseen: Forecast, unsupported: str | None, *, final: bool) -> Raw:
    """The verdict on what is known now. `good` needs every limit told; `stop` needs a cause."""
    ordered = tuple(causes)
    if unsupported is not None:
        return Raw(verdict=Verdict.CANNOT_JUDGE, advice=Advice.CONTINUE, text=unsupported, causes=(), sudden=True)
    stops = [c for c in ordered if c.severity == Severity.STOP]
    watches = [c for c in ordered if c.severity == Severity.WATCH and c.blocking]
    if not seen.enough and not final:
        if stops or watches:
            top = (stops or watches)[0]
            return Raw(verdict=Verdict.WATCH, advice=top.advice, text=top.text, causes=ordered, sudden=True)
        return Raw(
            verdict=Verdict.COLLECTING, advice=Advice.CONTINUE, text="Too few shots to judge: go on.", causes=ordered
        )
    if stops:
        top = stops[0]
        return Raw(verdict=Verdict.STOP, advice=top.advice, text=top.text, causes=ordered)
    unknown = _unknown(seen)
    if unknown is not None:
        text = f"Cannot be judged: {unknown}."
        return Raw(verdict=Verdict.CANNOT_JUDGE, advice=Advice.CONTINUE, text=text, causes=ordered)
    broken = [c for c in seen.limits if c.met is False]
    if final and broken:
        return _broken_at_the_end(seen, ordered, watches, foreseen)
    p = foreseen.probability_pass
    if watches:
        top = watches[0]
        extend = foreseen.shots_needed if top.advice == Advice.EXTEND and foreseen.shots_needed else None
        return Raw(
            verdict=Verdict.WATCH,
            advice=top.advice,
            text=top.text,
            causes=ordered,
            extend_shots=extend,
            sudden=top.kind == FindingKind.MOTION_DURING_SCAN,
        )
    if not final and (p is None or p < seen.protocol.judgement.watch_probability):
        return Raw(
            verdict=Verdict.WATCH,
            advice=Advice.CONTINUE,
            text="The limits may not be met at the end: watch the next shots.",
            causes=ordered,
        )
    moved = next((c for c in ordered if c.kind == FindingKind.MOTION_DURING_SCAN), None)
    if moved is not None:
        text = moved.text
    elif final:
        text = "All limits are met."
    else:
        text = "All is well: go on."
    if seen.header.shots_averaged:
        text += " Whether the head moved cannot be seen in an averaged file."
    return Raw(verdict=Verdict.GOOD, advice=Advice.CONTINUE, text=text, causes=ordered)


def _unknown(seen: Seen) -> str | None:
    """The first thing that a verdict would need and that is missing."""
    c = seen.context
    if not seen.limits:
        return "the protocol sets no limits"
    if not seen.signs and not seen.header.shots_averaged and seen.fit is None:
        return "no shot could be used"
    if seen.fit is None:
        return c.fit_unavailable or "there is no fit of these shots"
    if seen.fit.failed:
        return "the spectrum could not be fitted"
    s, fit = seen.protocol.judgement, seen.fit
    poor = fit.fit_quality is not None and fit.fit_quality > s.fit_quality_watch
    if poor and fit.snr_lcmodel is not None and fit.snr_lcmodel < s.fit_trusted_snr:
        return "the fit leaves much more than noise, so that its numbers cannot be trusted"
    if seen.protocol.edited and c.edit_order_decided_from == "nothing":
        return f"which shots were edited is not known{f' ({c.edit_order_reason})' if c.edit_order_reason else ''}"
    for limit in seen.limits:
        if limit.met is None:
            return f"the {limit.label} could not be measured"
    return None


def _broken_at_the_end(seen: Seen, causes: tuple[Cause, ...], watches: list[Cause], foreseen: Forecast) -> Raw:
    """The scan is over and a limit is not met."""
    broken = "; ".join(
        f"{c.label} "
        + ("could not be found" if c.value is None else f"is {c.value:.3g}")
        + (f", at most {c.maximum:g}" if c.maximum is not None else f", at least {c.minimum:g}")
        + c.unit_text
        for c in seen.limits
        if c.met is False
    )
    if foreseen.can_extend and foreseen.shots_needed:
        more = counted(foreseen.shots_needed, "more shot")
        return Raw(
            verdict=Verdict.WATCH,
            advice=Advice.EXTEND,
            extend_shots=foreseen.shots_needed,
            causes=causes,
            text=f"The limits are not met yet ({broken}): {more} will probably do.",
        )
    top = watches[0] if watches else None
    advice = top.advice if top is not None and top.advice != Advice.CONTINUE else Advice.REPEAT
    return Raw(
        verdict=Verdict.STOP,
        advice=advice,
        causes=causes,
        text=f"The limits are not met ({broken})." + (f" {top.text}" if top else " Repeat the scan."),
    )


class VerdictFilter:
    """Hysteresis: worse only after some assessments that agree, better only after more of them."""

    def __init__(self, settings: JudgementSettings) -> None:
        self._s = settings
        self._shown: Raw | None = None
        self._run = 0
        self._candidate: Verdict | None = None

    def pass_through(self, raw: Raw, n_excitations: int) -> Raw:
        """What to show, given what was shown before. A frame of many excitations counts as many assessments."""
        shown = self._shown
        if shown is None or raw.sudden or raw.verdict == shown.verdict or shown.verdict == Verdict.COLLECTING:
            self._candidate, self._run = None, 0
            self._shown = raw
            return raw
        worse = _BADNESS[raw.verdict] > _BADNESS[shown.verdict]
        # Several ways of being worse than shown add up: the mildest of them is shown first.
        if self._candidate is None or (_BADNESS[self._candidate] > _BADNESS[shown.verdict]) != worse:
            self._run = 0
        self._candidate = raw.verdict
        self._run += n_excitations
        if self._run >= (self._s.stop_persistence if worse else self._s.recover_persistence):
            self._candidate, self._run = None, 0
            self._shown = raw
            return raw
        self._shown = replace(shown, causes=raw.causes)
        return self._shown
