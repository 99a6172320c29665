"""`scanner-agent basis …` as a user types it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from scanner_agent.basis import load_basis
from scanner_agent.cli.basis import app
from scanner_agent.errors import ScannerAgentError

runner = CliRunner()


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    from scanner_agent import jit

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jit, "cache_directory", lambda: tmp_path / "cache")


def run(*words):
    result = runner.invoke(app, list(words))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_simulate_a_shipped_set(tmp_path):
    run("simulate", "phantom_press_te30_3t", "--out", "p.npz")
    made = load_basis(tmp_path / "p.npz", 127.75)["main"]
    assert made.content_hash() == load_basis("phantom_press_te30_3t", 127.75)["main"].content_hash()


def test_simulate_convert_show(tmp_path):
    run("simulate", "PRESS", "--te", "144", "--te1", "20", "--metabolites", "NAA, Cr,Lac", "--out", "p144.npz")
    made = load_basis(tmp_path / "p144.npz")["main"]
    assert made.names == ("NAA", "Cr", "Lac")
    assert made.echo_time_s == 0.144
    run("convert", "p144.npz", "p144.basis")
    run("convert", "p144.basis", "again", "--points", "1024", "--dwell-us", "500")
    assert load_basis(tmp_path / "again")["main"].n_points == 1024
    text = run("show", "p144.npz", "--png", "p.png")
    assert "TE 144 ms" in text
    assert "2.008" in text
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_mega_sets_convert_kind_by_kind(tmp_path):
    words = ("--te", "68", "--metabolites", "Cr,GABA,NAA", "--shape", "ideal", "--bandwidth", "60")
    run("simulate", "MEGA-PRESS", *words, "--out", "m.npz")
    run("convert", "m.npz", "m.basis")
    assert {f.name for f in tmp_path.glob("*.basis")} == {"m_on.basis", "m_off.basis", "m_difference.basis"}
    run("convert", "m.npz", "d.basis", "--spectrum", "difference")
    assert load_basis(tmp_path / "d.basis")["difference"].names == ("Cr", "GABA", "NAA")


def test_show_lists_the_shipped_sets():
    assert "mega_te68_3t" in run("show")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("simulate", "FOO"), "cannot simulate FOO"),
        (("simulate", "PRESS"), "needs --te"),
        (("simulate", "PRESS", "--te", "30", "--metabolites", "NAA,Xyz"), "no spin system for Xyz"),
        (("simulate", "PRESS", "--te", "30", "--sample", "liver"), "no sample liver"),
        (("simulate", "PRESS", "--te", "5", "--te1", "20"), "do not fit"),
        (("simulate", "MEGA-PRESS", "--te", "68", "--shape", "square"), "no editing pulse square"),
        (("simulate", "MEGA-PRESS", "--te", "68", "--bandwidth", "20"), "cannot invert"),
        (("show", "nothing"), "no basis set nothing"),
        (("show", "press_te35_3t", "--spectrum", "on"), "has no on spectrum"),
        (("convert", "press_te35_3t", "x.xlsx"), "says no format"),
        (("convert", "press_te35_3t", "x.npz", "--spectrum", "off"), "has no off spectrum"),
    ],
)
def test_wrong_usage_is_one_clear_line(words, complaint):
    result = runner.invoke(app, list(words))
    assert isinstance(result.exception, ScannerAgentError)
    assert complaint in str(result.exception)
    assert "\n" not in str(result.exception)
