"""A voxel in the numbers that each vendor's console shows and takes, and back. Consoles count in the patient's system:

Siemens: "L6.7 P38.2 H19.0", normal as "T > C-16.9 > S-3.3", in-plane rotation in degrees, all to 0.1. The angles lead
from the main plane first towards the second, then the third; they carry the signs of the normal's components (LPS). The
rotation turns the phase direction about the normal, from what Siemens takes for zero (twix, .rda).
Philips: offcentre AP, RL, FH in mm (P, L, H positive; to 0.01), angulations AP, RL, FH in degrees (to 0.01), as SPAR.
GE: centre as R/L, A/P, S/I in mm to 0.1; edge lengths; a turned box can only be drawn on the images there, so its
rotations about the R/L, A/P and S/I axes are given to 0.1 degrees (about the fixed axes in that order, right-handed).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scanner_agent.placement.voxel import Matrix, Voxel

_TO_LPS = np.array([-1.0, -1.0, 1.0])
_PLANES = "SCT"
"""Planes by the axis (LPS) of their normal: sagittal, coronal, transversal."""


def _lettered(letters: list[tuple[str, str]], values: tuple[float, float, float]) -> str:
    """Numbers with the letter of their side instead of a sign: "R6.7 P38.2 H19.0"."""
    return " ".join(f"{pair[value >= 0]}{abs(value):.1f}" for pair, value in zip(letters, values, strict=True))


@dataclass(frozen=True)
class SiemensVoxel:
    """Numbers of the Siemens console: LPS position (mm), planes in order, their two angles and the rotation (degrees),
    edge lengths (mm) in phase, read and slice direction.
    """

    position_mm: tuple[float, float, float]
    planes: str
    angles_deg: tuple[float, float]
    rotation_deg: float
    size_mm: tuple[float, float, float]

    def text(self) -> str:
        """As the console shows it."""
        place = _lettered([("R", "L"), ("A", "P"), ("F", "H")], self.position_mm)
        first, second, third = tuple(self.planes)
        plane = first
        if self.angles_deg[0] or self.angles_deg[1]:
            plane += f" > {second}{self.angles_deg[0]:.1f}"
        if self.angles_deg[1]:
            plane += f" > {third}{self.angles_deg[1]:.1f}"
        size = " x ".join(f"{edge:g}" for edge in self.size_mm)
        return (
            f"Position {place}, orientation {plane}, rotation {self.rotation_deg:.1f} deg, size {size} mm (P x R x S)"
        )


@dataclass(frozen=True)
class PhilipsVoxel:
    """Numbers of the Philips console: offcentre and angulation in the order AP, RL, FH (mm, degrees), edges too."""

    offcentre_mm: tuple[float, float, float]
    angulation_deg: tuple[float, float, float]
    size_mm: tuple[float, float, float]

    def text(self) -> str:
        """As the console shows it."""
        names = ("AP", "RL", "FH")

        def listed(values: tuple[float, float, float], digits: int) -> str:
            return ", ".join(f"{name} {value:.{digits}f}" for name, value in zip(names, values, strict=True))

        place, turn = listed(self.offcentre_mm, 2), listed(self.angulation_deg, 2)
        size = listed(self.size_mm, 1)
        return f"Offc. {place} mm; ang. {turn} deg; size {size} mm"


@dataclass(frozen=True)
class GeVoxel:
    """Numbers of the GE console: centre in RAS (mm), turns about R/L, A/P, S/I (degrees), the box's edges (mm)."""

    centre_mm: tuple[float, float, float]
    turns_deg: tuple[float, float, float]
    size_mm: tuple[float, float, float]

    def text(self) -> str:
        """As the console shows it."""
        place = _lettered([("L", "R"), ("P", "A"), ("I", "S")], self.centre_mm)
        size = " x ".join(f"{edge:.1f}" for edge in self.size_mm)
        turns = ", ".join(f"{n} {value:.1f}" for n, value in zip(("R/L", "A/P", "S/I"), self.turns_deg, strict=True))
        return f"Centre {place}, size {size} mm; turned by {turns} deg (draw it on the images)"


