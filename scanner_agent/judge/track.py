"""The course of a scan: its poses, movements and other sudden changes, shot by shot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scanner_agent.judge.creep import find_creep
from scanner_agent.judge.features import AMPLITUDE, FeatureTable, prior_scatter, robust_centre
from scanner_agent.judge.movement import (
    Step,
    find_step,
    find_step_at,
    fired,
    hit_probabilities,
    learn_scatter,
    scattered,
    step_threshold,
)
from scanner_agent.judge.signs import ShotSigns
from scanner_agent.judgement_settings import JudgementSettings

EventKind = Literal["step", "burst", "moving", "water", "lipid", "amplitude"]
"""A new pose; a passing movement; a change not yet told apart; changes of one thing only, in which no head moved."""
MOVEMENTS: frozenset[EventKind] = frozenset({"step", "burst", "moving"})
_CREEP_EVERY = 4  # shots between two looks for slow movement
_CREEP_SHOTS = 256  # shots after the first ones that its beginning is looked for in, at most
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
        self._rows = np.arange(0)
        self._n_old = 0
        self._value, self._error = self.table.rows(self._rows)

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
        self.table.append(signs, self._s.gain_log_variance)
        n = self.table.n
        if n > len(self._hit):
            self._hit = np.concatenate([self._hit, np.zeros_like(self._hit)])
        self._excitations += (signs.n_excitations - self._excitations) / n
        if n == 2 * _MOST_LEADING:
            self._find_leading()
        self._look()
        self._watch_for_steps()
        if n % _CREEP_EVERY == 0:
            self._watch_for_creep()

    @property
    def _least(self) -> int:
        """Rows needed before anything is called a change; frames of many excitations count for more."""
        return max(3, math.ceil(self._s.step_min_before / math.sqrt(self._excitations)))

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

    def _look(self, *, whole: bool = False) -> None:
        """Lay out the recent rows of this pose and mark those that were hit by a movement.

        The layout: up to `step_memory_shots` settled rows, however long ago, then the last `step_lookback_shots` rows.
        `whole`: all rows of this pose are looked at.
        """
        n, s = self.table.n, self._s
        fresh = np.arange(self._reference if whole else max(self._reference, n - s.step_lookback_shots), n)
        old = np.arange(self._reference, fresh[0]) if len(fresh) else np.arange(0)
        settled = old[~self._hit[old]][-s.step_memory_shots :]
        self._rows = np.concatenate([settled, fresh])
        self._n_old = len(settled)
        self._value, self._error = self.table.rows(self._rows)
        if len(self._rows) < self._least:
            return
        # The yardstick comes from rows that are settled, where there are enough of them.
        quiet = ~self._hit[self._rows]
        if self._n_old >= self._least:
            quiet[self._n_old :] = False
        scatter = learn_scatter(self._value[quiet], self._error[quiet], self._prior(), s)
        still = ~self._hit[self._rows]
        for _ in range(2):  # once more without the shots just found
            probability, evidence = hit_probabilities(self._value, self._rows, scatter, still, s)
            still[self._n_old :] = probability[self._n_old :] < 0.5
        self._hit[fresh] = probability[self._n_old :] >= 0.5
        self._note_burst(dict(zip(fresh.tolist(), evidence[self._n_old :].tolist(), strict=True)))

    def _note_burst(self, evidence: Mapping[int, float]) -> None:
        """Enough hit shots close together are a movement. `evidence`: log-likelihood ratios of the recent rows."""
        cluster: list[int] = []
        for r in (r for r in evidence if self._hit[r]):
            if cluster and r - cluster[-1] > 2:
                self._raise_burst(cluster, sum(evidence[x] for x in cluster))
                cluster = []
            cluster.append(r)
        self._raise_burst(cluster, sum(evidence[x] for x in cluster))

    def _raise_burst(self, cluster: list[int], evidence: float) -> None:
        if len(cluster) < self._s.burst_min_shots:
            return
        first, last, now = self._shot(cluster[0]), self._shot(cluster[-1]), self._shot(self.table.n - 1)
        for i, event in enumerate(self.events):
            if event.kind in MOVEMENTS and event.first_shot <= last + 2 and event.last_shot >= first - 2:
                if event.kind != "step":
                    # What looked like movement of some kind is this burst.
                    self.events[i] = replace(
                        event,
                        kind="burst",
                        first_shot=min(event.first_shot, first) if event.kind == "burst" else first,
                        last_shot=max(event.last_shot, last) if event.kind == "burst" else last,
                    )
                return
        if evidence >= self._s.burst_log_odds:
            self.events.append(Event(kind="burst", first_shot=first, last_shot=last, raised_at_shot=now))

    def _shot(self, row: int) -> int:
        return int(self.table.shot_index[row])

    def _watch_for_steps(self) -> None:
        hit = self._hit[self._rows]
        step = find_step(self._value, self._error, self._rows, hit, self._prior(), self._s, self._least)
        if step is None or step.statistic < step_threshold(self.table.n, self._s):
            return
        kind = self._kind(step)
        if kind is None:
            return
        row = int(self._rows[step.row])
        lasting = self._lasts(step, hit)
        if kind == "moving" and lasting:
            self._begin_pose(row, step)
        elif kind == "moving":
            self._raise("moving", row, step)
        elif lasting:
            # One thing changed and stays so: no movement, and what was taken for hits is the new level.
            self._raise(kind, row, step)
            self._reference = row
            self._hit[row : self.table.n] = False
            self.events = [e for e in self.events if e.kind != "burst" or e.first_shot < self._shot(row) - 2]

    def _watch_for_creep(self) -> None:
        """Slow movement: from where it begins the shots are a pose of their own, once it is sure."""
        first = max(self._starts[-1], self._leading)
        s = self._s
        rows = first + np.flatnonzero(~self._hit[first : self.table.n])
        rows = np.concatenate([rows[: s.step_memory_shots], rows[s.step_memory_shots :][-_CREEP_SHOTS:]])
        if len(rows) < 3 * s.step_lookback_shots:
            return
        value, error = self.table.rows(rows)
        found = find_creep(value, error, self._prior(), s)
        if found is None:
            return
        row = int(rows[found.row])
        if found.statistic >= s.creep_pose_threshold and row > first + self._least:
            self._begin_pose(row, found)
        else:
            self._raise("moving", row, found)

    def _lasts(self, step: Step, hit: NDArray[np.bool_]) -> bool:
        """Whether the last shots by themselves show the new state, and lie as close together as a still head's do."""
        s = self._s
        if step.n_after < s.step_confirm_shots:
            return False
        # The later half: a step may begin with a burst, and in a long burst some shots lie together by chance.
        row = len(self._value) - max(s.step_confirm_shots, step.n_after // 2)
        late = find_step_at(self._value, self._error, self._rows, hit, self._prior(), s, row, self._least)
        if late is None or late.statistic < 0.5 * s.step_threshold:
            return False
        quiet = np.flatnonzero(~hit[: step.row])
        scatter = learn_scatter(self._value[quiet], self._error[quiet], self._prior(), s)
        return not scattered(self._value[row:], scatter)

    def _kind(self, step: Step) -> EventKind | None:
        """What changed: the head's place, or one thing only."""
        signs = fired(step, self._s, self._s.step_sign_z)
        place = signs & {"frequency", "broadening", "log_amplitude"}
        water = signs & {"log_water", "water_phase"}
        # A flood of water spoils the other signs a little, the signal's strength hardly.
        flooded = step.change.get("log_water", 0.0) > self._s.water_flood_log
        lost = "log_amplitude" in place and abs(step.change["log_amplitude"]) > 2 * self._s.step_min_amplitude
        moved = lost or abs(step.change.get("frequency", 0.0)) > 2 * self._s.step_min_frequency_hz
        if water and flooded and not moved:
            return "water"
        if place and (water or len(place) > 1):
            return "moving" if "frequency" in place or water else None
        if place == {"frequency"}:
            return "moving" if abs(step.z["frequency"]) > 2 * math.sqrt(self._s.step_threshold) / 2 else None
        if water and not place:
            return "water"
        if place == {"log_amplitude"}:
            return "amplitude"
        return "lipid" if signs == {"lipid"} else None

    def _raise(self, kind: EventKind, row: int, step: Step) -> None:
        """Note a change, or say more of one that is noted already."""
        shot, now = self._shot(row), self._shot(self.table.n - 1)
        signs = fired(step, self._s, self._s.step_sign_z)
        event = Event(
            kind=kind,
            first_shot=shot,
            last_shot=shot if kind == "step" else now,
            raised_at_shot=now,
            statistic=step.statistic,
            change=tuple((n, c) for n, c in sorted(step.change.items()) if n in signs),
        )
        if kind in MOVEMENTS:
            # A slow movement may show in one sign first.
            since = shot - self._s.step_lookback_shots
            self.events = [e for e in self.events if e.kind in MOVEMENTS or e.last_shot < since]
        for i, known in enumerate(self.events):
            if known.last_shot < shot - self._s.step_lookback_shots:
                continue
            if known.kind == kind or (known.kind == "moving" and kind == "step"):
                self.events[i] = replace(
                    event,
                    raised_at_shot=known.raised_at_shot,
                    first_shot=min(known.first_shot, shot) if kind == "moving" else shot,
                )
                return
            if known.kind in MOVEMENTS and kind == "moving":
                return  # part of what is known
        self.events.append(event)

    def _begin_pose(self, row: int, step: Step) -> None:
        """The change lasts: from `row` on the shots are a pose of their own."""
        # Shots hit just before belong to the change: the new pose's own yardstick says which of them to use.
        while row > self._starts[-1] + self._least and self._hit[row - 1]:
            row -= 1
        shot = self._shot(row)
        before = [e for e in self.events if e.kind == "burst" and e.last_shot >= shot - 2]
        self.events = [e for e in self.events if e not in before or e.first_shot < shot - 2]
        self._raise("step", row, step)
        raised = min([e.raised_at_shot for e in before], default=self._shot(self.table.n - 1))
        self.events = [
            replace(e, raised_at_shot=min(e.raised_at_shot, raised)) if e.kind == "step" and e.first_shot == shot else e
            for e in self.events
        ]
        self._starts.append(row)
        self._reference = row
        self._hit[row : self.table.n] = False
        self._look(whole=True)
