"""Has the head moved since planning, how much of the tissue is still in the voxel, where should the voxel be now."""

from __future__ import annotations

import numpy as np

from scanner_agent.errors import SourceError
from scanner_agent.placement.notation import console_texts
from scanner_agent.placement.registration import Registration, register
from scanner_agent.placement.similarity import planning_of
from scanner_agent.placement.volumes import Images
from scanner_agent.placement.voxel import Matrix, Voxel, rotation_vector_deg
from scanner_agent.records import PlacementResult, Vector3

MOVED_MM = 1.0
"""Shift of the voxel's centre or a corner's mean from which on the head is said to have moved: a tenth of the volume of
a 20 mm voxel is left behind at 0.7-2 mm (Hess 2011, 10.1002/mrm.22799, takes 1.5 mm)."""
SMALLEST_SIMILARITY_LOST = 0.01
"""Fall of the similarity 5 mm away: 0.04-0.19 where the head was recognised, below 0.001 in mere noise."""
LARGEST_PART_SPREAD_MM = 0.6
"""0.06-0.31 mm in one rigid head, 1.0-6 mm wherever the error was above 1 mm (benchmarks/placement.py)."""
LARGEST_SCALE_CHANGE = 0.015
"""Below 0.006 in one head, 0.02-0.09 in heads of other size."""
SMALLEST_OVERLAP = 0.08
"""Share of the localiser that shows head: 0.3-0.46 in whole ones."""
FEWEST_PARTS = 4


def check_placement(
    planning: Images, localiser: Images, voxel: Voxel, seed: int = 1
) -> tuple[PlacementResult, Registration | None]:
    """Compare a repeat localiser with the planning volume.

    Args:
        planning: One 3D volume on which the voxel was placed.
        localiser: A later localiser: three planes, or a fast volume.
        voxel: The voxel as prescribed.
        seed: Of the random samples.

    Returns:
        The result, and the registration that it rests on (for a picture); None if none was made.

    Raises:
        SourceError: Images that cannot belong together: another person, older than the planning, another frame.
    """
    if len(planning.stacks) != 1:
        raise SourceError(f"{planning.name}: holds {len(planning.stacks)} stacks; give the 3D volume used for planning")
    if planning.subject and localiser.subject and planning.subject != localiser.subject:
        raise SourceError(f"{localiser.name}: is of another person than the planning volume; give the right one")
    times = planning.acquired_at, localiser.acquired_at
    if times[0] is not None and times[1] is not None and times[1] < times[0]:
        raise SourceError(f"{localiser.name}: is older than the planning volume; give a localiser made after it")
    stack = planning.stacks[0]
    if min(stack.data.shape) < 16:
        raise SourceError(f"{planning.name}: has too few slices to register to; give the 3D volume used for planning")
    prepared = planning_of(stack)
    if float(np.linalg.norm(voxel.position_mm - prepared.centre_mm)) > 130.0:
        raise SourceError(f"{planning.name}: the voxel lies outside the planned head; give the volume it was placed on")
    if planning.frame_of_reference and localiser.frame_of_reference not in (None, planning.frame_of_reference):
        return _doubtful(
            ["the coordinates were set anew between the two series (another frame of reference)"], {}
        ), None
    found = register(prepared, localiser.stacks, seed)
    return result_of(found, voxel), found


def _doubts(found: Registration) -> list[str]:
    """Why the registration is not to be trusted; empty if it is."""
    reasons = []
    if found.overlap < SMALLEST_OVERLAP or found.n_parts < FEWEST_PARTS:
        reasons.append("the localiser covers too little of the head")
    if found.similarity_lost < SMALLEST_SIMILARITY_LOST:
        reasons.append("the localiser shows too little that can be recognised")
    if found.n_parts and found.part_spread_mm > LARGEST_PART_SPREAD_MM:
        reasons.append(
            f"parts of the head disagree by {found.part_spread_mm:.1f} mm: another head, flipped or spoilt images"
        )
    if found.scale_change > LARGEST_SCALE_CHANGE:
        reasons.append(
            f"the heads differ in size by {100 * found.scale_change:.1f} %: another head, or distorted images"
        )
    return reasons


def _three(values: Matrix) -> Vector3:
    return float(values[0]), float(values[1]), float(values[2])


def _doubtful(reasons: list[str], evidence: dict[str, float]) -> PlacementResult:
    text = f"Cannot judge whether the head has moved: {reasons[0]}. Repeat the localiser."
    return PlacementResult(state="cannot_judge", text=text, reasons=tuple(reasons), evidence=evidence)


def result_of(found: Registration, voxel: Voxel) -> PlacementResult:
    """What a registration means for a voxel; `cannot_judge` if it is not to be trusted."""
    evidence = {
        "similarity_nmi": found.similarity,
        "similarity_lost_5_mm": found.similarity_lost,
        "part_spread_mm": found.part_spread_mm,
        "part_spread_mm_limit": LARGEST_PART_SPREAD_MM,
        "scale_change": found.scale_change,
        "scale_change_limit": LARGEST_SCALE_CHANGE,
        "overlap": found.overlap,
    }
    evidence = {name: float(value) for name, value in evidence.items() if np.isfinite(value)}
    if reasons := _doubts(found):
        return _doubtful(reasons, evidence)
    new = voxel.moved(found.motion)
    centre = float(np.linalg.norm(new.position_mm - voxel.position_mm))
    corners = np.linalg.norm(new.corners() - voxel.corners(), axis=1)
    share = voxel.share_of(new)
    moved = centre > MOVED_MM or float(corners.mean()) > 1.5 * MOVED_MM
    turn = rotation_vector_deg(found.motion[:3, :3])
    if moved:
        text = (
            f"The head has moved: the voxel's tissue lies {centre:.1f} mm away, turned by {np.linalg.norm(turn):.1f} "
            f"degrees; {100 * share:.0f} % of it is still inside. Prescribe the voxel anew."
        )
    else:
        text = (
            f"The head has not moved ({centre:.1f} mm at the voxel, {100 * share:.0f} % still inside): look elsewhere."
        )
    axes = new.axes
    return PlacementResult(
        state="moved" if moved else "not_moved",
        text=text,
        head_shift_mm=_three(new.position_mm - voxel.position_mm),
        head_rotation_deg=_three(turn),
        centre_displacement_mm=centre,
        corner_displacement_mm=tuple(float(c) for c in corners),
        share_inside=share,
        uncertainty_mm=float(found.part_spread_mm / np.sqrt(found.n_parts)),
        new_position_mm=_three(new.position_mm),
        new_size_mm=_three(new.size_mm),
        new_orientation=(_three(axes[0]), _three(axes[1]), _three(axes[2])),
        consoles=console_texts(new),
        evidence=evidence,
    )