def _rounded(value: float, digits: int | None) -> float:
    return float(value) if digits is None else round(float(value), digits) + 0.0


def _three(values: Matrix, digits: int | None) -> tuple[float, float, float]:
    kept = [_rounded(value, digits) for value in values]
    return kept[0], kept[1], kept[2]


def _zero_phase(normal: Matrix) -> Matrix:
    """Phase direction (LPS) at rotation zero: in the yz plane for transversal slices, in the xy plane for others."""
    main = int(np.argmax(np.abs(normal)[[2, 1, 0]]))  # transversal goes before coronal before sagittal
    if main == 0:
        direction = np.array([0.0, normal[2], -normal[1]])
    elif main == 1:
        direction = np.array([normal[1], -normal[0], 0.0])
    else:
        direction = np.array([-normal[1], normal[0], 0.0])
    unit: Matrix = direction / np.linalg.norm(direction)
    return unit


def to_siemens(voxel: Voxel, digits: int | None = 1) -> SiemensVoxel:
    """Siemens' numbers, rounded as the console rounds (`digits=None`: not rounded).

    The edge whose axis lies nearest the head-feet axis is taken as slice direction, of the others the one nearer to
    zero rotation as phase direction: of the many ways to say one box this is the one with the smallest angles.
    """
    axes = voxel.axes * _TO_LPS[:, None]
    slice_axis = int(np.argmax(np.abs(axes[2])))
    normal = axes[:, slice_axis]
    order = sorted(range(3), key=lambda axis: -abs(normal[axis]))
    main, second, third = order
    normal = normal * (1.0 if normal[main] >= 0 else -1.0)
    angles = (
        _rounded(np.degrees(np.arctan2(normal[second], normal[main])), digits),
        _rounded(np.degrees(np.arcsin(np.clip(normal[third], -1.0, 1.0))), digits),
    )
    planes = "".join(_PLANES[axis] for axis in order)
    # The rotation counts from what the console makes of the rounded angles: at 45 degrees its zero jumps.
    normal = _siemens_normal(planes, angles)
    zero = _zero_phase(normal)
    others = [axis for axis in range(3) if axis != slice_axis]
    phase_axis = max(others, key=lambda axis: abs(float(axes[:, axis] @ zero)))
    phase = axes[:, phase_axis] * (1.0 if axes[:, phase_axis] @ zero >= 0 else -1.0)
    read_axis = 3 - slice_axis - phase_axis
    # Siemens: phase = cos(rotation) zero - sin(rotation) (normal x zero).
    rotation = np.degrees(np.arctan2(-float(phase @ np.cross(normal, zero)), float(phase @ zero)))
    return SiemensVoxel(
        _three(voxel.position_mm * _TO_LPS, digits),
        planes,
        angles,
        _rounded(rotation, digits),
        _three(voxel.size_mm[[phase_axis, read_axis, slice_axis]], digits),
    )


def _siemens_normal(planes: str, angles_deg: tuple[float, float]) -> Matrix:
    """Slice normal (LPS) of planes in order and their two angles."""
    first, other = np.radians(angles_deg)
    normal = np.zeros(3)
    for plane, value in zip(
        planes, (np.cos(first) * np.cos(other), np.sin(first) * np.cos(other), np.sin(other)), strict=True
    ):
        normal[_PLANES.index(plane)] = value
    return normal


def from_siemens(numbers: SiemensVoxel) -> Voxel:
    """The voxel that Siemens' numbers mean; its axes in the order phase, read, slice."""
    normal = _siemens_normal(numbers.planes, numbers.angles_deg)
    zero = _zero_phase(normal)
    turn = np.radians(numbers.rotation_deg)
    phase = np.cos(turn) * zero - np.sin(turn) * np.cross(normal, zero)
    axes = np.stack([phase, np.cross(normal, phase), normal], axis=1) * _TO_LPS[:, None]
    return Voxel(np.asarray(numbers.position_mm) * _TO_LPS, np.asarray(numbers.size_mm), axes)


def _turn(axis: int, angle_deg: float) -> Matrix:
    """Rotation about one of the axes, right-handed."""
    cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    turned = np.eye(3)
    one, two = (axis + 1) % 3, (axis + 2) % 3
    turned[one, one] = turned[two, two] = cosine
    turned[two, one], turned[one, two] = sine, -sine
    return turned


