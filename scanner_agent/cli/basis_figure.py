"""Pictures of basis sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from scanner_agent.basis import BasisSet


def write_basis_figure(basis: BasisSet, path: Path, linewidth_hz: float = 5.0) -> None:
    """One panel per metabolite, real part over 0-4.7 ppm, each to its own scale; format by the file's ending."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from scanner_agent.basis.display import display_spectra

    ppm, spectra = display_spectra(basis, linewidth_hz)
    shown = (ppm > 0.0) & (ppm < 4.7)
    columns = 4
    rows = -(-len(basis.names) // columns)
    figure = Figure(figsize=(14, 1.7 * rows + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for panel, name, values in zip(axes, basis.names, spectra.real, strict=False):
        panel.plot(ppm[shown], values[shown], linewidth=0.8, color="black")
        panel.axhline(0.0, linewidth=0.4, color="0.6")
        panel.set_title(name, fontsize=9, loc="left")
        panel.tick_params(labelsize=7)
    for panel in axes[len(basis.names) :]:
        panel.set_visible(False)
    axes[0].set_xlim(4.7, 0.0)
    te = "" if basis.echo_time_s is None else f", TE {basis.echo_time_s * 1e3:g} ms"
    figure.suptitle(
        f"{basis.name}, {basis.spectrum}: {basis.sequence or ''}{te}, {basis.spectrometer_frequency_mhz:g} MHz, "
        f"{linewidth_hz:g} Hz",
        fontsize=11,
    )
    figure.supxlabel("ppm", fontsize=9)
    figure.savefig(path, dpi=110)
