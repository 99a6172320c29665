"""`scanner-agent simulate` writes a scan that the sources read back, and its truth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scanner_agent.cli.app import app
from scanner_agent.errors import ScannerAgentError
from scanner_agent.records import ShotKind
from scanner_agent.simulate import SCENARIOS
from scanner_agent.sources import open_scan

RUNNER = CliRunner()


def test_writes_scan_water_noise_and_truth(tmp_path: Path) -> None:
    out = tmp_path / "moved.nii.gz"
    arguments = "--scenario motion_step --seed 7 --coils 4 --points 512 --shots 12 --water-shots 2 --severity 0.9"
    result = RUNNER.invoke(app, ["simulate", str(out), *arguments.split()])
    assert result.exit_code == 0, result.output
    truth = json.loads((tmp_path / "moved.truth.json").read_text())
    assert truth["events"][0]["scenario"] == "motion_step"
    scan = open_scan(out, water=tmp_path / "moved_water.nii.gz", noise=tmp_path / "moved_noise.nii.gz")
    kinds = [shot.shot_kind for shot in scan.shots()]
    assert (kinds.count(ShotKind.METABOLITE), kinds.count(ShotKind.WATER_REFERENCE)) == (12, 2)
    assert ShotKind.NOISE in kinds
    assert scan.header.n_coils == 4
    assert scan.header.sequence == "PRESS"


def test_edited_and_phantom_scans_are_written(tmp_path: Path) -> None:
    edited = tmp_path / "edited.nii.gz"
    arguments = "--sequence MEGA-PRESS --coils 2 --points 512 --shots 6 --edit-order reversed"
    assert RUNNER.invoke(app, ["simulate", str(edited), *arguments.split()]).exit_code == 0
    shots = [s for s in open_scan(edited).shots() if s.shot_kind is ShotKind.METABOLITE]
    assert [s.edit_condition for s in shots] == ["off", "on"] * 3
    sphere = tmp_path / "sphere.nii"
    result = RUNNER.invoke(app, ["simulate", str(sphere), "--phantom", "brain", "--coils", "2", "--points", "512"])
    assert result.exit_code == 0
    assert open_scan(sphere).header.is_phantom is True


def test_lists_scenarios() -> None:
    result = RUNNER.invoke(app, ["simulate", "--list-scenarios"])
    assert result.exit_code == 0
    assert all(name in result.stdout for name in SCENARIOS)


@pytest.mark.parametrize("wrong", [["x.txt"], ["x.nii.gz", "--scenario", "nothing"], ["x.nii.gz", "--phantom", "tea"]])
def test_wrong_use_is_one_clear_error(tmp_path: Path, wrong: list[str]) -> None:
    result = RUNNER.invoke(app, ["simulate", str(tmp_path / wrong[0]), *wrong[1:], "--coils", "2", "--points", "512"])
    assert result.exit_code != 0
    assert isinstance(result.exception, ScannerAgentError)
    assert len(str(result.exception).splitlines()) == 1
