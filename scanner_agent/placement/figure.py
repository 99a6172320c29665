"""One picture of a placement check: three planes through the new voxel, the old and the new one drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from scanner_agent.placement.registration import Registration
from scanner_agent.placement.similarity import head_centre
from scanner_agent.placement.volumes import Images, Stack
from scanner_agent.placement.voxel import Matrix, Voxel
from scanner_agent.records import PlacementResult

_PLANES = (("Axial (seen from the feet)", 0, 1), ("Coronal (seen from the front)", 0, 2), ("Sagittal", 1, 2))
_HALF_MM = 115.0
_STEP_MM = 1.0
_OLD, _NEW, _SEEN = "#e69f00", "#56b4e9", "#cc79a7"


def _plane(
    stack: Stack, middle: Matrix, across: int, up: int, back: Matrix, outside: float = 0.0
) -> NDArray[np.float32]:
    """Picture (up, across) of the plane through `middle`; `back`: place in the picture -> place in the stack."""
    steps = np.arange(-_HALF_MM, _HALF_MM + _STEP_MM, _STEP_MM)
    places = np.tile(middle, (steps.size, steps.size, 1))
    places[..., across] += steps[None, :]
    places[..., up] += steps[:, None]
    to_index = np.linalg.inv(stack.affine) @ back
    index = np.moveaxis(places @ to_index[:3, :3].T + to_index[:3, 3], -1, 0)
    picture: NDArray[np.float32] = map_coordinates(stack.data, index, order=1, mode="constant", cval=outside)
    return picture


def _outline(voxel: Voxel, middle: Matrix, across: int, up: int) -> list[Matrix]:
    """The twelve edges of the box as lines in the plane's coordinates."""
    corners = voxel.corners()
    pairs = [(i, j) for i in range(8) for j in range(i + 1, 8) if bin(i ^ j).count("1") == 1]
    return [(corners[[i, j]] - middle)[:, [across, up]] for i, j in pairs]


def draw_placement(
    path: Path, planning: Images, localiser: Images, voxel: Voxel, found: Registration | None, result: PlacementResult
) -> None:
    """Write the picture: planning volume as the head lies now (grey), the localiser's outlines over it, both voxels.

    Where the registration is not certain, the planning volume is drawn where it was, and only the old voxel.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    certain = found is not None and result.state != "cannot_judge"
    motion: Matrix = found.motion if found is not None and certain else np.eye(4)
    new, back = voxel.moved(motion), np.asarray(np.linalg.inv(motion))
    figure = Figure(figsize=(13, 6.4), facecolor="black")
    FigureCanvasAgg(figure)
    stack = planning.stacks[0]
    white = float(np.percentile(stack.data, 99.7))
    head = head_centre(stack)
    head = motion[:3, :3] @ head + motion[:3, 3]
    for column, (title, across, up) in enumerate(_PLANES):
        axes = figure.add_axes((0.01 + 0.33 * column, 0.2, 0.32, 0.65))
        middle = new.position_mm.copy()
        middle[[across, up]] = head[[across, up]]
        extent = (-_HALF_MM, _HALF_MM, -_HALF_MM, _HALF_MM)
        picture = _plane(stack, middle, across, up, back)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=white, origin="lower", extent=extent)
        for other in localiser.stacks:
            seen = _plane(other, middle, across, up, np.eye(4), outside=float("nan"))
            level = 0.35 * float(np.percentile(other.data, 99.0))
            if np.isfinite(seen).any() and np.nanmin(seen) < level < np.nanmax(seen):
                axes.contour(seen, levels=[level], colors=_SEEN, linewidths=0.7, alpha=0.9, extent=extent)
        for box, colour, style in ((voxel, _OLD, "--"), (new, _NEW, "-")) if certain else ((voxel, _OLD, "--"),):
            for line in _outline(box, middle, across, up):
                axes.plot(line[:, 0], line[:, 1], color=colour, linestyle=style, linewidth=1.3)
        axes.set_title(title, color="white", fontsize=11)
        axes.set_xlim(_HALF_MM, -_HALF_MM)  # as radiologists look: the patient's right, or front, on the left
        axes.set_ylim(-_HALF_MM, _HALF_MM)
        axes.text(_HALF_MM - 3, 0, "RA"[across], color="white", ha="left", fontsize=11)
        axes.set_axis_off()
    figure.text(0.02, 0.94, result.text, color="white", fontsize=12, weight="bold")
    lines = [f"{name}: {text}" for name, text in result.consoles.items()]
    figure.text(0.02, 0.03, "\n".join(lines), color="white", fontsize=10, linespacing=1.6)
    for left, label, colour in (
        (0.62, "old voxel (dashed)", _OLD),
        (0.76, "new voxel", _NEW),
        (0.85, "localiser", _SEEN),
    ):
        figure.text(left, 0.155, label, color=colour, fontsize=10)
    figure.savefig(path, dpi=110)
