"""`scanner-agent process` as a user runs it: what goes to stdout, what to stderr, and with which exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scanner_agent.records import REPORT_SCHEMA
from scanner_agent.simulate import simulate_scan
from scanner_agent.sources import write_nifti_mrs


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scanner_agent", "process", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = simulate_scan("still", seed=5, n_coils=4, n_points=1024, n_shots=12, scan_id="bench-5")
    path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    write_nifti_mrs(path, made.header, made.shots())
    return path


def test_json_is_the_report_and_nothing_else(scan: Path, tmp_path: Path) -> None:
    figure, average = tmp_path / "scan.png", tmp_path / "average.nii.gz"
    done = run(scan, "--json", "-", "--figure", figure, "--nifti", average)
    report = json.loads(done.stdout)
    assert report["schema"] == REPORT_SCHEMA
    assert done.returncode == {"good": 0, "watch": 0, "stop": 3, "cannot_judge": 4}[report["verdict"]]
    assert [shot["index"] for shot in report["shots"]] == list(range(12))
    assert {"total_ms", "fit_ms"} <= set(report["timing"])
    assert {"snr_lcmodel", "snr_naa", "fwhm_hz", "fwhm_ppm"} <= set(report["quality"])
    tnaa = next(m for m in report["metabolites"] if m["name"] == "tNAA")
    assert {"spectrum", "amplitude", "crlb_sd", "percent_sd", "percent_sd_lcmodel", "ratio_to_tCr"} <= set(tnaa)
    assert figure.read_bytes().startswith(b"\x89PNG")
    again = json.loads(run(average, "--json", "-").stdout)
    assert again["scan"]["shots_averaged"]
    assert "movement_not_observable" in [finding["kind"] for finding in again["findings"]]


def test_people_get_lines(scan: Path) -> None:
    done = run(scan)
    assert "tNAA" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.nii.gz"], "absent.nii.gz"),
        (["{scan}", "--protocol", "nonsense"], "nonsense"),
        (["{scan}", "--basis", "nonsense"], "nonsense"),
        (["{scan}", "--basis", "steam_te11_7t"], "steam_te11_7t"),
        (["{text}"], "notes.txt"),
        (["{scan}", "--json", "{nowhere}"], "none/report.json: No such file or directory"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(scan: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a scan")
    nowhere = tmp_path / "none" / "report.json"
    done = run(*(argument.format(scan=scan, text=text, nowhere=nowhere) for argument in arguments))
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
