"""Records of one made-up scan, for tests of what shows or stores results. Deterministic."""

from __future__ import annotations

import msgspec
import numpy as np

from scanner_agent.records import (
    Advice,
    Assessment,
    AssessmentPoint,
    EndStatus,
    Finding,
    FindingKind,
    Forecast,
    Health,
    Interval,
    LimitCheck,
    MetaboliteAmount,
    Provenance,
    Quality,
    ScanEnd,
    ScanHeader,
    ScanReport,
    ScanSnapshot,
    Segment,
    Severity,
    ShotTrack,
    SpectrumFrame,
    SpectrumPart,
    Timing,
    Trigger,
    Verdict,
)

N_SHOTS = 32
MOVED_AT = 16


def scan_header(**changes: object) -> ScanHeader:
    """Header of a PRESS scan of 32 shots."""
    values: dict[str, object] = {
        "scan_id": "scan-1",
        "spectrometer_frequency_mhz": 123.25,
        "dwell_time_s": 5e-4,
        "n_coils": 32,
        "n_points": 2048,
        "sequence": "PRESS",
        "echo_time_s": 0.035,
        "repetition_time_s": 3.0,
        "n_shots_planned": N_SHOTS,
        "voxel_size_mm": (20.0, 20.0, 20.0),
        "visit_id": "visit-7",
        "scanner": "Made-up 3 T",
        "started_at": 1_000_000.0,
    }
    return ScanHeader(**(values | changes))  # type: ignore[arg-type]


def tracks(n: int = N_SHOTS, moved_at: int | None = MOVED_AT) -> tuple[ShotTrack, ...]:
    """Tracks of n shots; from `moved_at` on another pose, its first two shots left out."""
    rng = np.random.default_rng(5)
    scatter = rng.normal(size=(n, 3))
    made = []
    for i in range(n):
        moved = moved_at is not None and i >= moved_at
        lost = moved_at is not None and moved_at <= i < moved_at + 2
        made.append(
            ShotTrack(
                index=i,
                used=not lost,
                segment=int(moved),
                reason="the head was moving" if lost else None,
                weight=0.0 if lost else 1.0,
                frequency_hz=float(0.3 * scatter[i, 0] + 5.0 * moved),
                frequency_sd_hz=0.3,
                phase_deg=float(4.0 * scatter[i, 1] + 12.0 * moved),
                phase_sd_deg=3.0,
                amplitude=float(1.0 + 0.02 * scatter[i, 2] - 0.15 * moved),
                amplitude_sd=0.02,
                linewidth_hz=1.5 if moved else 0.0,
                residual_water=0.6 if moved else 0.3,
                misfit=1.8 if moved else 1.0,
            )
        )
    return tuple(made)


def amounts(spectrum: str = "main") -> tuple[MetaboliteAmount, ...]:
    """A few metabolites; Glu decides."""
    rows = {
        "tNAA": (11.2, 3.0),
        "tCr": (8.0, 3.4),
        "tCho": (1.9, 4.1),
        "Glu": (10.4, 8.0),
        "Ins": (6.1, 7.5),
        "GABA": (1.2, 41.0),
    }
    return tuple(
        MetaboliteAmount(
            name=name,
            spectrum=spectrum,
            amplitude=amount,
            crlb_sd=amount * sd / 100,
            percent_sd=0.8 * sd,
            percent_sd_lcmodel=sd,
            ratio_to_tCr=amount / 8.0,
            ratio_to_tCr_sd=amount / 8.0 * sd / 100,
            gated=name == "Glu",
        )
        for name, (amount, sd) in rows.items()
    )


def quality(n_used: int, **changes: object) -> Quality:
    """Numbers that grow as they should with the shots used."""
    values: dict[str, object] = {
        "snr_lcmodel": 2.9 * n_used**0.5,
        "snr_naa": 6.0 * n_used**0.5,
        "fwhm_hz": 6.4,
        "fwhm_ppm": 0.052,
        "fit_quality": 1.1,
        "n_shots_used": n_used,
        "frequency_drift_hz_per_min": 0.4,
        "missing": {"water_fwhm_hz": "no water reference"},
    }
    return Quality(**(values | changes))  # type: ignore[arg-type]


