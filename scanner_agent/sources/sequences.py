"""Names that vendors and sites give to sequences, reduced to the four this program knows."""

from __future__ import annotations

import re

_KNOWN = (
    ("MEGA-PRESS", r"mega|mescher|edit(?:ed|ing)?[_\- ]?press|svs_edit"),
    ("sLASER", r"s(?:emi)?[_\-]?laser"),
    ("STEAM", r"steam|svs_st(?![a-z])|probe[_\- ]?s(?![a-z])|stm"),
    ("PRESS", r"press|svs_se(?![a-z])|probe[_\- ]?p(?![a-z])|probe(?![a-z])"),
)
_UNSUPPORTED = r"hermes|hercules|mega[_\-]?(?:spec|laser|slaser|steam)|svs_isis|isis|special|fidall"
_PHANTOM = r"phantom|braino|(?:^|[_\W\d])Q[AC](?:$|[_\W\d])|(?:^|[_\W])(?:sphere|water[_ ]?bottle)(?:$|[_\W])"
_WATER = (
    r"w(?:ater)?[_\-]?ref|(?:^|[_\W])ref(?:$|[_\W])|unsup|no[_\-]?ws(?:$|[_\W\d])|(?:^|[_\W])h2o|ws[_\-]?off"
    r"|(?:^|[_\W])water(?:$|[_\W])"
)


def normalised_sequence(*names: str | None) -> str | None:
    """PRESS, STEAM, sLASER or MEGA-PRESS from the first of `names` that says so; None if none does.

    Siemens *svs_se* is PRESS and *svs_st* is STEAM, GE PROBE-P is PRESS and PROBE-S STEAM.
    """
    for name in names:
        if not name or re.search(_UNSUPPORTED, name, re.IGNORECASE):
            continue
        for sequence, pattern in _KNOWN:
            if re.search(pattern, name, re.IGNORECASE):
                return sequence
    return None


def maker_name(manufacturer: str | None) -> str | None:
    """One spelling of each manufacturer's name; others as they are."""
    for known in ("Siemens", "Philips", "GE", "UIH", "Bruker"):
        if manufacturer and re.match(rf"{known}\b", manufacturer, re.IGNORECASE):
            return known
    return manufacturer


def says_phantom(*descriptions: str | None) -> bool | None:
    """True if a description names a test object; None if none does (which does not mean a person)."""
    return True if any(text and re.search(_PHANTOM, text, re.IGNORECASE) for text in descriptions) else None


def says_water_reference(*descriptions: str | None) -> bool:
    """Whether a series description names an unsuppressed water reference."""
    return any(text and re.search(_WATER, text, re.IGNORECASE) for text in descriptions)
