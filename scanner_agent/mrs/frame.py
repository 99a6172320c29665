"""What the shots of a scan are told against: the scale of NAA, ON's place against OFF's, the spectrum's true place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scanner_agent.mrs.linking import Linker, link, place_hz
from scanner_agent.mrs.reference import Reference
from scanner_agent.mrs.shots import EditCondition
from scanner_agent.mrs.signs import Scale, SignBands, scale_of


@dataclass(frozen=True, eq=False)
class Frame:
    """Found from the references as they are now."""

    scales: Mapping[EditCondition | None, Scale] = field(default_factory=dict)
    """Of every condition; the one with the tallest NAA (not saturated) lends its height to the other."""
    link: tuple[float, float] | None = None
    """Frequency (Hz) and phase (rad) of the ON reference against OFF's."""
    edit_place: tuple[float, float] | None = None
    """Shift of the OFF reference from its true place, Hz, and its SD."""


def frame_of(
    references: Mapping[EditCondition | None, Reference],
    bands: SignBands,
    linker: Linker | None,
    *,
    align_ppm: tuple[float, float],
    removed_hz: float,
    by_shapes: bool,
) -> Frame:
    """Frame of the references of all conditions. `removed_hz`: shift that was taken from every FID beforehand."""
    strong = {condition: r for condition, r in references.items() if r.weight > 0}
    made = {condition: scale_of(r.fid, bands, align_ppm) for condition, r in strong.items()}
    if not made:
        return Frame()
    tallest = max(made.values(), key=lambda scale: scale.height)
    on, off = strong.get("on"), strong.get("off")
    linked = place = None
    if linker is not None and off is not None:
        place = place_hz(off.fid, off.noise_sd, linker)
        if place is not None:
            place = place[0] + removed_hz, place[1]
        if on is not None:
            linked = link(on.fid, off.fid, on.noise_sd, off.noise_sd, linker, by_shapes=by_shapes)
    return Frame(dict.fromkeys(made, tallest), linked, place)
