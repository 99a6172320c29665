"""`scanner-agent simulate`: a raw multi-coil scan with its truth beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner_agent.records import Shot
    from scanner_agent.simulate import SimulatedScan


def simulate(
    out: Annotated[Path | None, typer.Argument(help="File to write, ending with .nii.gz or .nii.")] = None,
    scenario: Annotated[str, typer.Option(help="What happens; several joined by +. See --list-scenarios.")] = "still",
    seed: Annotated[int, typer.Option(min=0, help="Everything random follows from it.")] = 1,
    severity: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="0 mild to 1 severe; default drawn from the seed.")
    ] = None,
    onset: Annotated[int | None, typer.Option(min=0, help="First shot of what begins during the scan.")] = None,
    sequence: Annotated[str, typer.Option(help="PRESS, STEAM or MEGA-PRESS.")] = "PRESS",
    coils: Annotated[int, typer.Option(min=1, max=256, help="Receive channels.")] = 32,
    points: Annotated[int, typer.Option(min=256, max=65536, help="Complex points per shot.")] = 2048,
    width: Annotated[float | None, typer.Option(help="Spectral width, Hz; default 2000, at 7 T 5000.")] = None,
    frequency: Annotated[float, typer.Option(help="MHz: 63.9 (1.5 T), 123.25 (3 T), 297.2 (7 T) …")] = 123.25,
    shots: Annotated[int | None, typer.Option(min=1, help="Metabolite shots; default 64, edited 320.")] = None,
    water_shots: Annotated[int, typer.Option(min=0, help="Unsuppressed shots.")] = 8,
    excitations: Annotated[int, typer.Option(min=1, help="Excitations summed in each shot (NEX).")] = 1,
    echo_time: Annotated[float | None, typer.Option(help="TE, ms; default by sequence and field.")] = None,
    repetition_time: Annotated[float | None, typer.Option(help="TR, ms; default by sequence and field.")] = None,
    edit_order: Annotated[str, typer.Option(help="alternating, reversed, blocked or 1-1-0-0.")] = "alternating",
    snr: Annotated[float | None, typer.Option(help="LCModel's S/N at the end of an undisturbed scan.")] = None,
    linewidth: Annotated[float | None, typer.Option(help="FWHM of an undisturbed scan, Hz.")] = None,
    phantom: Annotated[str | None, typer.Option(help="A test object instead: acetate_lactate or brain.")] = None,
    temperature: Annotated[float, typer.Option(help="Of the phantom, degrees C.")] = 21.5,
    list_scenarios: Annotated[bool, typer.Option("--list-scenarios", help="Say what can happen, and exit.")] = False,
) -> None:
    """Make a scan that never was, as NIfTI-MRS, and write what is true of it to OUT.truth.json.

    Water reference and noise go to OUT_water and OUT_noise beside it.

    Examples:

      scanner-agent simulate moved.nii.gz --scenario motion_step --seed 7

      scanner-agent simulate gaba.nii.gz --sequence MEGA-PRESS --scenario drift+lipid --severity 0.8

      scanner-agent simulate sphere.nii.gz --phantom acetate_lactate --temperature 20
    """
    from scanner_agent.simulate import SCENARIOS

    if list_scenarios:
        for name, entry in SCENARIOS.items():
            print(f"{name:24}{entry.text}")
        return
    if out is None:
        raise typer.BadParameter("name the file to write, such as scan.nii.gz", param_hint="OUT")
    common: dict[str, Any] = {"seed": seed, "n_coils": coils, "n_points": points}
    common |= {"spectrometer_frequency_mhz": frequency, "n_water_shots": water_shots}
    if phantom is not None:
        from scanner_agent.simulate import simulate_phantom

        if width is not None:
            common["dwell_time_s"] = 1.0 / width
        if shots is not None:
            common["n_shots"] = shots
        scan = simulate_phantom(phantom, temperature_c=temperature, **common)  # type: ignore[arg-type]
    else:
        from scanner_agent.simulate import simulate_scan

        scan = simulate_scan(
            scenario,
            severity=severity,
            onset_shot=onset,
            sequence=sequence,  # type: ignore[arg-type]
            dwell_time_s=None if width is None else 1.0 / width,
            n_shots=shots,
            n_excitations=excitations,
            echo_time_s=None if echo_time is None else echo_time / 1000.0,
            repetition_time_s=None if repetition_time is None else repetition_time / 1000.0,
            edit_order=edit_order,  # type: ignore[arg-type]
            snr_lcmodel=snr,
            fwhm_hz=linewidth,
            **common,
        )
    _write(out, scan)


def _write(out: Path, scan: SimulatedScan) -> None:
    """Write the scan and its truth; say what was written."""
    import json

    from scanner_agent.errors import SourceError
    from scanner_agent.sources import write_nifti_mrs

    try:
        files = write_nifti_mrs(out, scan.header, _with_progress(scan))
        stem = out.name.removesuffix(".gz").removesuffix(".nii")
        truth = out.with_name(f"{stem}.truth.json")
        truth.write_text(json.dumps(scan.truth, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{out}: cannot be written ({error.strerror or error})") from error
    for file in (*files, truth):
        print(file)


def _with_progress(scan: SimulatedScan) -> Iterator[Shot]:
    """The scan's shots, with a bar on stderr if that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(file=sys.stderr)
    yield from track(
        scan.shots(), description="simulating", total=scan.n_shots, console=console, disable=not console.is_terminal
    )
