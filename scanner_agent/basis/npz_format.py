"""This program's own basis files: compressed `.npz` with lines where the set was simulated, else FIDs (complex64).

One file may hold several fields (one simulation each) and spectra. Layout: `index` is a JSON text, a list of entries;
entry k's arrays are `k.frequencies` (float32, Hz), `k.amplitudes` (complex64) and `k.counts` (lines per metabolite), or
`k.fids` (n_metabolites, n_points).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner_agent.basis.basis_set import BasisSet, LineList
from scanner_agent.errors import SourceError

FORMAT = "scanner-agent/basis/1"
_PLAIN_FIELDS = (
    "name",
    "spectrum",
    "dwell_time_s",
    "spectrometer_frequency_mhz",
    "echo_time_s",
    "sequence",
    "mixing_time_s",
    "linewidth_hz",
    "nucleus",
)


def write_npz(sets: Sequence[BasisSet], path: Path) -> None:
    """Write sets (kinds and fields of one basis) into one file."""
    index: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[Any]] = {}
    for k, basis in enumerate(sets):
        entry = {key: getattr(basis, key) for key in _PLAIN_FIELDS}
        entry |= {"names": basis.names, "n_points": basis.n_points, "edit_pulse_ppm": basis.edit_pulse_ppm}
        index.append(entry | {"provenance": basis.provenance})
        if basis.lines is None:
            arrays[f"{k}.fids"] = basis.fids.astype(np.complex64)
        else:
            arrays[f"{k}.frequencies"] = np.concatenate([x.frequencies_hz for x in basis.lines]).astype(np.float32)
            arrays[f"{k}.amplitudes"] = np.concatenate([x.amplitudes for x in basis.lines]).astype(np.complex64)
            arrays[f"{k}.counts"] = np.array([len(x.amplitudes) for x in basis.lines], dtype=np.int32)
    text = json.dumps({"format": FORMAT, "entries": index})
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, index=np.array(text), **arrays)


def read_npz(path: Path, *, all_fields: bool = False, frequency_mhz: float | None = None) -> list[BasisSet]:
    """Sets of the field nearest to `frequency_mhz` (None: the first in the file), or of all fields.

    Raises `SourceError` if it is not such a file or is damaged.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            content = json.loads(str(file["index"]))
            if content.get("format") != FORMAT:
                raise SourceError(f"{path.name}: basis format {content.get('format')!r} is not {FORMAT}")
            entries = content["entries"]
            fields = [entry["spectrometer_frequency_mhz"] for entry in entries]
            wanted = fields[0] if frequency_mhz is None else min(fields, key=lambda f: abs(f - frequency_mhz))
            return [
                _entry(k, entry, file, path)
                for k, entry in enumerate(entries)
                if all_fields or entry["spectrometer_frequency_mhz"] == wanted
            ]
    except OSError as error:
        raise SourceError(f"cannot read {path.name}: {error}") from error
    except (ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path.name} is not a basis file of this program or is damaged ({error})") from error


def _entry(k: int, entry: dict[str, Any], file: Any, path: Path) -> BasisSet:
    names = tuple(entry["names"])
    lines = None
    if f"{k}.fids" in file:
        fids = file[f"{k}.fids"].astype(np.complex128)
    else:
        counts = file[f"{k}.counts"]
        ends = np.cumsum(counts)
        frequencies = file[f"{k}.frequencies"].astype(np.float64)
        amplitudes = file[f"{k}.amplitudes"].astype(np.complex128)
        if len(counts) != len(names) or ends[-1] != len(frequencies) or ends[-1] != len(amplitudes):
            raise SourceError(f"{path.name} is damaged: its lines do not add up")
        lines = tuple(
            LineList(frequencies[end - count : end], amplitudes[end - count : end])
            for count, end in zip(counts, ends, strict=True)
        )
        fids = np.stack([x.fid(entry["n_points"], entry["dwell_time_s"], entry["linewidth_hz"]) for x in lines])
    edit = entry["edit_pulse_ppm"]
    return BasisSet(
        names=names,
        fids=fids,
        lines=lines,
        edit_pulse_ppm=None if edit is None else (edit[0], edit[1]),
        provenance=entry["provenance"],
        **{key: entry[key] for key in _PLAIN_FIELDS},
    )