def limits() -> tuple[LimitCheck, ...]:
    """Three limits, all met."""
    source = "first study, its exclusion rule"
    return (
        LimitCheck(metric="snr_lcmodel", value=15.9, minimum=8.0, unit="1", source=source, met=True),
        LimitCheck(metric="fwhm_ppm", value=0.052, maximum=0.1, unit="ppm", source=source, met=True),
        LimitCheck(
            metric="percent_sd_lcmodel", metabolite="Glu", value=8.0, maximum=20.0, unit="%", source=source, met=True
        ),
    )


def forecast(**changes: object) -> Forecast:
    """A scan that will pass."""
    values: dict[str, object] = {
        "n_shots_planned": N_SHOTS,
        "snr_lcmodel": Interval(expected=16.2, low=15.0, high=17.5),
        "fwhm_hz": Interval(expected=6.4, low=6.1, high=6.7),
        "percent_sd": {"Glu": Interval(expected=8.2, low=7.4, high=9.1)},
        "probability_pass": 0.96,
        "shots_needed": 0,
        "can_extend": True,
    }
    return Forecast(**(values | changes))  # type: ignore[arg-type]


def motion(raised_at: int = MOVED_AT + 2) -> Finding:
    """The head moved half-way."""
    return Finding(
        kind=FindingKind.MOTION_DURING_SCAN,
        severity=Severity.WATCH,
        first_shot=MOVED_AT,
        last_shot=MOVED_AT + 1,
        raised_at_shot=raised_at,
        evidence={"frequency_step_hz": 5.0, "amplitude_ratio": 0.85},
        text="The head moved at shot 17: the frequency stepped by 5.0 Hz and stayed there.",
    )


def assessments(n: int = N_SHOTS) -> tuple[Assessment, ...]:
    """One after each of n shots: collecting, good, then watch after the movement."""
    made, left_out = [], 0
    for track in tracks(n):
        left_out += not track.used
        used = track.index + 1 - left_out
        moved = track.index >= MOVED_AT + 2
        verdict = Verdict.COLLECTING if track.index < 8 else Verdict.WATCH if moved else Verdict.GOOD
        made.append(
            Assessment(
                scan_id="scan-1",
                shot_index=track.index,
                n_shots_used=used,
                n_shots_left_out=left_out,
                n_shots_planned=N_SHOTS,
                verdict=verdict,
                advice=Advice.EXTEND if moved else Advice.CONTINUE,
                advice_text="Extend by 16 shots: the patient moved at shot 17." if moved else "Keep going.",
                extend_shots=16 if moved else None,
                forecast=forecast(),
                quality=quality(used),
                metabolites=amounts(),
                findings=(motion(),) if moved else (),
                track=track,
                timing=Timing(total_ms=20.0, fit_ms=9.0),
            )
        )
    return tuple(made)


def spectrum(name: str = "main", n: int = 400) -> SpectrumPart:
    """Lines of NAA, Cr, Cho and Ins with a little noise."""
    ppm = np.linspace(0.2, 4.2, n)
    lines = {2.008: 1.0, 3.03: 0.8, 3.2: 0.7, 3.56: 0.35, 2.35: 0.25}
    fit = sum(height / (1 + ((ppm - centre) / 0.027) ** 2) for centre, height in lines.items())
    baseline = 0.08 + 0.04 * np.sin(2 * ppm)
    noise = np.random.default_rng(2).normal(0.0, 0.03, n)
    return SpectrumPart(
        spectrum=name,
        ppm=ppm.tolist(),
        data=(fit + baseline + noise).tolist(),
        fit=(fit + baseline).tolist(),
        baseline=baseline.tolist(),
    )


