"""Real files of several vendors through the whole line: what is known of them must come out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scanner_agent.errors import SourceError
from scanner_agent.offline import process_file
from scanner_agent.records import MetaboliteAmount, ScanReport, Verdict


class Silent:
    """No progress is shown in tests."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def step(self, text: str, done: int, total: int | None) -> None:
        return None


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Path:
    return shared_data / "real"


def report_of(file: Path, water: Path | None = None, phantom: bool | None = None) -> ScanReport:
    return process_file(file, water=water, phantom=phantom, progress=Silent()).report


def by_name(report: ScanReport) -> dict[str, MetaboliteAmount]:
    return {amount.name: amount for amount in report.metabolites}


def highest_ppm(report: ScanReport, low: float, high: float) -> float:
    part = report.spectra[0]
    ppm, data = np.array(part.ppm), np.array(part.data)
    inside = (ppm > low) & (ppm < high)
    return float(ppm[inside][np.argmax(data[inside])])


IN_VIVO = [
    ("siemens_3t_invivo_press30/noecc.dcm", "siemens_3t_invivo_press30/water_reference.dcm"),
    ("siemens_3t_invivo_press30/ecc.dcm", "siemens_3t_invivo_press30/water_reference.dcm"),
    ("philips_3t_press35_invivo/press35_act.sdat", "philips_3t_press35_invivo/press35_ref.sdat"),
    ("philips_3t_t1_and_voxel/press35_act.SDAT", "philips_3t_t1_and_voxel/press35_ref.SDAT"),
    ("siemens_svs_formats/svs_30.IMA", None),
    ("siemens_7t_steam_4ch_16shots/metab_raw.nii.gz", "siemens_7t_steam_4ch_16shots/wref_raw.nii.gz"),
]


@pytest.mark.parametrize(("file", "water"), IN_VIVO, ids=[file for file, _ in IN_VIVO])
def test_brain_spectra_are_referenced_and_plausible(real: Path, file: str, water: str | None) -> None:
    report = report_of(real / file, real / water if water else None)
    amounts = by_name(report)
    assert highest_ppm(report, 1.8, 2.2) == pytest.approx(2.008, abs=0.02)
    assert 0.9 < amounts["tNAA"].ratio_to_tCr < 2.1  # type: ignore[operator]
    assert 0.12 < amounts["tCho"].ratio_to_tCr < 0.4  # type: ignore[operator]
    assert report.verdict is not Verdict.COLLECTING
    assert report.scan.visit_id is None


def test_averaged_files_say_that_movement_cannot_be_seen(real: Path) -> None:
    report = report_of(real / "siemens_svs_formats/svs_30.IMA")
    assert "movement_not_observable" in [finding.kind for finding in report.findings]
    assert "motion_during_scan" not in [finding.kind for finding in report.findings]


def test_two_formats_of_one_spectrum_agree(real: Path) -> None:
    ima = by_name(report_of(real / "siemens_svs_formats/svs_30.IMA"))
    rda = by_name(report_of(real / "siemens_svs_formats/svs_30.rda"))
    for name in ("tNAA", "tCr", "tCho", "Ins", "Glx"):
        assert rda[name].amplitude == pytest.approx(ima[name].amplitude, rel=1e-3)


@pytest.mark.parametrize("date", ["2016-11-11", "2017-09-04", "2018-07-06", "2018-08-20", "2018-11-19"])
def test_phantom_holds_acetate_and_lactate_and_nothing_else(real: Path, date: str) -> None:
    folder = real / "siemens_3t_phantom"
    water = folder / f"{date}_water.dcm"
    report = report_of(folder / f"{date}_metabolite.dcm", water if water.exists() else None, phantom=True)
    amounts = by_name(report)
    assert set(amounts) == {"Ace", "Lac"}
    assert amounts["Ace"].amplitude > 0
    assert amounts["Lac"].amplitude > 0
    assert highest_ppm(report, 1.6, 2.2) == pytest.approx(1.904, abs=0.02)
    assert highest_ppm(report, 1.1, 1.5) == pytest.approx(1.31, abs=0.05)
    causes = {finding.kind for finding in report.findings}
    assert not causes & {"voxel_displaced", "lipid_contamination", "motion_during_scan"}


def test_dynamics_have_a_track_and_their_water_is_used(real: Path) -> None:
    report = report_of(real / "philips_3t_press55_dynamics/dynamics.dcm")
    assert len(report.shots) == 16
    assert all(shot.frequency_hz is not None for shot in report.shots)
    assert report.quality.water_fwhm_hz is not None
    assert report.verdict is not Verdict.GOOD


def test_raw_seven_tesla_scan_has_no_movement(real: Path) -> None:
    folder = real / "siemens_7t_steam_4ch_16shots"
    report = report_of(folder / "metab_raw.nii.gz", folder / "wref_raw.nii.gz")
    assert report.quality.n_shots_used >= 14
    assert "motion_during_scan" not in [f.kind for f in report.findings if f.severity != "note"]
    assert report.quality.snr_naa > 40  # type: ignore[operator]


def test_water_alone_cannot_be_judged(real: Path) -> None:
    report = report_of(real / "siemens_7t_steam_32ch_water/water_reference.nii.gz")
    assert report.verdict is Verdict.CANNOT_JUDGE


def test_truncated_file_is_refused_in_one_line(real: Path) -> None:
    with pytest.raises(SourceError, match=r"truncated\.dat") as error:
        report_of(real / "siemens_3t_press_twix_34ch/truncated.dat")
    assert "\n" not in str(error.value)
