"""The two studies' scans again: which were kept, which were lost and why (docs/science.md, its head).

Study 1: 41 patients, 4 lost because they had moved between placement and spectroscopy. Study 2: 73 scans at one site, 8
lost to poor quality (what exactly is not told: drawn from shim, S/N, movement and lipid); 79 at the other, none lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from scanner_agent.simulate.scan import SimulatedScan
from scanner_agent.simulate.simulate import simulate_scan

CohortName = Literal[1, 2, "2b"]

_SIZES: Mapping[CohortName, tuple[int, int]] = {1: (41, 4), 2: (73, 8), "2b": (79, 0)}
_STUDY_1: Mapping[str, Any] = {
    "study": 1,
    "n_shots": 64,
    "repetition_time_s": 3.0,
    "n_water_shots": 0,
    "n_coils": 8,
    "n_points": 4096,
    "dwell_time_s": 1.0 / 5000.0,
    "spectrometer_frequency_mhz": 127.7,
    "voxel_size_mm": (20.0, 20.0, 20.0),
}
_STUDY_2: Mapping[str, Any] = {
    **_STUDY_1,
    "study": 2,
    "n_shots": 16,
    "n_excitations": 8,
    "repetition_time_s": 2.0,
    "n_water_shots": 2,
    "voxel_size_mm": (20.0, 18.0, 25.0),
}
_CAUSES_OF_LOSS: Mapping[Literal[1, 2], tuple[str, ...]] = {
    1: ("displaced_before",),
    2: ("poor_shim", "low_snr", "displaced_before"),
}


@dataclass(frozen=True)
class CohortScan:
    """One scan of a cohort."""

    index: int
    """Place in the cohort."""
    lost: bool
    """Excluded by the study."""
    scenario: str
    """What happens in it."""
    severity: float | None
    """Of the scenario."""
    seed: int
    """Of the scan."""
    arguments: Mapping[str, Any]
    """Further arguments of `simulate_scan`."""

    def simulate(self, **changes: Any) -> SimulatedScan:
        """The scan; `changes` replace arguments (fewer channels or points for speed)."""
        arguments = {**self.arguments, "severity": self.severity, **changes}
        return simulate_scan(self.scenario, seed=self.seed, scan_id=f"cohort-{self.seed}-{self.index}", **arguments)


def draw_cohort(study: CohortName, seed: int, frames: bool = False) -> tuple[CohortScan, ...]:
    """The scans of study 1, of study 2's one site (`2`) or of its other (`2b`), in random order.

    `frames`: study 2 as stored by a scanner that sums 8 excitations (16 + 2 frames) rather than 128 + 16 shots. Kept
    scans are still or drift mildly, as in any study; lost ones fail the study's limits by a moderate to severe cause.
    """
    total, lost = _SIZES[study]
    number: Literal[1, 2] = 1 if study == 1 else 2
    rng = np.random.default_rng([seed, 41 if study == 1 else 73 if study == 2 else 79])
    arguments: Mapping[str, Any] = _STUDY_1 if number == 1 else _STUDY_2
    if number == 2 and not frames:
        arguments = {**arguments, "n_shots": 128, "n_excitations": 1, "n_water_shots": 16}
    is_lost = rng.permutation(np.arange(total) < lost)
    scans = []
    for index, gone in enumerate(is_lost):
        causes = _CAUSES_OF_LOSS[number]
        scenario = "still"
        severity: float | None = None
        if gone:
            scenario, severity = causes[int(rng.integers(len(causes)))], float(rng.uniform(0.4, 1.0))
        elif rng.random() < 0.3:
            scenario, severity = "drift", float(rng.uniform(0.0, 0.2))
        scans.append(CohortScan(index, bool(gone), scenario, severity, int(rng.integers(2**31)), arguments))
    return tuple(scans)
