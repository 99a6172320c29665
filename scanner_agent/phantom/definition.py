"""What a phantom holds: `phantoms/*.toml`, or a file of the site's own."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from scanner_agent.errors import ConfigError

FOLDER = Path(__file__).resolve().parent / "phantoms"


class Phantom(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A test object of known content."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$")]
    """Names its series; give every sphere of a site its own."""
    title: str
    """For people."""
    reference: str
    """Metabolite that ratios are taken to."""
    line_ppm: float
    """Strong singlet whose distance from water tells the temperature, ppm."""
    contents_mm: dict[str, Annotated[float, Meta(gt=0)]]
    """Amounts, mmol/L, by the names that the fit reports."""
    temperature_c: float
    """Usual temperature, degrees C."""
    source: str
    """Where the amounts come from."""

    def __post_init__(self) -> None:
        """Refuse a reference that the phantom does not hold."""
        if self.reference not in self.contents_mm:
            raise ValueError(f"reference {self.reference} is not among contents_mm")


def load_phantom(name_or_path: str) -> Phantom:
    """A shipped phantom by its name, or one from a file (ends in `.toml`). Raises ConfigError, one line."""
    path = Path(name_or_path) if name_or_path.endswith(".toml") else FOLDER / f"{name_or_path}.toml"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
        raise ConfigError(f"no phantom {name_or_path!r}; there are: {names} (a file's name ends in .toml)")
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Phantom)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, OSError) as error:
        raise ConfigError(f"{path.name}: {error}") from error


def guess_phantom(metabolites: Collection[str]) -> Phantom:
    """The shipped phantom that holds most of the fitted metabolites; the brain-like mixture when none was fitted."""
    shipped = [load_phantom(path.stem) for path in sorted(FOLDER.glob("*.toml"))]

    def score(phantom: Phantom) -> tuple[bool, int]:
        return phantom.reference in metabolites, len(set(phantom.contents_mm) & set(metabolites))

    return max(reversed(shipped), key=score) if metabolites else load_phantom("brain")
