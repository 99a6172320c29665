"""Verdicts of whole scans: what is good stays good, what is lost is said, and nothing is good without evidence."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scanner_agent.judge import FitSummary, Judge, ScanContext, ShotSigns
from scanner_agent.records import Advice, FindingKind, Severity, Verdict
from scanner_agent.scan_protocol import load_protocol
from tests.unit.judge.judge_scans import Scan, burst, changed, judged, mega_header, press_header, step, still_scan


def test_a_still_head_is_collecting_then_good_to_the_end() -> None:
    live, end = judged(still_scan(1))
    assert {j.verdict for j in live[:7]} == {Verdict.COLLECTING}
    assert {j.verdict for j in live[7:]} == {Verdict.GOOD}
    assert end.verdict == Verdict.GOOD
    assert end.advice == Advice.CONTINUE
    assert end.findings == ()
    assert len(end.used_shots) == 64
    assert [c.met for c in end.limits] == [True, True, True]
    assert end.forecast is not None
    assert end.forecast.probability_pass is not None


def test_a_step_splits_the_scan_and_keeps_the_first_pose() -> None:
    live, end = judged(step(still_scan(2), 33))
    raised = next(i for i, j in enumerate(live) if j.findings)
    assert 33 <= raised <= 36
    assert live[raised].verdict == Verdict.WATCH
    assert live[raised].findings[0].kind == FindingKind.MOTION_DURING_SCAN
    assert end.verdict == Verdict.GOOD
    assert [(s.first_shot, s.last_shot) for s in end.segments] == [(0, 32), (33, 63)]
    assert end.segments[0].is_best
    assert max(end.used_shots) == 32
    assert "shot 34" in end.advice_text
    finding = end.findings[0]
    assert (finding.first_shot, finding.raised_at_shot) == (33, raised)
    assert "frequency_step_hz" in finding.evidence


def test_after_a_step_that_leaves_too_little_the_scan_is_stopped() -> None:
    weak = still_scan(4, snr_end=8.6, percent_sd_end=17.0)
    live, end = judged(step(weak, 30, amplitude=0.75, wider=4.0))
    assert end.verdict == Verdict.STOP
    assert end.advice == Advice.REPRESCRIBE
    assert live[-1].verdict == Verdict.STOP
    assert end.findings[0].kind == FindingKind.MOTION_DURING_SCAN


def test_a_burst_is_left_out_and_the_rest_is_good() -> None:
    _, end = judged(burst(still_scan(3), 20, 25))
    assert end.verdict == Verdict.GOOD
    assert [f.kind for f in end.findings] == [FindingKind.MOTION_DURING_SCAN]
    assert len({20, 21, 22, 23, 24, 25} & set(end.left_out)) >= 5
    assert len(end.left_out) <= 8
    assert len(end.segments) == 1


def test_poor_shim_is_stopped_and_named() -> None:
    live, end = judged(
        still_scan(
            5, fwhm_hz=16.0, context=ScanContext(water_fwhm_hz=16.0), header=press_header(shim_linewidth_hz=16.0)
        )
    )
    assert live[8].findings[0].kind == FindingKind.POOR_SHIM
    assert live[20].verdict == Verdict.STOP
    assert (end.verdict, end.advice) == (Verdict.STOP, Advice.RESHIM)


def test_low_snr_is_stopped_and_a_little_low_is_extended() -> None:
    live, end = judged(still_scan(6, snr_end=4.0, percent_sd_end=40.0))
    assert live[8].findings[0].kind == FindingKind.LOW_SNR
    assert live[20].verdict == Verdict.STOP
    assert end.verdict == Verdict.STOP
    live, end = judged(still_scan(7, snr_end=7.6, fit_quality=1.05))
    assert end.verdict == Verdict.WATCH
    assert end.advice == Advice.EXTEND
    assert end.extend_shots is not None
    assert 0 < end.extend_shots <= 32


def test_fat_that_spoils_the_sn_comes_before_the_sn() -> None:
    live, end = judged(still_scan(6, snr_end=4.0, percent_sd_end=40.0, lipid_ratio=2.0))
    for judgement in (live[20], end):
        assert judgement.verdict == Verdict.STOP
        assert [f.kind for f in judgement.findings][:2] == [FindingKind.LIPID_CONTAMINATION, FindingKind.LOW_SNR]
        assert judgement.advice == Advice.REPRESCRIBE


def test_displacement_needs_two_signs_and_is_never_called_proven() -> None:
    offset_only = still_scan(8, offset_hz=15.0)
    _, end = judged(offset_only)
    assert end.verdict == Verdict.GOOD
    moved = still_scan(8, offset_hz=12.0, context=ScanContext(water_fwhm_hz=12.5))
    live, end = judged(moved)
    assert live[8].findings[0].kind == FindingKind.VOXEL_DISPLACED
    assert end.verdict == Verdict.WATCH
    assert end.advice == Advice.REPRESCRIBE
    assert "no proof" in end.findings[0].text
    assert "consistent with" in end.findings[0].text


def test_without_any_fit_the_verdict_is_cannot_judge_never_good() -> None:
    live, _ = judged(still_scan(9), every_fit=False)
    assert {j.verdict for j in live[7:]} == {Verdict.CANNOT_JUDGE}
    scan = still_scan(9)
    judge = Judge(scan.header, scan.protocol)
    judge.settle(scan.signs)
    assert judge.finish(None).verdict == Verdict.CANNOT_JUDGE


@pytest.mark.parametrize(
    ("hole", "told"), [("snr_lcmodel", "S/N"), ("fwhm_ppm", "linewidth"), ("percent_sd_lcmodel", "%SD of Glu")]
)
def test_a_missing_number_that_a_limit_needs_is_cannot_judge(hole: str, told: str) -> None:
    scan = still_scan(10)
    judge = Judge(scan.header, scan.protocol)
    poses = judge.settle(scan.signs)
    fit = scan.fit(poses[0])
    assert fit is not None
    fit = replace(fit, **{hole: {} if hole == "percent_sd_lcmodel" else None})
    end = judge.finish({0: fit}, scan.context)
    assert end.verdict == Verdict.CANNOT_JUDGE
    assert f"the {told} could not be measured" in end.advice_text


def test_a_gated_metabolite_fitted_as_nothing_breaks_its_limit() -> None:
    scan = still_scan(10)
    judge = Judge(scan.header, scan.protocol)
    fit = scan.fit(judge.settle(scan.signs)[0])
    assert fit is not None
    end = judge.finish(replace(fit, percent_sd_lcmodel={}, not_found=frozenset({"Glu"})), scan.context)
    assert end.verdict == Verdict.STOP
    assert [c.met for c in end.limits if c.metabolite == "Glu"] == [False]


def test_a_missing_water_reference_alone_is_no_reason_not_to_judge() -> None:
    _, end = judged(still_scan(11, context=ScanContext()))
    assert end.verdict == Verdict.GOOD


def test_unsupported_editing_is_cannot_judge_and_no_accusation() -> None:
    scan = still_scan(12, header=mega_header(edit_pulse_ppm=(4.56, 7.5), n_shots_planned=12), protocol="generic_mega")
    live, end = judged(scan)
    assert {j.verdict for j in live} == {Verdict.CANNOT_JUDGE}
    assert end.findings == ()
    assert "not supported" in end.advice_text


def test_an_averaged_file_is_judged_by_its_limits_with_a_note() -> None:
    header = press_header(shots_averaged=True, n_shots_planned=1)
    protocol = load_protocol("press_te35_tr3000_3t")
    judge = Judge(header, protocol)
    judge.settle([ShotSigns(shot_index=0)])
    fit = FitSummary(
        shots=frozenset({0}),
        n_effective=1.0,
        snr_lcmodel=17.0,
        fwhm_hz=6.0,
        fwhm_ppm=0.05,
        percent_sd_lcmodel={"Glu": 9.0},
    )
    end = judge.finish(fit)
    assert end.verdict == Verdict.GOOD
    assert [(f.kind, f.severity) for f in end.findings] == [(FindingKind.MOVEMENT_NOT_OBSERVABLE, Severity.NOTE)]
    assert "cannot be seen" in end.advice_text


def test_a_gap_in_the_shots_is_found() -> None:
    scan = still_scan(13)
    scan = replace(scan, signs=[x for x in scan.signs if not 20 <= x.shot_index < 32])
    _, end = judged(scan)
    gap = next(f for f in end.findings if f.kind == FindingKind.DATA_GAP)
    assert gap.severity == Severity.WATCH
    assert gap.evidence["shots_missing"] == 12


def test_coils_that_were_left_out_are_told() -> None:
    _, end = judged(still_scan(14, context=ScanContext(water_fwhm_hz=8.0, coils_left_out={2: "no signal"})))
    assert end.findings[0].kind == FindingKind.COIL_FAULT
    assert end.advice == Advice.CHECK_HARDWARE


def _without(noise: np.ndarray | None, coil: int, value: float) -> dict[str, Any]:
    changed = np.array(noise)
    changed[coil] = value
    return {"noise_log_variance": changed}


def test_a_coil_that_the_chain_left_out_on_the_way_is_told_to_the_end() -> None:
    scan = still_scan(14, header=mega_header(n_shots_planned=160), protocol="mega_te68_3t")
    scan = changed(scan, 40, 159, lambda x: _without(x.noise_log_variance, 2, math.nan))
    live, end = judged(scan)
    assert any(f.kind == FindingKind.COIL_FAULT for f in live[44].findings)
    told = next(f for f in end.findings if f.kind == FindingKind.COIL_FAULT)
    assert told.first_shot == 40


def test_a_dead_coil_that_some_shots_keep_is_told() -> None:
    """Left out of every second shot, its noise too low in the others: neither sign is whole by itself."""
    scan = still_scan(14)
    scan = changed(scan, 30, 63, lambda x: _without(x.noise_log_variance, 2, math.nan if x.shot_index % 2 else -1.9))
    told = next(f for f in judged(scan)[1].findings if f.kind == FindingKind.COIL_FAULT)
    assert told.first_shot == 30


def test_a_coil_that_single_shots_lack_is_not_told() -> None:
    scan = changed(still_scan(14), 62, 63, lambda x: _without(x.noise_log_variance, 2, math.nan))
    assert FindingKind.COIL_FAULT not in {f.kind for f in judged(scan)[1].findings}


def test_wrong_editing_labels_are_told() -> None:
    scan = still_scan(15, header=mega_header(n_shots_planned=64), protocol="mega_te68_3t", snr_end=40.0)
    scan = replace(scan, context=replace(scan.context, edit_order_agrees=False, edit_order_decided_from="data"))
    _, end = judged(scan)
    assert end.findings[0].kind == FindingKind.EDITING_ERROR


def test_editing_pulses_that_fail_are_told_and_a_burst_is_not_blamed_on_them() -> None:
    scan = still_scan(15, header=mega_header(n_shots_planned=64), protocol="mega_te68_3t", snr_end=40.0)
    right = changed(scan, 0, 63, lambda x: {"edit_log_odds": 8.0 if x.edit_condition == "off" else -8.0})

    def unedited(x: ShotSigns) -> dict[str, float]:
        return {"edit_log_odds": 8.0}

    failing = changed(right, 30, 35, unedited)
    for told, wanted in ((failing, True), (burst(failing, 29, 36), False)):
        _, end = judged(told)
        assert (FindingKind.EDITING_ERROR in {f.kind for f in end.findings}) == wanted
        reasons = {end.left_out[shot] for shot in (30, 32, 34)}
        assert len(reasons) == 1
        assert ("editing" in reasons.pop()) == wanted
    assert end.findings[0].kind == FindingKind.MOTION_DURING_SCAN


def test_on_and_off_that_change_places_on_the_way_are_told_though_it_looks_like_a_movement() -> None:
    scan = still_scan(15, header=mega_header(n_shots_planned=96), protocol="mega_te68_3t", snr_end=40.0)
    right = changed(scan, 0, 95, lambda x: {"edit_log_odds": 8.0 if x.edit_condition == "off" else -8.0})
    swapped = changed(burst(right, 60, 95), 60, 95, lambda x: {"edit_log_odds": -(x.edit_log_odds or 0.0)})
    _, end = judged(swapped)
    assert end.findings[0].kind == FindingKind.EDITING_ERROR
    assert end.findings[0].first_shot == 60
    assert "editing" in end.left_out[70]


@pytest.mark.parametrize(("line", "excess", "told"), [(0.5, 0.0, False), (0.2, 20.0, False), (0.4, 0.3, True)])
def test_a_weak_lipid_line_is_fat_where_its_coil_pattern_is_foreign(line: float, excess: float, told: bool) -> None:
    pattern = {"lipid_pattern_chi2": 1.0 + excess, "pattern_chi2_sd": 0.38}
    _, end = judged(changed(still_scan(6, lipid_ratio=line), 0, 63, lambda _: pattern))
    found = [f for f in end.findings if f.kind == FindingKind.LIPID_CONTAMINATION]
    assert bool(found) == told
    for finding in found:
        assert finding.evidence == {
            "lipid_pattern_excess": pytest.approx(excess),
            "lipid_fitted_ratio": line,
            "lipid_fitted_ratio_limit": pytest.approx(0.3),
        }


def test_a_coil_pattern_that_chance_makes_is_no_fat() -> None:
    """The mean of few frames scatters: 0.22 here, of which 0.4 is less than two."""
    frames = still_scan(6, header=press_header(n_shots_planned=3), lipid_ratio=0.4)
    pattern = {"lipid_pattern_chi2": 1.4, "pattern_chi2_sd": 0.38, "n_excitations": 8}
    _, end = judged(changed(frames, 0, 2, lambda _: pattern))
    assert FindingKind.LIPID_CONTAMINATION not in {f.kind for f in end.findings}


def test_the_distance_from_the_editing_pulses_is_told_without_water_reference_and_offset_of_the_fit() -> None:
    scan = still_scan(15, header=mega_header(n_shots_planned=64), protocol="mega_te68_3t", snr_end=40.0)
    scan = replace(scan, context=ScanContext(), offset_hz=None)
    placed = changed(scan, 0, 63, lambda x: {"edit_offset_hz": 0.5 + (x.frequency_hz or 0.0)})
    far = changed(scan, 0, 63, lambda x: {"edit_offset_hz": -9.0 + (x.frequency_hz or 0.0)})
    assert FindingKind.FREQUENCY_DRIFT not in {f.kind for f in judged(placed)[1].findings}
    told = next(f for f in judged(far)[1].findings if f.kind == FindingKind.FREQUENCY_DRIFT)
    assert told.evidence["editing_offset_hz"] == pytest.approx(-9.0, abs=1.0)


def test_the_same_input_gives_the_same_output() -> None:
    scan = burst(step(still_scan(16), 40), 10, 14)
    assert judged(scan)[1] == judged(scan)[1]


def test_an_announced_frequency_change_is_no_movement() -> None:
    scan = changed(
        still_scan(17), 30, 63, lambda x: {"frequency_hz": (x.frequency_hz or 0) + 9.0, "frequency_update_hz": 9.0}
    )
    _, end = judged(scan)
    assert end.verdict == Verdict.GOOD
    assert not [f for f in end.findings if f.severity != Severity.NOTE]


def _strong_first_shots(scan: Scan) -> Scan:
    factor = {0: 1.35, 1: 1.12}
    return changed(
        scan,
        0,
        1,
        lambda x: {
            "amplitude": (x.amplitude or 1.0) * factor[x.shot_index],
            "residual_water": (x.residual_water or 1.0) * 4,
        },
    )


def test_shots_before_steady_state_are_no_movement() -> None:
    _, end = judged(_strong_first_shots(still_scan(18, snr=6.0)))
    assert end.verdict == Verdict.GOOD
    assert not [f for f in end.findings if f.severity != Severity.NOTE]


def test_energy_that_only_some_shots_have_is_an_echo_and_noise_is_none() -> None:
    scan = still_scan(21)
    rng = np.random.default_rng(3)
    noisy = changed(scan, 1, 63, lambda x: {"echo_z": float(rng.normal(-0.3, 1.1))})
    _, end = judged(noisy)
    assert end.findings == ()
    live, end = judged(changed(noisy, 30, 63, lambda x: {"echo_z": float(rng.normal(1.5, 1.5))}))
    assert [f.kind for f in end.findings] == [FindingKind.SPURIOUS_ECHO]
    assert end.findings[0].evidence["echo_sum_z"] > 5.0
    assert next(i for i, j in enumerate(live) if j.findings) <= 50
    live, end = judged(changed(noisy, 30, 63, lambda x: {"echo_z": 6.0 if x.shot_index % 4 == 0 else 0.0}))
    assert FindingKind.SPURIOUS_ECHO in {f.kind for f in end.findings}
    assert next(i for i, j in enumerate(live) if j.findings) <= 44


def sunk(x: ShotSigns, first: int, last: int) -> dict[str, float]:
    """Signs of a head that sinks into another pose from one shot to another."""
    share = min(max((x.shot_index - first) / (last - first), 0.0), 1.0)
    return {
        "frequency_hz": (x.frequency_hz or 0.0) - 4.0 * share,
        "broadening_hz": (x.broadening_hz or 0.0) + 2.0 * share,
        "amplitude": (x.amplitude or 1.0) * (1.0 - 0.15 * share),
        "residual_water": (x.residual_water or 1.0) * (1.0 + 1.5 * share),
    }


def test_a_head_that_sinks_over_many_shots_has_moved_and_a_drifting_magnet_has_not() -> None:
    scan = still_scan(22, header=mega_header(), protocol="mega_te68_3t", snr=6.0)
    live, end = judged(changed(scan, 120, 319, lambda x: sunk(x, 120, 220)))
    moved = [f for f in end.findings if f.kind == FindingKind.MOTION_DURING_SCAN]
    assert moved
    assert 110 <= (moved[0].first_shot or 0) <= 190
    assert next(i for i, j in enumerate(live) if j.findings) <= 230
    assert FindingKind.MOTION_DURING_SCAN not in {
        f.kind
        for f in judged(
            changed(scan, 0, 319, lambda x: {"frequency_hz": (x.frequency_hz or 0.0) + 0.01 * x.shot_index})
        )[1].findings
    }
