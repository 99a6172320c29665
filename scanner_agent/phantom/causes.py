"""Which cause fits a change: each moves several values in fixed proportion, by physics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

# Change of each value (log values: of the logarithm) per unit of the cause; a value that is not named stays.
_TEMPLATES: Mapping[str, tuple[Mapping[str, float], ...]] = MappingProxyType(
    {
        # Lines 1 % wider: heights fall as much, areas stay.
        "shim": ({"water_fwhm_hz": 1.0, "fwhm_hz": 1.0, "water_fwhm_fitted_hz": 1.0, "snr_reference": -0.8},),
        # A channel lost: signal falls and noise stays; or noise rises and signal stays.
        "coil": (
            {"snr_reference": -1.0, "water_amplitude_per_ml": -1.0},
            {"snr_reference": -1.0, "noise_sd": 1.0},
        ),
        # Everything received is scaled alike.
        "gain": ({"water_amplitude_per_ml": 1.0, "noise_sd": 1.0},),
        "temperature": ({"temperature_c": 1.0},),
        "frequency": ({"centre_frequency_hz": 1.0},),
        "suppression": ({"residual_water": 1.0},),
        # The phantom itself, or how its lines are excited: amounts to water and to each other.
        "content": (
            {"Ace/water": 1.0, "Lac/water": 1.0},
            {"Lac/Ace": 1.0, "Lac/water": 1.0},
            {"Lac/Ace": -1.0, "Ace/water": 1.0},
            {"tNAA/water": 1.0, "tCr/water": 1.0, "tCho/water": 1.0},
            {"tNAA/tCr": 1.0, "tNAA/water": 1.0},
        ),
    }
)
TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "shim": "shim: the lines changed their width, and S/N with it",
        "coil": "coil: S/N changed and the linewidth did not",
        "gain": "gain: signal and noise changed alike",
        "temperature": "temperature of the phantom",
        "frequency": "centre frequency of the magnet",
        "suppression": "water suppression",
        "content": "content of the phantom, or excitation: amounts changed against water or each other",
        "unknown": "no known cause fits",
    }
)
_SECONDARY_NOISE = 0.3  # SD, in baseline SDs, of what a template does not tell exactly


@dataclass(frozen=True)
class Shift:
    """Change of one value since the change-point."""

    change: float
    """On the charted scale (log values: of the logarithm)."""
    sd: float
    """Scatter of one run on that scale."""
    n_since: int
    """Runs since the change."""


def likely_cause(shifts: Mapping[str, Shift]) -> str:
    """The cause whose pattern leaves least unexplained, `unknown` if less than half is explained by any."""
    names = [name for name, shift in shifts.items() if shift.sd > 0 and shift.n_since > 0]
    if not names:
        return "unknown"
    change = np.array([shifts[n].change for n in names])
    error = np.array([shifts[n].sd * np.sqrt(1.0 / shifts[n].n_since + _SECONDARY_NOISE**2) for n in names])
    whole = float(np.sum((change / error) ** 2))
    best, least = "unknown", 0.5 * whole
    for cause, templates in _TEMPLATES.items():
        for template in templates:
            pattern = np.array([template.get(n, 0.0) for n in names]) / error
            power = float(pattern @ pattern)
            if power == 0.0:
                continue
            explained = float(pattern @ (change / error)) ** 2 / power
            if whole - explained < least:
                best, least = cause, whole - explained
    return best
