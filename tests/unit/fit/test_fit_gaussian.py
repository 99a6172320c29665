"""The three-Gaussian model against a twin that knows only the model: numerical derivatives, tight tolerances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from scanner_agent.basis import load_basis
from scanner_agent.fit import gaba_unit_area, gaussian_gaba
from scanner_agent.fit.gaussian import CHOLINE_PPM, WINDOW_PPM, _descend, _lines_at, _smoothed
from scanner_agent.fit.result import FitResult, empty_result
from scanner_agent.mrs.axes import ppm_axis
from tests.reference.fit_twins import three_gaussians
from tests.support.spectra import BRAIN, make_fid

DWELL_S, F0_MHZ = 0.0005, 123.2


def _fitted(fid: NDArray[np.complex128], window_ppm: tuple[float, float] = (0.5, 4.2)) -> FitResult:
    """A difference spectrum as a fit hands it on."""
    halved = fid.copy()
    halved[0] *= 0.5
    ppm = ppm_axis(2 * fid.size, DWELL_S, F0_MHZ)[::-1]
    inside = (ppm > window_ppm[0]) & (ppm < window_ppm[1])
    data = np.fft.fftshift(np.fft.fft(halved, 2 * fid.size)).real[::-1]
    return replace(empty_result(), ppm=ppm[inside], data=data[inside], dwell_time_s=DWELL_S)


def _noisy(sd: float, seed: int) -> FitResult:
    basis = load_basis("mega_te68_3t")["difference"]
    return _fitted(make_fid(basis, BRAIN, noise_sd=sd, macromolecules={}, seed=seed))


def _window(result: FitResult) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x = result.ppm
    inside = (x >= WINDOW_PPM[0]) & (x <= WINDOW_PPM[1]) & ((x < CHOLINE_PPM[0]) | (x > CHOLINE_PPM[1]))
    y = _smoothed(x, result.data)[inside]
    return x[inside], y / np.max(np.abs(y))


@pytest.mark.parametrize("sd", [0.02, 0.3, 2.0])
def test_same_minimum_as_by_numerical_derivatives(sd):
    for seed in range(310, 314):
        x, y = _window(_noisy(sd, seed))
        found = _descend(x, y)
        place, cost = three_gaussians(x, y)
        assert found.cost == pytest.approx(cost, rel=1e-9)
        assert found.p == pytest.approx(place, rel=1e-6)


def test_noise_alone_ends_no_worse_on_the_whole():
    costs = np.array(
        [
            (_descend(x, y).cost, three_gaussians(x, y)[1])
            for x, y in (_window(_noisy(1e4, seed)) for seed in range(410, 422))
        ]
    )
    # There are several minima: now and then another one is met.
    assert np.mean(np.abs(costs[:, 0] / costs[:, 1] - 1) < 1e-9) > 0.6
    assert costs[:, 0].sum() < 1.02 * costs[:, 1].sum()


def test_slope_and_curvature_are_the_derivatives():
    x, y = _window(_noisy(1.0, 5))
    fixed = np.linalg.qr(np.stack([np.ones_like(x), x], axis=1))[0]
    rest, p, step = y - fixed @ (fixed.T @ y), np.array([3.03, 3.7, 3.8, 0.08, 0.04]), 1e-6
    around = [
        (_lines_at(p + step * e, x, fixed, rest), _lines_at(p - step * e, x, fixed, rest)) for e in np.eye(p.size)
    ]
    found = _lines_at(p, x, fixed, rest)
    slopes = np.array([(a.cost - b.cost) / (-4 * step) for a, b in around])
    bends = np.array([(a.gradient - b.gradient) / (-2 * step) for a, b in around])
    assert found.gradient == pytest.approx(slopes, rel=1e-6, abs=1e-6 * np.abs(slopes).max())
    assert found.curvature == pytest.approx(bends, rel=1e-6, abs=1e-6 * np.abs(bends).max())
    assert np.linalg.eigvalsh(found.usual_curvature)[0] > 0


def test_nothing_there_is_none_and_a_window_cut_short_is_fitted():
    assert gaussian_gaba(empty_result()) is None
    assert gaussian_gaba(_fitted(np.zeros(2048, dtype=np.complex128))) is None
    basis = load_basis("mega_te68_3t")["difference"]
    fid = make_fid(basis, BRAIN, noise_sd=0.02, macromolecules={}, seed=1)
    assert gaussian_gaba(_fitted(fid, (0.5, 2.8))) is None
    # Glx is outside, GABA's line is not.
    cut = _fitted(fid, (0.5, 3.5))
    assert gaussian_gaba(cut) is not None
    x, y = _window(cut)
    assert _descend(x, y).cost == pytest.approx(three_gaussians(x, y)[1], rel=1e-9)


def test_unit_area_goes_with_the_unit_and_is_none_without_gaba():
    basis = load_basis("mega_te68_3t")["difference"]
    unit = gaba_unit_area(basis)
    assert unit is not None
    twice = replace(basis, fids=2 * basis.fids, lines=None)
    assert gaba_unit_area(twice) == pytest.approx(2 * unit, rel=1e-6)
    assert gaba_unit_area(basis.subset(["NAA"])) is None
    one = make_fid(basis, {"GABA": 3.0}, macromolecules={}, lorentz_hz=8.0, gauss_hz=0.0)
    found = gaussian_gaba(_fitted(one), unit)
    assert found is not None
    assert found.amount == pytest.approx(3.0, rel=0.05)
