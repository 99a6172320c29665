"""Weights given to the shots of a scan, by their neighbours in time and as pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scanner_agent.mrs.kept import KeptShot
from scanner_agent.mrs.shots import EditOrder
from scanner_agent.mrs.weights import NEIGHBOURS, shot_weights


def weigh(shots: Sequence[KeptShot], changed: Sequence[KeptShot]) -> list[KeptShot]:
    """Weigh the changed shots and their neighbours anew among the shots of one condition; those that were weighed."""
    members = [k for k in shots if not k.is_dummy and k.alignment is not None]
    spots = {id(k): i for i, k in enumerate(members)}
    near = sorted(
        {
            j
            for k in changed
            if id(k) in spots
            for j in range(max(0, spots[id(k)] - NEIGHBOURS), min(len(members), spots[id(k)] + NEIGHBOURS + 1))
        }
    )
    found = [k.alignment for k in members if k.alignment is not None]
    results = shot_weights(
        np.array([a.misfit for a in found]),
        np.array([a.misfit_sd for a in found]),
        np.array([a.amplitude for a in found]),
        np.array([a.amplitude_sd for a in found]),
        np.array([k.noise_sd for k in members]),
        near,
    )
    for i, (weight, reason) in zip(near, results, strict=True):
        kept = members[i]
        kept.weight, kept.left_out = weight, reason if weight < 1.0 else None
    return [members[i] for i in near]


def pair_weights(shots: Sequence[KeptShot], order: EditOrder | None) -> dict[int, float]:
    """In alternating MEGA the two shots of a pair weigh alike: the lesser of the two. By shot_index."""
    if order is None or order.pattern is None or not order.pattern.startswith("alternating"):
        return {}
    pairs: dict[int, list[KeptShot]] = {}
    for kept in shots:
        if kept.aligned is not None and not kept.is_dummy:
            pairs.setdefault(kept.shot_index // 2, []).append(kept)
    return {
        k.shot_index: min(m.weight for m in members) if len(members) == 2 else 0.0
        for members in pairs.values()
        for k in members
    }
