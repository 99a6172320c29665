"""Proton spin systems of brain metabolites and phantoms: shifts and couplings, each with its source.

Shifts in ppm (DSS scale, 37 degrees C, pH 7), couplings in Hz.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

GOVINDARAJU_2000 = (
    "Govindaraju, Young, Maudsley 2000, NMR Biomed 13:129, 10.1002/1099-1492(200005)13:3<129::AID-NBM619>3.0.CO;2-V"
)
GOVINDARAJU_2015 = "Govind, Young, Maudsley 2015 (corrigendum), NMR Biomed 28:923, 10.1002/nbm.3336"
NEAR_2013 = "Near et al. 2013, Magn Reson Med 70:1183, 10.1002/mrm.24572"
SPANT_ROOM = (
    "Govindaraju 2000, moved for room temperature as in spant "
    "(Wilson 2021, J Open Source Softw 6:3646, 10.21105/joss.03646)"
)


@dataclass(frozen=True)
class HeteroNucleus:
    """A nucleus that protons couple to but that no proton pulse turns: it only splits lines (weak coupling)."""

    nucleus: str
    """31P or 14N."""
    states: tuple[float, ...]
    """Magnetic quantum numbers, equally populated."""
    couplings_hz: Mapping[int, float]
    """Coupling to each proton it touches; protons count from 1."""


@dataclass(frozen=True)
class SpinGroup:
    """Protons that couple to one another, simulated together."""

    shifts_ppm: tuple[float, ...]
    """Of each proton, in order; protons count from 1 in the couplings."""
    couplings_hz: Mapping[tuple[int, int], float] = field(default_factory=dict)
    """Scalar couplings of pairs (i, j), i < j."""
    weight: float = 1.0
    """How many times the group stands in the molecule: 3 for a CH3 without couplings, a fraction for an anomer."""
    hetero: tuple[HeteroNucleus, ...] = ()
    """31P and 14N partners."""

    def __post_init__(self) -> None:
        """Refuse couplings to protons that are not there."""
        n = len(self.shifts_ppm)
        if any(not 1 <= i < j <= n for i, j in self.couplings_hz):
            raise ValueError(f"a coupling names a proton outside 1..{n}")
        if any(not 1 <= i <= n for partner in self.hetero for i in partner.couplings_hz):
            raise ValueError(f"a heteronuclear coupling names a proton outside 1..{n}")


@dataclass(frozen=True)
class SpinSystem:
    """One metabolite."""

    name: str
    """LCModel's abbreviation."""
    title: str
    """In words."""
    groups: tuple[SpinGroup, ...]
    """Groups without couplings between them."""
    source: str
    """Where shifts and couplings come from."""

    @property
    def n_protons(self) -> float:
        """Protons of the molecule that the groups hold."""
        return sum(group.weight * len(group.shifts_ppm) for group in self.groups)


def _singlet(ppm: float, n_protons: float) -> SpinGroup:
    return SpinGroup((ppm,), weight=n_protons)


def _phosphorus(couplings_hz: Mapping[int, float]) -> HeteroNucleus:
    return HeteroNucleus("31P", (-0.5, 0.5), couplings_hz)


def _nitrogen(couplings_hz: Mapping[int, float]) -> HeteroNucleus:
    return HeteroNucleus("14N", (-1.0, 0.0, 1.0), couplings_hz)


_GLU_COUPLINGS = {
    (1, 2): 7.331,
    (1, 3): 4.651,
    (2, 3): -14.849,
    (2, 4): 6.413,
    (2, 5): 8.406,
    (3, 4): 8.478,
    (3, 5): 6.875,
    (4, 5): -15.915,
}
_INS_COUPLINGS = {(1, 2): 2.889, (1, 6): 9.998, (2, 3): 3.006, (3, 4): 9.997, (4, 5): 9.485, (5, 6): 9.482}
_NAA_COUPLINGS = {(1, 2): 3.861, (1, 3): 9.821, (2, 3): -15.592, (1, 4): 6.4}

