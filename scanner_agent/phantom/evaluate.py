"""Series of runs to charts: baselines, standardised values, marks of the classical rules, alarms with their cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtri

from scanner_agent.phantom.causes import Shift, likely_cause
from scanner_agent.phantom.monitor import ALARM_RULES, BASELINE_RUNS, Course, watch
from scanner_agent.phantom.rules import RULES
from scanner_agent.phantom.series import Event, Run, SeriesKey
from scanner_agent.phantom.values import kind_of, sort_key

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

JOINT_RUNS = 50
JOINT_PROBABILITY = 0.0002  # a run: one false alarm in a hundred years of weeks
_JOINT_BLOCK = 50
_JOINT_CLIP = 3.5


@dataclass(frozen=True)
class Alarm:
    """One change that is real, as far as the rules can tell."""

    name: str
    """Value; `joint` for the T² of all."""
    rule: str
    """Which rule said so."""
    raised: int
    """Place of the run at which it was raised."""
    since: int
    """Place of the first run of the change (estimate)."""
    last: int
    """Last run still in this alarm."""
    size_sd: float
    """Mean change since then, in the baseline's SD."""
    before: float | None
    """Baseline, in the value's own unit."""
    after: float | None
    """Mean (log values: geometric) since, in the value's own unit."""
    cause: str
    """Which cause fits; `unknown` if none does."""


