"""How much lipid a spectrum holds, whatever its phase: fat from outside the voxel does not come in phase with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LIPIDS = ("Lip09", "Lip13a", "Lip13b", "Lip20")
_FITTED = ("Lip09", "Lip13a")
_NAA_PROTONS = 3.0
_LIP13_PROTONS = 2.0


def lipid_ratio(
    names: tuple[str, ...],
    terms: NDArray[np.complex128],
    data: NDArray[np.complex128],
    amplitudes: NDArray[np.float64],
) -> float | None:
    """Signal of methylene lipid at 1.28 ppm over that of tNAA's methyl; None without lipid terms or tNAA.

    `terms` (n_terms, n_window) and `data` (n_window,) complex, as fitted. What metabolites and macromolecules leave of
    the data is fitted by two lipid lines with free complex amplitudes, so that neither phase nor baseline hides them.
    """
    if not all(name in names for name in _FITTED):
        return None
    naa = sum(float(amplitudes[names.index(name)]) for name in ("NAA", "NAAG") if name in names)
    if naa <= 0.0:
        return None
    others = np.array([0.0 if name in _LIPIDS else 1.0 for name in names]) * amplitudes
    left = data - others @ terms
    columns = terms[[names.index(name) for name in _FITTED]]
    found = np.linalg.lstsq(columns.T, left, rcond=None)[0]
    return float(abs(found[_FITTED.index("Lip13a")]) * _LIP13_PROTONS / (naa * _NAA_PROTONS))
