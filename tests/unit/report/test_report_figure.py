"""The picture of a report: every spectrum and track is in it, whatever is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner_agent.errors import SourceError
from scanner_agent.records import Verdict
from scanner_agent.report.figure import draw_figure, write_figure
from tests.support import results


def test_the_picture_holds_spectrum_and_tracks(tmp_path: Path) -> None:
    write_figure(tmp_path / "report.png", results.report())
    assert (tmp_path / "report.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    figure = draw_figure(results.report())
    labels = [axis.get_ylabel() for axis in figure.axes]
    assert labels == ["", "frequency (Hz)", "phase (°)", "amplitude", "broadening (Hz)"]
    left, right = figure.axes[0].get_xlim()
    assert left > right, "ppm runs from right to left"
    fit = next(line for line in figure.axes[0].lines if line.get_label() == "fit")
    assert list(fit.get_ydata()) == results.spectrum().fit


def test_edited_scans_show_each_spectrum() -> None:
    parts = (results.spectrum("off"), results.spectrum("difference"))
    figure = draw_figure(results.report(spectra=parts, metabolites=results.amounts("off")))
    names = [line.get_label() for axis in figure.axes[:2] for line in axis.lines]
    assert "off spectrum" in names
    assert "difference spectrum" in names


@pytest.mark.parametrize("shots", [(), results.tracks(3, None)])
def test_a_report_without_spectrum_is_still_a_picture(shots: tuple[object, ...], tmp_path: Path) -> None:
    empty = results.report(verdict=Verdict.CANNOT_JUDGE, spectra=(), metabolites=(), segments=(), shots=shots)
    write_figure(tmp_path / "empty.svg", empty)
    assert "no spectrum" in {text.get_text() for text in draw_figure(empty).axes[0].texts}


def test_a_fit_that_failed_leaves_the_data(tmp_path: Path) -> None:
    part = results.msgspec.structs.replace(results.spectrum(), fit=[], baseline=[])
    figure = draw_figure(results.report(spectra=(part,)))
    assert len(figure.axes[0].lines) >= 1


@pytest.mark.parametrize("name", ["no_such_folder/report.png", "report.unknown"])
def test_what_cannot_be_written_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot write the figure"):
        write_figure(tmp_path / name, results.report())