def frame(shot_index: int = N_SHOTS - 1) -> SpectrumFrame:
    """One part."""
    return SpectrumFrame(scan_id="scan-1", shot_index=shot_index, parts=(spectrum(),))


def report(**changes: object) -> ScanReport:
    """The scan's end."""
    header = scan_header()
    history = assessments()
    values: dict[str, object] = {
        "scan": header,
        "end": ScanEnd(scan_id=header.scan_id, status=EndStatus.COMPLETE, n_shots=N_SHOTS),
        "verdict": Verdict.WATCH,
        "advice": Advice.EXTEND,
        "advice_text": history[-1].advice_text,
        "extend_shots": 16,
        "forecast": forecast(),
        "quality": quality(30),
        "limits": limits(),
        "metabolites": amounts(),
        "shots": tracks(),
        "segments": (
            Segment(index=0, first_shot=0, last_shot=15, n_shots_used=16, verdict=Verdict.GOOD, quality=quality(16)),
            Segment(index=1, first_shot=16, last_shot=31, n_shots_used=14, verdict=Verdict.WATCH, quality=quality(14)),
        ),
        "findings": (motion(),),
        "assessments": history_points(N_SHOTS),
        "spectra": (spectrum(),),
        "notes": ("No water reference: amounts are ratios to tCr only.",),
        "timing": Timing(total_ms=900.0, chain_ms=400.0, fit_ms=9.0, judge_ms=1.0),
        "provenance": Provenance(
            version="0.1.0",
            protocol="press_te35_3t",
            protocol_hash="0123456789abcdef",
            basis="press_te35_3t",
            basis_hash="fedcba9876543210",
            steps=("coils whitened and combined", "shots aligned", "weighted average", "linear-combination fit"),
        ),
    }
    return ScanReport(**(values | changes))  # type: ignore[arg-type]


def history_points(n: int) -> tuple[AssessmentPoint, ...]:
    """The history of the first n assessments."""
    return tuple(
        AssessmentPoint(
            shot_index=a.shot_index,
            verdict=a.verdict,
            advice=a.advice,
            forecast=a.forecast,
            snr_lcmodel=a.quality.snr_lcmodel,
            fwhm_hz=a.quality.fwhm_hz,
        )
        for a in assessments(n)
    )


def snapshot(n: int = N_SHOTS, *, ended: bool = False, **changes: object) -> ScanSnapshot:
    """What a view that joins after n shots is given."""
    values: dict[str, object] = {
        "header": scan_header(),
        "protocol": "press_te35_3t",
        "limits": limits(),
        "tracks": tracks(n),
        "assessments": history_points(n),
        "assessment": assessments(n)[-1] if n else None,
        "frame": frame(n - 1) if n else None,
        "report": report() if ended else None,
        "last_shot_at": 1_000_100.0 if n else None,
    }
    return ScanSnapshot(**(values | changes))  # type: ignore[arg-type]


def health(**changes: object) -> Health:
    """A daemon that is well."""
    values: dict[str, object] = {
        "ready": True,
        "state": "ok",
        "scans_open": 1,
        "shots_acknowledged": 40,
        "shots_waiting": 0,
        "messages_refused": 0,
        "worker_restarts": 0,
        "version": "0.1.0",
        "at": 1_000_100.0,
    }
    return msgspec.convert(values | changes, Health)


def trigger(**changes: object) -> Trigger:
    """A request that waits for a person."""
    values: dict[str, object] = {
        "trigger_id": "trigger-1",
        "scan_id": "scan-1",
        "advice": "extend",
        "extend_shots": 16,
        "reason": "motion_during_scan",
        "text": "Extend by 16 shots",
        "evidence": {"frequency_step_hz": 5.0},
        "state": "proposed",
        "created_at": 1_000_090.0,
        "expires_at": 1_000_390.0,
    }
    return msgspec.convert(values | changes, Trigger)
