"""A report as one picture: the spectra with fit, baseline and residual, and the shots' tracks below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from scanner_agent.errors import SourceError
from scanner_agent.records import ScanReport, ShotTrack, SpectrumPart, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_VERDICT_COLOURS = {
    Verdict.GOOD: "#1b7837",
    Verdict.WATCH: "#b8860b",
    Verdict.STOP: "#b2182b",
    Verdict.CANNOT_JUDGE: "#762a83",
    Verdict.COLLECTING: "#4d4d4d",
}
# Strongest resonance of each metabolite, ppm (de Graaf, In Vivo NMR Spectroscopy, 3rd ed. 2019).
LABELS_PPM = {
    "tNAA": 2.008,
    "tCr": 3.027,
    "tCho": 3.208,
    "Ins": 3.56,
    "Glx": 3.75,
    "Glu": 2.35,
    "GABA+": 3.01,
    "Lac": 1.31,
    "Ace": 1.90,
}
TRACKS: tuple[tuple[str, str | None, str], ...] = (
    ("frequency_hz", "frequency_sd_hz", "frequency (Hz)"),
    ("edit_offset_hz", "edit_offset_sd_hz", "from edit pulse (Hz)"),
    ("phase_deg", "phase_sd_deg", "phase (°)"),
    ("amplitude", "amplitude_sd", "amplitude"),
    ("linewidth_hz", None, "broadening (Hz)"),
)


def write_figure(path: Path | str, report: ScanReport) -> None:
    """Write the picture; the suffix of `path` chooses PNG, PDF or SVG. Raises SourceError if it cannot be written."""
    try:
        draw_figure(report).savefig(path, dpi=130)
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot write the figure {path}: {error}") from error


def draw_figure(report: ScanReport) -> Figure:
    """The picture as a Matplotlib figure, without touching Matplotlib's global state."""
    n_spectra = max(1, len(report.spectra))
    tracks = [t for t in TRACKS if any(getattr(shot, t[0]) is not None for shot in report.shots)]
    rows = [3.4] * n_spectra + [1.0] * len(tracks)
    figure = Figure(figsize=(9.0, 1.2 + 3.1 * n_spectra + 1.1 * len(tracks)), layout="constrained")
    axes: list[Axes] = list(figure.subplots(len(rows), 1, height_ratios=rows, squeeze=False)[:, 0])
    word = report.verdict.value.replace("_", " ").upper()
    sequence = report.scan.sequence or "unknown sequence"
    figure.suptitle(
        f"{report.scan.scan_id}: {word} ({sequence})\n{report.advice_text}",
        fontsize=11,
        color=_VERDICT_COLOURS[report.verdict],
        wrap=True,
    )
    if not report.spectra:
        axes[0].text(0.5, 0.5, "no spectrum", ha="center", va="center", transform=axes[0].transAxes)
        axes[0].set_axis_off()
    for axis, part in zip(axes, report.spectra, strict=False):
        _draw_spectrum(axis, part, {m.name for m in report.metabolites if m.spectrum == part.spectrum})
    if report.spectra:
        axes[0].set_title(_numbers(report), fontsize=9, loc="left")
    for axis, (name, sd_name, label) in zip(axes[n_spectra:], tracks, strict=True):
        _draw_track(axis, report, name, sd_name, label)
    if tracks:
        axes[-1].set_xlabel("shot")
    return figure


def _numbers(report: ScanReport) -> str:
    quality = report.quality
    values = (
        ("S/N (LCModel)", quality.snr_lcmodel, "{:.1f}"),
        ("S/N (NAA)", quality.snr_naa, "{:.0f}"),
        ("FWHM", quality.fwhm_hz, "{:.1f} Hz"),
        ("fit quality", quality.fit_quality, "{:.2f}"),
    )
    texts = [f"{name} {form.format(value)}" for name, value, form in values if value is not None]
    ratios = {m.name: m.ratio_to_tCr for m in report.metabolites if m.ratio_to_tCr is not None}
    texts += [f"{name}/tCr {ratios[name]:.2f}" for name in ("tNAA", "tCho", "Glx", "GABA+") if name in ratios]
    return " · ".join(texts)


def _draw_spectrum(axis: Axes, part: SpectrumPart, names: set[str]) -> None:
    top, bottom = max(part.data), min(part.data)
    span = (top - bottom) or 1.0
    axis.plot(part.ppm, part.data, color="0.25", lw=0.8, label=f"{part.spectrum} spectrum")
    if part.fit:
        axis.plot(part.ppm, part.fit, color="#b2182b", lw=1.1, label="fit")
        axis.plot(part.ppm, part.baseline, color="#2166ac", lw=0.9, ls="--", label="baseline")
        residual = [d - f for d, f in zip(part.data, part.fit, strict=True)]
        zero = bottom - 0.08 * span - max(residual)
        axis.axhline(zero, color="0.8", lw=0.6)
        axis.plot(part.ppm, [zero + r for r in residual], color="0.5", lw=0.6, label="residual")
    for name, ppm in LABELS_PPM.items():
        if name in names and min(part.ppm) <= ppm <= max(part.ppm):
            axis.axvline(ppm, color="0.85", lw=0.6, zorder=0)
            axis.text(ppm, top + 0.04 * span, name, ha="center", fontsize=8)
    axis.set_xlim(max(part.ppm), min(part.ppm))
    axis.set_ylim(top=top + 0.14 * span)
    axis.set_yticks([])
    axis.set_xlabel("chemical shift (ppm)")
    axis.legend(loc="upper right" if part.spectrum != "difference" else "lower right", fontsize=8, frameon=False)


def _draw_track(axis: Axes, report: ScanReport, name: str, sd_name: str | None, label: str) -> None:
    for segment in report.segments:
        if segment.index % 2:
            axis.axvspan(segment.first_shot + 0.5, segment.last_shot + 1.5, color="0.93", zorder=0)
    for used, marker, colour in ((True, ".", "#2166ac"), (False, "x", "#b2182b")):
        shots = [shot for shot in report.shots if shot.used is used and getattr(shot, name) is not None]
        axis.errorbar(
            [shot.index + 1 for shot in shots],
            [getattr(shot, name) for shot in shots],
            yerr=_errors(shots, sd_name),
            fmt=marker,
            ms=4,
            lw=0,
            elinewidth=0.6,
            color=colour,
        )
    axis.set_ylabel(label, fontsize=8)
    axis.tick_params(labelsize=8)
    axis.margins(x=0.01)


def _errors(shots: Sequence[ShotTrack], sd_name: str | None) -> list[float] | None:
    if sd_name is None or any(getattr(shot, sd_name) is None for shot in shots):
        return None
    return [getattr(shot, sd_name) for shot in shots]
