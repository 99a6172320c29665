"""A site's own protocol files come before the shipped ones and are checked like them."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner_agent.errors import ConfigError
from scanner_agent.records import ScanHeader
from scanner_agent.scan_protocol import load_protocols, match_protocol

OWN = """
extends = "press_te35_tr3000_3t"
name = "our_press"
title = "Our PRESS"
source = "the site's own limits"
trigger_mode = "auto"
"""
HEADER = ScanHeader(
    scan_id="s",
    spectrometer_frequency_mhz=123.25,
    dwell_time_s=5e-4,
    n_coils=8,
    n_points=2048,
    sequence="PRESS",
    echo_time_s=0.035,
    repetition_time_s=3.0,
)


def test_own_protocol_wins_over_the_shipped_one_it_extends(tmp_path: Path) -> None:
    (tmp_path / "our_press.toml").write_text(OWN)
    own = load_protocols([tmp_path])
    assert match_protocol(HEADER).name == "press_te35_tr3000_3t"
    chosen = match_protocol(HEADER, own)
    assert chosen.name == "our_press"
    assert chosen.trigger_mode == "auto"
    assert chosen.limits == match_protocol(HEADER).limits


def test_missing_folder_and_bad_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        load_protocols([tmp_path / "nowhere"])
    (tmp_path / "our_press.toml").write_text(OWN + "colour = 3\n")
    with pytest.raises(ConfigError, match="colour"):
        load_protocols([tmp_path])
