"""`scanner-agent placement check` and `watch`: a repeat localiser against the planning volume."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scanner_agent.cli.daemon import KeyOption, ServerKeyOption, client_keys
from scanner_agent.errors import SourceError

if TYPE_CHECKING:
    from scanner_agent.placement import Voxel
    from scanner_agent.records import ScanHeader

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

    Examples:

      scanner-agent placement check T1/ LOCALISER/ --voxel scan.nii.gz --figure moved.png

      scanner-agent placement check t1.nii.gz localiser.nii.gz --position 6.7,-38.2,19.0 --size 20,25,20
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


@app.command()
def watch(
    folder: Annotated[Path, typer.Argument(help="Folder into which localisers are exported.")],
    planning: Annotated[Path, typer.Argument(help="Planning volume.")],
    voxel: Annotated[Path | None, typer.Option(help="Spectroscopy file that says where the voxel lies.")] = None,
    position: Annotated[str | None, typer.Option(help="Or its centre, mm, RAS")] = None,
    size: Annotated[str | None, typer.Option(help="With --position: edge lengths, mm")] = None,
    rotation: Annotated[str, typer.Option(help="With --position: turns about R, A, S, degrees")] = "0,0,0",
    out: Annotated[Path | None, typer.Option(help="Folder for a JSON and a picture of each check.")] = None,
    connect: Annotated[
        str | None, typer.Option(metavar="URL", help="Daemon that is to have the result on record (ingest socket).")
    ] = None,
    scan_id: Annotated[
        str | None,
        typer.Option(help="With --connect: scan it belongs to; default: the one under way, or since this began."),
    ] = None,
    initials: Annotated[str, typer.Option(help="With --connect: who answers for it.")] = "PLC",
    key: KeyOption = None,
    server_key: ServerKeyOption = None,
    settle: Annotated[float, typer.Option(help="Seconds without change after which a series is complete.")] = 5.0,
    once: Annotated[bool, typer.Option(help="End after the first series that could be read.")] = False,
) -> None:
    """Check every new localiser that appears in a folder, until Ctrl-C.

    With --connect the voxel need not be given: the scan that is under way says where it lies.

    Before the spectroscopy, give it by --voxel (a scan of the same prescription) or by --position and --size.

    Examples:

      scanner-agent placement watch EXPORT/ T1/ --connect tcp://127.0.0.1:5570

      scanner-agent placement watch EXPORT/ T1/ --position 6.7,-38.2,19.0 --size 20,25,20 --connect tcp://127.0.0.1:5570
    """
    import threading

    from scanner_agent.cli.placement_line import Line
    from scanner_agent.placement import check_placement, draw_placement, read_images, voxel_of_file
    from scanner_agent.placement.watch import SeriesWatcher
    from scanner_agent.records import to_json

    if (voxel is not None and position is not None) or (voxel is None and position is None and connect is None):
        raise SourceError("placement watch: give the voxel by --voxel FILE, by --position and --size, or by --connect")
    if not folder.is_dir():
        raise SourceError(f"{folder.name}: is no folder; name the one into which localisers are exported")
    watcher, tick = SeriesWatcher(folder, settle), threading.Event()  # first: what arrives from now on is new
    line = None if connect is None else Line(connect, scan_id, initials, client_keys(key, server_key))
    given = None
    if voxel is not None or position is not None:
        given = voxel_of_file(voxel) if voxel is not None else _typed(position or "", size or "", rotation)
    volume = read_images([planning])
    print(f"watching {folder.name}; Ctrl-C ends it", flush=True)
    try:
        while True:
            for files in watcher.settled():
                try:
                    images = read_images(files)
                    about = line.scan_now() if line is not None else None
                    box = given if given is not None else _voxel_of_scan(about)
                    result, found = check_placement(volume, images, box)
                except SourceError as error:
                    print(f"skipped: {error}", flush=True)
                    continue
                print(f"{images.name}: {result.text}", flush=True)
                for vendor, numbers in result.consoles.items():
                    print(f"  {vendor}: {numbers}", flush=True)
                if line is not None:
                    print(f"  {line.put(about, result)}", flush=True)
                if out is not None:
                    out.mkdir(parents=True, exist_ok=True)
                    stem = out / f"placement_{files[0].stem}"
                    Path(f"{stem}.json").write_bytes(to_json(result) + b"\n")
                    draw_placement(Path(f"{stem}.png"), volume, images, box, found, result)
                if once:
                    return
            tick.wait(min(settle / 4.0, 1.0))
    except KeyboardInterrupt:
        print("ended")


def _voxel_of_scan(header: ScanHeader | None) -> Voxel:
    """The voxel that is prescribed in the scan under way."""
    from scanner_agent.placement import voxel_of_header

    if header is None:
        raise SourceError("no scan is under way that says where its voxel lies; give it by --voxel or --position")
    return voxel_of_header(header)


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
