"""Recipes of the basis sets that ship with the package. `basis simulate NAME` makes one again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from scanner_agent.basis.basis_set import BasisSet
from scanner_agent.basis.cache import simulate_cached
from scanner_agent.basis.edit_pulses import EditPulse
from scanner_agent.basis.load import load_basis
from scanner_agent.basis.sequences import MegaPress, Press, Sequence, Steam
from scanner_agent.basis.simulation import Progress, simulate_basis
from scanner_agent.basis.spin_systems import COLLECTIONS, SpinSystem
from scanner_agent.errors import SourceError

SIEMENS_GE_PHILIPS_3T = (123.2, 127.75)
"""Proton frequencies of 3 T scanners, MHz: Siemens; Philips and GE (127.7-127.8)."""
FIELD_1P5T = (63.75,)
"""Siemens 63.6, Philips and GE 63.9 MHz lie within 0.3 %."""
FIELD_7T = (297.2,)
"""7 T, MHz."""


@dataclass(frozen=True)
class Recipe:
    """One shipped set: what is simulated, at which fields."""

    name: str
    """File name without `.npz`."""
    sequence: Sequence
    """Sequence with its times."""
    frequencies_mhz: tuple[float, ...]
    """Fields; one simulation each in the same file."""
    sample: str = "brain"
    """Which spin systems, a key of `COLLECTIONS`."""
    left_out: tuple[str, ...] = ()
    """Metabolites of the sample that this set does without."""
    dwell_time_s: float = 0.00025
    """Of the FIDs that are made from the lines, seconds."""
    n_points: int = 4096
    """Of those FIDs."""

    def systems(self) -> dict[str, SpinSystem]:
        """Spin systems of the set, by name."""
        return {name: system for name, system in COLLECTIONS[self.sample].items() if name not in self.left_out}


_NOT_IN_BRAINO = ("GABA",)

SHIPPED: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        # TE1 16.5 ms of 35 fits the Siemens reference set best (docs/measured.md) and is near GE's equal split.
        Recipe("press_te35_3t", Press(0.035, 0.0165), SIEMENS_GE_PHILIPS_3T),
        # TE1 10-12 ms: Siemens svs_se.
        Recipe("press_te30_3t", Press(0.030, 0.011), SIEMENS_GE_PHILIPS_3T),
        Recipe("press_te40_3t", Press(0.040, 0.011), SIEMENS_GE_PHILIPS_3T),
        # Philips: TE1 of the shortest first echo, 11-16 ms.
        Recipe("press_te55_3t", Press(0.055, 0.0135), SIEMENS_GE_PHILIPS_3T),
        Recipe("press_te30_1p5t", Press(0.030, 0.011), FIELD_1P5T),
        Recipe("press_te30_7t", Press(0.030, 0.011), FIELD_7T, dwell_time_s=1 / 6000),
        # TM: 32 ms is common in 7 T short-TE STEAM (Tkac 2009, 10.1002/mrm.22086); headers seldom say.
        Recipe("steam_te11_7t", Steam(0.011, 0.032), FIELD_7T, dwell_time_s=1 / 6000),
        Recipe("steam_te20_3t", Steam(0.020, 0.010), SIEMENS_GE_PHILIPS_3T),
        Recipe("mega_te68_3t", MegaPress(), SIEMENS_GE_PHILIPS_3T),
        Recipe(
            "mega_te80_3t",
            MegaPress(0.080, 1.9, 1.5, EditPulse(0.020, 62.0), 0.010),
            SIEMENS_GE_PHILIPS_3T,
        ),
        Recipe("phantom_press_te30_3t", Press(0.030, 0.011), SIEMENS_GE_PHILIPS_3T, sample="acetate_lactate_phantom"),
        Recipe("phantom_press_te30_1p5t", Press(0.030, 0.011), FIELD_1P5T, sample="acetate_lactate_phantom"),
        Recipe(
            "brain_phantom_press_te30_3t",
            Press(0.030, 0.011),
            SIEMENS_GE_PHILIPS_3T,
            sample="brain_phantom",
            left_out=_NOT_IN_BRAINO,
        ),
        Recipe(
            "brain_phantom_press_te40_3t",
            Press(0.040, 0.011),
            SIEMENS_GE_PHILIPS_3T,
            sample="brain_phantom",
            left_out=_NOT_IN_BRAINO,
        ),
        Recipe(
            "brain_phantom_press_te30_1p5t",
            Press(0.030, 0.011),
            FIELD_1P5T,
            sample="brain_phantom",
            left_out=_NOT_IN_BRAINO,
        ),
    )
}
"""By name."""


def simulate_recipe(recipe: Recipe, progress: Progress | None = None) -> list[BasisSet]:
    """All fields and spectra of a recipe, in the order in which the file holds them."""
    sets: list[BasisSet] = []
    for frequency in recipe.frequencies_mhz:
        provenance = {
            "command": f"scanner-agent basis simulate {recipe.name} --out {recipe.name}.npz",
            "sequence": repr(recipe.sequence),
            "sample": recipe.sample,
        }
        kinds = simulate_basis(
            recipe.sequence,
            recipe.systems(),
            spectrometer_frequency_mhz=frequency,
            n_points=recipe.n_points,
            dwell_time_s=recipe.dwell_time_s,
            name=recipe.name,
            provenance=provenance,
            progress=progress,
        )
        sets.extend(kinds.values())
    return sets


_SAME_FIELD = 0.005
_SAME_TIME_S = 0.0005
_SAME_PPM = 0.02
_SAME_BANDWIDTH_HZ = 5.0


def basis_for_scan(
    name: str,
    *,
    spectrometer_frequency_mhz: float,
    echo_time_s: float | None = None,
    mixing_time_s: float | None = None,
    edit_pulse_ppm: tuple[float, float] | None = None,
    edit_pulse_bandwidth_hz: float | None = None,
    cache_directory: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, BasisSet]:
    """A shipped set as it serves one scan: itself where field and times agree, else simulated again with the scan's.

    Agree: field within 0.5 %, TE and TM within 0.5 ms, editing within 0.02 ppm and 5 Hz of bandwidth; what the scan
    does not say is taken from the recipe. A PRESS or STEAM set takes some 50 ms to simulate, MEGA-PRESS a few seconds:
    give `cache_directory` to keep it. Raises `SourceError` for an unknown name or times that cannot be.
    """
    recipe = SHIPPED.get(name)
    if recipe is None:
        raise SourceError(f"no shipped basis set {name} (there are {', '.join(SHIPPED)})")
    wanted = _as_scanned(recipe.sequence, echo_time_s, mixing_time_s, edit_pulse_ppm, edit_pulse_bandwidth_hz)
    nearest = min(abs(spectrometer_frequency_mhz / f - 1.0) for f in recipe.frequencies_mhz)
    if wanted == recipe.sequence and nearest <= _SAME_FIELD:
        return load_basis(name, spectrometer_frequency_mhz)
    facts = {"made_for": f"{spectrometer_frequency_mhz:.3f} MHz, {wanted!r}", "sample": recipe.sample}
    return simulate_cached(
        wanted,
        recipe.systems(),
        cache_directory=cache_directory,
        spectrometer_frequency_mhz=spectrometer_frequency_mhz,
        n_points=recipe.n_points,
        dwell_time_s=recipe.dwell_time_s,
        name=name,
        provenance=facts,
        progress=progress,
    )


def _as_scanned(
    sequence: Sequence,
    echo_time_s: float | None,
    mixing_time_s: float | None,
    edit_pulse_ppm: tuple[float, float] | None,
    edit_pulse_bandwidth_hz: float | None,
) -> Sequence:
    """The recipe's sequence with what the scan says differently."""
    if echo_time_s is not None and abs(echo_time_s - sequence.echo_time_s) > _SAME_TIME_S:
        sequence = replace(sequence, echo_time_s=echo_time_s)
    if isinstance(sequence, Steam):
        if mixing_time_s is not None and abs(mixing_time_s - sequence.mixing_time_s) > _SAME_TIME_S:
            sequence = replace(sequence, mixing_time_s=mixing_time_s)
    elif isinstance(sequence, MegaPress):
        if (
            edit_pulse_ppm is not None
            and max(abs(edit_pulse_ppm[0] - sequence.on_ppm), abs(edit_pulse_ppm[1] - sequence.off_ppm)) > _SAME_PPM
        ):
            sequence = replace(sequence, on_ppm=edit_pulse_ppm[0], off_ppm=edit_pulse_ppm[1])
        pulse = sequence.pulse
        if (
            edit_pulse_bandwidth_hz is not None
            and abs(edit_pulse_bandwidth_hz - pulse.bandwidth_hz) > _SAME_BANDWIDTH_HZ
        ):
            sequence = replace(sequence, pulse=replace(pulse, bandwidth_hz=edit_pulse_bandwidth_hz))
    return sequence
