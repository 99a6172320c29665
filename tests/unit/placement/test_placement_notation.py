"""Vendors' notations of a voxel: round trips, and what real headers say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scanner_agent.placement import Voxel, voxel_of_file
from scanner_agent.placement.notation import (
    console_texts,
    from_ge,
    from_philips,
    from_siemens,
    to_ge,
    to_philips,
    to_siemens,
)
from scanner_agent.placement.voxel import rotation_of, rotation_vector_deg

VENDORS = {"siemens": (to_siemens, from_siemens), "philips": (to_philips, from_philips), "ge": (to_ge, from_ge)}


def random_voxels(n: int = 300) -> list[Voxel]:
    rng = np.random.default_rng(8)
    return [
        Voxel(rng.uniform(-80, 80, 3), rng.uniform(10, 40, 3), rotation_of(rng.normal(size=3) * rng.uniform(0, 40)))
        for _ in range(n)
    ]


def same_box(one: Voxel, other: Voxel) -> tuple[float, float, float]:
    """Largest differences of two boxes, whatever the order and sign of their axes: mm, mm of edges, degrees."""
    cosines = np.abs(one.axes.T @ other.axes)
    order = np.argmax(cosines, axis=1)
    sines = np.linalg.norm(np.cross(one.axes, other.axes[:, order], axis=0), axis=0)
    turn = float(np.degrees(np.arcsin(np.minimum(sines, 1.0))).max())
    return (
        float(np.abs(one.position_mm - other.position_mm).max()),
        float(np.abs(one.size_mm - other.size_mm[order]).max()),
        turn,
    )


TURN_DEG = {"siemens": 0.09, "philips": 0.012, "ge": 0.112}
"""Three angles, each within half a step (0.1 degrees; Philips 0.01), about axes of which two may nearly be one: the
whole box is within sqrt(5) half steps; of Siemens' the last makes up for the others.
"""
number = st.floats(-80.0, 80.0, width=32)


@given(
    place=st.tuples(number, number, number),
    size=st.tuples(*[st.floats(8.0, 60.0, width=32)] * 3),
    turn=st.tuples(*[st.floats(-60.0, 60.0, width=32)] * 3),
    vendor=st.sampled_from(sorted(VENDORS)),
)
@settings(max_examples=300, deadline=None)
@example(place=(0.0, 0.0, 0.0), size=(20.0, 20.0, 20.0), turn=(0.0, 0.0, 0.0), vendor="siemens")
@example(place=(0.0, 0.0, 0.0), size=(20.0, 20.0, 20.0), turn=(45.0, 0.0, 0.0), vendor="siemens")
@example(place=(0.0, 0.0, 0.0), size=(20.0, 20.0, 20.0), turn=(20.0, 45.03, 10.0), vendor="siemens")
@example(place=(0.0, 0.0, 0.0), size=(20.0, 30.0, 40.0), turn=(0.0, 45.0, 45.0), vendor="philips")
def test_round_trip_of_double_oblique_voxels(
    place: tuple[float, ...], size: tuple[float, ...], turn: tuple[float, ...], vendor: str
) -> None:
    there, back = VENDORS[vendor]
    voxel = Voxel(np.array(place), np.array(size), rotation_of(np.array(turn)))
    assert same_box(voxel, back(there(voxel, digits=None))) == pytest.approx((0, 0, 0), abs=1e-4)
    away, edge, turned = same_box(voxel, back(there(voxel)))
    assert away <= 0.0501
    assert edge <= 0.0501
    assert turned <= TURN_DEG[vendor]


@pytest.mark.parametrize("vendor", VENDORS)
def test_rounded_numbers_are_within_half_a_step(vendor: str) -> None:
    there, _ = VENDORS[vendor]
    for voxel in random_voxels(100):
        exact, rounded = there(voxel, digits=None), there(voxel)
        for name in exact.__dataclass_fields__:
            value, shown = getattr(exact, name), getattr(rounded, name)
            if isinstance(value, str):
                assert value == shown
            else:  # Siemens' rotation also makes up for the rounding of the two angles before it
                step = 0.12 if name == "rotation_deg" else 0.0501
                np.testing.assert_allclose(np.atleast_1d(value), np.atleast_1d(shown), atol=step, rtol=0.0)


def test_the_texts_read_like_the_consoles() -> None:
    voxel = Voxel(np.array([6.7345, -38.1805, 18.9785]), np.array([26.0, 26.0, 30.0]), np.eye(3))
    assert to_siemens(voxel).text() == (
        "Position R6.7 P38.2 H19.0, orientation T, rotation 0.0 deg, size 26 x 26 x 30 mm (P x R x S)"
    )
    assert (
        to_philips(voxel).text().startswith("Offc. AP 38.18, RL -6.73, FH 18.98 mm; ang. AP 0.00, RL 0.00, FH 0.00 deg")
    )
    assert to_ge(voxel).text().startswith("Centre R6.7 P38.2 S19.0, size 26.0 x 26.0 x 30.0 mm")


def test_philips_numbers_are_those_of_the_real_spar(shared_data: Path) -> None:
    path = shared_data / "real/philips_3t_t1_and_voxel/press35_act.SPAR"
    told = dict(
        line.split(":", 1) for line in path.read_text().splitlines() if ":" in line and not line.startswith("!")
    )
    told = {key.strip(): value.strip() for key, value in told.items()}
    numbers = to_philips(voxel_of_file(path), digits=None)
    for prefix, angle, place, edge in zip(
        ("ap", "lr", "cc"), numbers.angulation_deg, numbers.offcentre_mm, numbers.size_mm, strict=True
    ):
        assert angle == pytest.approx(float(told[f"{prefix}_angulation"]), abs=1e-4)
        assert place == pytest.approx(float(told[f"{prefix}_off_center"]), abs=1e-4)
        assert edge == pytest.approx(float(told[f"{prefix}_size"]), abs=1e-4)


def test_siemens_numbers_are_those_of_the_real_rda(shared_data: Path) -> None:
    path = shared_data / "real/siemens_svs_formats/svs_30.rda"
    head = path.read_bytes()[:4000].decode("latin-1").splitlines()
    told = {key: value.strip() for key, _, value in (line.partition(":") for line in head)}
    numbers = to_siemens(voxel_of_file(path), digits=None)
    assert numbers.position_mm == pytest.approx(
        [float(told[f"VOIPosition{axis}"]) for axis in ("Sag", "Cor", "Tra")], abs=1e-4
    )
    assert numbers.planes == "TCS"
    normal = np.array([float(told[f"VOINormal{axis}"]) for axis in ("Sag", "Cor", "Tra")])
    assert numbers.angles_deg[0] == pytest.approx(np.degrees(np.arctan2(normal[1], normal[2])), abs=1e-3)
    assert numbers.angles_deg[1] == pytest.approx(np.degrees(np.arcsin(normal[0])), abs=1e-3)
    # A box turned by half a turn is the same box; the header's rotation is in radians.
    turn = (np.degrees(float(told["VOIRotationInPlane"])) - numbers.rotation_deg) / 180.0
    assert turn == pytest.approx(round(turn), abs=1e-4)
    assert numbers.size_mm == pytest.approx(
        [float(told[f"VOI{edge}"]) for edge in ("PhaseFOV", "ReadoutFOV", "Thickness")], abs=1e-3
    )


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["philips", "press35_act.SDAT", "press35_act.SPAR"], "philips_3t_t1_and_voxel/press35_act.SPAR"),
        (["rda", "svs_30.rda"], "siemens_svs_formats/svs_30.rda"),
    ],
)
def test_what_the_console_takes_is_the_affine_that_spec2nii_writes(
    arguments: list[str], file: str, shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "real" / file
    converted = [arguments[0], *(str(path.parent / name) for name in arguments[1:]), "-o", str(tmp_path), "-f", "x"]
    spec2nii = Path(sys.executable).with_name("spec2nii")
    subprocess.run([str(spec2nii), *converted], check=True, capture_output=True, timeout=100)
    affine = nib.load(tmp_path / "x.nii.gz").affine
    size = np.linalg.norm(affine[:3, :3], axis=0)
    theirs = Voxel(affine[:3, 3], size, affine[:3, :3] / size)
    for there, back in VENDORS.values():
        away, edge, turned = same_box(theirs, back(there(voxel_of_file(path))))
        assert away <= 0.0501
        assert edge <= 0.0501
        assert turned <= 0.112


def test_a_console_that_cannot_turn_the_box_is_told_what_that_costs() -> None:
    straight = Voxel(np.zeros(3), np.array([20.0, 20.0, 20.0]), np.eye(3))
    assert "unturned" not in console_texts(straight)["GE"]
    turned = Voxel(np.zeros(3), np.array([20.0, 20.0, 20.0]), rotation_of(np.array([0.0, 0.0, 45.0])))
    # Two squares turned by 45 degrees share 2 (sqrt(2) - 1) of their area.
    told = re.search(r"; unturned, the box holds (\d+) % of the tissue\)$", console_texts(turned)["GE"])
    assert told is not None
    assert int(told.group(1)) == pytest.approx(82.8, abs=1.0)


def test_shares_and_corners() -> None:
    voxel = Voxel(np.zeros(3), np.array([20.0, 20.0, 20.0]), np.eye(3))
    motion = np.eye(4)
    motion[0, 3] = 5.0
    assert voxel.share_of(voxel.moved(motion)) == pytest.approx(0.75, abs=0.02)
    np.testing.assert_allclose(voxel.moved(motion).corners() - voxel.corners(), [[5.0, 0.0, 0.0]] * 8)
    vector = np.array([3.0, -40.0, 12.0])
    np.testing.assert_allclose(rotation_vector_deg(rotation_of(vector)), vector, atol=1e-9)
