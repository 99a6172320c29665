"""Phantom runs that were never measured: seeded scatter about true values, with changes of known cause."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scanner_agent.phantom.series import Run, SeriesKey
from scanner_agent.phantom.values import Value

KEY = SeriesKey("3T A", "head", "acetate_lactate", "phantom_press_te30_3t_siemens")
WEEK = 7 * 86_400.0
START = 1_600_000_000.0

# True value and SD of one run: relative for all but frequency (Hz) and temperature (degrees C). docs/science.md 9.
TRUTH: Mapping[str, tuple[float, float]] = {
    "centre_frequency_hz": (123_259_896.0, 3.0),
    "water_fwhm_hz": (1.4, 0.15),
    "water_fwhm_fitted_hz": (1.4, 0.15),
    "fwhm_hz": (1.6, 0.15),
    "water_amplitude_per_ml": (80_000.0, 0.02),
    "residual_water": (3e-4, 0.2),
    "snr_reference": (450.0, 0.05),
    "noise_sd": (75.0, 0.01),
    "temperature_c": (21.0, 0.5),
    "Ace/water": (120.0, 0.01),
    "Lac/water": (114.0, 0.01),
    "Lac/Ace": (0.95, 0.01),
}
ABSOLUTE = ("centre_frequency_hz", "temperature_c")


def make_runs(
    n: int,
    seed: int,
    *,
    key: SeriesKey = KEY,
    change_at: int | None = None,
    change: Mapping[str, float] | None = None,
    slope: Mapping[str, float] | None = None,
) -> list[Run]:
    """Weekly runs; from `change_at` on values are moved by `change` (relative or absolute as their SD), and by `slope`
    more with every run."""
    rng = np.random.default_rng(seed)
    runs = []
    for index in range(n):
        values = {}
        for name, (mean, sd) in TRUTH.items():
            away = sd * float(rng.standard_normal())
            if change_at is not None and index >= change_at:
                away += (change or {}).get(name, 0.0) + (slope or {}).get(name, 0.0) * (index - change_at + 1)
            value = mean + away if name in ABSOLUTE else mean * float(np.exp(away))
            values[name] = Value(value, sd if name in ABSOLUTE else sd * mean)
        when = START + index * WEEK
        runs.append(
            Run(run_id=f"{key.scanner}-{seed}-{index}", series=key, measured_at=when, logged_at=when, values=values)
        )
    return runs
