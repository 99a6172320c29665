"""Vendors' notations of a voxel: round trips, and what real headers say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scanner_agent.placement import Voxel, voxel_of_file
from scanner_agent.placement.notation import (
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


@pytest.mark.parametrize("vendor", VENDORS)
def test_round_trip_of_double_oblique_voxels(vendor: str) -> None:
    there, back = VENDORS[vendor]
    for voxel in random_voxels():
        assert same_box(voxel, back(there(voxel, digits=None))) == pytest.approx((0, 0, 0), abs=1e-4)
        rounded = there(voxel)
        place, edge, turn = same_box(voxel, back(rounded))
        assert place <= 0.0501
        assert edge <= 0.0501
        assert turn <= 0.12  # three angles, each within 0.05 degrees


@pytest.mark.parametrize("vendor", VENDORS)
def test_rounded_numbers_are_within_half_a_step(vendor: str) -> None:
    there, _ = VENDORS[vendor]
    for voxel in random_voxels(100):
        exact, rounded = there(voxel, digits=None), there(voxel)
        for name in exact.__dataclass_fields__:
            value, shown = getattr(exact, name), getattr(rounded, name)
            if isinstance(value, str):
                assert value == shown
            else:
                np.testing.assert_allclose(np.atleast_1d(value), np.atleast_1d(shown), atol=0.0501)


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


def test_shares_and_corners() -> None:
    voxel = Voxel(np.zeros(3), np.array([20.0, 20.0, 20.0]), np.eye(3))
    motion = np.eye(4)
    motion[0, 3] = 5.0
    assert voxel.share_of(voxel.moved(motion)) == pytest.approx(0.75, abs=0.02)
    np.testing.assert_allclose(voxel.moved(motion).corners() - voxel.corners(), [[5.0, 0.0, 0.0]] * 8)
    vector = np.array([3.0, -40.0, 12.0])
    np.testing.assert_allclose(rotation_vector_deg(rotation_of(vector)), vector, atol=1e-9)
