"""Protocol files: what ships is whole, headers find theirs, wrong files are refused with the key's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from scanner_agent.errors import ConfigError
from scanner_agent.records import ScanHeader
from scanner_agent.scan_protocol import (
    load_protocol,
    match_notes,
    match_protocol,
    shipped_names,
    shipped_protocols,
    unsupported_reason,
)


def header(**fields: Any) -> ScanHeader:
    base: dict[str, Any] = {
        "scan_id": "s1",
        "spectrometer_frequency_mhz": 123.25,
        "dwell_time_s": 5e-4,
        "n_coils": 8,
        "n_points": 2048,
    }
    return ScanHeader(**(base | fields))


PRESS = {"sequence": "PRESS", "echo_time_s": 0.035, "repetition_time_s": 3.0}
MEGA = {"sequence": "MEGA-PRESS", "echo_time_s": 0.068, "repetition_time_s": 2.0, "n_edit_conditions": 2}


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_protocol_loads_under_its_own_name(name: str) -> None:
    protocol = load_protocol(name)
    assert protocol.name == name
    assert protocol.limits
    assert len(protocol.content_hash()) == 16


def test_the_two_studies_have_their_published_limits() -> None:
    first = {(m.metric, m.metabolite): (m.minimum, m.maximum) for m in load_protocol("press_te35_tr3000_3t").limits}
    assert first == {
        ("snr_lcmodel", None): (8.0, None),
        ("fwhm_ppm", None): (None, 0.1),
        ("percent_sd_lcmodel", "Glu"): (None, 20.0),
    }
    second = {(m.metric, m.metabolite): (m.minimum, m.maximum) for m in load_protocol("press_te35_tr2000_3t").limits}
    assert second == {
        ("snr_lcmodel", None): (10.0, None),
        ("fwhm_hz", None): (None, 10.0),
        ("percent_sd_lcmodel", "Glx"): (None, 20.0),
    }


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        (PRESS, "press_te35_tr3000_3t"),
        (PRESS | {"sequence": "press"}, "press_te35_tr3000_3t"),
        (PRESS | {"repetition_time_s": 2.0, "spectrometer_frequency_mhz": 127.75}, "press_te35_tr2000_3t"),
        (PRESS | {"echo_time_s": 0.030, "repetition_time_s": 2.0}, "press_te30_3t"),
        (PRESS | {"echo_time_s": 0.030, "repetition_time_s": None}, "press_te30_3t"),
        (PRESS | {"echo_time_s": 0.040}, "press_te40_3t"),
        (PRESS | {"echo_time_s": 0.055, "repetition_time_s": 1.5}, "press_te55_3t"),
        (PRESS | {"echo_time_s": 0.037, "spectrometer_frequency_mhz": 63.9}, "press_te30_1p5t"),
        (PRESS | {"echo_time_s": 0.030, "spectrometer_frequency_mhz": 297.2}, "press_te30_7t"),
        (PRESS | {"echo_time_s": 0.144}, "generic"),
        (PRESS | {"echo_time_s": None}, "generic"),
        ({}, "generic"),
        ({"sequence": "STEAM", "echo_time_s": 0.011, "spectrometer_frequency_mhz": 297.22}, "steam_te11_7t"),
        ({"sequence": "STEAM", "echo_time_s": 0.020}, "steam_te20_3t"),
        ({"sequence": "sLASER", "echo_time_s": 0.030}, "generic"),
        (MEGA | {"edit_pulse_ppm": (1.9, 7.46)}, "mega_te68_3t"),
        (MEGA, "mega_te68_3t"),
        (MEGA | {"sequence": None}, "mega_te68_3t"),
        (MEGA | {"edit_pulse_ppm": (1.9, 1.5), "echo_time_s": 0.080}, "mega_te80_3t"),
        (MEGA | {"spectrometer_frequency_mhz": 297.2}, "generic_mega"),
        (
            PRESS | {"echo_time_s": 0.030, "is_phantom": True, "scanner": "SIEMENS Biograph_mMR"},
            "phantom_press_te30_3t_siemens",
        ),
        (PRESS | {"echo_time_s": 0.030, "is_phantom": True, "scanner": "GE"}, "generic_phantom"),
        (
            PRESS | {"spectrometer_frequency_mhz": 63.9, "is_phantom": True, "scanner": "Philips Achieva"},
            "phantom_press_te30_1p5t_philips",
        ),
    ],
)
def test_header_finds_its_protocol(fields: dict[str, Any], name: str) -> None:
    assert match_protocol(header(**fields)).name == name


def test_notes_say_what_was_taken_for_granted() -> None:
    generic = header(sequence="PRESS", echo_time_s=0.288)
    assert any("No protocol fits" in note for note in match_notes(generic, match_protocol(generic)))
    silent = header(**MEGA)
    assert any("editing pulses" in note for note in match_notes(silent, match_protocol(silent)))
    told = header(**MEGA, edit_pulse_ppm=(1.9, 7.46))
    assert match_notes(told, match_protocol(told)) == ()


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"nucleus": "31P"}, "31P"),
        ({"sequence": "HERMES", "n_edit_conditions": 4}, "HERMES"),
        ({"sequence": "MEGA-PRESS", "n_edit_conditions": 4}, "4 edit conditions"),
        (MEGA | {"edit_pulse_ppm": (4.56, 7.5)}, "GSH"),
        (MEGA | {"edit_pulse_ppm": (4.1, 7.5)}, "4.1 ppm"),
        (MEGA | {"sequence": "MEGA-sLASER"}, "MEGA-sLASER"),
        ({"sequence": "CSI"}, "CSI"),
    ],
)
def test_what_is_not_supported_is_named(fields: dict[str, Any], word: str) -> None:
    reason = unsupported_reason(header(**fields))
    assert reason is not None
    assert word in reason


@pytest.mark.parametrize("fields", [PRESS, MEGA, MEGA | {"edit_pulse_ppm": (1.9, 1.5)}, {"sequence": "sLASER"}, {}])
def test_what_is_supported_has_no_reason_against(fields: dict[str, Any]) -> None:
    assert unsupported_reason(header(**fields)) is None


OWN = 'extends = "press_te30_3t"\n'


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        (OWN + "[judgement]\nstep_treshold = 3.0\n", "unknown key `judgement.step_treshold`"),
        (OWN + "colour = 1\n", "unknown key `colour`"),
        (OWN + "n_shots_planned = 0\n", "n_shots_planned"),
        (OWN + '[fit]\nppm_range = "wide"\n', "fit.ppm_range"),
        (OWN + "[match]\necho_time_s = [0.04, 0.03]\n", "match.echo_time_s"),
        (OWN + 'gated = ["Glx", "Glu"]\n', "Glu has no limit"),
        ('extends = "nothing"\n', "nothing"),
        ('extends = "own"\n', "own"),
        ("n_shots_planned = 3\n", "is missing"),
        (OWN + 'name = "other"\n', "file's name"),
        ("= 3", "not TOML"),
        (
            OWN + '[[limits]]\nmetric = "snr_naa"\nmaximum = 3.0\nunit = "1"\nsource = "mine"\n',
            "snr_naa: the bound is on the wrong side",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_file_and_key(tmp_path: Path, text: str, needle: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_protocol(path)
    assert "own.toml" in str(caught.value)
    assert needle in str(caught.value)
    assert "\n" not in str(caught.value)


def test_extends_merges_tables_and_circles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "press_te30_3t"\ntitle = "Mine"\n[judgement]\nlipid_watch = 2.0\n')
    mine, theirs = load_protocol(tmp_path / "mine.toml"), load_protocol("press_te30_3t")
    assert mine.name == "mine"
    assert mine.limits == theirs.limits
    assert msgspec.structs.replace(mine.judgement, lipid_watch=theirs.judgement.lipid_watch) == theirs.judgement
    assert mine.content_hash() != theirs.content_hash()
    (tmp_path / "a.toml").write_text('extends = "b"\n')
    (tmp_path / "b.toml").write_text('extends = "a"\n')
    with pytest.raises(ConfigError, match="circle"):
        load_protocol(tmp_path / "a.toml")


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="press_te30_3t"):
        load_protocol("nonesuch")


def test_no_two_protocols_tie_for_one_header() -> None:
    """Two that meet as many conditions would make the choice an accident of the alphabet."""
    seen: set[tuple[object, ...]] = set()
    for protocol in shipped_protocols():
        key = msgspec.structs.astuple(protocol.match)
        assert key not in seen
        seen.add(key)
