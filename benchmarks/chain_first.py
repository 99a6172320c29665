"""What wrong first points and a receiver's DC offset do to amounts, for `chain.py`: nothing of it is corrected."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from common import table
from fit import sources
from fit_draws import MAIN_SIX, WEAK_THREE, Draw, Recipe, draw
from numpy.typing import NDArray

_NAMES = MAIN_SIX + WEAK_THREE


def variants(one: Draw, recipe: Recipe) -> Iterator[tuple[str, NDArray[np.complex128]]]:
    """The spectrum as it is, with its first points wrong (halved, a filter's group delay), with a DC offset."""
    for name, factors in (
        ("as it is", ()),
        ("first point x 0.5", (0.5,)),
        ("first point x 1.5", (1.5,)),
        ("first two x 0.3, 0.8", (0.3, 0.8)),
        ("first four x 0.1, 0.5, 0.9, 1.05", (0.1, 0.5, 0.9, 1.05)),
    ):
        fid = one.fid.copy()
        fid[: len(factors)] *= factors
        yield name, fid
    t = np.arange(recipe.n_points) * recipe.dwell_time_s
    for size, off_ppm in ((1.0, 0.0), (5.0, 0.0), (1.0, 0.25), (1.0, -0.25)):
        turn = np.exp(2j * np.pi * off_ppm * recipe.frequency_mhz * t + 1j)
        yield f"DC of {size:g} noise SD, {off_ppm:+.2f} ppm from water", one.fid + size * one.noise_sd * turn


def first(fast: bool) -> list[dict[str, float | str]]:
    """Change of the amounts by each of these, and their error against the truth."""
    source = sources()[0]
    changes: dict[str, list[NDArray[np.float64]]] = {}
    errors: dict[str, list[NDArray[np.float64]]] = {}
    for dwell_time_s, n_points in ((2.5e-4, 4096), (8.33e-4, 1024)):
        recipe = Recipe(snr=20.0, n_points=n_points, dwell_time_s=dwell_time_s)
        fit = type(source)(source.label, source.basis, recipe).fitter()
        for seed in range(1 if fast else 12):
            one = draw(source.basis, recipe, 700 + seed)
            truth = np.array([one.truth[name] for name in _NAMES])
            usual = None
            for name, fid in variants(one, recipe):
                amounts = np.array([fit(fid).amounts[name] for name in _NAMES])
                usual = amounts if usual is None else usual
                label = f"{1e3 * dwell_time_s:.2f} ms: {name}"
                changes.setdefault(label, []).append((amounts - usual) / truth)
                errors.setdefault(label, []).append((amounts - truth) / truth)
    rows = []
    for label in changes:
        change, error = (100 * np.sqrt(np.mean(np.square(x[label]), axis=0)) for x in (changes, errors))
        rows.append(
            {
                "dwell time: case": label,
                "change of the main six, rms": float(np.sqrt(np.mean(change[:6] ** 2))),
                "largest of the nine": float(change.max()),
                "error of the main six, rms": float(np.sqrt(np.mean(error[:6] ** 2))),
            }
        )
    print("\nWrong first points and DC offset, uncorrected: amounts of the fit at S/N 20, %")
    print(table(list(rows[0]), [list(row.values()) for row in rows]))
    return rows
