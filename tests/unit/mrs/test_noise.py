"""Noise covariance from few samples: what the weights made with it lose."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from scanner_agent.mrs.noise import second_moment, shrunk_covariance


def _white(rng: np.random.Generator, *shape: int) -> NDArray[np.complex128]:
    return np.asarray((rng.normal(size=shape) + 1j * rng.normal(size=shape)) / np.sqrt(2))


def _kept(correlation: float, per_coil: int, *, shrunk: bool, n_coils: int = 32) -> float:
    """S/N of least-squares weights over the best, mean of a few draws."""
    rng = np.random.default_rng(int(100 * correlation) + per_coil)
    found = []
    for _ in range(4):
        mix = np.diag(np.exp(0.3 * rng.normal(size=n_coils)))
        mix = mix + correlation * _white(rng, n_coils, n_coils) / np.sqrt(n_coils)
        truth, coils = mix @ mix.conj().T, _white(rng, n_coils)
        moment = second_moment(mix @ _white(rng, n_coils, per_coil * n_coils))
        used = shrunk_covariance(moment, per_coil * n_coils) if shrunk else moment
        weights = np.linalg.solve(used, coils)
        got = abs(np.vdot(weights, coils)) / np.sqrt(np.real(weights.conj() @ truth @ weights))
        found.append(got / np.sqrt(np.real(coils.conj() @ np.linalg.solve(truth, coils))))
    return float(np.mean(found))


@pytest.mark.parametrize("per_coil", [5, 20, 50])
@pytest.mark.parametrize("correlation", [0.0, 0.2, 0.5, 1.0])
def test_shrinking_never_costs_what_it_should_save(correlation: float, per_coil: int) -> None:
    with_it, without = (_kept(correlation, per_coil, shrunk=s) for s in (True, False))
    # Five samples a coil: scatter of the shrinkage itself.
    assert with_it > without - (0.06 if per_coil == 5 else 0.01)
    if correlation < 0.3:
        assert 1 - with_it < 0.9 * (1 - without)


def test_strong_correlations_are_kept_and_none_are_made_up() -> None:
    # As much was shrunk as makes the matrix's own error least: 0.54 of the S/N was left here.
    assert _kept(1.0, 20, shrunk=True) > 0.96
    assert _kept(0.0, 5, shrunk=True) > 0.99
