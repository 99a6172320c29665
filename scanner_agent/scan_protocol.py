"""Protocol files (`protocols/*.toml`) as checked frozen objects, and the matching of a scan's header to one of them.

Every threshold of the program lives in such a file with its unit and its source. A file may `extends` another: tables
are merged key by key, its own values win. Unknown keys are errors that name the key.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from scanner_agent.errors import ConfigError
from scanner_agent.records import ScanHeader

Range = tuple[float, float]
Metric = Literal["snr_lcmodel", "snr_naa", "fwhm_hz", "fwhm_ppm", "water_fwhm_hz", "percent_sd_lcmodel", "percent_sd", "subtraction_artefact"]
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
    """Which headers a protocol fits. A condition that is absent is always met; a header field that is None never meets one."""

    sequence: str | None = None
    """PRESS, STEAM, sLASER or MEGA-PRESS."""
    spectrometer_frequency_mhz: Range | None = None
    """From, to."""
    echo_time_s: Range | None = None
    """From, to."""
    repetition_time_s: Range | None = None
    """From, to."""
    n_shots_planned: Range | None = None
    """From, to; a header that does not say meets it."""
    edit_pulse_on_ppm: Range | None = None
    """From, to."""
    edit_pulse_off_ppm: Range | None = None
    """From, to."""
    is_phantom: bool = False
    """Protocols for phantoms fit only what says or is told to be one."""


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
