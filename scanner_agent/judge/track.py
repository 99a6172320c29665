"""The course of a scan: its poses, movements and other sudden changes, shot by shot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scanner_agent.judge.features import AMPLITUDE, FeatureTable, prior_scatter, robust_centre
from scanner_agent.judge.movement import Step, find_step, find_step_at, fired, hit_probabilities, learn_scatter
from scanner_agent.judge.signs import ShotSigns
from scanner_agent.scan_protocol import JudgementSettings

EventKind = Literal["step", "burst", "moving", "water", "lipid", "amplitude"]
"""A new pose; a passing movement; a change not yet told apart; changes of one thing only, in which no head moved."""
MOVEMENTS: frozenset[EventKind] = frozenset({"step", "burst", "moving"})
_MOST_LEADING = 3  # shots before steady state that are looked for


@dataclass(frozen=True, kw_only=True)
class Event:
    """One sudden change."""

    kind: EventKind
    first_shot: int
    last_shot: int
    """Last shot of the change itself; of a step, its first."""
    raised_at_shot: int
    statistic: float = 0.0
    change: tuple[tuple[str, float], ...] = ()
    """Changes of the signs that show it: Hz, natural logs, radians."""


class Course:
    """Poses, movements and shots to leave out. Feed shots in order of acquisition; cost per shot is bounded."""

    def __init__(self, settings: JudgementSettings) -> None:
        self._s = settings
        self.table = FeatureTable()
        self._hit = np.zeros(64, dtype=bool)
        self._leading = 0
        self._starts = [0]
        """First row of each pose."""
        self._reference = 0
        """First row that present shots are compared with."""
        self.events: list[Event] = []
        self._excitations = 1.0
        self._first = 0
        self._value, self._error = self.table.window(0, 0)

    @property
    def n_poses(self) -> int:
        """Poses so far."""
        return len(self._starts)

    @property
    def leading_shots(self) -> tuple[int, ...]:
        """Shots before steady state."""
        return tuple(self.table.shot_index[: self._leading].tolist())

    def pose_rows(self, pose: int) -> range:
        """Rows of one pose."""
        end = self._starts[pose + 1] if pose + 1 < len(self._starts) else self.table.n
        return range(self._starts[pose], end)

    def pose_shots(self, pose: int, *, used_only: bool = False) -> tuple[int, ...]:
        """Shots (shot_index) of one pose, all or those fit for its average."""
        rows = self.pose_rows(pose)
        first = max(rows.start, self._leading) if used_only else rows.start
        index = self.table.shot_index[first : rows.stop]
        return tuple((index[~self._hit[first : rows.stop]] if used_only else index).tolist())

    def hit_shots(self) -> tuple[int, ...]:
        """Shots hit by a movement."""
        return tuple(self.table.shot_index[: self.table.n][self._hit[: self.table.n]].tolist())

    def add(self, signs: ShotSigns) -> None:
        """One more usable shot."""
        self.table.append(signs)
        n = self.table.n
        if n > len(self._hit):
            self._hit = np.concatenate([self._hit, np.zeros_like(self._hit)])
        self._excitations += (signs.n_excitations - self._excitations) / n
        if n == 2 * _MOST_LEADING:
            self._find_leading()
        self._look()
        self._watch_for_steps()

    def _prior(self) -> NDArray[np.float64]:
        return prior_scatter(self._s, self._excitations)

    def _find_leading(self) -> None:
        """Shots before steady state are too strong; they are left out and no yardstick."""
        amplitude = self.table.value[: self.table.n, [AMPLITUDE]]
        error = self.table.error[: self.table.n, AMPLITUDE]
        settled = robust_centre(amplitude[_MOST_LEADING:])[0]
        spread = 4 * np.hypot(self._prior()[AMPLITUDE], np.nanmedian(error) if np.isfinite(error).any() else 0.0)
        for row in range(_MOST_LEADING):
            if not amplitude[row, 0] - settled > max(spread, 0.1):
                break
            self._leading = row + 1
        self._reference = max(self._reference, self._leading)

    def _look(self) -> None:
        """Lay out the recent rows of this pose and mark those that were hit by a movement."""
        n = self.table.n
        span = self._s.step_memory_shots + self._s.step_lookback_shots
        self._first = max(self._reference, n - span)
        self._value, self._error = self.table.window(self._first, n)
        if n - self._first < self._s.step_min_before:
            return
        hit = self._hit[self._first : n].copy()
        fresh = max(n - self._first - self._s.step_lookback_shots, 0)
        # The yardstick comes from rows that are settled, where there are enough of them.
        quiet = ~hit
        if fresh >= 2 * self._s.step_min_before:
            quiet[fresh:] = False
        scatter = learn_scatter(self._value[quiet], self._error[quiet], self._prior(), self._s)
        settled = ~hit
        for _ in range(2):  # once more without the shots just found
            probability = hit_probabilities(self._value, scatter, settled, self._s)
            settled = ~hit
            settled[fresh:] = probability[fresh:] < 0.5
        self._hit[self._first + fresh : n] = probability[fresh:] >= 0.5
        self._note_burst(self._first + fresh)

    def _note_burst(self, fresh: int) -> None:
        """Enough hit shots close together are a movement."""
        rows = [r for r in range(max(fresh, self._reference), self.table.n) if self._hit[r]]
        cluster: list[int] = []
        for r in rows:
            if cluster and r - cluster[-1] > 2:
                self._raise_burst(cluster)
                cluster = []
            cluster.append(r)
        self._raise_burst(cluster)

    def _raise_burst(self, cluster: list[int]) -> None:
        if len(cluster) < self._s.burst_min_shots:
            return
        index = self.table.shot_index
        a, b, now = int(index[cluster[0]]), int(index[cluster[-1]]), int(index[self.table.n - 1])
        for i, event in enumerate(self.events):
            if event.kind in MOVEMENTS and event.first_shot <= b + 2 and event.last_shot >= a - 2:
                if event.kind == "burst":
                    self.events[i] = replace(
                        event, first_shot=min(event.first_shot, a), last_shot=max(event.last_shot, b)
                    )
                return
        self.events.append(Event(kind="burst", first_shot=a, last_shot=b, raised_at_shot=now))

    def _watch_for_steps(self) -> None:
        hit = self._hit[self._first : self.table.n]
        step = find_step(self._value, self._error, hit, self._prior(), self._s)
        if step is None or step.statistic < self._s.step_threshold:
            return
        kind = self._kind(step)
        if kind is None:
            return
        row = self._first + step.row
        if kind != "moving" and hit[step.row :].any():
            return  # a burst is no change of one thing
        lasting = step.n_after >= self._s.step_confirm_shots and self._still_there(hit)
        if kind == "moving" and lasting:
            self._begin_pose(row, step)
        elif kind == "moving":
            self._raise("moving", row, step)
        elif lasting:
            self._raise(kind, row, step)
            self._reference = row

    def _still_there(self, hit: NDArray[np.bool_]) -> bool:
        """Whether the last shots by themselves show the new state: a burst that ended does not."""
        s = self._s
        row = len(self._value) - s.step_confirm_shots
        late = find_step_at(self._value, self._error, hit, self._prior(), s, row)
        return late is not None and late.statistic > 0.5 * s.step_threshold

    def _kind(self, step: Step) -> EventKind | None:
        """What changed: the whole head, or one thing only."""
        signs = fired(step, self._s)
        if not signs:
            return None
        if {"frequency", "broadening"} & signs:
            return "moving"
        if signs <= {"log_water", "water_phase"}:
            return "water"
        if signs == {"lipid"}:
            return "lipid"
        if signs == {"log_amplitude"}:
            return "amplitude"
        return "moving"

    def _raise(self, kind: EventKind, row: int, step: Step) -> None:
        index = self.table.shot_index
        shot, now = int(index[row]), int(index[self.table.n - 1])
        signs = fired(step, self._s)
        change = tuple((n, c) for n, c in sorted(step.change.items()) if n in signs)
        for i, event in enumerate(self.events):
            near = event.last_shot >= shot - self._s.step_lookback_shots
            if near and (event.kind == kind or (event.kind == "moving" and kind == "step")):
                self.events[i] = Event(
                    kind=kind,
                    first_shot=shot,
                    last_shot=shot if kind == "step" else now,
                    raised_at_shot=event.raised_at_shot,
                    statistic=max(step.statistic, event.statistic),
                    change=change,
                )
                return
            if near and event.kind in MOVEMENTS and kind == "moving":
                return
        self.events.append(
            Event(
                kind=kind,
                first_shot=shot,
                last_shot=shot if kind == "step" else now,
                raised_at_shot=now,
                statistic=step.statistic,
                change=change,
            )
        )

    def _begin_pose(self, row: int, step: Step) -> None:
        """The change lasts: from `row` on the shots are a pose of their own."""
        shot = int(self.table.shot_index[row])
        raised = [e.raised_at_shot for e in self.events if e.kind == "burst" and e.last_shot >= shot - 2]
        self.events = [e for e in self.events if not (e.kind == "burst" and e.first_shot >= shot - 2)]
        self._raise("step", row, step)
        if raised:
            last = self.events[-1]
            self.events[-1] = replace(last, raised_at_shot=min([last.raised_at_shot, *raised]))
        self._starts.append(row)
        self._reference = row
        self._hit[row : self.table.n] = False
        self._look()
