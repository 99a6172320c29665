"""What happens during one scan, excitation by excitation: the plan that scenarios change and the scan then plays."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as later
from typing import Any

import numpy as np
from numpy.typing import NDArray

Track = NDArray[np.float64]


@dataclass(frozen=True)
class Event:
    """One thing that goes wrong (or is announced), as the truth tells it."""

    scenario: str
    """Its scenario."""
    first_shot: int
    """First metabolite shot it touches."""
    last_shot: int
    """Last one."""
    parameters: dict[str, Any]
    """What was drawn, unit in the name."""


@dataclass(eq=False)
class Plan:
    """Mutable while a scan is being planned. All tracks are (n,) per excitation; Hz at this field."""

    n: int
    """Metabolite excitations."""
    excitations_per_shot: int
    """Excitations summed in one stored shot."""
    repetition_time_s: float
    """TR."""
    field: float
    """Field over 3 T: frequencies and their shifts scale with it."""
    edited: bool
    """MEGA-PRESS."""
    n_coils: int
    """Channels."""
    frequency_hz: Track
    """Stored convention, of everything from the head."""
    phase_deg: Track
    """Of everything from the voxel."""
    amplitude: Track
    """Of the voxel's tissue."""
    water: NDArray[np.complex128]
    """Residual water's first point over NAA's, its phase cycle included."""
    edit_efficiency: Track
    """1: the editing pulse works in an ON excitation; 0: it does not."""
    swapped: NDArray[np.bool_]
    """The label says ON where OFF was played, and the other way round."""
    broadening_hz: Track = later(init=False)
    """Widening of all lines of the head."""
    content: Track = later(init=False)
    """0: the prescribed voxel content; 1: the moved one."""
    loading: Track = later(init=False)
    """0: the head loads the coils as at the prescan; 1: as after the movement."""
    outside_water: NDArray[np.complex128] = later(init=False)
    """Water from outside the voxel over NAA's first point."""
    lipid: NDArray[np.complex128] = later(init=False)
    """Scalp lipid's first point over NAA's."""
    echo: NDArray[np.complex128] = later(init=False)
    """Spurious echo's peak over NAA's first point."""
    gain: Track = later(init=False)
    """Receiver, signal and noise alike."""
    announced_hz: Track = later(init=False)
    """Centre-frequency change announced by the scanner."""
    coil_signal: Track = later(init=False)
    """(n, n_coils) factor on each channel's signal."""
    coil_noise: Track = later(init=False)
    """(n, n_coils) factor on each channel's noise."""
    damaged: NDArray[np.bool_] = later(init=False)
    """Excitations that a judge ought to leave out."""
    missing: NDArray[np.bool_] = later(init=False)
    """Shots (n / excitations_per_shot,) that never arrive."""
    pose: NDArray[np.int64] = later(init=False)
    """Number of the head's pose."""
    content_change: float = 0.0
    """Share of the voxel exchanged in the moved content."""
    head_shift_mm: NDArray[np.float64] = later(default_factory=lambda: np.zeros(3))
    """Of the moved head."""
    head_nod_deg: float = 0.0
    """Of the moved head."""
    echo_time_s: float = 0.1
    """Where in the FID the spurious echo lies."""
    echo_width_s: float = 0.01
    """SD of its envelope."""
    echo_frequency_hz: float = 0.0
    """Its frequency."""
    outside_frequency_hz: float = 0.0
    """Of the water from outside."""
    extra_fwhm_hz: float = 0.0
    """Wider than the subject's line, from the shim on."""
    signal_factor: float = 1.0
    """Less signal from the start, for no reason that the spectrum shows."""
    prescan_offset_hz: float = 0.0
    """What the head did to the frequency between prescan and scan."""
    reference_amplitude: float = 1.0
    """Of the water reference."""
    reference_broadening_hz: float = 0.0
    """Widening of the water reference."""
    reference_content: float = 0.0
    """0 or 1: voxel content during the water reference."""
    reference_loading: float = 0.0
    """0 or 1: coil loading during noise scan and water reference."""
    reference_coil_signal: Track = later(init=False)
    """(n_coils,) factor on each channel's signal in the water reference."""
    reference_coil_noise: Track = later(init=False)
    """(n_coils,) factor on each channel's noise in noise scan and water reference."""

    def __post_init__(self) -> None:
        """Nothing happens yet."""
        zeros, ones = np.zeros(self.n), np.ones(self.n)
        self.broadening_hz, self.content, self.loading = zeros.copy(), zeros.copy(), zeros.copy()
        self.gain, self.announced_hz = ones.copy(), zeros.copy()
        self.outside_water = zeros.astype(np.complex128)
        self.lipid, self.echo = self.outside_water.copy(), self.outside_water.copy()
        self.coil_signal = np.ones((self.n, self.n_coils))
        self.coil_noise = np.ones((self.n, self.n_coils))
        self.reference_coil_signal, self.reference_coil_noise = np.ones(self.n_coils), np.ones(self.n_coils)
        self.damaged = np.zeros(self.n, dtype=bool)
        self.missing = np.zeros(self.n_shots, dtype=bool)
        self.pose = np.zeros(self.n, dtype=np.int64)

    @property
    def n_shots(self) -> int:
        """Stored metabolite shots."""
        return self.n // self.excitations_per_shot

    @property
    def minutes(self) -> Track:
        """(n,) time of each excitation since the first, minutes."""
        return np.asarray(np.arange(self.n) * (self.repetition_time_s / 60.0), dtype=np.float64)

    def shot_of(self, excitation: int) -> int:
        """Stored shot that holds an excitation."""
        return min(excitation, self.n - 1) // self.excitations_per_shot

    def per_shot(self, track: NDArray[np.generic]) -> NDArray[np.float64]:
        """Mean of a track over the excitations of each shot, (n_shots,)."""
        shots = np.asarray(track, dtype=np.float64).reshape(self.n_shots, self.excitations_per_shot)
        return np.asarray(shots.mean(axis=1), dtype=np.float64)
