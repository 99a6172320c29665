"""Opening basis sets wherever they come from, and telling whether one fits a scan."""

from __future__ import annotations

from pathlib import Path

from scanner_agent.basis.basis_set import BasisSet
from scanner_agent.basis.lcmodel_format import read_lcmodel_basis
from scanner_agent.errors import SourceError


def load_basis(name_or_path: str | Path) -> dict[str, BasisSet]:
    """Sub-spectra of a basis set, keyed by kind (`main`, or `on`, `off`, `difference`).

    A `.BASIS` file of LCModel holds one kind.
    Raises `SourceError` naming what is wrong.
    """
    path = Path(name_or_path)
    if not path.exists():
        raise SourceError(f"no basis set {name_or_path}")
    if path.suffix.lower() == ".basis":
        basis = read_lcmodel_basis(path)
        return {basis.spectrum: basis}
    raise SourceError(f"{path.name} is not a basis set (.npz, .BASIS or a folder of FSL-MRS JSON files)")
