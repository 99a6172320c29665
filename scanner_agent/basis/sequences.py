"""Sequences as timed events: what a density matrix goes through between excitation and the first stored point.

Hard pulses are ideal and instantaneous, crushers are perfect (only the wanted coherence order passes), relaxation and
chemical-shift displacement are left out. Editing pulses are real shaped pulses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from scanner_agent.basis.edit_pulses import EditPulse
from scanner_agent.errors import SourceError

Condition = Literal["main", "on", "off"]


@dataclass(frozen=True)
class Delay:
    """Free evolution."""

    seconds: float
    """Length."""


@dataclass(frozen=True)
class HardPulse:
    """Ideal pulse on all protons, then crushers that pass one coherence order."""

    flip_deg: float
    """90 or 180, about x."""
    passes_order: int
    """Coherence order that survives (of all elements of the density matrix)."""


@dataclass(frozen=True)
class SelectivePulse:
    """Editing pulse with crushers that pass coherences whose order it leaves alone."""

    pulse: EditPulse
    """Waveform."""
    ppm: float
    """Its frequency."""
    passes_order: int
    """Coherence order before and after."""


Event = Delay | HardPulse | SelectivePulse


@dataclass(frozen=True)
class Press:
    """PRESS: 90 - TE1/2 - 180 - TE/2 - 180 - TE2/2 (Bottomley 1987, 10.1111/j.1749-6632.1987.tb32915.x)."""

    echo_time_s: float
    """TE = TE1 + TE2, seconds."""
    first_echo_s: float | None = None
    """TE1, seconds; None: half of TE."""
    name: str = "PRESS"
    """As in headers."""
    conditions: tuple[Condition, ...] = ("main",)
    """Kinds of spectra."""

    @property
    def signal(self) -> float:
        """Part of the magnetisation in the echo."""
        return 1.0

    @property
    def start_order(self) -> int:
        """Coherence order observed after the excitation pulse."""
        return -1

    def events(self, condition: Condition) -> tuple[Event, ...]:
        """From excitation to the first point. Raises `SourceError` if the times do not fit."""
        del condition
        first = self.echo_time_s / 2 if self.first_echo_s is None else self.first_echo_s
        return (
            _delay(first / 2),
            HardPulse(180.0, 1),
            _delay(self.echo_time_s / 2),
            HardPulse(180.0, -1),
            _delay((self.echo_time_s - first) / 2),
        )


@dataclass(frozen=True)
class Steam:
    """STEAM: 90 - TE/2 - 90 - TM - 90 - TE/2 (Frahm 1987, 10.1016/0022-2364(87)90154-5).

    During TM the crushers leave populations and zero-quantum coherence, which goes on evolving.
    """

    echo_time_s: float
    """TE, seconds."""
    mixing_time_s: float = 0.010
    """TM, seconds."""
    name: str = "STEAM"
    """As in headers."""
    conditions: tuple[Condition, ...] = ("main",)
    """Kinds of spectra."""

    @property
    def signal(self) -> float:
        """Part of the magnetisation in the stimulated echo."""
        return 0.5

    @property
    def start_order(self) -> int:
        """Coherence order observed after the excitation pulse."""
        return 1

    def events(self, condition: Condition) -> tuple[Event, ...]:
        """From excitation to the first point."""
        del condition
        return (
            _delay(self.echo_time_s / 2),
            HardPulse(90.0, 0),
            _delay(self.mixing_time_s),
            HardPulse(90.0, -1),
            _delay(self.echo_time_s / 2),
        )


@dataclass(frozen=True)
class SemiLaser:
    """Semi-LASER (Scheenen 2008, 10.1002/mrm.21302), ideal 180s: TE/8 - 180 - (TE/4 - 180) three times - TE/8."""

    echo_time_s: float
    """TE, seconds."""
    name: str = "sLASER"
    """As in headers."""
    conditions: tuple[Condition, ...] = ("main",)
    """Kinds of spectra."""

    @property
    def signal(self) -> float:
        """Part of the magnetisation in the echo."""
        return 1.0

    @property
    def start_order(self) -> int:
        """Coherence order observed after the excitation pulse."""
        return -1

    def events(self, condition: Condition) -> tuple[Event, ...]:
        """From excitation to the first point."""
        del condition
        quarter = _delay(self.echo_time_s / 4)
        eighth = _delay(self.echo_time_s / 8)
        return (
            eighth,
            HardPulse(180.0, 1),
            quarter,
            HardPulse(180.0, -1),
            quarter,
            HardPulse(180.0, 1),
            quarter,
            HardPulse(180.0, -1),
            eighth,
        )


@dataclass(frozen=True)
class MegaPress:
    """MEGA-PRESS: 90 - TE1/2 - 180 - edit - 180 - edit - acquisition.

    Mescher 1998, NMR Biomed 11:266, 10.1002/(SICI)1099-1492(199810)11:6<266::AID-NBM530>3.0.CO;2-J.

    The editing pulses lie TE/2 apart, the first midway between the 180s; their crushers dephase what they invert, so
    that resonances in the band leave the spectrum while their partners' couplings are refocused.
    """

    echo_time_s: float = 0.068
    """TE, seconds."""
    on_ppm: float = 1.9
    """Editing frequency of the ON shots."""
    off_ppm: float = 7.46
    """Editing frequency of the OFF shots."""
    pulse: EditPulse = field(default_factory=EditPulse)
    """Editing pulse."""
    first_echo_s: float = 0.010
    """TE1, seconds."""
    name: str = "MEGA-PRESS"
    """As in headers."""
    conditions: tuple[Condition, ...] = ("on", "off")
    """Kinds of spectra."""

    @property
    def signal(self) -> float:
        """Part of the magnetisation in the echo."""
        return 1.0

    @property
    def start_order(self) -> int:
        """Coherence order observed after the excitation pulse."""
        return -1

    def events(self, condition: Condition) -> tuple[Event, ...]:
        """From excitation to the first point. Raises `SourceError` if the pulses do not fit into the times."""
        ppm = self.on_ppm if condition == "on" else self.off_ppm
        half = self.pulse.duration_s / 2
        quarter = self.echo_time_s / 4
        return (
            _delay(self.first_echo_s / 2),
            HardPulse(180.0, 1),
            _delay(quarter - half),
            SelectivePulse(self.pulse, ppm, 1),
            _delay(quarter - half),
            HardPulse(180.0, -1),
            _delay(quarter - half),
            SelectivePulse(self.pulse, ppm, -1),
            _delay(quarter - self.first_echo_s / 2 - half),
        )


Sequence = Press | Steam | SemiLaser | MegaPress


def _delay(seconds: float) -> Delay:
    if seconds < 0.0:
        raise SourceError(f"sequence times do not fit: a delay would be {seconds * 1e3:.2f} ms")
    return Delay(seconds)
