"""The judgement of one scan: shots and fits in, a verdict with its reasons out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from scanner_agent.judge.advice import Raw, VerdictFilter, decide
from scanner_agent.judge.causes import all_causes, edited_wrongly
from scanner_agent.judge.drift import Drift, fit_line
from scanner_agent.judge.features import FREQUENCY
from scanner_agent.judge.forecast import LimitKind, check_limits, forecast, kind_probability, probability_pass
from scanner_agent.judge.judgement import Judgement, SegmentJudgement
from scanner_agent.judge.motion import motion_causes
from scanner_agent.judge.placement import frequency_at_start, offset_at_start
from scanner_agent.judge.seen import Cause, Seen, median
from scanner_agent.judge.signs import FitSummary, ScanContext, ShotSigns
from scanner_agent.judge.track import Course
from scanner_agent.records import Finding, FindingKind, Forecast, LimitCheck, ScanHeader, Verdict
from scanner_agent.scan_protocol import ScanProtocol, unsupported_reason

_FITS_KEPT = 24
_FIRST_SHOTS = 64  # shots of the first pose that are looked at for what was wrong from the start
_DRIFT_SHOTS = 128  # shots that the drift is measured over, at most
_DRIFT_NOW_SHOTS = 16  # shots that say where the frequency lies now


class Judge:
    """Judges one scan, shot by shot. Knows nothing of clocks, files or sockets; the same input gives the same output.

    After each shot: `observe(signs)` says which shots to average and fit now, `assess(fit)` gives the judgement (`add`
    is both). At the end: `settle(all_signs)` gives the shots of each pose, and `finish(fits)` the final judgement.
    """

    def __init__(self, header: ScanHeader, protocol: ScanProtocol) -> None:
        self._header, self._protocol, self._s = header, protocol, protocol.judgement
        self._unsupported = unsupported_reason(header)
        self._context = ScanContext()
        self._filter = VerdictFilter(protocol.judgement)
        self._raised: dict[FindingKind, int | None] = {}
        self._reset()

    def _reset(self) -> None:
        self._course = Course(self._s)
        self._signs: list[ShotSigns] = []
        self._left_out: dict[int, str] = {}
        self._last_index: int | None = None
        self._n_missing = self._longest_gap = self._n_unusable = self._n_without_signal = 0
        self._excitations = 0
        self._fits: list[FitSummary] = []
        self._pose_fits: dict[int, FitSummary] = {}
        self._fit_found: dict[int, FitSummary | None] = {}
        self._misedited: set[int] = set()

    # --- live ---------------------------------------------------------------------------------------------------------

    def observe(self, signs: ShotSigns) -> tuple[int, ...]:
        """Take one metabolite shot, in order of acquisition. Returns the shots (shot_index) to average and fit now."""
        self._fit_found = {}
        index = signs.shot_index
        expected = 0 if self._last_index is None else self._last_index + 1
        if index > expected:
            self._n_missing += index - expected
            self._longest_gap = max(self._longest_gap, index - expected)
        self._last_index = max(index, self._last_index or 0)
        if signs.is_dummy:
            self._left_out[index] = "before steady state"
        elif not signs.usable:
            self._n_unusable += 1
            self._left_out[index] = signs.reason or "not usable"
            if signs.noise_log_variance is not None or signs.water_pattern_chi2 is not None:
                # Its data are sound, yet nothing in them could be aligned.
                self._n_without_signal += 1
                self._excitations += signs.n_excitations
        else:
            self._excitations += signs.n_excitations
            self._signs.append(signs)
            self._course.add(signs)
            if edited_wrongly(signs, self._s):
                self._misedited.add(index)
        return self._used(self._best_pose())

    def assess(self, fit: FitSummary | None, context: ScanContext | None = None) -> Judgement:
        """Judge what is known now. `fit`: of the shots that `observe` named, None if it was skipped."""
        self._context = context or self._context
        if fit is not None:
            self._take_fit(fit)
        return self._judgement(final=False)

    def add(self, signs: ShotSigns, fit: FitSummary | None, context: ScanContext | None = None) -> Judgement:
        """`observe` and `assess` in one."""
        self.observe(signs)
        return self.assess(fit, context)

    # --- the end ------------------------------------------------------------------------------------------------------

    def settle(self, all_signs: Sequence[ShotSigns]) -> tuple[tuple[int, ...], ...]:
        """Look at the whole scan again, from scratch. Returns the shots of each pose, to be averaged and fitted."""
        self._reset()
        for signs in sorted(all_signs, key=lambda x: x.shot_index):
            self.observe(signs)
        return tuple(self._used(p) for p in range(self._course.n_poses))

    def finish(
        self,
        fits: Mapping[int, FitSummary] | FitSummary | None,
        context: ScanContext | None = None,
        *,
        complete: bool = True,
    ) -> Judgement:
        """The final judgement. `fits`: by pose, as `settle` named them; one alone is of the pose it covers.

        `complete`: False if the scan was aborted.
        """
        self._context = context or self._context
        self._fits.clear()
        self._pose_fits.clear()
        self._fit_found.clear()
        for fit in fits.values() if isinstance(fits, Mapping) else [fits]:
            if fit is not None:
                self._take_fit(fit)
        if complete and self._last_index is not None:
            behind = self._n_planned() - 1 - self._last_index
            if behind > 0 and self._header.n_shots_planned is not None:
                self._n_missing += behind
                self._longest_gap = max(self._longest_gap, behind)
        return self._judgement(final=True)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _used(self, pose: int) -> tuple[int, ...]:
        """Shots of a pose that belong into its average."""
        shots = self._course.pose_shots(pose, used_only=True)
        return tuple(i for i in shots if i not in self._misedited) if self._misedited else shots

    def _wrongly_edited(self) -> set[int]:
        """Shots that accuse the editing: what a movement does to NAA does not, unless most shots that it seems to have
        hit contradict their condition. Then ON and OFF have changed places, and that is what looked like a movement.
        """
        if not self._misedited:
            return set()
        hit = set(self._course.hit_shots())
        return self._misedited if 2 * len(self._misedited & hit) > len(hit) else self._misedited - hit

    def _n_planned(self) -> int:
        """Metabolite shots planned: the header's number, else the protocol's, in frames like those that came."""
        if self._header.n_shots_planned is not None:
            return self._header.n_shots_planned
        per_shot = self._signs[-1].n_excitations if self._signs else 1
        return max(1, math.ceil(self._protocol.n_shots_planned * self._protocol.n_excitations_per_shot / per_shot))

    def _take_fit(self, fit: FitSummary) -> None:
        """Keep a fit for the pose it is of; one over two poses is of none."""
        self._fit_found = {}
        self._fits = [*self._fits[-_FITS_KEPT:], fit]
        for pose in range(self._course.n_poses):
            if fit.shots and fit.shots <= set(self._course.pose_shots(pose)):
                self._pose_fits[pose] = fit
        if self._header.shots_averaged or not self._signs:
            self._pose_fits[0] = fit

    def _fit_of(self, pose: int) -> FitSummary | None:
        """Latest fit of a pose. The last one before a step may hold the first shots of the new pose: go back."""
        if pose not in self._fit_found:
            self._fit_found[pose] = self._find_fit(pose)
        return self._fit_found[pose]

    def _find_fit(self, pose: int) -> FitSummary | None:
        shots = set(self._course.pose_shots(pose))
        kept = self._pose_fits.get(pose)
        if kept is not None and (not kept.shots or kept.shots <= shots or self._header.shots_averaged):
            return kept
        return next((fit for fit in reversed(self._fits) if fit.shots and fit.shots <= shots), None)

    def _worth(self, fit: FitSummary | None) -> float:
        """Effective shots per stored frame."""
        return fit.n_effective / len(fit.shots) if fit is not None and fit.shots else 1.0

    def _n_end(self, pose: int) -> float:
        """Effective shots of a pose at the planned end."""
        fit = self._fit_of(pose)
        used = len(self._used(pose))
        coming = 0
        if pose == self._course.n_poses - 1 and self._last_index is not None:
            coming = max(self._n_planned() - 1 - self._last_index, 0)
        now = (
            fit.n_effective
            if fit is not None and (not fit.shots or len(fit.shots) >= used)
            else used * self._worth(fit)
        )
        return max(now, 1e-9) + coming * self._worth(fit)

    def _probability(self, pose: int) -> float | None:
        fit = self._fit_of(pose)
        if fit is None or fit.failed:
            return None
        return probability_pass(fit, self._protocol, self._n_end(pose), self._context.water_fwhm_hz)

    def _best_pose(self) -> int:
        """The pose that the scan is judged by: likeliest to pass, then longest at the planned end."""
        poses = range(self._course.n_poses)
        if self._course.n_poses == 1:
            return 0
        last = self._course.n_poses - 1

        def rank(pose: int) -> tuple[float, float]:
            p = self._probability(pose)
            if p is None:
                # Not fitted yet: an ended pose is then worth nothing, the present one what it may become.
                p = 0.5 if pose == last else 0.0
            return (round(p, 1), self._n_end(pose))

        return max(poses, key=rank)

    def _drift(self, pose: int) -> Drift | None:
        tr = self._header.repetition_time_s or self._protocol.repetition_time_s
        rows = self._course.pose_rows(pose)[-_DRIFT_SHOTS:]
        table = self._course.table
        if len(rows) < 6:
            return None
        index = table.shot_index[rows.start : rows.stop]
        value, _ = table.rows(np.arange(rows.start, rows.stop))
        line = fit_line(index.astype(float), value[:, FREQUENCY], 0.3)
        if line is None:
            return None
        now, now_sd, slope, slope_sd = line
        per_shot = self._signs[-1].n_excitations * tr / 60.0
        offset = offset_at_start(self._context, self._fit_of(0), self._signs)
        if offset is not None:
            offset += now - frequency_at_start(self._signs) + self._signs[-1].frequency_update_hz
        else:  # neither water reference nor fit: where the shots' own creatine and choline lie
            offset = median([x.edit_offset_hz for x in self._signs[-_DRIFT_NOW_SHOTS:]])
        return Drift(
            slope_hz_per_min=slope / per_shot,
            slope_sd=slope_sd / per_shot,
            offset_now_hz=offset,
            offset_sd_hz=now_sd,
            scan_minutes=self._n_planned() * per_shot,
            first_shot=int(table.shot_index[self._course.pose_rows(pose).start]),
            last_shot=int(index[-1]),
        )

    def _seen(self, pose: int, fit: FitSummary | None, limits: tuple[LimitCheck, ...], extend: bool | None) -> Seen:
        s = self._s
        first_fit = fit if pose == 0 else self._fit_of(0)
        n_end = self._n_end(pose)
        most = n_end * (1.0 + s.max_extension)
        noise = self._kind(fit, n_end, "noise")
        more = self._kind(fit, most, "noise")
        averaged = self._header.shots_averaged
        n_first = len(self._course.pose_rows(0))
        return Seen(
            header=self._header,
            protocol=self._protocol,
            context=self._context,
            signs=self._signs,
            fit=fit,
            first_signs=self._signs[:n_first][-_FIRST_SHOTS:],
            first_fit=first_fit,
            limits=limits,
            width_probability=self._kind(first_fit, self._n_end(0), "width"),
            noise_probability=noise,
            noise_can_extend=None if more is None else more >= s.extend_probability,
            can_extend=extend,
            n_without_signal=self._n_without_signal,
            n_missing=self._n_missing,
            longest_gap=self._longest_gap,
            n_unusable=self._n_unusable - self._n_without_signal,
            n_planned=self._n_planned(),
            events=self._course.events,
            misedited=sorted(self._wrongly_edited()),
            drift=self._drift(pose),
            enough=averaged or self._excitations >= s.min_excitations,
            enough_to_stop=averaged or self._excitations >= s.stop_min_excitations,
        )

    def _kind(self, fit: FitSummary | None, n_end: float, kind: LimitKind) -> float | None:
        return None if fit is None or fit.failed else kind_probability(fit, self._protocol, n_end, kind)

    def _judgement(self, *, final: bool) -> Judgement:
        pose = self._best_pose()
        fit = self._fit_of(pose)
        limits = check_limits(fit, self._protocol, self._context.water_fwhm_hz)
        foreseen = forecast(
            fit, self._protocol, self._n_planned(), self._n_end(pose), self._worth(fit), self._context.water_fwhm_hz
        )
        seen = self._seen(pose, fit, limits, foreseen.can_extend)
        causes = all_causes(seen, motion_causes(self._course, seen, pose, self._probability(pose)))
        raw = decide(seen, causes, foreseen, self._unsupported, final=final)
        if not final:
            raw = self._filter.pass_through(raw, self._signs[-1].n_excitations if self._signs else 1)
        return Judgement(
            verdict=raw.verdict,
            advice=raw.advice,
            advice_text=raw.text,
            extend_shots=raw.extend_shots,
            forecast=foreseen if seen.enough else Forecast(n_shots_planned=self._n_planned(), missing=_EARLY),
            findings=tuple(self._finding(cause) for cause in raw.causes),
            limits=limits,
            segments=self._segments(pose, raw),
            used_shots=self._used(pose),
            left_out=self._all_left_out(),
            shot_segments={shot: p for p in range(self._course.n_poses) for shot in self._course.pose_shots(p)},
            notes=(self._unsupported,) if self._unsupported else (),
        )

    def _finding(self, cause: Cause) -> Finding:
        raised = cause.raised_at_shot
        if raised is None:
            raised = self._raised.setdefault(cause.kind, self._last_index)
        return Finding(
            kind=cause.kind,
            severity=cause.severity,
            first_shot=cause.first_shot,
            last_shot=cause.last_shot,
            raised_at_shot=raised,
            evidence=cause.evidence,
            text=cause.text,
        )

    def _all_left_out(self) -> dict[int, str]:
        out = dict(self._left_out)
        out.update(dict.fromkeys(self._course.leading_shots, "before steady state"))
        out.update(dict.fromkeys(self._misedited | set(self._course.hit_shots()), "hit by a movement"))
        out.update(dict.fromkeys(self._wrongly_edited(), "the editing pulse did not do what it should"))
        return dict(sorted(out.items()))

    def _segments(self, best: int, raw: Raw) -> tuple[SegmentJudgement, ...]:
        found = []
        for pose in range(self._course.n_poses):
            shots = self._course.pose_shots(pose)
            if not shots:
                continue
            verdict = Verdict.CANNOT_JUDGE
            fit = self._fit_of(pose)
            if pose == best:
                verdict = raw.verdict
            elif fit is not None:
                met = [c.met for c in check_limits(fit, self._protocol, self._context.water_fwhm_hz)]
                verdict = Verdict.GOOD if met and all(met) else Verdict.STOP if False in met else Verdict.CANNOT_JUDGE
            found.append(
                SegmentJudgement(
                    index=pose,
                    first_shot=shots[0],
                    last_shot=shots[-1],
                    shots=self._used(pose),
                    verdict=verdict,
                    is_best=pose == best,
                )
            )
        return tuple(found)


_EARLY = {"all": "too few shots"}
