"""Phantoms show their lines where the temperature puts them; cohorts have the studies' numbers."""

from __future__ import annotations

import numpy as np
import pytest

from scanner_agent.errors import ConfigError
from scanner_agent.mrs.axes import ppm_axis, spectrum
from scanner_agent.records import ShotKind
from scanner_agent.simulate import SimulatedScan, draw_cohort, simulate_phantom
from scanner_agent.simulate.subjects import draw_subject


def highest(scan: SimulatedScan, low: float, high: float) -> float:
    """Shift (ppm) of the highest point of the mean magnitude spectrum of the loudest channel."""
    fids = [s.data for s in scan.shots() if s.shot_kind is ShotKind.METABOLITE]
    mean = np.mean(fids, axis=0)
    fid = mean[np.argmax(np.abs(mean[:, 0]))]
    h = scan.header
    ppm = ppm_axis(4 * h.n_points, h.dwell_time_s, h.spectrometer_frequency_mhz)
    inside = (ppm > low) & (ppm < high)
    padded = np.concatenate([fid, np.zeros(3 * h.n_points)])
    return float(ppm[inside][np.argmax(np.abs(spectrum(padded))[inside])])


@pytest.mark.parametrize("temperature", [18.0, 23.0])
def test_phantom_lines_move_with_temperature(temperature: float) -> None:
    scan = simulate_phantom("acetate_lactate", seed=3, temperature_c=temperature, n_coils=4)
    water_ppm = 4.65 - 0.010 * (temperature - 37.0)
    assert highest(scan, 0.5, 4.0) == pytest.approx(1.904 - (water_ppm - 4.65), abs=0.01)
    assert scan.header.is_phantom is True
    assert scan.truth["phantom"]["water_ppm"] == pytest.approx(water_ppm)


def test_brain_phantom_has_naa_and_no_macromolecules() -> None:
    scan = simulate_phantom("brain", seed=4, temperature_c=37.0, n_coils=4)
    assert highest(scan, 0.2, 4.2) == pytest.approx(2.008, abs=0.015)
    assert scan.truth["subject"]["macromolecules"] == {}


@pytest.mark.parametrize(("kind", "contents"), [("juice", None), ("brain", {"Cr": 10.0})])
def test_phantoms_that_make_no_sense_are_refused(kind: str, contents: dict[str, float] | None) -> None:
    with pytest.raises(ConfigError):
        simulate_phantom(kind, seed=1, contents_mm=contents)  # type: ignore[arg-type]


def test_cohorts_have_the_studies_sizes_and_losses() -> None:
    for name, total, lost in ((1, 41, 4), (2, 73, 8), ("2b", 79, 0)):
        cohort = draw_cohort(name, 11)  # type: ignore[arg-type]
        assert (len(cohort), sum(scan.lost for scan in cohort)) == (total, lost)
        assert [scan.seed for scan in draw_cohort(name, 11)] == [scan.seed for scan in cohort]  # type: ignore[arg-type]
        assert all(scan.scenario in ("still", "drift") for scan in cohort if not scan.lost)
    assert all(scan.scenario == "displaced_before" for scan in draw_cohort(1, 12) if scan.lost)


def test_cohort_scan_is_the_study_s_protocol() -> None:
    first = draw_cohort(2, 5, frames=True)[0].simulate(n_coils=2, n_points=512)
    kinds = [s.shot_kind for s in first.shots()]
    assert (kinds.count(ShotKind.METABOLITE), kinds.count(ShotKind.WATER_REFERENCE)) == (16, 2)
    singles = draw_cohort(2, 5)[0].simulate(n_coils=2, n_points=512)
    assert singles.header.n_shots_planned == 128
    assert singles.header.repetition_time_s == 2.0


def test_subjects_reproduce_the_first_study_s_numbers() -> None:
    rng = np.random.default_rng(20)
    people = [draw_subject(rng, 1) for _ in range(600)]
    amounts = [p.amounts_mm for p in people]
    tcr = np.array([a["Cr"] + a["PCr"] for a in amounts])

    def ratio(*names: str) -> float:
        return float(np.mean(np.array([sum(a[n] for n in names) for a in amounts]) / tcr))

    assert 1.38 <= ratio("Glu") <= 1.57
    assert 2.0 <= ratio("Glu", "Gln") <= 2.2
    assert 1.08 <= ratio("NAA", "NAAG") <= 1.15
    assert 0.23 <= ratio("GPC", "PCh") <= 0.25
    assert 0.70 <= ratio("Ins") <= 0.75
    snr = np.array([p.snr_lcmodel for p in people])
    assert 16.6 <= snr.mean() <= 17.1
    assert 2.4 <= snr.std() <= 3.3
    fwhm_ppm = np.array([p.fwhm_hz for p in people]) / 123.25
    assert 0.050 <= fwhm_ppm.mean() <= 0.054
    assert 0.011 <= fwhm_ppm.std() <= 0.016
