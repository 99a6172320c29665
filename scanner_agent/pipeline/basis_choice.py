"""Which basis set a scan is fitted with: the user's, the protocol's, or one simulated for its header."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from scanner_agent.basis import (
    COLLECTIONS,
    BasisSet,
    Press,
    SemiLaser,
    Sequence,
    Steam,
    basis_for_scan,
    check_fits,
    load_basis,
    simulate_basis,
)
from scanner_agent.errors import SourceError
from scanner_agent.jit import cache_directory
from scanner_agent.mrs.linking import EditShapes
from scanner_agent.records import ScanHeader
from scanner_agent.scan_protocol import ScanProtocol

_DEFAULT_MIXING_TIME_S = 0.010


def choose_basis(
    header: ScanHeader, protocol: ScanProtocol, given: str | Path | None = None
) -> tuple[dict[str, BasisSet] | None, str | None]:
    """Basis sets by sub-spectrum, and why there are none (None: there are).

    Raises `SourceError` only for a set that the user gave and that does not fit: the protocol's own or a simulated one
    that cannot serve leaves the scan without a fit, with the reason.
    """
    if given is not None:
        return _checked(load_basis(given, header.spectrometer_frequency_mhz), header), None
    try:
        if protocol.basis is not None:
            return _shipped(
                protocol.basis,
                header.spectrometer_frequency_mhz,
                header.echo_time_s,
                header.mixing_time_s,
                header.edit_pulse_ppm,
                header.edit_pulse_bandwidth_hz,
            ), None
        return _simulated(
            header.sequence, header.echo_time_s, header.mixing_time_s, header.spectrometer_frequency_mhz
        ), None
    except SourceError as error:
        return None, str(error)


def edit_shapes(header: ScanHeader, basis: dict[str, BasisSet] | None) -> EditShapes | None:
    """What editing does to the metabolites of a basis set, at the scan's dwell time; None: the set does not say."""
    if basis is None or "on" not in basis or "off" not in basis:
        return None
    on, off = (
        basis[name].resampled(header.n_points, header.dwell_time_s, header.spectrometer_frequency_mhz)
        for name in ("on", "off")
    )
    common = [name for name in on.names if name in off.names]
    if not common:
        return None
    return EditShapes(
        on=on.fids[[on.names.index(name) for name in common]],
        off=off.fids[[off.names.index(name) for name in common]],
    )


@lru_cache(maxsize=16)
def _shipped(
    name: str,
    spectrometer_frequency_mhz: float,
    echo_time_s: float | None,
    mixing_time_s: float | None,
    edit_pulse_ppm: tuple[float, float] | None,
    edit_pulse_bandwidth_hz: float | None,
) -> dict[str, BasisSet]:
    return basis_for_scan(
        name,
        spectrometer_frequency_mhz=spectrometer_frequency_mhz,
        echo_time_s=echo_time_s,
        mixing_time_s=mixing_time_s,
        edit_pulse_ppm=edit_pulse_ppm,
        edit_pulse_bandwidth_hz=edit_pulse_bandwidth_hz,
        cache_directory=cache_directory() / "basis",
    )


def _checked(sets: dict[str, BasisSet], header: ScanHeader) -> dict[str, BasisSet]:
    for basis in sets.values():
        check_fits(
            basis,
            spectrometer_frequency_mhz=header.spectrometer_frequency_mhz,
            nucleus=header.nucleus,
            echo_time_s=header.echo_time_s,
        )
    return sets


@lru_cache(maxsize=4)
def _simulated(
    sequence: str | None, echo_time_s: float | None, mixing_time_s: float | None, spectrometer_frequency_mhz: float
) -> dict[str, BasisSet]:
    """A set made for this header, in seconds; the vendor's split of TE is not known and taken as equal."""
    if echo_time_s is None:
        raise SourceError("no basis set: the header has no echo time to simulate one for")
    name = (sequence or "").upper()
    made: Sequence
    if name == "PRESS":
        made = Press(echo_time_s)
    elif name == "STEAM":
        made = Steam(echo_time_s, _DEFAULT_MIXING_TIME_S if mixing_time_s is None else mixing_time_s)
    elif name == "SLASER":
        made = SemiLaser(echo_time_s)
    else:
        raise SourceError(
            f"no basis set: none is shipped or can be simulated for the sequence {sequence or '(not named)'}"
        )
    return simulate_basis(
        made,
        COLLECTIONS["brain"],
        spectrometer_frequency_mhz=spectrometer_frequency_mhz,
        name=f"{made.name} TE {echo_time_s * 1e3:g} ms, simulated for this scan",
    )
