"""The span of damped lines against the lines themselves."""

from __future__ import annotations

import numpy as np
import pytest

from scanner_agent.mrs.align import damped_subspace


@pytest.mark.parametrize("bands", [((-28.0, 28.0),), ((200.0, 230.0), (330.0, 331.0)), ((60.0, 60.5),)])
def test_same_span_as_of_the_lines_multiplied_out(bands):
    n, dwell_s, decays = 700, 5e-4, (8.0, 30.0, 90.0)
    spacing = max(1.5, 0.4 / (n * dwell_s))
    t = np.arange(n) * dwell_s
    places = [f for low, high in bands for f in np.linspace(low, high, max(2, round((high - low) / spacing)))]
    columns = np.array([np.exp((2j * np.pi * f - d) * t) for f in places for d in decays]).T
    left, strength, _ = np.linalg.svd(columns / np.linalg.norm(columns, axis=0), full_matrices=False)
    plain = left[:, strength > 0.03 * strength[0]]
    found = damped_subspace(n, dwell_s, bands, decays)
    assert found.conj() @ found.T == pytest.approx(np.eye(plain.shape[1]), abs=1e-10)
    assert np.abs(found.T @ found.conj() - plain @ plain.conj().T).max() < 1e-10


def test_no_band_no_span():
    assert damped_subspace(50, 1e-3, (), (8.0,)).shape == (0, 50)
