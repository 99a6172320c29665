"""State of one scan: signal chain, fits and judgement, shot by shot, and the report at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from scanner_agent import __version__
from scanner_agent.basis import BasisSet
from scanner_agent.errors import ProcessingError
from scanner_agent.fit import FitResult, WaterScaling, gaba_unit_area
from scanner_agent.judge import FitSummary, Judge, Judgement, ScanContext, metabolite_changes
from scanner_agent.judge.forecast import check_limits
from scanner_agent.mrs.chain import ScanChain
from scanner_agent.mrs.shots import Average
from scanner_agent.pipeline import assemble
from scanner_agent.pipeline.basis_choice import edit_shapes
from scanner_agent.pipeline.fitting import SpectrumFits
from scanner_agent.pipeline.order import ShotOrder
from scanner_agent.pipeline.windows import window_course
from scanner_agent.records import (
    Advice,
    Assessment,
    AssessmentPoint,
    MetaboliteAmount,
    Provenance,
    Quality,
    ScanEnd,
    ScanHeader,
    ScanReport,
    ScanSnapshot,
    Segment,
    Shot,
    ShotKind,
    SpectrumFrame,
    Timing,
    Verdict,
    WindowPoint,
)
from scanner_agent.scan_protocol import ScanProtocol, match_notes, unsupported_reason

Replay = Callable[[], Iterator[Shot]]


@dataclass(frozen=True)
class _Round:
    """One average with its fits and what the judgement is told of them."""

    average: Average
    fits: dict[str, FitResult]
    summary: FitSummary | None


class ScanPipeline:
    """One scan. Not thread-safe; keeps combined FIDs only, raw shots are read again through `replay` at the end.

    `basis` maps sub-spectra to basis sets (None: nothing is fitted, `no_fit` says why); `replay` gives all shots of the
    scan that are known, in canonical order, each time it is called.
    """

    def __init__(
        self,
        header: ScanHeader,
        protocol: ScanProtocol,
        *,
        basis: dict[str, BasisSet] | None,
        replay: Replay,
        no_fit: str | None = None,
    ) -> None:
        self.header = header
        self.protocol = protocol
        self._basis = basis
        self._no_fit = no_fit
        self._replay = replay
        self._order = ShotOrder()
        self._chain = ScanChain(
            header.n_coils,
            header.n_points,
            header.dwell_time_s,
            header.spectrometer_frequency_mhz,
            edited=header.n_edit_conditions > 1,
            edit_pulse_ppm=header.edit_pulse_ppm,
            eddy_current_correction=protocol.processing.eddy_current_correction and not header.eddy_current_corrected,
            align_ppm=protocol.processing.align_ppm,
            phantom=protocol.match.is_phantom,
            edit_shapes=edit_shapes(header, basis),
        )
        self._fits = SpectrumFits(header, protocol, basis)
        self._gaba_unit = gaba_unit_area(basis["difference"]) if basis and "difference" in basis else None
        self._judge = Judge(header, protocol)
        self._judgement: Judgement | None = None
        self._round: _Round | None = None
        self._history: list[AssessmentPoint] = []
        self._assessment: Assessment | None = None
        self._n_seen = 0
        self._broken = unsupported_reason(header)
        """Why this scan cannot be judged at all; None: it can."""
        self._began = time.perf_counter()

    # Shot by shot --------------------------------------------------------------------------------------------------

    def add(self, shot: Shot) -> list[Assessment]:
        """Take one shot in the order of arrival; one assessment for each metabolite shot whose turn has come."""
        return [made for ready in self._order.push(shot) if (made := self._process(ready)) is not None]

    def _process(self, shot: Shot) -> Assessment | None:
        begin = time.perf_counter()
        self._n_seen += shot.shot_kind is ShotKind.METABOLITE
        if shot.shot_kind is ShotKind.NOISE:
            self._chain.add_noise(shot.data)
            return None
        if shot.shot_kind is ShotKind.WATER_REFERENCE:
            if shot.is_dummy:
                return None
            self._chain.add_water_reference(shot.data, shot.n_excitations)
            return None
        if self._broken is not None:
            return self._keep(self._refusal(shot.shot_index))
        try:
            return self._keep(self._assess(shot, begin))
        except ProcessingError as error:
            self._broken = str(error)
            return self._keep(self._refusal(shot.shot_index))

    def _assess(self, shot: Shot, begin: float) -> Assessment:
        estimate = self._chain.add(
            shot.data,
            shot_index=shot.shot_index,
            edit_condition=shot.edit_condition,
            n_excitations=shot.n_excitations,
            phase_cycle_index=shot.phase_cycle_index,
            is_dummy=shot.is_dummy,
            frequency_update_hz=shot.frequency_update_hz,
        )
        shots = self._judge.observe(assemble.signs(estimate))
        average = self._average(shots)
        chain_done = time.perf_counter()
        self._round = None if average is None else self._fit(average)
        fit_done = time.perf_counter()
        self._judgement = self._judge.assess(self._round.summary if self._round else None, self._context())
        judged = time.perf_counter()
        track = assemble.track(estimate, self._judgement)
        used = len(self._judgement.used_shots)
        return Assessment(
            scan_id=self.header.scan_id,
            shot_index=shot.shot_index,
            n_shots_used=used,
            n_shots_left_out=self._n_seen - used,
            n_shots_planned=self._n_planned(),
            verdict=self._judgement.verdict,
            advice=self._judgement.advice,
            advice_text=self._judgement.advice_text,
            extend_shots=self._judgement.extend_shots,
            forecast=self._judgement.forecast,
            quality=self._quality(self._round),
            metabolites=self._amounts(self._round),
            findings=self._judgement.findings,
            track=track,
            timing=Timing(
                total_ms=(time.perf_counter() - begin) * 1e3,
                chain_ms=(chain_done - begin) * 1e3,
                fit_ms=(fit_done - chain_done) * 1e3,
                judge_ms=(judged - fit_done) * 1e3,
            ),
        )

    def _keep(self, made: Assessment) -> Assessment:
        assessment = self._assessment = assemble.plain(made)
        self._history.append(
            AssessmentPoint(
                shot_index=assessment.shot_index,
                verdict=assessment.verdict,
                advice=assessment.advice,
                forecast=assessment.forecast,
                snr_lcmodel=assessment.quality.snr_lcmodel,
                fwhm_hz=assessment.quality.fwhm_hz,
            )
        )
        return assessment

    def _refusal(self, shot_index: int | None) -> Assessment:
        """What is said of a scan that cannot be judged."""
        return Assessment(
            scan_id=self.header.scan_id,
            shot_index=shot_index,
            n_shots_used=0,
            n_shots_left_out=self._n_seen,
            n_shots_planned=self._n_planned(),
            verdict=Verdict.CANNOT_JUDGE,
            advice=Advice.CONTINUE,
            advice_text=self._broken or "",
            quality=Quality(
                water_fwhm_hz=None if self._chain.water is None else self._chain.water.fwhm_hz,
                missing={"all": self._broken or ""},
            ),
        )

    # What others see -----------------------------------------------------------------------------------------------

    def frame(self) -> SpectrumFrame | None:
        """The spectrum with its fit after the last shot; None before the first."""
        if self._round is None or self._assessment is None or self._assessment.shot_index is None:
            return None
        return SpectrumFrame(
            scan_id=self.header.scan_id,
            shot_index=self._assessment.shot_index,
            parts=assemble.spectra(
                self._round.fits,
                self._round.average,
                dwell_time_s=self.header.dwell_time_s,
                spectrometer_frequency_mhz=self.header.spectrometer_frequency_mhz,
            ),
        )

    def snapshot(self) -> ScanSnapshot:
        """Everything a view needs that joins now."""
        snapshot = ScanSnapshot(
            header=self.header,
            protocol=self.protocol.name,
            limits=self._judgement.limits if self._judgement else check_limits(None, self.protocol, None),
            tracks=assemble.tracks(self._chain.estimates, self._judgement),
            assessments=tuple(self._history),
            assessment=self._assessment,
            frame=self.frame(),
        )
        return assemble.plain(snapshot)

    @property
    def chain(self) -> ScanChain:
        """The signal chain: water reference, coils, estimates of the shots (for the phantom log)."""
        return self._chain

    @property
    def average(self) -> Average | None:
        """The average that the last numbers are of."""
        return None if self._round is None else self._round.average

    @property
    def fits(self) -> Mapping[str, FitResult]:
        """The fits that the last numbers are of, by sub-spectrum."""
        return {} if self._round is None else self._round.fits

    def refit(self, average: Average) -> Mapping[str, FitResult]:
        """Fit another average as the scan's own is fitted, from scratch; nothing of it is kept."""
        return SpectrumFits(self.header, self.protocol, self._basis).fit(average, warm=False)

    # The end -------------------------------------------------------------------------------------------------------

    def finish(self, end: ScanEnd) -> ScanReport:
        """The report: the last pass from scratch over all shots, in canonical order."""
        for shot in self._order.flush():
            self._process(shot)
        if not self._order.canonical:
            again = ScanPipeline(
                self.header, self.protocol, basis=self._basis, replay=self._replay, no_fit=self._no_fit
            )
            for shot in self._replay():
                again.add(shot)
            self.__dict__.update(again.__dict__)
            return self.finish(end)
        if self._broken is None and not self._history:
            self._broken = "The scan ended without a metabolite shot."
        if self._broken is None:
            try:
                return self._final(end)
            except ProcessingError as error:
                self._broken = str(error)
        return self._report(end, self._refusal(None), [])

    def _final(self, end: ScanEnd) -> ScanReport:
        self._chain = self._chain.refined(self._replay)
        all_signs = [assemble.signs(estimate) for estimate in self._chain.estimates]
        fits = SpectrumFits(self.header, self.protocol, self._basis)
        rounds: dict[int, _Round] = {}
        for pose, shots in enumerate(self._judge.settle(all_signs)):
            average = self._average(shots)
            if average is not None:
                rounds[pose] = self._fit(average, fits)
        self._judgement = self._judge.finish(
            {pose: found.summary for pose, found in rounds.items() if found.summary is not None},
            self._context(),
            complete=end.status == "complete",
        )
        best = next((s.index for s in self._judgement.segments if s.is_best), 0)
        self._round = rounds.get(best)
        self._fits = fits
        judgement = self._judgement
        segments = [
            Segment(
                index=s.index,
                first_shot=s.first_shot,
                last_shot=s.last_shot,
                n_shots_used=len(s.shots),
                verdict=s.verdict,
                quality=self._quality(rounds.get(s.index)),
                metabolites=tuple(a for a in self._amounts(rounds.get(s.index)) if a.gated),
            )
            for s in judgement.segments
        ]
        used = len(judgement.used_shots)
        assessment = Assessment(
            scan_id=self.header.scan_id,
            shot_index=None,
            n_shots_used=used,
            n_shots_left_out=self._n_seen - used,
            n_shots_planned=self._n_planned(),
            verdict=judgement.verdict,
            advice=judgement.advice,
            advice_text=judgement.advice_text,
            extend_shots=judgement.extend_shots,
            forecast=judgement.forecast,
            quality=self._quality(self._round),
            metabolites=self._amounts(self._round),
            findings=judgement.findings,
        )
        return self._report(end, assessment, segments)

    def _report(self, end: ScanEnd, final: Assessment, segments: list[Segment]) -> ScanReport:
        judgement = self._judgement if self._broken is None else None
        window = self._windows() if judgement else ()
        notes = [*match_notes(self.header, self.protocol), *self.header.source_notes]
        if judgement is not None:
            notes += judgement.notes
            changes = metabolite_changes(
                window, judgement.segments, judgement.findings, self.protocol.judgement.window_change_z
            )
            notes += [change.text for change in changes]
        notes += assemble.reception_notes(self._chain.coil_report, self._chain.water)
        if self._no_fit is not None:
            notes.append(self._no_fit)
        if self._round is not None and self._scaling() is not None:
            notes.append(assemble.SCALING_NOTE)
        frame_of = self._round if self._broken is None else None
        basis = next(iter(self._basis.values())) if self._basis else None
        report = ScanReport(
            scan=self.header,
            end=end,
            verdict=final.verdict,
            advice=final.advice,
            advice_text=final.advice_text,
            extend_shots=final.extend_shots,
            forecast=final.forecast,
            quality=final.quality,
            limits=judgement.limits if judgement else (),
            metabolites=final.metabolites,
            shots=assemble.tracks(self._chain.estimates, judgement),
            segments=tuple(segments),
            findings=final.findings,
            assessments=tuple(self._history),
            window=window,
            spectra=()
            if frame_of is None
            else assemble.spectra(
                frame_of.fits,
                frame_of.average,
                dwell_time_s=self.header.dwell_time_s,
                spectrometer_frequency_mhz=self.header.spectrometer_frequency_mhz,
            ),
            notes=tuple(dict.fromkeys(notes)),
            timing=Timing(total_ms=(time.perf_counter() - self._began) * 1e3, fit_ms=self._fits.fit_ms),
            provenance=Provenance(
                version=__version__,
                protocol=self.protocol.name,
                protocol_hash=self.protocol.content_hash(),
                basis=basis.name if basis else None,
                basis_hash=basis.content_hash() if basis else None,
                steps=self._chain.steps,
            ),
        )
        return assemble.plain(report)

    # Parts ---------------------------------------------------------------------------------------------------------

    def _average(self, shots: Collection[int]) -> Average | None:
        """Average of these shots; None if not one of them can be used."""
        if not shots:
            return None
        average = self._chain.average(shots)
        return average if average.n_used > 0 else None

    def _fit(self, average: Average, fits: SpectrumFits | None = None) -> _Round:
        """Fit an average: warm-started with the scan's own fits, from scratch with others."""
        found = self._fits.fit(average) if fits is None else fits.fit(average, warm=False)
        return _Round(average, found, assemble.summary(found, average, self._chain.water))

    def _context(self) -> ScanContext:
        water, order = self._chain.water, self._chain.edit_order
        return ScanContext(
            water_fwhm_hz=None if water is None else water.fwhm_hz,
            water_frequency_hz=None if water is None else water.frequency_hz,
            coils_left_out=self._chain.coil_report.left_out,
            edit_order_agrees=None if order is None else order.agrees_with_labels,
            edit_order_decided_from=None if order is None else order.decided_from,
            edit_order_reason="" if order is None else order.reason,
            fit_unavailable=self._no_fit,
        )

    def _quality(self, found: _Round | None) -> Quality:
        return assemble.quality(
            {} if found is None else found.fits,
            None if found is None else found.average,
            self._chain.water,
            self._chain.estimates,
            repetition_time_s=self.header.repetition_time_s or self.protocol.repetition_time_s,
            gaba_unit=self._gaba_unit,
            no_fit=self._no_fit,
        )

    def _scaling(self) -> WaterScaling | None:
        if self._chain.water is None:
            return None
        return WaterScaling(
            water_amplitude=self._chain.water.amplitude,
            spectrometer_frequency_mhz=self.header.spectrometer_frequency_mhz,
            echo_time_s=self.header.echo_time_s,
            repetition_time_s=self.header.repetition_time_s,
            phantom=self.protocol.match.is_phantom,
        )

    def _amounts(self, found: _Round | None) -> tuple[MetaboliteAmount, ...]:
        return () if found is None else assemble.amounts(found.fits, self.protocol.gated, self._scaling())

    def _n_planned(self) -> int:
        """Metabolite shots planned: the header's number, else the protocol's."""
        return self.header.n_shots_planned or self.protocol.n_shots_planned

    def _windows(self) -> tuple[WindowPoint, ...]:
        size = self.protocol.processing.window_shots
        if size is None or self._judgement is None:
            return ()
        return window_course(self._chain, self._judgement, self._fits, size)