@dataclass(frozen=True, eq=False)
class Chart:
    """One value over all runs of a series."""

    name: str
    values: Floats
    """(n_runs,) as measured; NaN: missing."""
    charted: Floats
    """(n_runs,) on the charted scale (logarithm, step)."""
    z: Floats
    """(n_runs,) standardised; NaN: missing or baseline building."""
    centre: Floats
    """(n_runs,) baseline on the charted scale."""
    sd: Floats
    """(n_runs,) its SD."""
    n_baseline: NDArray[np.int64]
    """(n_runs,) runs behind it."""
    alarmed: Flags
    """(n_runs,) in alarm."""
    marks: Mapping[str, Flags]
    """(n_runs,) by rule: classical rules broken there."""

    @property
    def state(self) -> str:
        """In words, after the last run."""
        if not self.values.size or self.n_baseline[-1] + 1 < BASELINE_RUNS:
            n = int(np.isfinite(self.charted[np.maximum(self._segment_start, 0) :]).sum())
            return f"baseline building ({n} of {BASELINE_RUNS})"
        return "alarm" if self.alarmed[-1] else "in control"

    @property
    def _segment_start(self) -> int:
        falls = np.flatnonzero((np.diff(self.n_baseline) < 0) & (self.n_baseline[1:] == 0))
        return int(falls[-1] + 1) if falls.size else 0


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One series with all its charts."""

    series: SeriesKey
    runs: Sequence[Run]
    events: Sequence[Event]
    segment: NDArray[np.int64]
    """(n_runs,) segment of each run, from 0; every event begins a new one."""
    charts: Mapping[str, Chart]
    alarms: Sequence[Alarm]
    joint: Floats
    """(n_runs,) T² over its limit; NaN: too few runs."""


def evaluate(series: SeriesKey, runs: Sequence[Run], events: Sequence[Event]) -> Evaluation:
    """Evaluate one series; `runs` in the order of measurement."""
    table = _table(series, runs, events)
    begins = np.repeat(table.begins[:, None], len(table.names), axis=1)
    return _evaluation(table, watch(table.charted, begins, np.array([kind_of(n).scale == "step" for n in table.names])))


def evaluate_all(
    runs: Mapping[SeriesKey, Sequence[Run]], events: Mapping[SeriesKey, Sequence[Event]]
) -> list[Evaluation]:
    """Evaluate many series."""
    return [evaluate(key, found, events.get(key, ())) for key, found in runs.items()]


@dataclass(frozen=True, eq=False)
class _Table:
    series: SeriesKey
    runs: Sequence[Run]
    events: Sequence[Event]
    names: list[str]
    values: Floats
    charted: Floats
    begins: Flags
    segment: NDArray[np.int64]


def _table(series: SeriesKey, runs: Sequence[Run], events: Sequence[Event]) -> _Table:
    seen: dict[str, None] = {}
    for run in runs:
        seen.update(dict.fromkeys(run.values))
    names = sorted(seen, key=sort_key)
    nothing = float("nan")
    values = np.array(
        [
            [nothing if (v := run.values.get(name)) is None or v.value is None else v.value for name in names]
            for run in runs
        ],
        dtype=np.float64,
    ).reshape(len(runs), len(names))
    times = np.array([run.measured_at for run in runs])
    segment = np.searchsorted(np.array([event.happened_at for event in events]), times, side="right")
    begins = np.zeros(len(runs), dtype=bool)
    begins[1:] = np.diff(segment) > 0
    return _Table(series, runs, events, names, values, _charted(names, values, begins), begins, segment)


def _charted(names: Sequence[str], values: Floats, begins: Flags) -> Floats:
    charted = values.copy()
    for column, name in enumerate(names):
        scale = kind_of(name).scale
        if scale == "log":
            with np.errstate(divide="ignore", invalid="ignore"):
                charted[:, column] = np.where(values[:, column] > 0, np.log(values[:, column]), np.nan)
        elif scale == "step" and len(values):
            charted[1:, column] = np.diff(values[:, column])
            charted[0, column] = np.nan
            charted[begins, column] = np.nan
    return charted


def _evaluation(table: _Table, course: Course) -> Evaluation:
    marks = _marks(course.z, table.segment)
    charts = {
        name: Chart(
            name=name,
            values=table.values[:, column],
            charted=table.charted[:, column],
            z=course.z[:, column],
            centre=course.centre[:, column],
            sd=course.sd[:, column],
            n_baseline=course.n_baseline[:, column],
            alarmed=course.alarmed[:, column],
            marks={rule_name: broken[:, column] for rule_name, broken in marks.items()},
        )
        for column, name in enumerate(table.names)
    }
    alarms = []
    for raised, column in np.argwhere(course.new_rule >= 0):
        name = table.names[column]
        if kind_of(name).alarms:
            first = int(course.since[raised, column])
            calm = np.flatnonzero(~course.alarmed[raised:, column])
            last = len(table.runs) - 1 if calm.size == 0 else int(raised + max(calm[0] - 1, 0))
            named = ALARM_RULES[course.new_rule[raised, column]]
            alarms.append(_alarm(charts, name, named, int(raised), first, last))
    joint = _joint(charts, table.segment)
    for raised in np.flatnonzero(joint > 1.0):
        if not any(alarm.raised <= raised <= alarm.last for alarm in alarms):
            place = int(raised)
            alarms.append(_alarm(charts, "joint", "t_squared", place, place, place, float(joint[place])))
    alarms.sort(key=lambda alarm: (alarm.raised, alarm.name))
    return Evaluation(table.series, table.runs, table.events, table.segment, charts, alarms, joint)


def _marks(z: Floats, segment: NDArray[np.int64]) -> dict[str, Flags]:
    """Classical rules, each segment by itself; a missing value counts as one at the centre."""
    marks = {name: np.zeros(z.shape, dtype=bool) for name in RULES}
    for index in np.unique(segment):
        rows = segment == index
        filled = np.nan_to_num(z[rows]).T
        for name, rule in RULES.items():
            marks[name][rows] = rule(filled).T & np.isfinite(z[rows])
    return marks


def _shifts(charts: Mapping[str, Chart], first: int, last: int) -> dict[str, Shift]:
    """Change of every value between its baseline at `first` and the mean of the runs from there to `last`."""
    shifts = {}
    for name, chart in charts.items():
        if first and chart.alarmed[first - 1] and kind_of(name).alarms:
            continue  # it changed before, for another reason
        centre, sd = chart.centre[first], chart.sd[first]
        runs = chart.charted[first : last + 1]
        n = int(np.isfinite(runs).sum())
        if np.isfinite(centre) and sd > 0 and n:
            # A frequency that stepped once stays: its changes add up, they do not repeat.
            change = float(
                np.nansum(runs - centre) / np.sqrt(n) if kind_of(name).scale == "step" else np.nanmean(runs) - centre
            )
            shifts[name] = Shift(change, float(sd), n if kind_of(name).scale != "step" else 1)
    return shifts


def _alarm(
    charts: Mapping[str, Chart], name: str, rule: str, raised: int, first: int, last: int, size: float | None = None
) -> Alarm:
    shifts = _shifts(charts, first, raised)
    cause = likely_cause(shifts)
    if name not in charts:
        return Alarm(name, rule, raised, first, last, size or 0.0, None, None, cause)
    chart, log = charts[name], kind_of(name).scale == "log"
    centre = float(chart.centre[first])
    after = float(np.nanmean(chart.charted[first : raised + 1]))
    shift = (after - centre) / float(chart.sd[first])
    before, now = (float(np.exp(centre)), float(np.exp(after))) if log else (centre, after)
    return Alarm(name, rule, raised, first, last, shift, before, now, cause)


def _joint(charts: Mapping[str, Chart], segment: NDArray[np.int64]) -> Floats:
    """Hotelling's T² of the alarming values together, over its limit, from 50 complete runs of a segment on.

    Covariance from the complete runs before, brought up to date every 50 runs (Hotelling 1947; limits by F).
    """
    used = [chart.z for name, chart in charts.items() if kind_of(name).alarms and np.isfinite(chart.z).any()]
    joint = np.full(segment.size, np.nan)
    if len(used) < 2:
        return joint
    z = np.stack(used, axis=1)
    complete = np.isfinite(z).all(axis=1)
    p = z.shape[1]
    for index in np.unique(segment):
        rows = np.flatnonzero(complete & (segment == index))
        for start in range(max(JOINT_RUNS, p + 2), rows.size, _JOINT_BLOCK):
            before, block = z[rows[:start]], z[rows[start : start + _JOINT_BLOCK]]
            before = np.clip(before, -_JOINT_CLIP, _JOINT_CLIP)
            centred = block - before.mean(axis=0)
            t2 = np.sum(centred * np.linalg.solve(np.cov(before.T), centred.T).T, axis=1)
            limit = p * (start + 1) * (start - 1) / (start * (start - p)) * fdtri(p, start - p, 1.0 - JOINT_PROBABILITY)
            joint[rows[start : start + _JOINT_BLOCK]] = t2 / limit
    return joint
