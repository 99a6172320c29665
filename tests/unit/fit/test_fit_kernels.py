from __future__ import annotations

import numpy as np
import pytest

from scanner_agent.fit.kernels import (
    best_phase_and_shift,
    cholesky,
    half_solved,
    nonnegative,
    shaped,
    solve_positive,
)
from tests.reference import fit_twins


@pytest.mark.parametrize("seed", range(20))
def test_nonnegative_agrees_with_its_twin_from_any_free_set(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 25))
    design = rng.standard_normal((40, n)) + 0.5 * rng.standard_normal((40, 1))
    gram = design.T @ design + 1e-9 * np.eye(n)
    right = design.T @ rng.standard_normal(40)
    expected = fit_twins.nonnegative(gram, right)
    for free in (np.zeros(n, dtype=np.bool_), np.ones(n, dtype=np.bool_), rng.random(n) > 0.5):
        x, support = nonnegative(gram, right, free)
        np.testing.assert_allclose(x, expected, atol=1e-6 * max(1.0, np.abs(expected).max()))
        assert np.array_equal(support, x > 0)


def test_nonnegative_of_nothing_positive_is_zero() -> None:
    x, support = nonnegative(np.eye(3), -np.ones(3), np.ones(3, dtype=np.bool_))
    assert not x.any()
    assert not support.any()


def test_solve_positive() -> None:
    rng = np.random.default_rng(1)
    a = rng.standard_normal((9, 6))
    b = rng.standard_normal(6)
    np.testing.assert_allclose(solve_positive(a.T @ a, b), np.linalg.solve(a.T @ a, b), rtol=1e-9)


def test_best_phase_and_shift_agrees_with_its_twin() -> None:
    rng = np.random.default_rng(3)
    products = rng.standard_normal((7, 4)) + 1j * rng.standard_normal((7, 4))
    a = rng.standard_normal((12, 4))
    gram = a.T @ a
    phases = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ours = best_phase_and_shift(products, gram, phases)
    twin = fit_twins.best_phase_and_shift(products, gram, phases)
    assert ours[:2] == twin[:2]
    assert ours[2] == pytest.approx(twin[2], rel=1e-8)


def test_shaped_agrees_with_its_twin() -> None:
    rng = np.random.default_rng(4)
    columns = rng.standard_normal((3, 50)) + 1j * rng.standard_normal((3, 50))
    common = rng.standard_normal(50) + 1j * rng.standard_normal(50)
    arguments = (columns, common, np.array([-1.3, 0.0, 2.0]), np.array([0.5, 4.0, -0.2]), 0.0015, 37)
    np.testing.assert_allclose(shaped(*arguments), fit_twins.shaped(*arguments), rtol=1e-11)


def test_factor_and_half_solution_agree_with_their_twins() -> None:
    rng = np.random.default_rng(5)
    a = rng.standard_normal((12, 7))
    factor = cholesky(a.T @ a)
    np.testing.assert_allclose(factor, fit_twins.cholesky(a.T @ a), rtol=1e-9)
    rows = rng.standard_normal((4, 7))
    np.testing.assert_allclose(half_solved(factor, rows), fit_twins.half_solved(factor, rows), rtol=1e-9, atol=1e-12)
