"""What the planned end will bring, from one fit: S/N, linewidth and %SD with intervals, given no later event.

S/N and %SD on LCModel's scale rest on the fit's residual: the noise's variance falls with the number of shots, the part
that the model does not explain (FQN above what is usual) stays. So

    S/N(n') = S/N(n) * sqrt((1 + e) / (n/n' + e)),   e = max(FQN - usual, 0) at n,

and %SD falls more slowly, with a power of it that the protocol gives: a better S/N buys a more flexible baseline, which
costs some, and what priors say of an amount they say at any S/N (docs/measured.md). The fit of few shots may hardly see
a weak metabolite: where the protocol says what %SD is usual at an S/N, the two are weighed by their precision.
Logarithms are taken as normal; their SDs come from the protocol and are checked by simulation. A part of them does not
fall while the shots come in: at the end all are looked at again, and other ones aligned and left out than on the way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scanner_agent.judge.signs import FitSummary
from scanner_agent.judgement_settings import JudgementSettings
from scanner_agent.records import Forecast, Interval, LimitCheck
from scanner_agent.scan_protocol import Limit, Metric, ScanProtocol

LimitKind = Literal["noise", "width", "artefact"]
KINDS: tuple[LimitKind, ...] = ("noise", "width", "artefact")
_Z90 = 1.6448536269514722


@dataclass(frozen=True)
class Expectation:
    """A positive number at some number of shots: its logarithm is normal."""

    value: float
    log_sd: float

    def interval(self) -> Interval:
        """With its 5 and 95 % quantiles."""
        return Interval(
            expected=self.value,
            low=self.value * math.exp(-_Z90 * self.log_sd),
            high=self.value * math.exp(_Z90 * self.log_sd),
        )

    def probability_below(self, bound: float) -> float:
        """Probability of lying at or below `bound`."""
        if self.log_sd <= 0:
            return float(self.value <= bound)
        return 0.5 * math.erfc(-math.log(bound / self.value) / (self.log_sd * math.sqrt(2)))


def snr_growth(fit_quality: float | None, n_now: float, n_end: float, settings: JudgementSettings) -> float:
    """Factor on S/N (LCModel's scale) from n_now to n_end effective shots."""
    excess = max((fit_quality or 1.0) - settings.forecast_fit_quality, 0.0)
    return math.sqrt((excess + 1.0) / (excess + n_now / n_end))


def expect(
    fit: FitSummary, metric: str, metabolite: str | None, n_end: float, s: JudgementSettings
) -> Expectation | None:
    """One number at n_end effective shots; None if the fit does not say it."""
    n_now = max(fit.n_effective, 1e-9)
    n_end = max(n_end, n_now)
    growth = snr_growth(fit.fit_quality, n_now, n_end, s)
    snr = max(fit.snr_lcmodel or 3.0, 1.0)
    # Of a mean of n' shots whose first n are known, the part 1 - n/n' is still to come.
    to_come = math.sqrt(max(1.0 - n_now / n_end, 0.0))
    ahead = math.sqrt(math.log(n_end / n_now))
    snr_sd = _and_last_pass((s.forecast_snr_sd_least + s.forecast_snr_sd / snr) * ahead, s.forecast_snr_sd_last)
    fwhm_sd = _and_last_pass(s.forecast_fwhm_sd / snr * to_come, s.forecast_fwhm_sd_last)
    percent_sd_sd = (s.forecast_percent_sd_sd_least + s.forecast_percent_sd_sd / snr) * to_come
    percent_sd_sd = _and_last_pass(percent_sd_sd, s.forecast_percent_sd_sd_last)
    match metric:
        case "snr_lcmodel":
            return _expectation(fit.snr_lcmodel, growth, snr_sd)
        case "snr_naa":
            return _expectation(fit.snr_naa, math.sqrt(n_end / n_now), snr_sd)
        case "fwhm_hz" | "fwhm_ppm":
            value = fit.fwhm_hz if metric == "fwhm_hz" else fit.fwhm_ppm
            return _expectation(value, 1.0, fwhm_sd)
        case "percent_sd_lcmodel":
            gain = growth**-s.forecast_percent_sd_power
            own = _expectation(fit.percent_sd_lcmodel.get(metabolite or ""), gain, percent_sd_sd)
            usual = s.forecast_percent_sd_usual.get(metabolite or "")
            if own is None or usual is None or fit.snr_lcmodel is None:
                return own
            at_end = fit.snr_lcmodel * growth
            # What the fit at the end will err by itself counts too: weak scans lie far from the usual.
            of_fit = s.forecast_percent_sd_sd / at_end
            sd = math.hypot(s.forecast_percent_sd_usual_sd, s.forecast_percent_sd_power * snr_sd, of_fit)
            return _weighed(own, Expectation(usual * at_end**-s.forecast_percent_sd_power, sd))
        case "percent_sd":
            gain = math.sqrt(n_now / n_end) ** s.forecast_percent_sd_power
            return _expectation(fit.percent_sd.get(metabolite or ""), gain, percent_sd_sd)
        case "subtraction_artefact":
            return _expectation(fit.subtraction_artefact, 1.0, s.forecast_subtraction_sd * ahead)
    return None


def _and_last_pass(log_sd: float, of_last_pass: float) -> float:
    """With what the last pass adds; nothing where all is known."""
    return math.hypot(log_sd, of_last_pass) if log_sd > 0 else 0.0


def _expectation(value: float | None, gain: float, log_sd: float) -> Expectation | None:
    if value is None or not math.isfinite(value) or value <= 0:
        return None
    return Expectation(value * gain, log_sd)


def _weighed(own: Expectation, usual: Expectation) -> Expectation:
    """Both together, in logs and by their precision; at the end `own` alone, for then its SD is 0."""
    share = usual.log_sd**2 / (usual.log_sd**2 + own.log_sd**2)
    value = own.value**share * usual.value ** (1.0 - share)
    return Expectation(value, own.log_sd * math.sqrt(share))


def passing(limit: Limit, expectation: Expectation) -> float:
    """Probability that the limit is met."""
    if limit.maximum is not None:
        return expectation.probability_below(limit.maximum)
    return 1.0 - expectation.probability_below(limit.minimum or 0.0)


def probability_pass(
    fit: FitSummary, protocol: ScanProtocol, n_end: float, water_fwhm_hz: float | None = None
) -> float | None:
    """Probability that all limits are met at n_end effective shots; None if one cannot be told.

    Limits on noise (S/N, %SD) fail together, those on width by themselves: the weakest of each kind are multiplied.
    """
    if any(c.value is None and c.met is None for c in check_limits(fit, protocol, water_fwhm_hz)):
        return None
    parts = [kind_probability(fit, protocol, n_end, kind) for kind in KINDS]
    if water_fwhm_hz is not None:
        bounds = [x.maximum for x in protocol.limits if x.metric == "water_fwhm_hz" and x.maximum is not None]
        parts += [float(water_fwhm_hz <= bound) for bound in bounds]
    known = [p for p in parts if p is not None]
    return math.prod(known) if known else None


def kind_probability(fit: FitSummary, protocol: ScanProtocol, n_end: float, kind: LimitKind) -> float | None:
    """Smallest probability among the limits of one kind (noise, width, artefact); None if none of them is known."""
    found = []
    for limit in protocol.limits:
        if limit.metric == "water_fwhm_hz" or _KIND[limit.metric] != kind:
            continue
        if limit.metabolite in fit.not_found:
            found.append(0.0)
            continue
        expectation = expect(fit, limit.metric, limit.metabolite, n_end, protocol.judgement)
        if expectation is not None:
            found.append(passing(limit, expectation))
    return min(found) if found else None


_KIND: dict[Metric, LimitKind] = {
    "snr_lcmodel": "noise",
    "snr_naa": "noise",
    "percent_sd_lcmodel": "noise",
    "percent_sd": "noise",
    "fwhm_hz": "width",
    "fwhm_ppm": "width",
    "subtraction_artefact": "artefact",
}


def shots_needed(
    fit: FitSummary, protocol: ScanProtocol, n_end: float, shot_worth: float, water_fwhm_hz: float | None
) -> int | None:
    """Shots beyond n_end after which all limits will probably be met; 0 if at n_end, None if not within the extension.

    `shot_worth`: effective shots per stored frame.
    """
    s = protocol.judgement
    most = math.ceil(s.max_extension * n_end / max(shot_worth, 1e-9))

    def enough(extra: int) -> bool:
        p = probability_pass(fit, protocol, n_end + extra * shot_worth, water_fwhm_hz)
        return p is not None and p >= s.extend_probability

    if enough(0):
        return 0
    if not enough(most):
        return None
    low, high = 0, most
    while high - low > 1:  # bisection: more shots never make it worse
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def forecast(
    fit: FitSummary | None,
    protocol: ScanProtocol,
    n_shots_planned: int,
    n_end: float,
    shot_worth: float,
    water_fwhm_hz: float | None,
) -> Forecast:
    """The record, for n_end effective shots at the planned end."""
    if fit is None or fit.failed:
        return Forecast(n_shots_planned=n_shots_planned, missing={"all": "no fit of this pose yet"})
    s = protocol.judgement
    missing: dict[str, str] = {}

    def interval(metric: str, metabolite: str | None = None) -> Interval | None:
        expectation = expect(fit, metric, metabolite, n_end, s)
        if expectation is None:
            missing[metabolite or metric] = "the fit does not say it"
        return expectation.interval() if expectation else None

    percent = {name: found for name in protocol.gated if (found := interval("percent_sd_lcmodel", name)) is not None}
    probability = probability_pass(fit, protocol, n_end, water_fwhm_hz)
    needed = shots_needed(fit, protocol, n_end, shot_worth, water_fwhm_hz) if probability is not None else None
    if probability is None:
        missing["probability_pass"] = "a number that a limit needs is missing"
    elif needed is None:
        missing["shots_needed"] = "more shots cannot help"
    return Forecast(
        n_shots_planned=n_shots_planned,
        snr_lcmodel=interval("snr_lcmodel"),
        fwhm_hz=interval("fwhm_hz"),
        percent_sd=percent,
        probability_pass=probability,
        shots_needed=needed,
        can_extend=None if probability is None else needed is not None,
        missing=missing,
    )


def check_limits(fit: FitSummary | None, protocol: ScanProtocol, water_fwhm_hz: float | None) -> tuple[LimitCheck, ...]:
    """Each limit of the protocol against the fit as it is now."""
    checks = []
    for limit in protocol.limits:
        value = _value(fit, limit, water_fwhm_hz)
        met: bool | None = None
        if value is not None:
            met = value <= limit.maximum if limit.maximum is not None else value >= (limit.minimum or 0.0)
        elif fit is not None and limit.metabolite in fit.not_found:
            met = False
        checks.append(
            LimitCheck(
                metric=limit.metric,
                metabolite=limit.metabolite,
                value=value,
                minimum=limit.minimum,
                maximum=limit.maximum,
                unit=limit.unit,
                source=limit.source,
                met=met,
            )
        )
    return tuple(checks)


def _value(fit: FitSummary | None, limit: Limit, water_fwhm_hz: float | None) -> float | None:
    if limit.metric == "water_fwhm_hz":
        return water_fwhm_hz
    if fit is None or fit.failed:
        return None
    if limit.metric in ("percent_sd_lcmodel", "percent_sd"):
        value = getattr(fit, limit.metric).get(limit.metabolite)
    else:
        value = getattr(fit, limit.metric)
    return float(value) if value is not None and math.isfinite(value) else None
