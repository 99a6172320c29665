"""Known moves of a real head, found again from localisers made of it: error, certainty, time, memory.

python benchmarks/placement.py [--fast] [--moves N] [--seed S] [--kind KIND …] [--name NAME] [--figure OUT.png]
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from common import SHARED_DATA, table, write_json

from scanner_agent.placement import Images, check_placement, draw_placement, read_images, voxel_of_file
from scanner_agent.placement.similarity import head_centre
from scanner_agent.placement.voxel import rotation_vector_deg
from tests.support.localisers import CONTRASTS, Recipe, localiser, motion_of

SHARES = {"move": 0.5, "still": 0.1, "cropped": 0.15, "noisy": 0.1, "other head": 0.15}
KINDS = (*SHARES, "spoilt")
"""`spoilt`: meant to go wrong, to see whether that is noticed; not in the mixture."""


def recipe_of(kind: str, rng: np.random.Generator) -> Recipe:
    """A localiser of one kind, contrast and layout drawn."""
    recipe = Recipe(
        planes=bool(rng.random() < 0.5), contrast=str(rng.choice(CONTRASTS)), bias=float(rng.uniform(0, 0.4))
    )
    if kind == "cropped":
        return replace(recipe, crop=float(rng.uniform(0.1, 0.4)))
    if kind == "noisy":
        return replace(recipe, noise=float(np.exp(rng.uniform(np.log(0.1), np.log(2.0)))))
    if kind == "spoilt":
        if rng.random() < 0.5:
            return replace(recipe, noise=float(np.exp(rng.uniform(np.log(0.8), np.log(6.0)))))
        stretch = 1.0 + rng.choice([-1, 1], 3) * rng.uniform(0.05, 0.12, 3)
        return replace(recipe, stretch=(stretch[0], stretch[1], stretch[2]), warp_mm=float(rng.uniform(3.0, 8.0)))
    if kind == "other head":
        stretch = 1.0 + rng.choice([-1, 1], 3) * rng.uniform(0.03, 0.08, 3)
        return replace(recipe, stretch=(stretch[0], stretch[1], stretch[2]), warp_mm=float(rng.uniform(1.0, 5.0)))
    return replace(recipe, noise=float(rng.uniform(0.02, 0.06)))


def run(n: int, seed: int, kinds: list[str]) -> Iterator[dict[str, float | str | bool]]:
    """`n` localisers, one after the other, of some kinds (none: a mixture, half of it plain moves)."""
    shares = [1.0 / len(kinds)] * len(kinds) if kinds else list(SHARES.values())
    folder = SHARED_DATA / "real" / "philips_3t_t1_and_voxel"
    planning = read_images([folder / "t1_skull_stripped.nii.gz"])
    voxel = voxel_of_file(folder / "press35_act.SPAR")
    centre = head_centre(planning.stacks[0])
    for trial in range(n):
        rng = np.random.default_rng([seed, trial])
        kind = str(rng.choice(kinds or list(SHARES), p=shares))
        shift, turn = (0.0, 0.0) if kind == "still" else (rng.uniform(0.5, 15.0), rng.uniform(0.5, 10.0))
        motion = motion_of(rng, centre, shift, turn)
        images = Images("localiser", localiser(planning.stacks[0], motion, recipe_of(kind, rng), trial, centre))
        started, cpu = time.perf_counter(), time.process_time()
        result, found = check_placement(planning, images, voxel)
        assert found is not None
        truth, got = voxel.moved(motion), voxel.moved(found.motion)
        yield {
            "kind": kind,
            "shift_mm": shift,
            "turn_deg": turn,
            "state": result.state,
            "error_mm": float(np.linalg.norm(got.position_mm - truth.position_mm)),
            "turn_error_deg": float(np.linalg.norm(rotation_vector_deg(found.motion[:3, :3].T @ motion[:3, :3]))),
            "displacement_mm": float(np.linalg.norm(got.position_mm - voxel.position_mm)),
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu,
            **{f"sign_{name}": value for name, value in result.evidence.items()},
        }


def share(hits: int, n: int) -> str:
    """hits/n with the upper end of the one-sided 95 % interval (exact for 0, Wilson else)."""
    if n == 0:
        return "none"
    if hits == 0:
        return f"0/{n} (<= {100 * (1 - 0.05 ** (1 / n)):.1f} %)"
    p, z = hits / n, 1.645
    upper = (p + z**2 / (2 * n) + z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))) / (1 + z**2 / n)
    return f"{hits}/{n} (<= {100 * upper:.1f} %)"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="6 localisers only")
    parser.add_argument("--moves", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", action="append", choices=KINDS, default=[], help="only these kinds, alike many")
    parser.add_argument("--name", default="placement", help="of the file of rows")
    parser.add_argument("--figure", help="draw the first move")
    arguments = parser.parse_args()
    rows: list[dict[str, float | str | bool]] = []
    try:
        for row in run(6 if arguments.fast else arguments.moves, arguments.seed, arguments.kind):
            rows.append(row)
            write_json(arguments.name, rows)
    except KeyboardInterrupt:
        print("stopped: what is there so far")
    lines = []
    for kind in (*KINDS, "all"):
        chosen = [row for row in rows if kind in (row["kind"], "all")]
        judged = [row for row in chosen if row["state"] != "cannot_judge"]
        if not chosen:
            continue
        errors = np.array([float(row["error_mm"]) for row in judged] or [np.nan])
        turns = np.array([float(row["turn_error_deg"]) for row in judged] or [np.nan])
        lines.append(
            [kind, len(chosen), len(judged), float(np.median(errors)), float(np.percentile(errors, 95)),
             float(np.median(turns)), float(np.percentile(turns, 95)), float(errors.max())]
        )  # fmt: skip
    print(table(["kind", "n", "judged", "error mm", "95 %", "turn deg", "95 %", "largest mm"], lines))
    far = [row for row in rows if float(row["error_mm"]) > 2.0]
    still = [row for row in rows if row["kind"] == "still" and row["state"] != "cannot_judge"]
    print("error above 2 mm and yet judged:", share(sum(r["state"] != "cannot_judge" for r in far), len(far)))
    print("no move, said to be above 1 mm:", share(sum(float(r["displacement_mm"]) > 1.0 for r in still), len(still)))
    cpu = [float(row["cpu_seconds"]) for row in rows]
    print(f"CPU seconds: median {np.median(cpu):.1f}, largest {max(cpu):.1f}; "
          f"largest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")  # fmt: skip
    if arguments.figure:
        folder = SHARED_DATA / "real" / "philips_3t_t1_and_voxel"
        planning = read_images([folder / "t1_skull_stripped.nii.gz"])
        voxel = voxel_of_file(folder / "press35_act.SPAR")
        centre = head_centre(planning.stacks[0])
        motion = motion_of(np.random.default_rng(3), centre, 8.0, 7.0)
        images = Images("localiser", localiser(planning.stacks[0], motion, Recipe(contrast="t2_like"), 3, centre))
        result, found = check_placement(planning, images, voxel)
        draw_placement(arguments.figure, planning, images, voxel, found, result)


if __name__ == "__main__":
    main()
