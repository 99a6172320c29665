"""Scans judged, by the whole line or by the judgement alone on the sign model; both give the same `Outcome`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from scanner_agent.judge import FitSummary, Judge, Judgement, ScanContext, ShotSigns
from scanner_agent.mrs.chain import ShotEstimate
from scanner_agent.pipeline import start_pipeline
from scanner_agent.records import EndStatus, Finding, Forecast, ScanEnd, Severity, Verdict
from scanner_agent.scan_protocol import ScanProtocol, match_protocol
from scanner_agent.simulate import SCENARIOS, SimulatedScan, simulate_scan
from scanner_agent.simulate.sign_model import SignModel

_SIGN_FIELDS = tuple(ShotSigns.__dataclass_fields__)
_FIT_FIELDS = {f.name for f in fields(FitSummary)}
FLAGGED = (Severity.WATCH, Severity.STOP)


@dataclass(frozen=True)
class Step:
    """What was said after one metabolite shot."""

    shot: int
    verdict: Verdict
    findings: tuple[Finding, ...]
    forecast: Forecast | None


@dataclass(frozen=True)
class Outcome:
    """One judged scan beside its truth."""

    scenario: str
    sequence: str
    seed: int
    truth: Mapping[str, Any]
    steps: tuple[Step, ...]
    final: Verdict
    findings: tuple[Finding, ...]
    left_out: frozenset[int]
    """Shots that arrived and are in no average of any pose."""
    numbers: Mapping[str, float | None]
    """snr_lcmodel, fwhm_hz, fwhm_ppm, lipid_ratio, residual_water_ratio and %SD (`percent_sd_NAME`) at the end."""
    limits_met: bool | None
    """Whether the final numbers meet all limits of the protocol."""
    excitations_per_shot: int
    judge_ms: float
    """Mean time of judging one shot (CPU time on the sign model, elapsed time in the line)."""

    @property
    def stopped(self) -> bool:
        """Whether `stop` was said at any shot or at the end."""
        return self.final is Verdict.STOP or any(s.verdict is Verdict.STOP for s in self.steps)

    @property
    def flagged(self) -> bool:
        """Whether anything above a note was ever said."""
        said = any(s.verdict in (Verdict.WATCH, Verdict.STOP) or _above_note(s.findings) for s in self.steps)
        return said or self.final in (Verdict.WATCH, Verdict.STOP) or _above_note(self.findings)

    def first_flag(self, kind: str | None = None) -> int | None:
        """First shot after which a finding above a note (of a kind) or, for any kind, a verdict of watch was out."""
        for step in self.steps:
            if kind is None and step.verdict in (Verdict.WATCH, Verdict.STOP):
                return step.shot
            if any(f.severity in FLAGGED and kind in (None, f.kind.value) for f in step.findings):
                return step.shot
        return None

    def finding(self, kind: str) -> Finding | None:
        """The final finding of a kind, if above a note."""
        return next((f for f in self.findings if f.kind.value == kind and f.severity in FLAGGED), None)

    @property
    def first_cause(self) -> str:
        """Kind of the first finding above a note at the end; `none`."""
        return next((f.kind.value for f in self.findings if f.severity in FLAGGED), "none")


def _above_note(findings: tuple[Finding, ...]) -> bool:
    return any(f.severity in FLAGGED for f in findings)


def whole_line(scan: SimulatedScan, scenario: str, seed: int, protocol: ScanProtocol | None = None) -> Outcome:
    """The scan through `ScanPipeline`, raw shots in."""
    pipeline = start_pipeline(scan.header, scan.shots, protocol=protocol)
    steps, judge_ms = [], []
    for shot in scan.shots():
        for made in pipeline.add(shot):
            if made.shot_index is not None:
                steps.append(Step(made.shot_index, made.verdict, made.findings, made.forecast))
            if made.timing is not None and made.timing.judge_ms is not None:
                judge_ms.append(made.timing.judge_ms)
    end = ScanEnd(scan_id=scan.header.scan_id, status=EndStatus.COMPLETE, n_shots=scan.header.n_shots_planned)
    report = pipeline.finish(end)
    quality = report.quality
    numbers: dict[str, float | None] = {
        name: getattr(quality, name)
        for name in ("snr_lcmodel", "fwhm_hz", "fwhm_ppm", "lipid_ratio", "residual_water_ratio")
    }
    numbers |= {f"percent_sd_{m.name}": m.percent_sd_lcmodel for m in report.metabolites if m.gated}
    met = [limit.met for limit in report.limits]
    return Outcome(
        scenario=scenario,
        sequence=scan.header.sequence or "",
        seed=seed,
        truth=scan.truth,
        steps=tuple(steps),
        final=report.verdict,
        findings=report.findings,
        left_out=frozenset(t.index for t in report.shots if not t.used and t.reason is not None),
        numbers=numbers,
        limits_met=None if not met or None in met else all(bool(m) for m in met),
        excitations_per_shot=int(scan.maker.parts.setup.n_excitations),
        judge_ms=float(np.mean(judge_ms)) if judge_ms else float("nan"),
    )


def by_signs(scan: SimulatedScan, scenario: str, seed: int, protocol: ScanProtocol | None = None) -> Outcome:
    """The judgement alone, on the sign model of the scan."""
    model = SignModel(scan, seed)
    chosen = protocol or match_protocol(scan.header)
    judge = Judge(scan.header, chosen)
    steps, signs, spent = [], [], 0.0
    for estimate in model.estimates:
        sign = _signs(estimate)
        signs.append(sign)
        begin = time.thread_time()
        wanted = judge.observe(sign)
        spent += time.thread_time() - begin
        fit, context = _fit(model, wanted), _context(model, len(signs))
        begin = time.thread_time()
        said = judge.assess(fit, context)
        spent += time.thread_time() - begin
        steps.append(Step(sign.shot_index, said.verdict, said.findings, said.forecast))
    poses = judge.settle([_signs(estimate) for estimate in model.settled()])
    fits = {pose: fit for pose, shots in enumerate(poses) if (fit := _fit(model, shots, last_pass=True)) is not None}
    final = judge.finish(fits, _context(model, len(signs)))
    return Outcome(
        scenario=scenario,
        sequence=scan.header.sequence or "",
        seed=seed,
        truth=scan.truth,
        steps=tuple(steps),
        final=final.verdict,
        findings=final.findings,
        left_out=frozenset(final.left_out),
        numbers=_numbers(final, fits),
        limits_met=None if any(c.met is None for c in final.limits) else all(bool(c.met) for c in final.limits),
        excitations_per_shot=int(scan.maker.parts.setup.n_excitations),
        judge_ms=1e3 * spent / max(len(signs), 1),
    )


def _signs(estimate: ShotEstimate) -> ShotSigns:
    return ShotSigns(**{name: getattr(estimate, name) for name in _SIGN_FIELDS})


def _fit(model: SignModel, shots: tuple[int, ...], *, last_pass: bool = False) -> FitSummary | None:
    made = model.fit(shots, last_pass=last_pass)
    if made is None:
        return None
    return FitSummary(**{f.name: getattr(made, f.name) for f in fields(made) if f.name in _FIT_FIELDS})


def _context(model: SignModel, n: int) -> ScanContext:
    agrees = model.edit_order_agrees(n)
    return ScanContext(
        water_fwhm_hz=model.water_fwhm_hz,
        water_frequency_hz=model.water_frequency_hz,
        coils_left_out=model.coils_left_out,
        edit_order_agrees=agrees,
        edit_order_decided_from=None if agrees is None else "labels" if agrees else "data",
    )


def _numbers(final: Judgement, fits: Mapping[int, FitSummary]) -> dict[str, float | None]:
    best = next((s.index for s in final.segments if s.is_best), 0)
    fit = fits.get(best)
    if fit is None:
        return {}
    numbers: dict[str, float | None] = {
        name: getattr(fit, name)
        for name in ("snr_lcmodel", "fwhm_hz", "fwhm_ppm", "lipid_ratio", "residual_water_ratio")
    }
    return numbers | {f"percent_sd_{name}": value for name, value in fit.percent_sd_lcmodel.items()}


def make_scan(scenario: str, seed: int, sequence: str, n_coils: int, n_points: int, **arguments: Any) -> SimulatedScan:
    """A scan of the benchmark; edited-only scenarios need MEGA-PRESS."""
    return simulate_scan(scenario, seed=seed, sequence=sequence, n_coils=n_coils, n_points=n_points, **arguments)  # type: ignore[arg-type]


def scenarios_of(sequence: str) -> tuple[str, ...]:
    """Scenarios that a sequence can have."""
    return tuple(name for name, entry in SCENARIOS.items() if sequence == "MEGA-PRESS" or not entry.edited_only)
