"""Protocol files (`protocols/*.toml`) as checked frozen objects, and the matching of a scan's header to one of them.

Every threshold of the program lives in such a file with its unit and its source. A file may `extends` another: tables
are merged key by key, its own values win. Unknown keys are errors that name the key.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from scanner_agent.errors import ConfigError
from scanner_agent.judgement_settings import JudgementSettings
from scanner_agent.records import ScanHeader

Range = tuple[float, float]
Metric = Literal[
    "snr_lcmodel",
    "snr_naa",
    "fwhm_hz",
    "fwhm_ppm",
    "water_fwhm_hz",
    "percent_sd_lcmodel",
    "percent_sd",
    "subtraction_artefact",
]
_HIGHER_IS_BETTER = {"snr_lcmodel", "snr_naa"}
_OF_A_METABOLITE = {"percent_sd_lcmodel", "percent_sd"}


class Limit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bound on one number of the final spectrum."""

    metric: Metric
    """Which number; its definition is in docs/science.md."""
    metabolite: str | None = None
    """With `percent_sd…`: of which metabolite or sum."""
    minimum: float | None = None
    """Lowest allowed."""
    maximum: float | None = None
    """Highest allowed."""
    unit: Annotated[str, Meta(min_length=1)]
    """Unit of the bound (`1` for a ratio)."""
    source: Annotated[str, Meta(min_length=3)]
    """Where the bound comes from."""

    def __post_init__(self) -> None:
        """Refuse a limit that bounds nothing or the wrong side."""
        if (self.minimum is None) == (self.maximum is None):
            raise ValueError(f"limit on {self.metric}: give exactly one of minimum and maximum")
        if (self.minimum is not None) != (self.metric in _HIGHER_IS_BETTER):
            raise ValueError(f"limit on {self.metric}: the bound is on the wrong side")
        if (self.metabolite is not None) != (self.metric in _OF_A_METABOLITE):
            raise ValueError(f"limit on {self.metric}: `metabolite` goes with percent_sd metrics, and only with them")


class Match(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which headers a protocol fits: the one that meets most of its conditions wins.

    A condition that is absent is always met. A header field that is None meets no condition on it, with two exceptions
    that are told in the notes of the match: shots planned, and the editing pulses of an edited scan.
    """

    by_name_only: bool = False
    """Never chosen by a header: only when a person names it."""
    sequence: str | None = None
    """PRESS, STEAM, sLASER or MEGA-PRESS; compared without regard to case."""
    spectrometer_frequency_mhz: Range | None = None
    """From, to."""
    echo_time_s: Range | None = None
    """From, to."""
    repetition_time_s: Range | None = None
    """From, to."""
    n_shots_planned: Range | None = None
    """From, to; a header that does not say meets it."""
    edit_pulse_on_ppm: Range | None = None
    """From, to; a header that does not say meets it."""
    edit_pulse_off_ppm: Range | None = None
    """From, to; a header that does not say meets it."""
    scanner_contains: str | None = None
    """Text that the header's `scanner` holds, without regard to case."""
    is_phantom: bool = False
    """Protocols for phantoms fit only what says or is told to be one, and those for people nothing of the kind."""


class Processing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Choices of the signal chain."""

    eddy_current_correction: bool = True
    """Use the water reference's phase, where there is one."""
    align_ppm: Range = (1.8, 4.2)
    """Band that shots are aligned on, ppm."""
    window_shots: int | None = None
    """Sliding window of functional scans, metabolite shots; None: no window."""


class FitChoices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Choices of the fit; what they do is told in docs/science.md."""

    ppm_range: Range = (0.2, 4.2)
    """Fit window, ppm."""
    metabolites: tuple[str, ...] | None = None
    """Subset of the basis; None: all of it."""
    macromolecules: bool = True
    """Add macromolecules and lipids to the basis."""


class ScanProtocol(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One protocol: what is expected of a scan, how it is processed, and what it must reach."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_\-]*$")]
    """File name without `.toml`."""
    title: str
    """For people."""
    source: str
    """Study or document it follows."""
    match: Match = Match()
    """Which headers it fits."""
    n_shots_planned: Annotated[int, Meta(ge=1)]
    """Metabolite shots (stored frames of `n_excitations_per_shot`)."""
    n_water_shots_planned: Annotated[int, Meta(ge=0)] = 0
    """Unsuppressed shots."""
    n_excitations_per_shot: Annotated[int, Meta(ge=1)] = 1
    """Excitations summed in a stored frame (NEX)."""
    repetition_time_s: Annotated[float, Meta(gt=0)]
    """TR, used for time left where the header does not say."""
    basis: str | None = None
    """Name of a basis set that ships with the package; None: metabolites are not fitted."""
    gated: tuple[str, ...] = ()
    """Metabolites or sums that decide; all others are shown only."""
    limits: tuple[Limit, ...] = ()
    """What the final spectrum must reach."""
    processing: Processing = Processing()
    """Signal chain."""
    fit: FitChoices = FitChoices()
    """Fit."""
    judgement: JudgementSettings
    """Thresholds of the judgement; `protocols/defaults.toml` gives them all, with their sources."""
    trigger_mode: Literal["off", "ask", "auto"] = "ask"
    """Whether stop and extend advice becomes a trigger: never, after a person confirms, or at once."""
    note: str | None = None
    """Said in every report (what a user of this protocol should know)."""

    @property
    def edited(self) -> bool:
        """Whether this is an edited (MEGA) protocol."""
        return self.match.sequence == "MEGA-PRESS"

    def content_hash(self) -> str:
        """Hash of the whole content, hex."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]


PROTOCOL_FOLDER = Path(__file__).resolve().parent / "protocols"
_BASE = "defaults"


def shipped_protocols() -> tuple[ScanProtocol, ...]:
    """All protocols that ship with the package, by name."""
    return tuple(load_protocol(name) for name in shipped_names())


@cache
def shipped_names() -> tuple[str, ...]:
    """Names of the shipped protocols, sorted; the file of defaults is none."""
    return tuple(sorted(path.stem for path in PROTOCOL_FOLDER.glob("*.toml") if path.stem != _BASE))


def load_protocol(name_or_path: str | Path) -> ScanProtocol:
    """Read a shipped protocol by its name, or any protocol file by its path (ends in `.toml`).

    Raises ConfigError, one line that names the file and the key.
    """
    text = str(name_or_path)
    if text.endswith(".toml"):
        return _load(Path(name_or_path).resolve())
    if text not in shipped_names():
        raise ConfigError(
            f"no protocol {text!r}; there are: {', '.join(shipped_names())} (a file's name ends in .toml)"
        )
    return _load(PROTOCOL_FOLDER / f"{text}.toml")


@cache
def _load(path: Path) -> ScanProtocol:
    table = _merged(path, ())
    table.setdefault("name", path.stem)
    if table["name"] != path.stem:
        raise ConfigError(f"{path.name}: key `name`: must be the file's name, {path.stem!r}, not {table['name']!r}")
    try:
        protocol = msgspec.convert(table, ScanProtocol)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path.name}: {_key_and_reason(error)}") from None
    _check(path, protocol)
    return protocol


