"""Spin systems, simulation of sequences, and basis sets."""

from scanner_agent.basis.basis_set import BasisSet, LineList
from scanner_agent.basis.load import load_basis

__all__ = ["BasisSet", "LineList", "load_basis"]
