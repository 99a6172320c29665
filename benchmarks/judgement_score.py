"""Rates of the judgement with their Wilson intervals, against the targets of the project's issue 5."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from judgement_runs import Outcome

from scanner_agent.records import Interval, Verdict

GOOD = ("still", "no_dummy", "scanner_f0_update", "drift")
"""Scenarios in which nothing is wrong (drift: mild only)."""
CAUSE = {
    "displaced_before": "voxel_displaced",
    "poor_shim": "poor_shim",
    "low_snr": "low_snr",
    "lipid": "lipid_contamination",
    "water_suppression_loss": "water_suppression",
    "coil_dead": "coil_fault",
    "coil_noisy": "coil_fault",
    "swapped_edit_order": "editing_error",
}
"""Scenarios that must be flagged within 16 excitations, and the finding that is right."""
OTHERS = {"spurious_echo": "spurious_echo", "dropped_edit_pulse": "editing_error", "missing_shots": "data_gap"}
"""The same without a figure asked for."""
EDITING_WATCH_HZ, OFFSET_MARGIN_HZ = 5.0, 1.0
"""Offset from the editing pulse worth a `watch` (protocols), and how far from it a scan is clearly on one side."""
_FAR_HZ = EDITING_WATCH_HZ + OFFSET_MARGIN_HZ
PRESENT_FROM_START = ("displaced_before", "poor_shim", "low_snr", "lipid")
NO_LATER_EVENT = ("still", "no_dummy", "drift", "poor_shim", "low_snr", "displaced_before")


@dataclass(frozen=True)
class Rate:
    """k of n, and what was asked for."""

    name: str
    k: int
    n: int
    target: str

    @property
    def value(self) -> float | None:
        """k / n; None without a case."""
        return self.k / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval."""
        if not self.n:
            return None
        z, p, n = 1.959964, self.k / self.n, self.n
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return float(max(0.0, middle - half)), float(min(1.0, middle + half))

    @property
    def met(self) -> bool | None:
        """Whether the point value meets the target `<= x`, `>= x` or `x - y`."""
        if self.value is None or not self.target:
            return None
        first, *rest = self.target.split()
        if first == "<=":
            return self.value <= float(rest[0])
        if first == ">=":
            return self.value >= float(rest[0])
        return float(first) <= self.value <= float(rest[-1])

    def row(self) -> list[object]:
        """For a table."""
        if self.value is None or self.interval is None:
            return [self.name, "-", "-", self.target, "-"]
        low, high = self.interval
        met = {True: "yes", False: "MISSED", None: ""}[self.met]
        return [self.name, f"{self.k}/{self.n}", f"{100 * self.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]",
                self.target, met]  # fmt: skip

    def json(self) -> dict[str, object]:
        """For a file."""
        return asdict(self) | {"value": self.value, "interval": self.interval, "met": self.met}


def rate(name: str, cases: Iterable[bool], target: str = "") -> Rate:
    """Rate of a yes-or-no question over cases."""
    answers = [bool(c) for c in cases]
    return Rate(name, sum(answers), len(answers), target)


def of(outcomes: Sequence[Outcome], *scenarios: str) -> list[Outcome]:
    """Outcomes of some scenarios."""
    return [o for o in outcomes if o.scenario in scenarios]


def all_rates(outcomes: Sequence[Outcome]) -> list[Rate]:
    """Every rate of issue 5 that single scans show."""
    return [*_false_alarms(outcomes), *_movement(outcomes), *_causes(outcomes), *_forecast(outcomes)]


def editing_offset_hz(o: Outcome) -> float:
    """Largest offset of an edited scan from the editing pulse over 16 shots, Hz; 0 where nothing is edited."""
    if "MEGA" not in o.sequence:
        return 0.0
    track = np.asarray(o.truth["shots"]["frequency_hz"])
    return float(np.max(np.abs(np.convolve(track, np.ones(16) / 16, mode="valid"))))


