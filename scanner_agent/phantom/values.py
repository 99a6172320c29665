"""The numbers of a phantom run: which there are, on what scale they are charted, which of them may raise an alarm."""

from __future__ import annotations

from functools import cache
from typing import Literal

from msgspec import Struct

Scale = Literal["linear", "log", "step"]


class Value(Struct, frozen=True, array_like=True, gc=False):
    """One number of a run, as measured; in JSON a list."""

    value: float | None
    """None: could not be had, see `reason`."""
    sd: float | None = None
    """Its standard error by theory; None: not known."""
    reason: str | None = None
    """Why `value` is None."""


class ValueKind(Struct, frozen=True, kw_only=True):
    """How a number is charted."""

    name: str
    """Name; unit in it where it has one."""
    label: str
    """For people, unit in parentheses."""
    scale: Scale
    """log: a positive number whose scatter is relative; step: charted as the change since the run before (a magnet's
    frequency wanders, its steps do not)."""
    alarms: bool
    """Part of the alarm rules; others are charted and marked only."""


def _kind(name: str, label: str, scale: Scale = "linear", *, alarms: bool = False) -> ValueKind:
    return ValueKind(name=name, label=label, scale=scale, alarms=alarms)


_KINDS = (
    _kind("centre_frequency_hz", "centre frequency (Hz)", "step", alarms=True),
    _kind("water_fwhm_hz", "water linewidth (Hz)", "log", alarms=True),
    _kind("water_fwhm_fitted_hz", "water linewidth, fitted (Hz)", "log"),
    _kind("water_lorentz_share", "water line, Lorentzian share"),
    _kind("water_amplitude_per_ml", "water amplitude per ml", "log", alarms=True),
    _kind("residual_water", "residual water / water", "log", alarms=True),
    _kind("snr_reference", "S/N of the largest line", "log", alarms=True),
    _kind("fwhm_hz", "metabolite linewidth (Hz)", "log"),
    _kind("frequency_drift_hz_per_min", "drift in the run (Hz/min)"),
    _kind("frequency_scatter_hz", "frequency scatter (Hz)", "log"),
    _kind("phase_scatter_deg", "phase scatter (°)", "log"),
    _kind("late_energy", "late-FID energy (z)"),
    _kind("noise_sd", "noise SD per shot", "log"),
    _kind("noise_channel_spread", "noisiest channel / median"),
    _kind("noise_correlation", "largest noise correlation"),
    _kind("temperature_c", "temperature (°C)", alarms=True),
)
_BY_NAME = {kind.name: kind for kind in _KINDS}
_ORDER = {kind.name: place for place, kind in enumerate(_KINDS)}
_ALARMING_RATIOS = ("Lac/Ace", "tNAA/tCr")
_ALARMING_AMOUNTS = ("Ace/water", "tNAA/water")


_CHANNEL = {
    "noise_sd_channel_": "noise SD, channel",
    "noise_correlation_channel_": "largest noise correlation, channel",
}


def is_of_channel(name: str) -> bool:
    """Whether this is the number of one receive channel: there may be 64 of them, so they are shown apart."""
    return name.startswith(tuple(_CHANNEL))


@cache
def kind_of(name: str) -> ValueKind:
    """How a number of this name is charted; ratios (`A/B`, `A/water`) have kinds made for them."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    for prefix, label in _CHANNEL.items():
        if name.startswith(prefix):
            return _kind(name, f"{label} {int(name.removeprefix(prefix))}", "log" if "sd" in prefix else "linear")
    if name.endswith("_percent_sd"):
        return _kind(name, f"{name.removesuffix('_percent_sd')} CRLB (%)", "log")
    label = f"{name} (mmol/L)" if name.endswith("/water") else name
    return _kind(name, label, "log", alarms=name in _ALARMING_RATIOS + _ALARMING_AMOUNTS)


def sort_key(name: str) -> tuple[int, str]:
    """Alarming ratios first, then the others in a fixed order."""
    if "/" in name:
        return (0 if kind_of(name).alarms else 50), name
    return _ORDER.get(name, 99) + 1, name
