"""Spin systems, simulation of sequences, and basis sets."""

from scanner_agent.basis.basis_set import BasisSet, LineList
from scanner_agent.basis.cache import simulate_cached
from scanner_agent.basis.edit_pulses import EditPulse
from scanner_agent.basis.load import check_fits, load_basis, shipped_names
from scanner_agent.basis.sequences import MegaPress, Press, SemiLaser, Sequence, Steam
from scanner_agent.basis.shipped import SHIPPED, basis_for_scan
from scanner_agent.basis.simulation import simulate_basis
from scanner_agent.basis.spin_systems import COLLECTIONS, SpinGroup, SpinSystem

__all__ = [
    "COLLECTIONS",
    "SHIPPED",
    "BasisSet",
    "EditPulse",
    "LineList",
    "MegaPress",
    "Press",
    "SemiLaser",
    "Sequence",
    "SpinGroup",
    "SpinSystem",
    "Steam",
    "basis_for_scan",
    "check_fits",
    "load_basis",
    "shipped_names",
    "simulate_basis",
    "simulate_cached",
]