def good_scans(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Scans in which nothing is wrong: subjects whose own lines break the limits and drift beyond editing are not."""
    return [
        o
        for o in of(outcomes, *GOOD)
        if o.limits_met is not False and editing_offset_hz(o) < EDITING_WATCH_HZ - OFFSET_MARGIN_HZ
    ]


def _false_alarms(outcomes: Sequence[Outcome]) -> list[Rate]:
    found = []
    good = good_scans(outcomes)
    for name in GOOD:
        chosen = of(good, name)
        found.append(rate(f"{name}: stop at any shot", (o.stopped for o in chosen), "<= 0.01"))
        found.append(rate(f"{name}: watch or finding above note", (o.flagged for o in chosen), "<= 0.05"))
    every = of(outcomes, *GOOD)
    found.append(rate("good scenarios: scans that are not good (see good_scans)", (o not in good for o in every)))
    far = [o for o in of(outcomes, *GOOD, "drift_exponential") if editing_offset_hz(o) > _FAR_HZ]
    found.append(rate("drift beyond editing: told", (o.first_flag("frequency_drift") is not None for o in far)))
    found.append(rate("gain_change: flagged", (o.flagged for o in of(outcomes, "gain_change") if o.limits_met)))
    return found


def _movement(outcomes: Sequence[Outcome]) -> list[Rate]:
    found = []
    steps = of(outcomes, "motion_step")
    seen = [(o, f) for o in steps if (f := o.finding("motion_during_scan")) is not None]
    found.append(rate("motion_step: found", (o.finding("motion_during_scan") is not None for o in steps), ">= 0.97"))
    onsets = [(f.first_shot, o.truth["events"][0]["first_shot"]) for o, f in seen if f.first_shot is not None]
    found.append(rate("motion_step: onset within 3 shots", (abs(a - b) <= 3 for a, b in onsets), ">= 0.97"))
    delays = motion_delays(outcomes)
    found.append(rate("motion_step: delay at most 3 shots", (d <= 3 for d in delays), ">= 0.5"))
    bursts = of(outcomes, "motion_burst")
    found.append(rate("motion_burst: found", (o.finding("motion_during_scan") is not None for o in bursts), ">= 0.97"))
    bad: list[bool] = []
    good: list[bool] = []
    for o in bursts:
        for shot, damaged in enumerate(o.truth["shots"]["damaged"]):
            (bad if damaged else good).append(shot in o.left_out)
    found.append(rate("motion_burst: bad shots left out", bad, ">= 0.9"))
    found.append(rate("motion_burst: good shots left out", good, "<= 0.03"))
    slow = of(outcomes, "motion_slow")
    found.append(rate("motion_slow: found", (o.finding("motion_during_scan") is not None for o in slow)))
    return found


def motion_delays(outcomes: Sequence[Outcome]) -> list[int]:
    """Shots from the step to the assessment that first told of it above a note."""
    delays = []
    for o in of(outcomes, "motion_step"):
        begin = o.truth["events"][0]["first_shot"]
        told = [
            s.shot
            for s in o.steps
            if s.shot >= begin
            and any(f.kind.value == "motion_during_scan" and f.severity.value != "note" for f in s.findings)
        ]
        if told:
            delays.append(told[0] - begin)
    return delays


def _causes(outcomes: Sequence[Outcome]) -> list[Rate]:
    found = []
    sound = {o.seed for o in good_scans(of(outcomes, "still"))}
    for name, kind in CAUSE.items():
        chosen = of(outcomes, name)
        if not chosen:
            continue
        found.append(rate(f"{name}: flagged within 16 excitations", (_in_time(o) for o in chosen), ">= 0.95"))
        found.append(rate(f"{name}: right cause first", (o.first_cause == kind for o in chosen), ">= 0.9"))
        # The scans of one seed share their subject: one whose lines are broad by themselves has two things wrong.
        alone = [o for o in chosen if o.seed in sound]
        found.append(rate(f"{name}: right cause first, nothing else wrong", (o.first_cause == kind for o in alone)))
        # The whole-scan scenarios leave no note of what else is wrong with them: any finding of the kind counts here.
        found.append(rate(f"{name}: cause among the findings", (o.finding(kind) is not None for o in chosen)))
    for name, kind in OTHERS.items():
        chosen = of(outcomes, name)
        found.append(rate(f"{name}: cause among the findings", (o.finding(kind) is not None for o in chosen)))
    broken = [o for o in outcomes if o.limits_met is False and o.scenario not in GOOD]
    found.append(rate("limits broken, final verdict good", (o.final is Verdict.GOOD for o in broken), "<= 0.02"))
    moved = of(outcomes, "displaced_before")
    told = [f for o in moved if (f := o.finding("voxel_displaced")) is not None]
    found.append(rate("displaced_before: called proven", ("no proof" not in f.text for f in told), "<= 0.0"))
    return found


def _in_time(o: Outcome) -> bool:
    begin = int(o.truth["events"][0]["first_shot"])
    first = next((s.shot for s in o.steps if s.shot >= begin and _says(s.verdict, s.findings)), None)
    if first is None:
        return False
    frames = max(1, -(-16 // o.excitations_per_shot))
    return first - begin + 1 <= frames


def _says(verdict: Verdict, findings: Iterable[object]) -> bool:
    if verdict in (Verdict.WATCH, Verdict.STOP):
        return True
    return any(getattr(f, "severity", None) is not None and f.severity.value != "note" for f in findings)  # type: ignore[attr-defined]


def _forecast(outcomes: Sequence[Outcome]) -> list[Rate]:
    found = []
    calm = of(outcomes, *NO_LATER_EVENT)
    readers: dict[str, Callable[[Outcome], Interval | None]] = {
        "snr_lcmodel": lambda o: _at(o, 0.25, "snr_lcmodel"),
        "fwhm_hz": lambda o: _at(o, 0.25, "fwhm_hz"),
    }
    for name, reader in readers.items():
        held = [_holds(reader(o), o.numbers.get(name)) for o in calm]
        found.append(rate(f"forecast at a quarter holds {name}", (h for h in held if h is not None), "0.85 - 0.95"))
    held = [
        _holds(interval, o.numbers.get(f"percent_sd_{name}")) for o in calm for name, interval in _percent_sd(o).items()
    ]
    found.append(rate("forecast at a quarter holds %SD", (h for h in held if h is not None), "0.85 - 0.95"))
    failing = [o for o in of(outcomes, *PRESENT_FROM_START) if o.limits_met is False]
    half = [any(_says(s.verdict, s.findings) for s in o.steps[: (len(o.steps) + 1) // 2]) for o in failing]
    found.append(rate("will fail (cause from the start): told by half-time", half, ">= 0.95"))
    # A drift that spoils the editing is told by no limit.
    calm = [o for o in of(outcomes, *NO_LATER_EVENT) if editing_offset_hz(o) < EDITING_WATCH_HZ]
    passing = [o for o in calm if o.limits_met is True]
    found.append(rate("will pass: stopped", (o.stopped for o in passing), "<= 0.01"))
    return found


def _at(o: Outcome, part: float, name: str) -> Interval | None:
    if not o.steps:
        return None
    forecast = o.steps[max(0, round(part * len(o.steps)) - 1)].forecast
    return None if forecast is None else getattr(forecast, name)


def _percent_sd(o: Outcome) -> dict[str, Interval]:
    if not o.steps:
        return {}
    forecast = o.steps[max(0, round(0.25 * len(o.steps)) - 1)].forecast
    return {} if forecast is None else dict(forecast.percent_sd)


def _holds(interval: Interval | None, value: float | None) -> bool | None:
    if interval is None or value is None:
        return None
    return bool(interval.low <= value <= interval.high)


def confusion(outcomes: Sequence[Outcome]) -> tuple[list[str], list[str], np.ndarray]:
    """Scenarios, kinds, and how often (0-1) each kind stood first at the end of a scenario's scans."""
    rows = list(dict.fromkeys(o.scenario for o in outcomes))
    columns = sorted({o.first_cause for o in outcomes} - {"none"})
    columns = ["none", *columns]
    counts = np.zeros((len(rows), len(columns)))
    for o in outcomes:
        counts[rows.index(o.scenario), columns.index(o.first_cause)] += 1
    return rows, columns, counts / counts.sum(axis=1, keepdims=True)
