"""Spin-1/2 operators of small proton systems in the product basis, as dense matrices.

States count from all spins up (bit 0) to all down (bit 1); the first spin is the highest bit. Energies in Hz.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SpinBasis:
    """Operators that depend on the number of spins only; d = 2^n_spins."""

    n_spins: int
    """Number of protons."""
    z: NDArray[np.float64]
    """(n_spins, d) quantum number of each spin in each state."""
    raising: NDArray[np.float64]
    """(d, d) sum of the raising operators, F+."""
    order: NDArray[np.int64]
    """(d, d) coherence order of each element of a density matrix: quantum number of its row minus of its column."""

    @property
    def total_z(self) -> NDArray[np.float64]:
        """(d,) quantum number of Fz of each state."""
        return np.asarray(self.z.sum(axis=0))


def spin_basis(n_spins: int) -> SpinBasis:
    """Operators of `n_spins` protons."""
    states = np.arange(2**n_spins)
    bits = (states[None, :] >> np.arange(n_spins - 1, -1, -1)[:, None]) & 1
    z: NDArray[np.float64] = np.asarray(0.5 - bits, dtype=np.float64)
    raising = np.zeros((len(states), len(states)))
    for spin in range(n_spins):
        flip = 1 << (n_spins - 1 - spin)
        down = states[bits[spin] == 1]
        raising[down ^ flip, down] += 1.0
    total = z.sum(axis=0)
    return SpinBasis(n_spins, z, raising, np.rint(total[:, None] - total[None, :]).astype(np.int64))


def hamiltonian_hz(
    basis: SpinBasis, offsets_hz: NDArray[np.float64], couplings_hz: Mapping[tuple[int, int], float]
) -> NDArray[np.float64]:
    """H/h (d, d), real symmetric: `sum offsets Iz + sum J I.I` with full (strong) coupling.

    `offsets_hz`: (n_spins,) FID frequencies in the stored convention; couplings by pairs of spins counted from 1.
    """
    energy = basis.z.T @ offsets_hz
    hamiltonian = np.diag(energy)
    states = np.arange(len(energy))
    for (i, j), coupling in couplings_hz.items():
        first, second = basis.z[i - 1], basis.z[j - 1]
        hamiltonian[states, states] += coupling * first * second
        opposite = states[first != second]
        swapped = opposite ^ (1 << (basis.n_spins - i)) ^ (1 << (basis.n_spins - j))
        hamiltonian[opposite, swapped] += coupling / 2.0
    return hamiltonian


def rotation_x(n_spins: int, angle_rad: float) -> NDArray[np.complex128]:
    """Propagator (d, d) of a hard pulse about x."""
    one = np.array(
        [[np.cos(angle_rad / 2), -1j * np.sin(angle_rad / 2)], [-1j * np.sin(angle_rad / 2), np.cos(angle_rad / 2)]]
    )
    whole = np.ones((1, 1), dtype=np.complex128)
    for _ in range(n_spins):
        whole = np.kron(whole, one)
    return whole
