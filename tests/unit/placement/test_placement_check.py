"""Placement check on a mathematical head: found moves, no moves, and what must not be judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import typer

import scanner_agent.placement.check as check_module
import scanner_agent.placement.watch as watch_module
from scanner_agent.cli.placement import check, watch
from scanner_agent.errors import SourceError
from scanner_agent.placement import Images, Stack, Voxel, check_placement, draw_placement
from scanner_agent.placement.registration import Registration
from scanner_agent.placement.similarity import head_centre
from scanner_agent.placement.watch import SeriesWatcher
from scanner_agent.records import to_json
from tests.support.localisers import Recipe, head, localiser, motion_of

HEAD = head(seed=1)
PLANNING = Images("planning", (HEAD,), acquired_at=100.0, subject="a", frame_of_reference="f")
CENTRE = head_centre(HEAD)
VOXEL = Voxel(np.array([5.0, -35.0, 20.0]), np.array([20.0, 25.0, 20.0]), np.eye(3))


def seen(motion: np.ndarray, recipe: Recipe, seed: int = 2) -> Images:
    return Images("localiser", localiser(HEAD, motion, recipe, seed, CENTRE), 200.0, "a", "f")


def test_a_move_is_found_and_the_voxel_follows(tmp_path: Path) -> None:
    recipe = Recipe(contrast="t2_like")
    motion = motion_of(np.random.default_rng(4), CENTRE, 7.0, 6.0)
    images = seen(motion, recipe)
    result, found = check_placement(PLANNING, images, VOXEL)
    truth = VOXEL.moved(motion)
    assert result.state == "moved"
    assert np.linalg.norm(np.subtract(result.new_position_mm, truth.position_mm)) < 0.7
    cosines = np.sum(np.asarray(result.new_orientation) * truth.axes, axis=0)
    assert np.degrees(np.arccos(cosines.min())) < 0.5
    assert result.share_inside == pytest.approx(VOXEL.share_of(truth), abs=0.04)
    assert result.centre_displacement_mm == pytest.approx(
        np.linalg.norm(truth.position_mm - VOXEL.position_mm), abs=0.7
    )
    assert set(result.consoles) == {"Siemens", "Philips", "GE"}
    assert b'"state": "moved"' in to_json(result)
    draw_placement(tmp_path / "x.png", PLANNING, images, VOXEL, found, result)
    assert (tmp_path / "x.png").stat().st_size > 20_000


def test_no_move_is_no_move() -> None:
    result, _ = check_placement(PLANNING, seen(np.eye(4), Recipe(planes=False, contrast="inverted")), VOXEL)
    assert result.state == "not_moved"
    assert "look elsewhere" in result.text
    assert result.centre_displacement_mm < 0.7


def test_another_head_or_noise_is_not_judged(tmp_path: Path) -> None:
    other = Images("localiser", localiser(head(seed=9), np.eye(4), Recipe(stretch=(1.06, 0.95, 1.04)), 2, CENTRE))
    noise = seen(np.eye(4), Recipe(noise=8.0))
    for images in (other, noise):
        result, found = check_placement(PLANNING, images, VOXEL)
        assert result.state == "cannot_judge"
        assert result.reasons
        assert result.new_position_mm is None
        assert "\n" not in result.text
    draw_placement(tmp_path / "x.png", PLANNING, noise, VOXEL, found, result)


def test_a_flipped_localiser_is_not_judged() -> None:
    (stack,) = localiser(HEAD, np.eye(4), Recipe(planes=False), 2, CENTRE)
    flipped = Stack(stack.data[:, :, ::-1], stack.affine, stack.thickness_mm)
    result, _ = check_placement(PLANNING, Images("localiser", (flipped,)), VOXEL)
    assert result.state == "cannot_judge"
    assert result.text.count(".") >= 2
    assert "\n" not in result.text


def test_images_that_cannot_belong_together_are_refused() -> None:
    images = seen(np.eye(4), Recipe())
    for changed, says in (
        (replace(images, subject="b"), "another person"),
        (replace(images, acquired_at=50.0), "older than the planning"),
    ):
        with pytest.raises(SourceError, match=says):
            check_placement(PLANNING, changed, VOXEL)
    with pytest.raises(SourceError, match="3D volume used for planning"):
        check_placement(images, images, VOXEL)
    far = Voxel(np.array([500.0, 0.0, 0.0]), VOXEL.size_mm, VOXEL.axes)
    with pytest.raises(SourceError, match="outside the planned head"):
        check_placement(PLANNING, images, far)


def test_new_coordinates_are_not_judged() -> None:
    images = replace(seen(np.eye(4), Recipe()), frame_of_reference="g")
    result, _ = check_placement(PLANNING, images, VOXEL)
    assert result.state == "cannot_judge"
    assert "set anew" in result.text


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    motion = motion_of(np.random.default_rng(4), CENTRE, 7.0, 6.0)
    nib.save(nib.Nifti1Image(HEAD.data, HEAD.affine), tmp_path / "planning.nii.gz")
    found = Registration(motion, 1.3, 0.1, 0.2, 8, 0.001, 0.5, 0.4)
    monkeypatch.setattr(check_module, "register", lambda *_: found)
    planes = []
    for i, stack in enumerate(seen(motion, Recipe(planes=False)).stacks):
        planes.append(tmp_path / f"plane{i}.nii.gz")
        nib.save(nib.Nifti1Image(stack.data, stack.affine), planes[-1])
    with pytest.raises(typer.Exit) as end:
        check(
            tmp_path / "planning.nii.gz",
            planes,
            position="5,-35,20",
            size="20,25,20",
            json_out=str(tmp_path / "r.json"),
        )
    assert end.value.exit_code == 3
    assert (tmp_path / "r.json").read_text().startswith('{\n "schema": "scanner-agent/placement/1"')
    assert "Siemens: Position" in capsys.readouterr().out
    with pytest.raises(SourceError, match="three numbers"):
        check(tmp_path / "planning.nii.gz", planes, position="5,x,20", size="20,25,20")


def test_watch_command_checks_a_new_localiser(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    motion = motion_of(np.random.default_rng(4), CENTRE, 7.0, 6.0)
    monkeypatch.setattr(check_module, "register", lambda *_: Registration(motion, 1.3, 0.1, 0.2, 8, 0.001, 0.5, 0.4))
    nib.save(nib.Nifti1Image(HEAD.data, HEAD.affine), tmp_path / "planning.nii.gz")
    folder = tmp_path / "in"
    folder.mkdir()
    (stack,) = seen(motion, Recipe(planes=False)).stacks
    nib.save(nib.Nifti1Image(stack.data, stack.affine), tmp_path / "new.nii.gz")

    class Arriving(SeriesWatcher):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)
            (tmp_path / "new.nii.gz").rename(folder / "localiser.nii.gz")

    monkeypatch.setattr(watch_module, "SeriesWatcher", Arriving)
    watch(
        folder,
        tmp_path / "planning.nii.gz",
        position="5,-35,20",
        size="20,25,20",
        out=tmp_path / "out",
        settle=0.2,
        once=True,
    )
    assert "localiser.nii.gz: The head has moved" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "placement_localiser.nii.json", "placement_localiser.nii.png",
    ]  # fmt: skip