def _angles_xyz(rotation: Matrix) -> Matrix:
    """Angles (degrees) with rotation = X(a) Y(b) Z(c)."""
    middle = np.arcsin(np.clip(rotation[0, 2], -1.0, 1.0))
    first = np.arctan2(-rotation[1, 2], rotation[2, 2])
    last = np.arctan2(-rotation[0, 1], rotation[0, 0])
    angles: Matrix = np.degrees([first, middle, last])
    return angles


def _near_axes(voxel: Voxel) -> tuple[Matrix, Matrix]:
    """Axes and edge lengths in the order R, A, S: each axis of the box to the scanner axis it lies nearest to."""
    best = max(
        ((i, j, 3 - i - j) for i in range(3) for j in range(3) if i != j),
        key=lambda order: sum(abs(voxel.axes[row, column]) for row, column in enumerate(order)),
    )
    axes = voxel.axes[:, best]
    axes = axes * np.where(np.diag(axes) < 0, -1.0, 1.0)
    if np.linalg.det(axes) < 0:  # keep a rotation: turn the axis that fits worst
        worst = int(np.argmin(np.diag(axes)))
        axes[:, worst] *= -1.0
    return axes, voxel.size_mm[list(best)]


def to_philips(voxel: Voxel, digits: int | None = 2) -> PhilipsVoxel:
    """Philips' numbers, rounded as the console rounds (`digits=None`: not rounded)."""
    axes, size = _near_axes(voxel)
    right, front, head = _angles_xyz(axes)
    x, y, z = voxel.position_mm
    return PhilipsVoxel(
        _three(np.array([-y, -x, z]), digits),
        _three(np.array([-front, -right, head]), digits),
        _three(size[[1, 0, 2]], digits),
    )


def from_philips(numbers: PhilipsVoxel) -> Voxel:
    """The voxel that Philips' numbers mean; its axes in the order R, A, S."""
    (ap, rl, fh), (turn_ap, turn_rl, turn_fh), (size_ap, size_rl, size_fh) = (
        numbers.offcentre_mm, numbers.angulation_deg, numbers.size_mm,
    )  # fmt: skip
    axes = _turn(0, -turn_rl) @ _turn(1, -turn_ap) @ _turn(2, turn_fh)
    return Voxel(np.array([-rl, -ap, fh]), np.array([size_rl, size_ap, size_fh]), axes)


def to_ge(voxel: Voxel, digits: int | None = 1) -> GeVoxel:
    """GE's numbers, rounded as the console rounds (`digits=None`: not rounded)."""
    axes, size = _near_axes(voxel)
    # About the fixed axes R/L, A/P, S/I: rotation = Z(c) Y(b) X(a), whose transpose is X(-a) Y(-b) Z(-c).
    return GeVoxel(_three(voxel.position_mm, digits), _three(-_angles_xyz(axes.T), digits), _three(size, digits))


def from_ge(numbers: GeVoxel) -> Voxel:
    """The voxel that GE's numbers mean; its axes in the order R, A, S."""
    a, b, c = numbers.turns_deg
    return Voxel(np.asarray(numbers.centre_mm), np.asarray(numbers.size_mm), _turn(2, c) @ _turn(1, b) @ _turn(0, a))


def _ge_text(voxel: Voxel) -> str:
    """GE's console takes no angles: what is lost if the box is left along the scanner's axes is said beside them."""
    numbers = to_ge(voxel)
    if not any(numbers.turns_deg):
        return numbers.text()
    unturned = Voxel(voxel.position_mm, np.asarray(numbers.size_mm), np.eye(3))
    share = f"; unturned, the box holds {100 * voxel.share_of(unturned):.0f} % of the tissue)"
    return numbers.text().removesuffix(")") + share


def console_texts(voxel: Voxel) -> dict[str, str]:
    """What to type in, by vendor."""
    return {"Siemens": to_siemens(voxel).text(), "Philips": to_philips(voxel).text(), "GE": _ge_text(voxel)}