BRAIN: dict[str, SpinSystem] = {
    system.name: system
    for system in (
        SpinSystem(
            "NAA",
            "N-acetylaspartate",
            (_singlet(2.008, 3), SpinGroup((4.3817, 2.6727, 2.4863, 7.8205), _NAA_COUPLINGS)),
            GOVINDARAJU_2000,
        ),
        SpinSystem(
            "NAAG",
            "N-acetylaspartylglutamate",
            (
                _singlet(2.042, 3),
                SpinGroup((4.607, 2.721, 2.519, 8.260), {(1, 2): 4.412, (1, 3): 9.515, (1, 4): 7.32, (2, 3): -15.91}),
                SpinGroup(
                    (4.128, 2.049, 1.881, 2.18, 2.19, 7.950),
                    {
                        (1, 2): 4.61,
                        (1, 3): 8.42,
                        (1, 6): 7.46,
                        (2, 3): -14.28,
                        (2, 4): 10.56,
                        (2, 5): 6.09,
                        (3, 4): 4.9,
                        (3, 5): 11.11,
                        (4, 5): -15.28,
                    },
                ),
            ),
            GOVINDARAJU_2000,
        ),
        SpinSystem("Cr", "creatine", (_singlet(3.027, 3), _singlet(3.913, 2)), GOVINDARAJU_2000),
        SpinSystem("PCr", "phosphocreatine", (_singlet(3.029, 3), _singlet(3.930, 2)), GOVINDARAJU_2000),
        SpinSystem(
            "GPC",
            "glycerophosphocholine",
            (
                _singlet(3.212, 9),
                SpinGroup(
                    (4.312, 4.312, 3.659, 3.659),
                    {(1, 2): -9.32, (1, 3): 3.1, (1, 4): 5.9, (2, 3): 5.9, (2, 4): 3.1, (3, 4): -9.32},
                    hetero=(_phosphorus({1: 6.03, 2: 6.03}), _nitrogen({1: 2.67, 2: 2.67})),
                ),
                SpinGroup(
                    (3.605, 3.672, 3.903, 3.871, 3.946),
                    {(1, 2): -14.78, (1, 3): 5.77, (2, 3): 4.53, (3, 4): 5.77, (3, 5): 4.53, (4, 5): -14.78},
                    hetero=(_phosphorus({4: 6.03, 5: 6.03}),),
                ),
            ),
            GOVINDARAJU_2015,
        ),
        SpinSystem(
            "PCh",
            "phosphocholine",
            (
                _singlet(3.208, 9),
                SpinGroup(
                    (4.2805, 4.2805, 3.641, 3.641),
                    {(1, 2): -14.89, (1, 3): 2.284, (1, 4): 7.231, (2, 3): 7.326, (2, 4): 2.235, (3, 4): -14.19},
                    hetero=(_phosphorus({1: 6.298, 2: 6.249}), _nitrogen({1: 2.68, 2: 2.772})),
                ),
            ),
            GOVINDARAJU_2015,
        ),
        SpinSystem(
            "Glu", "glutamate", (SpinGroup((3.7433, 2.0375, 2.1200, 2.3378, 2.352), _GLU_COUPLINGS),), GOVINDARAJU_2000
        ),
        SpinSystem(
            "Gln",
            "glutamine",
            (
                SpinGroup(
                    (3.753, 2.129, 2.109, 2.432, 2.454),
                    {
                        (1, 2): 5.847,
                        (1, 3): 6.5,
                        (2, 3): -14.504,
                        (2, 4): 9.165,
                        (2, 5): 6.347,
                        (3, 4): 6.324,
                        (3, 5): 9.209,
                        (4, 5): -15.371,
                    },
                ),
            ),
            GOVINDARAJU_2000,
        ),
        SpinSystem(
            "GABA",
            "gamma-aminobutyric acid",
            (
                SpinGroup(
                    (2.284, 2.284, 1.888, 1.888, 3.013, 3.013),
                    {
                        (1, 2): -15.938,
                        (1, 3): 7.678,
                        (1, 4): 6.980,
                        (2, 3): 6.980,
                        (2, 4): 7.678,
                        (3, 4): -15.000,
                        (3, 5): 8.510,
                        (3, 6): 6.503,
                        (4, 5): 6.503,
                        (4, 6): 8.510,
                        (5, 6): -14.062,
                    },
                ),
            ),
            NEAR_2013,
        ),
        SpinSystem(
            "GSH",
            "glutathione",
            (
                _singlet(3.769, 2),
                SpinGroup((4.5608, 2.9264, 2.9747), {(1, 2): 7.09, (1, 3): 4.71, (2, 3): -14.06}),
                SpinGroup(
                    (3.769, 2.159, 2.146, 2.510, 2.560),
                    {
                        (1, 2): 6.34,
                        (1, 3): 6.36,
                        (2, 3): -15.48,
                        (2, 4): 6.7,
                        (2, 5): 7.6,
                        (3, 4): 7.6,
                        (3, 5): 6.7,
                        (4, 5): -15.92,
                    },
                ),
            ),
            GOVINDARAJU_2000,
        ),
        SpinSystem(
            "Ins",
            "myo-inositol",
            (SpinGroup((3.5217, 4.0538, 3.5217, 3.6144, 3.269, 3.6144), _INS_COUPLINGS),),
            GOVINDARAJU_2000,
        ),
        SpinSystem("sIns", "scyllo-inositol", (_singlet(3.34, 6),), GOVINDARAJU_2000),
        SpinSystem(
            "Tau",
            "taurine",
            (
                SpinGroup(
                    (3.4206, 3.4206, 3.2459, 3.2459),
                    {(1, 2): -12.438, (1, 3): 6.742, (1, 4): 6.464, (2, 3): 6.403, (2, 4): 6.792, (3, 4): -12.93},
                ),
            ),
            GOVINDARAJU_2015,
        ),
        SpinSystem(
            "Asp",
            "aspartate",
            (SpinGroup((3.8914, 2.8011, 2.6533), {(1, 2): 3.647, (1, 3): 9.107, (2, 3): -17.426}),),
            GOVINDARAJU_2000,
        ),
        SpinSystem(
            "Asc",
            "ascorbate",
            (
                SpinGroup(
                    (4.4965, 4.0072, 3.7469, 3.7194), {(1, 2): 2.055, (2, 3): 5.78, (2, 4): 7.373, (3, 4): -11.585}
                ),
            ),
            GOVINDARAJU_2000,
        ),
        SpinSystem(
            "Lac",
            "lactate",
            (SpinGroup((4.0974, 1.3142, 1.3142, 1.3142), {(1, 2): 6.933, (1, 3): 6.933, (1, 4): 6.933}),),
            GOVINDARAJU_2000,
        ),
        SpinSystem(
            "Ala",
            "alanine",
            (
                SpinGroup(
                    (3.7746, 1.4667, 1.4667, 1.4667),
                    {(1, 2): 7.234, (1, 3): 7.234, (1, 4): 7.234, (2, 3): -14.366, (2, 4): -14.366, (3, 4): -14.366},
                ),
            ),
            GOVINDARAJU_2000,
        ),
        SpinSystem(
            "PE",
            "phosphorylethanolamine",
            (
                SpinGroup(
                    (3.9765, 3.9765, 3.216, 3.216),
                    {(1, 2): -14.56, (1, 3): 3.182, (1, 4): 6.716, (2, 3): 7.204, (2, 4): 2.980, (3, 4): -14.71},
                    hetero=(_phosphorus({1: 7.288, 2: 7.088}), _nitrogen({1: 0.464, 2: 0.588})),
                ),
            ),
            GOVINDARAJU_2000,
        ),
        SpinSystem("Gly", "glycine", (_singlet(3.548, 2),), GOVINDARAJU_2000),
        SpinSystem(
            "Glc",
            "glucose (anomers in equilibrium)",
            (
                SpinGroup(
                    (5.216, 3.519, 3.698, 3.395, 3.822, 3.826, 3.749),
                    {(1, 2): 3.8, (2, 3): 9.6, (3, 4): 9.4, (4, 5): 9.9, (5, 6): 1.5, (5, 7): 6.0, (6, 7): -12.1},
                    weight=0.36,
                ),
                SpinGroup(
                    (4.630, 3.230, 3.473, 3.387, 3.450, 3.882, 3.707),
                    {(1, 2): 8.0, (2, 3): 9.1, (3, 4): 9.4, (4, 5): 8.9, (5, 6): 1.6, (5, 7): 5.4, (6, 7): -12.3},
                    weight=0.64,
                ),
            ),
            GOVINDARAJU_2000,
        ),
    )
}
"""Brain metabolites at 37 degrees C, by name."""

