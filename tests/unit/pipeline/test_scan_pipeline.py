"""A scan through chain, fit and judgement: what the report says does not depend on how the shots came."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest

from scanner_agent.pipeline import ScanPipeline, start_pipeline
from scanner_agent.pipeline.order import canonical_key
from scanner_agent.records import (
    EndStatus,
    FindingKind,
    ScanEnd,
    ScanHeader,
    ScanReport,
    Shot,
    ShotKind,
    Timing,
    Verdict,
)
from scanner_agent.simulate import simulate_scan

N_SHOTS = 16


@pytest.fixture(scope="module")
def press() -> tuple[ScanHeader, list[Shot]]:
    scan = simulate_scan("still", seed=11, n_coils=4, n_points=1024, n_shots=N_SHOTS, snr_lcmodel=20.0)
    return scan.header, list(scan.shots())


@pytest.fixture(scope="module")
def mega() -> tuple[ScanHeader, list[Shot]]:
    scan = simulate_scan("still", seed=12, sequence="MEGA-PRESS", n_coils=4, n_points=1024, n_shots=24)
    return scan.header, list(scan.shots())


def run(header: ScanHeader, arrival: list[Shot]) -> tuple[ScanReport, ScanPipeline]:
    known = sorted(arrival, key=canonical_key)
    pipeline = start_pipeline(header, lambda: iter(known))
    for shot in arrival:
        pipeline.add(shot)
    n_shots = sum(shot.shot_kind is ShotKind.METABOLITE for shot in arrival)
    end = ScanEnd(scan_id=header.scan_id, status=EndStatus.COMPLETE, n_shots=n_shots)
    return pipeline.finish(end), pipeline


def timeless(report: ScanReport) -> ScanReport:
    return msgspec.structs.replace(report, timing=Timing(total_ms=0.0))


def test_report_holds_a_fit_and_every_shot(press: tuple[ScanHeader, list[Shot]]) -> None:
    report, _ = run(*press)
    assert report.verdict is not Verdict.COLLECTING
    assert [track.index for track in report.shots] == list(range(N_SHOTS))
    assert len(report.assessments) == N_SHOTS
    assert report.quality.snr_lcmodel is not None
    assert report.quality.fwhm_hz is not None
    ratios = {a.name: a.ratio_to_tCr for a in report.metabolites}
    assert 0.7 < ratios["tNAA"] < 2.2  # type: ignore[operator]
    assert report.spectra[0].spectrum == "main"
    assert len(report.spectra[0].ppm) == len(report.spectra[0].fit)


def test_order_of_arrival_does_not_matter(press: tuple[ScanHeader, list[Shot]]) -> None:
    header, shots = press
    shuffled = list(shots)
    random.Random(3).shuffle(shuffled)
    assert timeless(run(header, shuffled)[0]) == timeless(run(header, shots)[0])


def test_water_reference_after_the_scan_counts_as_before(press: tuple[ScanHeader, list[Shot]]) -> None:
    header, shots = press
    late = sorted(shots, key=lambda s: s.shot_kind is ShotKind.WATER_REFERENCE)
    assert timeless(run(header, late)[0]) == timeless(run(header, shots)[0])


def test_missing_shot_becomes_a_gap(press: tuple[ScanHeader, list[Shot]]) -> None:
    header, shots = press
    some = [s for s in shots if s.shot_kind is not ShotKind.METABOLITE or s.shot_index not in (4, 5)]
    report, _ = run(header, some)
    assert FindingKind.DATA_GAP in [finding.kind for finding in report.findings]
    assert [t.index for t in report.shots] == [i for i in range(N_SHOTS) if i not in (4, 5)]


def test_scan_without_shots_cannot_be_judged(press: tuple[ScanHeader, list[Shot]]) -> None:
    report, _ = run(press[0], [])
    assert report.verdict is Verdict.CANNOT_JUDGE
    assert "without a metabolite shot" in report.advice_text


@pytest.mark.parametrize("damage", ["zeros", "nan"])
def test_shots_that_hold_nothing_are_left_out_with_a_reason(press: tuple[ScanHeader, list[Shot]], damage: str) -> None:
    header, shots = press
    fill = 0.0 if damage == "zeros" else np.nan
    bad = [
        msgspec.structs.replace(s, data=np.full_like(s.data, fill))
        if s.shot_kind is ShotKind.METABOLITE and s.shot_index in (3, 9)
        else s
        for s in shots
    ]
    report, _ = run(header, bad)
    tracks = {t.index: t for t in report.shots}
    for index in (3, 9):
        assert not tracks[index].used
        assert tracks[index].reason
    assert report.quality.n_shots_used <= N_SHOTS - 2


def test_only_nothing_cannot_be_judged(press: tuple[ScanHeader, list[Shot]]) -> None:
    header, shots = press
    report, _ = run(header, [msgspec.structs.replace(s, data=np.zeros_like(s.data)) for s in shots])
    assert report.verdict is Verdict.CANNOT_JUDGE


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_edit_conditions": 4, "sequence": "MEGA-PRESS"}, "4 edit conditions"),
        ({"nucleus": "31P"}, "31P"),
        ({"n_edit_conditions": 2, "sequence": "MEGA-PRESS", "edit_pulse_ppm": (4.56, 7.5)}, "GSH"),
    ],
)
def test_what_is_not_supported_cannot_be_judged_and_nothing_is_accused(
    press: tuple[ScanHeader, list[Shot]], change: dict[str, object], said: str
) -> None:
    header, shots = press
    report, _ = run(msgspec.structs.replace(header, **change), shots)
    assert report.verdict is Verdict.CANNOT_JUDGE
    assert report.findings == ()
    assert said in report.advice_text


def test_edited_scan_reports_gaba_and_glx_of_the_difference(mega: tuple[ScanHeader, list[Shot]]) -> None:
    report, _ = run(*mega)
    by_name = {(a.name, a.spectrum): a for a in report.metabolites}
    assert by_name[("GABA+", "difference")].ratio_to_tCr is not None
    assert by_name[("Glx", "difference")].amplitude > 0
    assert by_name[("tNAA", "off")].ratio_to_tCr is not None
    assert {part.spectrum for part in report.spectra} == {"off", "difference"}


def test_the_limits_are_told_before_the_first_shot(press: tuple[ScanHeader, list[Shot]]) -> None:
    header, shots = press
    pipeline = start_pipeline(header, lambda: iter(shots))
    before = pipeline.snapshot().limits
    assert before
    assert all(check.value is None and check.met is None for check in before)
    for shot in shots:
        pipeline.add(shot)
    after = pipeline.snapshot().limits
    assert [(c.metric, c.metabolite, c.minimum, c.maximum) for c in after] == [
        (c.metric, c.metabolite, c.minimum, c.maximum) for c in before
    ]


def test_snapshot_has_everything_a_late_view_needs(press: tuple[ScanHeader, list[Shot]]) -> None:
    header, shots = press
    pipeline = start_pipeline(header, lambda: iter(shots))
    for shot in shots[:-3]:
        pipeline.add(shot)
    snapshot = pipeline.snapshot()
    assert snapshot.assessment is not None
    assert snapshot.assessment.shot_index == N_SHOTS - 4
    assert len(snapshot.tracks) == len(snapshot.assessments) == N_SHOTS - 3
    assert snapshot.frame is not None
    assert snapshot.limits
