"""What a simulated scan is to be: sequence, geometry, counts. Defaults by sequence, from docs/science.md 5 and 10."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from scanner_agent.errors import ConfigError
from scanner_agent.records import EditCondition

Sequence = Literal["PRESS", "STEAM", "MEGA-PRESS"]
EditOrder = Literal["alternating", "reversed", "blocked", "1-1-0-0"]

EDIT_ORDERS: tuple[EditOrder, ...] = ("alternating", "reversed", "blocked", "1-1-0-0")
SEQUENCES: tuple[Sequence, ...] = ("PRESS", "STEAM", "MEGA-PRESS")


@dataclass(frozen=True, kw_only=True)
class ScanSetup:
    """The scan as prescribed; everything a header says and the simulation needs."""

    sequence: Sequence
    """Localisation."""
    n_coils: int
    """Receive channels."""
    n_points: int
    """Complex points."""
    dwell_time_s: float
    """Seconds between them."""
    spectrometer_frequency_mhz: float
    """Field."""
    n_shots: int
    """Stored metabolite shots."""
    n_excitations: int
    """Excitations in each stored shot, water reference too."""
    n_water_shots: int
    """Stored water-reference shots."""
    n_noise_shots: int
    """Noise shots."""
    echo_time_s: float
    """TE."""
    repetition_time_s: float
    """TR."""
    mixing_time_s: float | None
    """TM of STEAM."""
    voxel_size_mm: tuple[float, float, float]
    """Edges."""
    voxel_position_mm: tuple[float, float, float]
    """Centre, RAS+, the head's middle at 0."""
    edit_pulse_ppm: tuple[float, float] | None
    """ON, OFF."""
    edit_order: EditOrder
    """How ON and OFF follow each other."""
    phase_cycle_steps: int
    """Steps of the phase cycle."""
    basis: str
    """Basis set."""

    @property
    def edited(self) -> bool:
        """MEGA-PRESS."""
        return self.sequence == "MEGA-PRESS"

    @property
    def field(self) -> float:
        """Field over 3 T (123.25 MHz)."""
        return self.spectrometer_frequency_mhz / 123.25

    @property
    def volume_ml(self) -> float:
        """Voxel volume."""
        return float(np.prod(self.voxel_size_mm)) / 1000.0

    def edit_conditions(self) -> tuple[EditCondition | None, ...]:
        """Condition of each stored shot."""
        index = np.arange(self.n_shots)
        if not self.edited:
            return (None,) * self.n_shots
        on = {
            "alternating": index % 2 == 0,
            "reversed": index % 2 == 1,
            "blocked": index < self.n_shots // 2,
            "1-1-0-0": index % 4 < 2,
        }[self.edit_order]
        return tuple("on" if is_on else "off" for is_on in on)


def basis_name(sequence: Sequence, echo_time_s: float, spectrometer_frequency_mhz: float) -> str:
    """Shipped basis set of a sequence, echo time and field, by the naming of `scanner_agent/basis/data`."""
    field = "1p5t" if spectrometer_frequency_mhz < 90 else "3t" if spectrometer_frequency_mhz < 200 else "7t"
    kind = {"PRESS": "press", "STEAM": "steam", "MEGA-PRESS": "mega"}[sequence]
    return f"{kind}_te{round(echo_time_s * 1000)}_{field}"


def make_setup(
    sequence: Sequence,
    *,
    n_coils: int,
    n_points: int,
    dwell_time_s: float | None,
    spectrometer_frequency_mhz: float,
    n_shots: int | None,
    n_excitations: int,
    n_water_shots: int | None,
    n_noise_shots: int,
    echo_time_s: float | None,
    repetition_time_s: float | None,
    voxel_size_mm: tuple[float, float, float] | None,
    voxel_position_mm: tuple[float, float, float],
    edit_order: EditOrder,
    phase_cycle_steps: int,
    basis: str | None,
) -> ScanSetup:
    """Fill what the caller left open. Raises `ConfigError` naming an argument that makes no scan."""
    if sequence not in SEQUENCES:
        raise ConfigError(f"sequence {sequence!r} cannot be simulated; choose from {', '.join(SEQUENCES)}")
    if edit_order not in EDIT_ORDERS:
        raise ConfigError(f"edit order {edit_order!r} is not known; choose from {', '.join(EDIT_ORDERS)}")
    edited, high_field = sequence == "MEGA-PRESS", spectrometer_frequency_mhz > 200.0
    te = echo_time_s or {"PRESS": 0.035, "STEAM": 0.02, "MEGA-PRESS": 0.068}[sequence]
    if echo_time_s is None and sequence == "PRESS" and not 90.0 < spectrometer_frequency_mhz < 200.0:
        te = 0.03
    if echo_time_s is None and sequence == "STEAM" and high_field:
        te = 0.011
    tr = repetition_time_s or (2.0 if edited else 5.0 if high_field else 3.0)
    shots = n_shots or (320 if edited else 64)
    for name, value in (("n_coils", n_coils), ("n_shots", shots), ("n_excitations", n_excitations)):
        if value < 1:
            raise ConfigError(f"{name} is {value}; a scan needs at least 1")
    if edited and shots % 2:
        raise ConfigError(f"n_shots is {shots}; an edited scan needs an even number")
    if n_points < 256:
        raise ConfigError(f"n_points is {n_points}; at least 256 are needed for a spectrum")
    return ScanSetup(
        sequence=sequence,
        n_coils=n_coils,
        n_points=n_points,
        dwell_time_s=dwell_time_s or (1.0 / 5000.0 if high_field else 1.0 / 2000.0),
        spectrometer_frequency_mhz=spectrometer_frequency_mhz,
        n_shots=shots,
        n_excitations=n_excitations,
        n_water_shots=8 if n_water_shots is None else n_water_shots,
        n_noise_shots=n_noise_shots,
        echo_time_s=te,
        repetition_time_s=tr,
        mixing_time_s=(0.032 if high_field else 0.01) if sequence == "STEAM" else None,
        voxel_size_mm=voxel_size_mm or ((30.0, 30.0, 30.0) if edited else (20.0, 20.0, 20.0)),
        voxel_position_mm=voxel_position_mm,
        edit_pulse_ppm=((1.9, 1.5) if te > 0.075 else (1.9, 7.46)) if edited else None,
        edit_order=edit_order,
        phase_cycle_steps=phase_cycle_steps,
        basis=basis or basis_name(sequence, te, spectrometer_frequency_mhz),
    )