_LAC_ROOM = SpinGroup((4.0974, 1.3142, 1.3142, 1.3142), {(1, 2): 6.833, (1, 3): 6.833, (1, 4): 6.833})

ACETATE_LACTATE_PHANTOM: dict[str, SpinSystem] = {
    "Ace": SpinSystem("Ace", "acetate", (_singlet(1.904, 3),), GOVINDARAJU_2000),
    "Lac": SpinSystem("Lac", "lactate, room temperature", (_LAC_ROOM,), SPANT_ROOM),
}
"""The common Siemens sphere (sodium acetate, lithium lactate) at room temperature."""

_GABA_ROOM = replace(BRAIN["GABA"].groups[0], shifts_ppm=(2.284, 2.284, 1.888, 1.888, 3.005, 3.005))

BRAIN_PHANTOM: dict[str, SpinSystem] = {
    "NAA": SpinSystem(
        "NAA",
        "N-acetylaspartate, room temperature",
        (_singlet(2.008, 3), SpinGroup((4.3817, 2.681, 2.4845, 7.8205), _NAA_COUPLINGS)),
        SPANT_ROOM,
    ),
    "Cr": BRAIN["Cr"],
    "Cho": SpinSystem(
        "Cho",
        "choline",
        (
            _singlet(3.185, 9),
            SpinGroup(
                (4.054, 4.054, 3.501, 3.501),
                {(1, 2): -14.1, (1, 3): 3.140, (1, 4): 6.979, (2, 3): 7.011, (2, 4): 3.168, (3, 4): -14.07},
                hetero=(_nitrogen({1: 2.572, 2: 2.681}),),
            ),
        ),
        GOVINDARAJU_2000,
    ),
    "Ins": SpinSystem(
        "Ins",
        "myo-inositol, room temperature",
        (SpinGroup((3.5217, 4.0538, 3.5217, 3.608, 3.265, 3.608), _INS_COUPLINGS),),
        SPANT_ROOM,
    ),
    "Glu": SpinSystem(
        "Glu",
        "glutamate, room temperature",
        (SpinGroup((3.75, 2.0475, 2.1200, 2.3378, 2.352), _GLU_COUPLINGS),),
        SPANT_ROOM,
    ),
    "Lac": ACETATE_LACTATE_PHANTOM["Lac"],
    "GABA": SpinSystem("GABA", "gamma-aminobutyric acid, room temperature", (_GABA_ROOM,), SPANT_ROOM),
}
"""A brain-like phantom (NAA, Cr, choline, myo-inositol, Glu, Lac; GABA in some) at room temperature."""

COLLECTIONS: dict[str, dict[str, SpinSystem]] = {
    "brain": BRAIN,
    "acetate_lactate_phantom": ACETATE_LACTATE_PHANTOM,
    "brain_phantom": BRAIN_PHANTOM,
}
"""By the name that `basis simulate --sample` takes."""
