"""FSL-MRS basis folders: one JSON file per metabolite (Clarke 2021, 10.1002/mrm.28630).

`basis` holds `basis_re`, `basis_im` (FID, the conjugate of the NIfTI-MRS convention), `basis_dwell` (s), `basis_centre`
(MHz), `basis_width` (Hz, FWHM the FID already has) and `basis_name`; files with an `MM` entry are macromolecules.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner_agent.basis.basis_set import BasisSet
from scanner_agent.basis.lcmodel_format import sequence_name, spectrum_kind
from scanner_agent.basis.referencing import settled
from scanner_agent.errors import SourceError

_ALIASES = {"Scyllo": "sIns", "PCho": "PCh", "mI": "Ins", "sI": "sIns", "NAAG2": "NAAG"}
_AXES = ("basis_dwell", "basis_centre", "basis_width")


def read_fsl_folder(folder: Path) -> BasisSet:
    """Read a folder of FSL-MRS basis files; macromolecules are left to the fit's own table (provenance names them).

    Reference offset and sign come from the singlets. FSL-MRS stores no echo time. Raises `SourceError` with the file
    that is wrong.
    """
    names: list[str] = []
    fids: list[NDArray[np.complex128]] = []
    left_out: list[str] = []
    axes: dict[str, float] = {}
    for path in sorted(folder.glob("*.json")):
        content = _content(path)
        basis = content["basis"]
        if content.get("MM"):
            left_out.append(str(basis.get("basis_name", path.stem)))
            continue
        fid, found = _fid(basis, path)
        if not axes:
            axes = found
        if (len(fids) and len(fid) != len(fids[0])) or any(abs(found[k] / axes[k] - 1) > 1e-6 for k in _AXES[:2]):
            raise SourceError(f"{folder.name}/{path.name}: its points, dwell time or frequency differ from the others'")
        name = str(basis.get("basis_name", path.stem))
        names.append(_ALIASES.get(name, name))
        fids.append(fid)
    if not fids:
        raise SourceError(f"folder {folder.name} holds no FSL-MRS basis files (JSON with a `basis` entry)")
    provenance = {"file": folder.name, "format": "FSL-MRS JSON folder"}
    if left_out:
        provenance["left_out"] = ", ".join(left_out)
    dwell_time_s, frequency_mhz = axes["basis_dwell"], axes["basis_centre"]
    conjugated = np.conj(np.stack(fids))
    return BasisSet(
        name=folder.name,
        spectrum=spectrum_kind("", folder.name),
        names=tuple(names),
        fids=settled(tuple(names), conjugated, dwell_time_s, frequency_mhz, provenance),
        dwell_time_s=dwell_time_s,
        spectrometer_frequency_mhz=frequency_mhz,
        sequence=sequence_name(folder.name),
        linewidth_hz=axes["basis_width"],
        provenance=provenance,
    )


def write_fsl_folder(basis: BasisSet, folder: Path) -> None:
    """Write one JSON file per metabolite into `folder` (made if needed)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, fid in zip(basis.names, basis.fids, strict=True):
        content = {
            "basis": {
                "basis_re": fid.real.tolist(),
                "basis_im": (-fid.imag).tolist(),
                "basis_dwell": basis.dwell_time_s,
                "basis_centre": basis.spectrometer_frequency_mhz,
                "basis_width": basis.linewidth_hz,
                "basis_name": name,
            },
            "meta": basis.provenance,
        }
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"cannot read {path.name}: {error.strerror}") from error
    except ValueError as error:
        raise SourceError(f"{path.name} is not JSON ({error})") from error
    if not isinstance(content, dict) or not isinstance(content.get("basis"), dict):
        raise SourceError(f"{path.name} has no `basis` entry: not an FSL-MRS basis file")
    return content


def _fid(basis: dict[str, Any], path: Path) -> tuple[NDArray[np.complex128], dict[str, float]]:
    try:
        fid = np.asarray(basis["basis_re"], dtype=np.float64) + 1j * np.asarray(basis["basis_im"], dtype=np.float64)
        axes = {key: float(basis[key]) for key in _AXES}
    except KeyError as error:
        raise SourceError(f"{path.name}: `basis` lacks {error}") from error
    except (TypeError, ValueError) as error:
        raise SourceError(f"{path.name}: `basis` holds what is not a number ({error})") from error
    if fid.ndim != 1 or len(fid) < 64:
        raise SourceError(f"{path.name}: its FID has shape {fid.shape}, at least 64 points in one row are needed")
    if not (1e-6 < axes["basis_dwell"] < 0.01 and 1.0 < axes["basis_centre"] < 1000.0 and axes["basis_width"] >= 0.0):
        raise SourceError(f"{path.name}: absurd dwell time, frequency or width")
    return fid, axes
