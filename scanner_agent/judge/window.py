"""Change of a metabolite in the course of a functional scan, kept apart from movement.

Windows overlap, so their errors are correlated: the covariance of two windows is the product of their SDs and the part
of the shots that they share. A step at shot c shows in a window by the part of it that lies after c. Generalised least
squares gives the step's size and error for each c; the largest z over all c is the change point (Andrews 1993,
10.2307/2951764). The threshold holds for the search over c, not for one c alone (seeded Monte-Carlo in the tests).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from scanner_agent.judge.judgement import SegmentJudgement
from scanner_agent.records import Finding, FindingKind, WindowPoint

_LEAST_WINDOWS = 5
_NEAR_SHOTS = 8  # a change this close to a movement is not told from it


@dataclass(frozen=True, kw_only=True)
class WindowChange:
    """One metabolite's change, or the lack of one that could be told from chance."""

    name: str
    shot: int
    """First shot of the new level (shot_index), as far as windows tell."""
    change: float
    """New level less old, ratio to tCr."""
    change_sd: float
    z: float
    near_movement: bool
    """True: movement was seen at the same time, or the change lies between two poses; the cause cannot be told."""

    @property
    def text(self) -> str:
        """For a person; counts shots from 1."""
        end = (
            "movement was seen there, so this may be no metabolite's change."
            if self.near_movement
            else "no movement was seen there."
        )
        return (
            f"{self.name} over tCr changes by {self.change:+.3f} (SD {self.change_sd:.3f}) about shot {self.shot + 1};"
            f" {end}"
        )


def metabolite_changes(
    points: Sequence[WindowPoint],
    segments: Sequence[SegmentJudgement],
    findings: Sequence[Finding],
    least_z: float,
) -> tuple[WindowChange, ...]:
    """Changes that are more than chance, by metabolite, first within each pose, then between poses.

    `least_z`: threshold for the largest z of a whole course (protocol: `window_change_z`).
    """
    moved = [
        (f.first_shot or 0, f.last_shot if f.last_shot is not None else f.first_shot or 0)
        for f in findings
        if f.kind == FindingKind.MOTION_DURING_SCAN
    ]
    by_name: dict[str, list[WindowPoint]] = defaultdict(list)
    for point in points:
        if point.ratio_to_tCr is not None and point.ratio_to_tCr_sd:
            by_name[point.name].append(point)
    found: list[WindowChange] = []
    for name, course in by_name.items():
        poses = [[p for p in course if s.first_shot <= p.first_shot <= p.last_shot <= s.last_shot] for s in segments]
        for pose in poses:
            change = _largest(name, pose)
            if change is not None and abs(change.z) >= least_z:
                near = any(a - _NEAR_SHOTS <= change.shot <= b + _NEAR_SHOTS for a, b in moved)
                found.append(_with_movement(change, near))
        for before, after in pairwise(poses):
            change = _between(name, before, after)
            if change is not None and abs(change.z) >= least_z:
                found.append(change)
    return tuple(found)


def _with_movement(change: WindowChange, near: bool) -> WindowChange:
    return WindowChange(
        name=change.name,
        shot=change.shot,
        change=change.change,
        change_sd=change.change_sd,
        z=change.z,
        near_movement=near,
    )


def _covariance(course: Sequence[WindowPoint]) -> NDArray[np.float64]:
    """(n, n) from the SDs and the shared part of each pair of windows."""
    first = np.array([p.first_shot for p in course], dtype=float)
    last = np.array([p.last_shot for p in course], dtype=float)
    sd = np.array([p.ratio_to_tCr_sd for p in course], dtype=float)
    shared = np.minimum.outer(last, last) - np.maximum.outer(first, first) + 1
    length = last - first + 1
    overlap = np.clip(shared, 0.0, None) / np.sqrt(np.outer(length, length))
    covariance = np.outer(sd, sd) * overlap
    return np.asarray(covariance + np.diag(1e-6 * np.diag(covariance)))


def _largest(name: str, course: Sequence[WindowPoint]) -> WindowChange | None:
    """The step of the largest z within one pose; None with too few windows."""
    if len(course) < _LEAST_WINDOWS:
        return None
    course = sorted(course, key=lambda p: p.first_shot)
    value = np.array([p.ratio_to_tCr for p in course], dtype=float)
    weight = np.linalg.inv(_covariance(course))
    first = np.array([p.first_shot for p in course], dtype=float)
    length = np.array([p.last_shot - p.first_shot + 1 for p in course], dtype=float)
    # Candidates leave at least one whole window on either side.
    candidates = first[(first >= first[0] + length[0]) & (first <= first[-1])]
    best: WindowChange | None = None
    for c in candidates:
        late = np.clip((first + length - c) / length, 0.0, 1.0)
        design = np.column_stack([np.ones(len(course)), late])
        normal = design.T @ weight @ design
        if np.linalg.cond(normal) > 1e10:
            continue
        inverse = np.linalg.inv(normal)
        size, sd = float((inverse @ design.T @ weight @ value)[1]), math.sqrt(float(inverse[1, 1]))
        if best is None or abs(size / sd) > abs(best.z):
            best = WindowChange(name=name, shot=int(c), change=size, change_sd=sd, z=size / sd, near_movement=False)
    return best


def _mean(course: Sequence[WindowPoint]) -> tuple[float, float]:
    """Best mean of correlated windows and its variance."""
    weight = np.linalg.inv(_covariance(course))
    value = np.array([p.ratio_to_tCr for p in course], dtype=float)
    total = float(weight.sum())
    return float(weight.sum(axis=0) @ value) / total, 1.0 / total


def _between(name: str, before: Sequence[WindowPoint], after: Sequence[WindowPoint]) -> WindowChange | None:
    """The step from one pose to the next: never told from the movement between them."""
    if not before or not after:
        return None
    (a, va), (b, vb) = _mean(before), _mean(after)
    sd = math.sqrt(va + vb)
    return WindowChange(
        name=name, shot=after[0].first_shot, change=b - a, change_sd=sd, z=(b - a) / sd, near_movement=True
    )
