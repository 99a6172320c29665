"""Opening basis sets wherever they come from, and telling whether one fits a scan."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from scanner_agent.basis.basis_set import BasisSet
from scanner_agent.basis.fsl_format import read_fsl_folder
from scanner_agent.basis.lcmodel_format import read_lcmodel_basis
from scanner_agent.basis.npz_format import read_npz
from scanner_agent.errors import SourceError

FIELD_TOLERANCE = 0.02
"""A set may serve a scan whose frequency differs by this part: amounts of coupled metabolites are then off by 1.5 %
at most (PRESS TE 35, benchmarks/basis.py)."""
ECHO_TIME_TOLERANCE_S = 0.001
"""TE may differ by this much (or by a tenth, if that is less): about 5 % in coupled metabolites."""


def shipped_names() -> tuple[str, ...]:
    """Names of the sets that ship with the package."""
    folder = resources.files("scanner_agent.basis").joinpath("data")
    return tuple(sorted(item.name[:-4] for item in folder.iterdir() if item.name.endswith(".npz")))


def load_basis(name_or_path: str | Path, spectrometer_frequency_mhz: float | None = None) -> dict[str, BasisSet]:
    """Sub-spectra of a basis set, keyed by kind (`main`, or `on`, `off`, `difference`).

    Takes the name of a shipped set, this program's `.npz`, a `.BASIS` file of LCModel, or a folder of either FSL-MRS's
    JSON files or `.BASIS` files (one per kind). Where a file holds several fields, the one nearest to
    `spectrometer_frequency_mhz` is taken (the first if None). `difference` is made from ON and OFF where it is missing.
    Raises `SourceError` naming what is wrong.
    """
    path = Path(name_or_path)
    if str(name_or_path) in shipped_names():
        with resources.as_file(resources.files("scanner_agent.basis").joinpath("data", f"{name_or_path}.npz")) as file:
            sets = read_npz(file, frequency_mhz=spectrometer_frequency_mhz)
    elif not path.exists():
        raise SourceError(f"no basis set {name_or_path}: neither a file nor one of {', '.join(shipped_names())}")
    elif path.is_dir():
        sets = _read_folder(path)
    elif path.suffix.lower() == ".basis":
        sets = [read_lcmodel_basis(path)]
    elif path.suffix.lower() == ".npz":
        sets = read_npz(path, frequency_mhz=spectrometer_frequency_mhz)
    else:
        raise SourceError(f"{path.name} is not a basis set (.npz, .BASIS or a folder of FSL-MRS JSON files)")
    return _by_kind(sets)


def check_fits(
    basis: BasisSet,
    *,
    spectrometer_frequency_mhz: float,
    nucleus: str = "1H",
    echo_time_s: float | None = None,
    sequence: str | None = None,
) -> None:
    """Raise `SourceError`, saying what differs, if a set cannot serve a scan.

    What either side does not say is not held against it.
    """
    if nucleus != basis.nucleus:
        raise SourceError(f"basis {basis.name} is for {basis.nucleus}, the scan is {nucleus}")
    ratio = spectrometer_frequency_mhz / basis.spectrometer_frequency_mhz
    if abs(ratio - 1.0) > FIELD_TOLERANCE:
        raise SourceError(
            f"basis {basis.name} is for {basis.spectrometer_frequency_mhz:.1f} MHz, the scan is at "
            f"{spectrometer_frequency_mhz:.1f} MHz: its couplings would be {abs(ratio - 1.0) * 100:.0f} % wrong"
        )
    if sequence is not None and basis.sequence is not None and sequence != basis.sequence:
        raise SourceError(f"basis {basis.name} is for {basis.sequence}, the scan is {sequence}")
    if echo_time_s is not None and basis.echo_time_s is not None:
        allowed = min(ECHO_TIME_TOLERANCE_S, 0.1 * basis.echo_time_s)
        if abs(echo_time_s - basis.echo_time_s) > allowed:
            has, wants = basis.echo_time_s * 1e3, echo_time_s * 1e3
            raise SourceError(f"basis {basis.name} is for TE {has:.1f} ms, the scan has {wants:.1f} ms")


def _read_folder(folder: Path) -> list[BasisSet]:
    lcmodel = sorted(item for item in folder.iterdir() if item.suffix.lower() == ".basis")
    if lcmodel:
        return [read_lcmodel_basis(item) for item in lcmodel]
    return [read_fsl_folder(folder)]


def _by_kind(sets: list[BasisSet]) -> dict[str, BasisSet]:
    kinds: dict[str, BasisSet] = {}
    for basis in sets:
        if basis.spectrum in kinds:
            raise SourceError(f"basis {basis.name}: two sets for the {basis.spectrum} spectrum")
        kinds[basis.spectrum] = basis
    if "on" in kinds and "off" in kinds and "difference" not in kinds:
        kinds["difference"] = kinds["on"].minus(kinds["off"])
    return kinds
