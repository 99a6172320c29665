"""`scanner-agent basis simulate|convert|show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from scanner_agent.cli.progress import ProgressBar

if TYPE_CHECKING:
    from scanner_agent.basis import BasisSet, Sequence
    from scanner_agent.basis.edit_pulses import Shape

app = typer.Typer(no_args_is_help=True, help="Basis sets: what each metabolite looks like in a sequence.")


@app.command("simulate")
def simulate(
    what: Annotated[str, typer.Argument(help="A shipped set's name, or PRESS, STEAM, sLASER or MEGA-PRESS.")],
    out: Annotated[Path | None, typer.Option(help="File to write (.npz); default: NAME.npz.")] = None,
    te: Annotated[float | None, typer.Option(help="Echo time, ms.", min=1.0, max=1000.0)] = None,
    te1: Annotated[float | None, typer.Option(help="First echo time of PRESS and MEGA-PRESS, ms.", min=0.1)] = None,
    tm: Annotated[float, typer.Option(help="Mixing time of STEAM, ms.", min=0.0, max=1000.0)] = 10.0,
    frequency: Annotated[
        float,
        typer.Option(help="Spectrometer frequency, MHz: 123.2 (Siemens 3 T), 127.7, 297.2.", min=10.0, max=1000.0),
    ] = 123.2,
    on_ppm: Annotated[float, typer.Option("--on", help="Editing frequency of the ON shots, ppm.")] = 1.9,
    off_ppm: Annotated[float, typer.Option("--off", help="Editing frequency of the OFF shots, ppm.")] = 7.46,
    pulse_ms: Annotated[float, typer.Option(help="Editing pulse's length, ms.", min=1.0, max=100.0)] = 15.0,
    bandwidth: Annotated[float, typer.Option(help="Editing pulse's inversion FWHM, Hz.", min=5.0)] = 87.0,
    shape: Annotated[str, typer.Option(help="Editing pulse: sinc_gaussian, gaussian or ideal.")] = "sinc_gaussian",
    sample: Annotated[
        str, typer.Option(help="Spin systems: brain, acetate_lactate_phantom or brain_phantom.")
    ] = "brain",
    metabolites: Annotated[str | None, typer.Option(help="Only these, with commas between.")] = None,
    points: Annotated[int, typer.Option(help="Points per FID.", min=64, max=65536)] = 4096,
    dwell_us: Annotated[float, typer.Option(help="Time between points, microseconds.", min=1.0)] = 250.0,
) -> None:
    """Simulate a basis set: strong coupling, ideal localisation, real editing pulses.

    Examples:

      scanner-agent basis simulate press_te35_3t --out press_te35_3t.npz

      scanner-agent basis simulate PRESS --te 144 --te1 20 --frequency 127.75 --out press144.npz

      scanner-agent basis simulate MEGA-PRESS --te 68 --on 4.56 --off 7.5 --bandwidth 60 --pulse-ms 20 --out gsh.npz
    """
    from scanner_agent.basis import COLLECTIONS, SHIPPED, simulate_cached
    from scanner_agent.basis.npz_format import write_npz
    from scanner_agent.basis.shipped import simulate_recipe
    from scanner_agent.errors import ConfigError
    from scanner_agent.jit import cache_directory

    target = out or Path(f"{what}.npz")
    if what in SHIPPED:
        with ProgressBar("simulating") as bar:
            sets = simulate_recipe(SHIPPED[what], lambda done, total, now: bar.step(now, done, total))
    else:
        if sample not in COLLECTIONS:
            raise ConfigError(f"no sample {sample} (there are {', '.join(COLLECTIONS)})")
        systems = COLLECTIONS[sample]
        wanted = [name.strip() for name in metabolites.split(",")] if metabolites else list(systems)
        unknown = [name for name in wanted if name not in systems]
        if unknown:
            raise ConfigError(f"no spin system for {', '.join(unknown)} in {sample} (it has {', '.join(systems)})")
        sequence = _sequence(what, te, te1, tm, (on_ppm, off_ppm), (pulse_ms, bandwidth, shape))
        with ProgressBar("simulating") as bar:
            sets = list(
                simulate_cached(
                    sequence,
                    {name: systems[name] for name in wanted},
                    cache_directory=cache_directory(),
                    spectrometer_frequency_mhz=frequency,
                    n_points=points,
                    dwell_time_s=dwell_us / 1e6,
                    name=target.stem,
                    provenance={"sequence": repr(sequence), "sample": sample},
                    progress=lambda done, total, now: bar.step(now, done, total),
                ).values()
            )
    write_npz(sets, target)
    typer.echo(f"{target}: {len(sets[0].names)} metabolites, {', '.join(dict.fromkeys(s.spectrum for s in sets))}")


@app.command("convert")
def convert(
    source: Annotated[str, typer.Argument(help="A shipped set's name, .npz, .BASIS, or a folder.")],
    target: Annotated[Path, typer.Argument(help=".npz, .basis, or a folder for FSL-MRS JSON files.")],
    spectrum: Annotated[str | None, typer.Option(help="Only main, on, off or difference.")] = None,
    frequency: Annotated[float | None, typer.Option(help="Of several fields in the source, the nearest; MHz.")] = None,
    linewidth: Annotated[
        float, typer.Option(help="Lorentzian FWHM that undamped sets get for .basis and JSON, Hz.", min=0.0)
    ] = 1.0,
    points: Annotated[int | None, typer.Option(help="Resample to so many points.", min=64, max=65536)] = None,
    dwell_us: Annotated[float | None, typer.Option(help="Resample to this dwell time, microseconds.", min=1.0)] = None,
) -> None:
    """Convert between this program's .npz, LCModel's .BASIS and FSL-MRS's JSON folders.

    A set with several spectra (ON, OFF, difference) becomes one .basis file or folder for each.

    Examples:

      scanner-agent basis convert my.basis my.npz

      scanner-agent basis convert mega_te68_3t mega.basis --frequency 127.75

      scanner-agent basis convert press_te30_3t press_te30_json --points 2048 --dwell-us 500
    """
    from scanner_agent.basis import load_basis
    from scanner_agent.basis.fsl_format import write_fsl_folder
    from scanner_agent.basis.lcmodel_format import write_lcmodel_basis
    from scanner_agent.basis.npz_format import write_npz
    from scanner_agent.errors import ConfigError

    sets = load_basis(source, frequency)
    if spectrum is not None:
        if spectrum not in sets:
            raise ConfigError(f"{source} has no {spectrum} spectrum (it has {', '.join(sets)})")
        sets = {spectrum: sets[spectrum]}
    chosen = [_on_axis(basis, points, dwell_us) for basis in sets.values()]
    if target.suffix == ".npz":
        write_npz(chosen, target)
        typer.echo(str(target))
        return
    if target.suffix.lower() not in ("", ".basis"):
        raise ConfigError(f"{target}: its ending says no format (.npz, .basis, or none for a folder)")
    for basis in chosen:
        damped = basis.broadened(linewidth) if basis.linewidth_hz == 0.0 else basis
        path = target if len(chosen) == 1 else target.with_name(f"{target.stem}_{basis.spectrum}{target.suffix}")
        if target.suffix:
            write_lcmodel_basis(damped, path)
        else:
            write_fsl_folder(damped, path)
        typer.echo(str(path))


@app.command("show")
def show(
    what: Annotated[str | None, typer.Argument(help="A set; without it, the shipped ones are listed.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write a picture of every metabolite.")] = None,
    spectrum: Annotated[str | None, typer.Option(help="main, on, off or difference.")] = None,
    frequency: Annotated[float | None, typer.Option(help="Of several fields in the set, the nearest; MHz.")] = None,
    linewidth: Annotated[float, typer.Option(help="Linewidth in the picture, Hz.", min=0.1)] = 5.0,
) -> None:
    """List basis sets, or what one holds: metabolites, strongest lines, where it comes from.

    Examples:

      scanner-agent basis show

      scanner-agent basis show mega_te68_3t --spectrum difference --png mega.png
    """
    from rich.console import Console
    from rich.table import Table

    from scanner_agent.basis import SHIPPED, load_basis, shipped_names
    from scanner_agent.basis.display import strongest_lines_ppm
    from scanner_agent.cli.basis_figure import write_basis_figure
    from scanner_agent.errors import ConfigError

    console = Console()
    if what is None:
        table = Table("name", "sequence", "TE, ms", "MHz", "spectra", "metabolites")
        table.columns[0].no_wrap = True
        for name in shipped_names():
            sets = load_basis(name)
            first = next(iter(sets.values()))
            te = "-" if first.echo_time_s is None else f"{first.echo_time_s * 1e3:g}"
            fields = ", ".join(f"{field:g}" for field in SHIPPED[name].frequencies_mhz)
            row = (first.sequence or "-", te, fields, ", ".join(sets))
            table.add_row(name, *row, " ".join(first.names))
        console.print(table)
        return
    sets = load_basis(what, frequency)
    if spectrum is not None and spectrum not in sets:
        raise ConfigError(f"{what} has no {spectrum} spectrum (it has {', '.join(sets)})")
    basis = sets[spectrum] if spectrum is not None else next(iter(sets.values()))
    console.print(_facts(basis, tuple(sets)), highlight=False)
    table = Table("metabolite", "signal at the first point", "strongest lines, ppm")
    for name in basis.names:
        lines = ", ".join(f"{ppm:.3f}" for ppm in strongest_lines_ppm(basis, name))
        table.add_row(name, f"{abs(basis.fid(name)[0]):.4g}", lines)
    console.print(table)
    if png is not None:
        write_basis_figure(basis, png, linewidth)
        typer.echo(str(png))


def _sequence(
    name: str,
    te_ms: float | None,
    te1_ms: float | None,
    tm_ms: float,
    edit_ppm: tuple[float, float],
    pulse: tuple[float, float, str],
) -> Sequence:
    from scanner_agent.basis import SHIPPED, EditPulse, MegaPress, Press, SemiLaser, Steam
    from scanner_agent.errors import ConfigError

    kind = name.upper()
    if kind not in ("PRESS", "STEAM", "SLASER", "MEGA-PRESS"):
        raise ConfigError(
            f"cannot simulate {name}: name PRESS, STEAM, sLASER, MEGA-PRESS or one of {', '.join(SHIPPED)}"
        )
    if te_ms is None:
        raise ConfigError(f"{name} needs --te, the echo time in ms")
    te = te_ms / 1e3
    first = None if te1_ms is None else te1_ms / 1e3
    if kind == "PRESS":
        return Press(te, first)
    if kind == "STEAM":
        return Steam(te, tm_ms / 1e3)
    if kind == "SLASER":
        return SemiLaser(te)
    length_ms, bandwidth_hz, shape = pulse
    if shape not in ("sinc_gaussian", "gaussian", "ideal"):
        raise ConfigError(f"no editing pulse {shape} (sinc_gaussian, gaussian or ideal)")
    return MegaPress(te, *edit_ppm, EditPulse(length_ms / 1e3, bandwidth_hz, cast("Shape", shape)), first or 0.010)


def _on_axis(basis: BasisSet, points: int | None, dwell_us: float | None) -> BasisSet:
    if points is None and dwell_us is None:
        return basis
    dwell_time_s = basis.dwell_time_s if dwell_us is None else dwell_us / 1e6
    return basis.resampled(points or basis.n_points, dwell_time_s, basis.spectrometer_frequency_mhz)


def _facts(basis: BasisSet, kinds: tuple[str, ...]) -> str:
    te = "TE unknown" if basis.echo_time_s is None else f"TE {basis.echo_time_s * 1e3:g} ms"
    tm = "" if basis.mixing_time_s is None else f", TM {basis.mixing_time_s * 1e3:g} ms"
    edit = (
        ""
        if basis.edit_pulse_ppm is None
        else f", editing at {basis.edit_pulse_ppm[0]:g} / {basis.edit_pulse_ppm[1]:g} ppm"
    )
    lines = [
        f"{basis.name} ({basis.spectrum}; holds {', '.join(kinds)})",
        f"{basis.sequence or 'sequence unknown'}, {te}{tm}{edit}, "
        f"{basis.spectrometer_frequency_mhz:.6g} MHz {basis.nucleus}",
        f"{basis.n_points} points of {basis.dwell_time_s * 1e6:g} us, linewidth {basis.linewidth_hz:.2g} Hz, "
        f"hash {basis.content_hash()}",
    ]
    return "\n".join(lines + [f"{key}: {value}" for key, value in basis.provenance.items()])
