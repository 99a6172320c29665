"""Compiled loops against their NumPy twins on random input, to 1e-10; the last test runs all of it in pure Python."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner_agent.mrs import kernels

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("mrs_kernel_twins", ROOT / "tests" / "reference" / "mrs_kernels.py")
twins = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(twins)

COMMON = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**32 - 1)
lengths = st.integers(8, 300)


def _complex(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def _close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * max(1.0, float(np.max(np.abs(b)))))


@COMMON
@given(seeds, lengths, st.integers(1, 7))
def test_block_sums(seed, n, block):
    rng = np.random.default_rng(seed)
    a, b = _complex(rng, n), _complex(rng, n)
    _close(kernels.block_sums(a, b, block, n // block), twins.block_sums(a, b, block, n // block))


@COMMON
@given(seeds, lengths, st.floats(-500, 500), st.floats(-10, 10))
def test_rotation_and_turned_products(seed, n, frequency, phase):
    rng = np.random.default_rng(seed)
    a, b, fid = _complex(rng, n), _complex(rng, n), _complex(rng, n)
    _close(kernels.rotated(fid, frequency, phase, 3e-4), twins.rotated(fid, frequency, phase, 3e-4))
    _close(kernels.turned_products(a, b, fid, frequency, 3e-4), twins.turned_products(a, b, fid, frequency, 3e-4))


@COMMON
@given(seeds, st.integers(20, 200), st.integers(1, 6))
def test_linear_algebra(seed, n, rank):
    rng = np.random.default_rng(seed)
    basis = np.ascontiguousarray(np.linalg.qr(_complex(rng, n, rank))[0].T)
    fid = _complex(rng, n)
    left = kernels.project_out(basis, fid)
    _close(left, twins.project_out(basis, fid))
    _close(basis.conj() @ left, np.zeros(rank))
    data = _complex(rng, rank, n).astype(np.complex64)
    weights = _complex(rng, rank)
    _close(kernels.combined(weights, data), twins.combined(weights, data))
    _close(kernels.channel_products(data, fid[: n // 2]), twins.channel_products(data, fid[: n // 2]))


@COMMON
@given(seeds, st.integers(1, 40), st.integers(2, 9))
def test_neighbour_scores(seed, n, reach):
    rng = np.random.default_rng(seed)
    values, sds = rng.normal(size=n), rng.uniform(0.1, 2, size=n)
    positions = np.arange(n)
    _close(
        kernels.neighbour_scores(values, sds, positions, reach), twins.neighbour_scores(values, sds, positions, reach)
    )


@COMMON
@given(seeds, st.floats(-20, 20), st.floats(-3, 3))
def test_periodogram_peak_is_the_highest_point(seed, frequency, phase):
    rng = np.random.default_rng(seed)
    t = 1e-3 + 2e-3 * np.arange(200)
    sums = np.exp(1j * (2 * np.pi * frequency * t + phase) - 8 * t) + 0.05 * _complex(rng, 200)
    found, value, height = kernels.periodogram_peak(sums, 1e-3, 2e-3, -25.0, 25.0, 1.0, 0.0, 0.0)
    assert abs(found - frequency) < 1.0
    _close(value, twins.periodogram(sums, 1e-3, 2e-3, found))
    assert height == pytest.approx(abs(value) ** 2, rel=1e-10)
    for other in found + np.array([-0.1, -1e-3, 1e-3, 0.1]):
        assert abs(twins.periodogram(sums, 1e-3, 2e-3, other)) ** 2 <= height * (1 + 1e-12)


def test_pure_python_gives_the_same():
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("this is the pure Python run")
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__))],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]


_PEAKS = """
import numpy as np
from scanner_agent.mrs.kernels import periodogram_peak
rng = np.random.default_rng(1)
for _ in range(20):
    sums = (rng.normal(size=(2, 500)) * np.exp(-np.arange(500) / 100)).T.copy().view(complex)[:, 0]
    found, value, height = periodogram_peak(sums, 1e-3, 2e-3, -25.0, 25.0, 1.0, 0.0, 0.0)
    print(found.hex(), value.real.hex(), height.hex())
"""


def test_the_process_that_compiles_and_one_that_loads_agree_to_the_last_bit(tmp_path):
    """A kernel within a kernel must be part of it: compiled apart, it is found or not, as the cache has it."""
    environment = {**os.environ, "CACHE_DIRECTORY": str(tmp_path)}
    environment.pop("NUMBA_CACHE_DIR", None)
    command = [sys.executable, "-c", _PEAKS]
    said = [
        subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=True)
        for _ in range(2)
    ]
    assert said[0].stdout == said[1].stdout