def _merged(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The file's table over those it extends."""
    if path in seen:
        raise ConfigError(f"{path.name}: key `extends`: {' -> '.join(p.stem for p in (*seen, path))} is a circle")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path.name}: is not TOML: {error}") from None
    parent = table.pop("extends", None)
    if parent is None:
        return table
    if not isinstance(parent, str):
        raise ConfigError(f"{path.name}: key `extends`: must be one protocol's name")
    beside, shipped = path.parent / f"{parent}.toml", PROTOCOL_FOLDER / f"{parent}.toml"
    parent_path = beside if beside.is_file() and beside != path else shipped
    if not parent_path.is_file():
        raise ConfigError(f"{path.name}: key `extends`: no protocol {parent!r} beside this file or shipped")
    base = _merged(parent_path, (*seen, path))
    base.pop("name", None)  # a protocol is called as its own file is
    return _overlay(base, table)


def _overlay(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """`own` over `base`, tables key by key; lists are replaced whole."""
    merged = dict(base)
    for key, value in own.items():
        below = merged.get(key)
        merged[key] = _overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _key_and_reason(error: msgspec.ValidationError) -> str:
    """msgspec's complaint with the key first."""
    reason, _, where = str(error).partition(" - at `$")
    where = where.rstrip("`").lstrip(".")
    unknown = re.match(r"Object contains unknown field `(.+)`", reason)
    if unknown:
        return f"unknown key `{'.'.join(filter(None, (where, unknown[1])))}`"
    absent = re.match(r"Object missing required field `(.+)`", reason)
    if absent:
        hint = ' (put `extends = "defaults"` at the top)' if where == "judgement" or absent[1] == "judgement" else ""
        return f"key `{'.'.join(filter(None, (where, absent[1])))}` is missing{hint}"
    return f"key `{where}`: {reason}" if where else reason


def _check(path: Path, protocol: ScanProtocol) -> None:
    """What the types cannot say."""
    for name, value in msgspec.structs.asdict(protocol.match).items():
        if isinstance(value, tuple) and value[0] > value[1]:
            raise ConfigError(f"{path.name}: key `match.{name}`: from {value[0]} to {value[1]} holds nothing")
    for limit in protocol.limits:
        if limit.metabolite is not None and limit.metabolite not in protocol.gated:
            raise ConfigError(f"{path.name}: key `limits`: {limit.metabolite} has a limit and is not in `gated`")
        if limit.metabolite is not None and protocol.basis is None:
            raise ConfigError(f"{path.name}: key `limits`: a limit on {limit.metabolite} needs a `basis`")
    unchecked = set(protocol.gated) - {limit.metabolite for limit in protocol.limits}
    if unchecked:
        raise ConfigError(f"{path.name}: key `gated`: {', '.join(sorted(unchecked))} has no limit")


def load_protocols(folders: Iterable[str | Path]) -> tuple[ScanProtocol, ...]:
    """All protocol files of a site's own folders; raises `ConfigError` naming folder, file and key."""
    found: list[ScanProtocol] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise ConfigError(f"protocol folder {folder} is not there")
        found += [load_protocol(path) for path in sorted(folder.glob("*.toml"))]
    return tuple(found)


def match_protocol(header: ScanHeader, own: Iterable[ScanProtocol] = ()) -> ScanProtocol:
    """The protocol that meets most conditions of the header, a site's `own` before the shipped ones.

    The generic ones fit what no other does. Never fails: the choice carries its caveat in `note`. Whether the scan can
    be judged at all is `unsupported_reason`.
    """
    best: tuple[int, ScanProtocol] | None = None
    for protocol in (*own, *shipped_protocols()):
        met = _conditions_met(protocol.match, header)
        if met is not None and (best is None or met > best[0]):
            best = (met, protocol)
    if best is None:
        raise ConfigError("the shipped generic protocols are missing: install the program again")
    return best[1]


def sequence_of(header: ScanHeader) -> str | None:
    """The header's sequence in capitals; two edit conditions make it MEGA-PRESS where it says PRESS or nothing."""
    sequence = header.sequence.upper() if header.sequence else None
    if header.n_edit_conditions == 2 and sequence in (None, "PRESS"):
        return "MEGA-PRESS"
    return sequence


def _conditions_met(match: Match, header: ScanHeader) -> int | None:
    """How many conditions the header meets; None if it breaks one."""
    if match.by_name_only or match.is_phantom != bool(header.is_phantom):
        return None
    on, off = header.edit_pulse_ppm or (None, None)
    sequence = match.sequence.upper() if match.sequence else None
    scanner = match.scanner_contains.lower() if match.scanner_contains else None
    checks: list[bool | None] = [
        None if sequence is None else sequence == sequence_of(header),
        None if scanner is None else scanner in (header.scanner or "").lower(),
        _inside(match.spectrometer_frequency_mhz, header.spectrometer_frequency_mhz),
        _inside(match.echo_time_s, header.echo_time_s),
        _inside(match.repetition_time_s, header.repetition_time_s),
        _inside(match.n_shots_planned, header.n_shots_planned, unknown_fits=True),
        _inside(match.edit_pulse_on_ppm, on, unknown_fits=True),
        _inside(match.edit_pulse_off_ppm, off, unknown_fits=True),
    ]
    if False in checks:
        return None
    return checks.count(True)


def _inside(bounds: Range | None, value: float | None, *, unknown_fits: bool = False) -> bool | None:
    """Whether a condition is met; None if it is absent, or unknown where that is allowed."""
    if bounds is None or (value is None and unknown_fits):
        return None
    return value is not None and bounds[0] <= value <= bounds[1]


def match_notes(header: ScanHeader, protocol: ScanProtocol) -> tuple[str, ...]:
    """What a reader should know of how this header came to this protocol."""
    notes = [protocol.note] if protocol.note else []
    if protocol.edited and header.edit_pulse_ppm is None:
        notes.append(
            "The header does not say where the editing pulses lie: GABA editing at 1.9 ppm is taken for granted and"
            " checked against NAA, which it saturates."
        )
    return tuple(notes)


_SUPPORTED_EDITING_PPM: Range = (1.7, 2.1)  # GABA: 1.9 ppm; NAA's singlet at 2.0 must be in the pulse's reach
_UNSUPPORTED_SEQUENCES = ("HERMES", "HERCULES", "GSH", "CSI", "MRSI", "EPSI", "JPRESS", "2D")


def unsupported_reason(header: ScanHeader) -> str | None:
    """Why a scan of this header cannot be judged by this program, one sentence; None if it can.

    Such a scan is `cannot_judge`: nothing is wrong with it.
    """
    if header.nucleus != "1H":
        return f"The nucleus is {header.nucleus}: only 1H is judged."
    sequence = (header.sequence or "").upper()
    for name in _UNSUPPORTED_SEQUENCES:
        if name in re.split(r"[^A-Z0-9]+", sequence):
            return f"{name} is not supported yet: the scan is kept and shown, not judged."
    if header.n_edit_conditions > 2:
        return f"{header.n_edit_conditions} edit conditions (HERMES or the like) are not supported yet."
    if header.n_edit_conditions == 2 and sequence_of(header) != "MEGA-PRESS":
        return f"Editing with {header.sequence} is not supported yet: only MEGA-PRESS is."
    if sequence_of(header) == "MEGA-PRESS" and header.edit_pulse_ppm is not None:
        on = header.edit_pulse_ppm[0]
        if not _SUPPORTED_EDITING_PPM[0] <= on <= _SUPPORTED_EDITING_PPM[1]:
            what = "GSH editing" if 4.3 <= on <= 4.8 else "editing"
            return f"{what} with a pulse at {on:g} ppm is not supported yet: only GABA editing at 1.9 ppm is."
    return None
