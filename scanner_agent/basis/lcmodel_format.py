"""LCModel's `.BASIS` files: text, namelists, one spectrum per metabolite (Provencher, LCModel manual section 8)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanner_agent.basis.basis_set import BasisSet
from scanner_agent.basis.referencing import corrected, settled
from scanner_agent.errors import SourceError
from scanner_agent.mrs.axes import WATER_PPM

_SEQUENCES = {"PRESS": "PRESS", "STEAM": "STEAM", "SLASER": "sLASER", "SEMI-LASER": "sLASER", "MEGA": "MEGA-PRESS"}
_VALUES_PER_LINE = 3


def read_lcmodel_basis(path: Path) -> BasisSet:
    """Read a `.BASIS` file; its spectrum kind is told from name and title (ON, OFF, DIFF), else `main`.

    A stored spectrum is FFT(FID)/sqrt(n). The reference offset and the sign of the axis come from the singlets, a
    halved first point is made whole; provenance says what was changed. Raises `SourceError` with what is wrong where.
    """
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise SourceError(f"cannot read {path.name}: {error.strerror}") from error
    header, *blocks = re.split(r"\$BASIS\b(?!1)", text)
    if not blocks:
        raise SourceError(f"{path.name} is not a .BASIS file: it has no $BASIS block")
    dwell_time_s = _number(header, "BADELT", path)
    frequency_mhz = _number(header, "HZPPPM", path)
    n_points = int(_number(header, "NDATAB", path))
    if not (1e-6 < dwell_time_s < 0.01 and 1.0 < frequency_mhz < 1000.0 and n_points >= 64):
        raise SourceError(f"{path.name}: absurd BADELT {dwell_time_s}, HZPPPM {frequency_mhz} or NDATAB {n_points}")
    echo_ms = _optional_number(header, "ECHOT")
    reference_ppm = _optional_number(header, "PPMSEP") or WATER_PPM
    names, spectra = [], []
    for block in blocks:
        head, _, body = block.partition("$END")
        name = _string(head, "METABO")
        if not name:
            raise SourceError(f"{path.name}: a $BASIS block without METABO")
        shift = int(_optional_number(head, "ISHIFT") or 0)
        names.append(name)
        spectra.append(_unit_amount(head, name, path) * np.roll(_spectrum(body, n_points, name, path), -shift))
    fids = np.fft.ifft(np.stack(spectra), axis=1) * np.sqrt(n_points)
    if reference_ppm != WATER_PPM:
        fids = corrected(fids, (False, WATER_PPM - reference_ppm), dwell_time_s, frequency_mhz)
    title = _string(header, "IDBASI") or path.stem
    provenance = {"file": path.name, "format": "LCModel .BASIS", "title": title}
    fids = settled(tuple(names), fids, dwell_time_s, frequency_mhz, provenance)
    return BasisSet(
        name=path.stem,
        spectrum=spectrum_kind(title, path.stem),
        names=tuple(names),
        fids=fids,
        dwell_time_s=dwell_time_s,
        spectrometer_frequency_mhz=frequency_mhz,
        echo_time_s=echo_ms * 1e-3 if echo_ms else None,
        sequence=sequence_name(f"{title} {_string(header, 'SEQ') or ''}"),
        linewidth_hz=narrowest_line_hz(tuple(names), fids, dwell_time_s),
        provenance=provenance,
    )


def write_lcmodel_basis(basis: BasisSet, path: Path) -> None:
    """Write a set as `.BASIS`: spectra FFT(FID)/sqrt(n), first point halved (LCModel's own makebasis does so)."""
    n_points = basis.n_points
    kind = [] if basis.spectrum == "main" else [basis.spectrum.upper()]
    title = " ".join([basis.name, *([basis.sequence] if basis.sequence else []), *kind])
    echo = "" if basis.echo_time_s is None else f" ECHOT = {basis.echo_time_s * 1e3:.3f},\n"
    lines = [
        " $SEQPAR",
        f" FWHMBA = {max(basis.linewidth_hz, 0.1) / basis.spectrometer_frequency_mhz:.6f},",
        f" HZPPPM = {basis.spectrometer_frequency_mhz:.6f},",
        echo + f" SEQ = '{basis.sequence or ''}'",
        " $END",
        " $BASIS1",
        f" IDBASI = '{title}',",
        " FMTBAS = '(6E13.5)',",
        f" BADELT = {basis.dwell_time_s:.9f},",
        f" NDATAB = {n_points}",
        " $END",
    ]
    for name, fid in zip(basis.names, basis.fids, strict=True):
        halved = fid.copy()
        halved[0] *= 0.5
        spectrum = np.fft.fft(halved) / np.sqrt(n_points)
        lines += [
            " $NMUSED",
            " XTRASH = 0.00",
            " $END",
            " $BASIS",
            f" ID = '{name}',",
            f" METABO = '{name}',",
            " CONC = 1.,",
            " TRAMP = 1.,",
            " VOLUME = 1.,",
            " ISHIFT = 0",
            " $END",
        ]
        values = spectrum.view(np.float64)
        per_line = 2 * _VALUES_PER_LINE
        lines += [
            "".join(f"{value:13.5E}" for value in values[start : start + per_line])
            for start in range(0, len(values), per_line)
        ]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def spectrum_kind(title: str, file_stem: str) -> str:
    """`on`, `off`, `difference` or `main`: from the last word of a file's name, else of its title if that says MEGA."""
    signs = {"on": "on", "off": "off", "diff": "difference", "diff1": "difference", "difference": "difference"}
    for text in (file_stem, title if "mega" in title.lower() else ""):
        words = [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]
        if words and words[-1] in signs:
            return signs[words[-1]]
    return "main"


def sequence_name(title: str) -> str | None:
    """The sequence's name as headers use it, from words in a title; None if it is not said."""
    upper = title.upper()
    for sign in ("MEGA", "SLASER", "SEMI-LASER", "STEAM", "PRESS"):
        if sign in upper:
            return _SEQUENCES[sign]
    return None


def narrowest_line_hz(names: tuple[str, ...], fids: NDArray[np.complex128], dwell_time_s: float) -> float:
    """Lorentzian FWHM (Hz) of the set's lines, from the decay of its singlets' FIDs (median); 0 if none is known.

    Of sIns, Gly, Ace, Cr and PCr, whose few lines beat little: slope of the log magnitude averaged over half-second
    stretches, while it is above a thousandth of the start.
    """
    widths = []
    for name in ("sIns", "Gly", "Ace", "Cr", "PCr"):
        if name in names:
            magnitude = np.abs(fids[names.index(name)])
            n = len(magnitude)
            early, late = (
                np.sqrt(np.mean(magnitude[a:b] ** 2)) for a, b in ((n // 32, n // 8), (n // 4, n // 4 + 3 * n // 32))
            )
            seconds = (n // 4 - n // 32) * dwell_time_s
            if early > 0.0 and late > 1e-3 * early:
                widths.append(float(np.log(early / late) / (np.pi * seconds)))
    return max(0.0, float(np.median(widths))) if widths else 0.0


def _optional_number(text: str, key: str) -> float | None:
    match = re.search(rf"\b{key}\s*=\s*([-+0-9.eEdD]+)", text)
    if match is None:
        return None
    try:
        return float(match.group(1).replace("D", "E").replace("d", "e"))
    except ValueError:
        return None


def _number(text: str, key: str, path: Path) -> float:
    value = _optional_number(text, key)
    if value is None:
        raise SourceError(f"{path.name}: {key} is missing or not a number")
    return value


def _string(text: str, key: str) -> str | None:
    match = re.search(rf"\b{key}\s*=\s*'([^']*)'", text)
    return match.group(1).strip() or None if match else None


def _unit_amount(head: str, name: str, path: Path) -> float:
    """What makes a phantom's spectrum one of unit amount: TRAMP / (VOLUME CONC), as LCModel does."""
    tramp, volume, amount = (_optional_number(head, key) or 1.0 for key in ("TRAMP", "VOLUME", "CONC"))
    if min(tramp, volume, amount) <= 0.0:
        raise SourceError(f"{path.name}: TRAMP, VOLUME and CONC of {name} must be positive")
    return tramp / (volume * amount)


def _spectrum(body: str, n_points: int, name: str, path: Path) -> NDArray[np.complex128]:
    words = body.split("$", 1)[0].split()
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError as error:
        raise SourceError(f"{path.name}: spectrum of {name} holds what is not a number ({error})") from error
    if len(values) != 2 * n_points:
        raise SourceError(f"{path.name}: spectrum of {name} has {len(values)} numbers, NDATAB says {2 * n_points}")
    return np.asarray(values[0::2] + 1j * values[1::2])
