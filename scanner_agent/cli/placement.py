"""`scanner-agent placement check`: a repeat localiser against the planning volume."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scanner_agent.errors import SourceError

if TYPE_CHECKING:
    from scanner_agent.placement import Voxel

app = typer.Typer(no_args_is_help=True, help="Where the voxel is now: planning volume against repeat localiser.")
_EXIT = {"not_moved": 0, "moved": 3, "cannot_judge": 4}


@app.callback()
def placement() -> None:
    """Where the voxel is now."""


@app.command()
def check(
    planning: Annotated[Path, typer.Argument(help="Planning volume: NIfTI file, DICOM file or folder of one series.")],
    localiser: Annotated[
        list[Path], typer.Argument(help="Repeat localiser: the same, or one NIfTI file for each of its planes.")
    ],
    voxel: Annotated[Path | None, typer.Option(help="Spectroscopy file that says where the voxel lies.")] = None,
    position: Annotated[str | None, typer.Option(help="Or its centre, mm, RAS: 6.7,-38.2,19.0")] = None,
    size: Annotated[str | None, typer.Option(help="With --position: edge lengths, mm: 20,20,20")] = None,
    rotation: Annotated[
        str, typer.Option(help="With --position: turns about R, A, S (degrees, in that order)")
    ] = "0,0,0",
    json_out: Annotated[str | None, typer.Option("--json", help="Write the result as JSON; - for stdout.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Write a picture (PNG).")] = None,
) -> None:
    """Say how far the head has moved since planning, and where the voxel should be now.

    Exit code 0: not moved, 3: moved, 4: cannot judge, 2: unreadable input.
    """
    from scanner_agent.placement import check_placement, draw_placement, read_images, voxel_of_file
    from scanner_agent.records import to_json

    if (voxel is None) == (position is None):
        raise SourceError("placement check: give the voxel either by --voxel FILE or by --position and --size")
    box = voxel_of_file(voxel) if voxel is not None else _typed(position or "", size or "", rotation)
    volume, images = read_images([planning]), read_images(localiser)
    result, found = check_placement(volume, images, box)
    if figure is not None:
        draw_placement(figure, volume, images, box, found, result)
    if json_out == "-":
        sys.stdout.write(to_json(result).decode() + "\n")
    else:
        if json_out is not None:
            Path(json_out).write_bytes(to_json(result) + b"\n")
        print(result.text)
        for vendor, numbers in result.consoles.items():
            print(f"  {vendor}: {numbers}")
    raise typer.Exit(_EXIT[result.state])


def _typed(position: str, size: str, rotation: str) -> Voxel:
    """A voxel from three typed triples."""
    import numpy as np

    from scanner_agent.placement.notation import GeVoxel, from_ge

    triples = []
    for name, text in (("--position", position), ("--size", size), ("--rotation", rotation)):
        try:
            numbers = [float(part) for part in text.replace(";", ",").split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != 3 or not np.isfinite(numbers).all() or (name == "--size" and min(numbers) <= 0):
            raise SourceError(f"placement check: {name} wants three numbers like 20,20,20; got '{text[:40]}'")
        triples.append((numbers[0], numbers[1], numbers[2]))
    return from_ge(GeVoxel(centre_mm=triples[0], turns_deg=triples[2], size_mm=triples[1]))
