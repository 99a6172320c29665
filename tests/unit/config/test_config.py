"""agent.toml: defaults, errors that name the key, no public address without CURVE."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner_agent.config import AgentConfig, load_config, parse_config
from scanner_agent.errors import ConfigError


def test_an_empty_file_gives_the_defaults_on_loopback_without_curve() -> None:
    config = parse_config("")
    assert config == AgentConfig()
    assert config.urls == ("tcp://127.0.0.1:5570", "tcp://127.0.0.1:5571", "tcp://127.0.0.1:5572")
    assert not config.curve


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("lissen = 1", "lissen"),
        ("[listen]\nprot = 5", "prot"),
        ("[listen]\nport = 70000", "listen.port"),
        ("[listen]\nport = '5570'", "listen.port"),
        ("[listen]\naddress = 'console'", "listen.address"),
        ("[worker]\nhang_limit_s = 0", "worker.hang_limit_s"),
        ("[spool", "not TOML"),
    ],
)
def test_errors_name_the_file_and_the_key(text: str, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "my.toml")
    assert word in str(caught.value)
    assert str(caught.value).startswith("my.toml: ")


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.5", "::", "fe80::1"])
def test_a_public_address_has_curve_by_default_and_cannot_be_without(address: str) -> None:
    assert parse_config(f"[listen]\naddress = '{address}'").curve
    with pytest.raises(ConfigError, match=r"security\.curve"):
        parse_config(f"[listen]\naddress = '{address}'\n[security]\ncurve = false")


def test_ipv6_loopback_is_loopback() -> None:
    config = parse_config("[listen]\naddress = '::1'")
    assert not config.curve
    assert config.urls[1] == "tcp://[::1]:5571"


def test_state_comes_from_the_file_or_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "systemd"))
    assert AgentConfig().state == tmp_path / "systemd"
    assert parse_config(f"state_directory = '{tmp_path}'").state == tmp_path
    assert AgentConfig().store_url == f"sqlite:///{tmp_path / 'systemd' / 'results.sqlite'}"
    assert parse_config("[store]\nurl = 'off'").store_url is None


def test_a_missing_file_that_was_named_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load_config(tmp_path / "none.toml")


def test_the_service_reads_its_configuration_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path))
    assert load_config() == AgentConfig()
    (tmp_path / "agent.toml").write_text("[listen]\nport = 6000")
    assert load_config().listen.port == 6000
