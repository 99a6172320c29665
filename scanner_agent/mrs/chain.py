"""The signal chain of one scan, shot by shot: coils, eddy currents, alignment, weights, editing, average."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from scanner_agent.errors import ProcessingError
from scanner_agent.mrs.align import BRAIN_LINES_PPM, AlignBand, align_band
from scanner_agent.mrs.averaging import AlignedShot, average_of
from scanner_agent.mrs.coils import combine, refusal
from scanner_agent.mrs.edit_order import OrderFinder
from scanner_agent.mrs.frame import Frame, frame_of
from scanner_agent.mrs.kept import KeptShot, estimate_of
from scanner_agent.mrs.kernels import rotated
from scanner_agent.mrs.linking import EditShapes, Linker, make_linker
from scanner_agent.mrs.quality import found_offset_ppm
from scanner_agent.mrs.receiver import Received, Receiver
from scanner_agent.mrs.reference import START_SHOTS, Aligner
from scanner_agent.mrs.shots import Average, CoilReport, EditCondition, EditOrder, ShotEstimate, WaterReference
from scanner_agent.mrs.signs import (
    SignBands,
    line_waveform,
    measure_shot,
    sign_bands,
    strongest_line,
)
from scanner_agent.mrs.steps import steps_of
from scanner_agent.mrs.water import water_reference
from scanner_agent.mrs.weighing import pair_weights, weigh
from scanner_agent.records import Shot, ShotKind

_WATER_FWHM_PPM = 0.07
_FINAL_PASSES = 2

__all__ = ["Average", "CoilReport", "EditOrder", "ScanChain", "ShotEstimate", "WaterReference"]


class ScanChain:
    """State of one scan's signal chain. Not thread-safe. The same shots in the same order give bit-equal results."""

    def __init__(
        self,
        n_coils: int,
        n_points: int,
        dwell_time_s: float,
        spectrometer_frequency_mhz: float,
        *,
        edited: bool = False,
        edit_pulse_ppm: tuple[float, float] | None = None,
        eddy_current_correction: bool = True,
        align_ppm: tuple[float, float] = (1.8, 4.2),
        phantom: bool = False,
        edit_shapes: EditShapes | None = None,
    ) -> None:
        self.n_coils, self.n_points = n_coils, n_points
        self.dwell_time_s, self.spectrometer_frequency_mhz = dwell_time_s, spectrometer_frequency_mhz
        self.edited, self.edit_pulse_ppm, self.edit_shapes = edited, edit_pulse_ppm, edit_shapes
        self.eddy_current_correction, self.phantom = eddy_current_correction, phantom
        # Phantoms hold acetate and lactate rather than NAA, and lie up to 0.2 ppm lower at room temperature.
        self._align_ppm_given = align_ppm
        self.align_ppm = (min(1.0, align_ppm[0]), align_ppm[1]) if phantom else align_ppm
        self.water: WaterReference | None = None
        self.reference_offset_ppm = 0.0
        self._receiver = Receiver(n_coils, n_points, dwell_time_s, spectrometer_frequency_mhz)
        self._kept: list[KeptShot] = []
        self._start_raw: list[tuple[KeptShot, NDArray[np.complexfloating]]] = []
        self._eddy: NDArray[np.complex128] | None = None
        self._band: AlignBand | None = None
        self._bands: SignBands | None = None
        self._linker: Linker | None = None
        self._aligners: dict[EditCondition | None, Aligner] = {}
        self._order = OrderFinder(edit_pulse_ppm)
        self._frame = Frame()
        self._framed_with: tuple[object, ...] = ()
        self._passes = 0
        self._estimates: list[ShotEstimate | None] = []
        self._late_water = False

    # What comes in -------------------------------------------------------------------------------------------------

    def add_noise(self, data: NDArray[np.complexfloating]) -> None:
        """One noise frame (n_coils, n_points), no excitation. Frames that are not finite are passed over."""
        data = self._checked(data)
        if np.isfinite(data).all() and not self._receiver.frozen:
            self._receiver.learn_noise(data)

    def add_water_reference(self, data: NDArray[np.complexfloating], n_excitations: int = 1) -> None:
        """One unsuppressed water frame (n_coils, n_points); after the first metabolite shot for the last pass only."""
        data = self._checked(data)
        if not (np.isfinite(data).all() and np.any(data)):
            return
        if self._kept:
            self._late_water = True
            return
        self._receiver.learn_water(data, n_excitations)
        self._receiver.make_weights()
        self._update_water()

    def add(
        self,
        data: NDArray[np.complexfloating],
        *,
        shot_index: int,
        edit_condition: EditCondition | None = None,
        n_excitations: int = 1,
        phase_cycle_index: int | None = None,
        is_dummy: bool = False,
        frequency_update_hz: float = 0.0,
    ) -> ShotEstimate:
        """Take one metabolite shot (n_coils, n_points) in the order of acquisition; what is known of it now.

        A frame that cannot be used (not finite, all zero, clipped, dummy) gives an estimate that is unusable, with its
        reason. Raises ProcessingError if the frame's shape is not the scan's.
        """
        data = self._checked(data)
        kept = KeptShot(
            len(self._kept), shot_index, edit_condition, n_excitations, phase_cycle_index, is_dummy, frequency_update_hz
        )
        self._kept.append(kept)
        self._estimates.append(None)
        kept.reason = refusal(data, self._receiver.weights)
        if kept.reason is None:
            if self._receiver.frozen:
                self._take(kept, data)
                self._align_new(kept)
            else:
                self._take_at_start(kept, data)
        self._reframe()
        return self._estimate(len(self._kept) - 1)

    def _checked(self, data: NDArray[np.complexfloating]) -> NDArray[np.complex64]:
        if data.shape != (self.n_coils, self.n_points):
            raise ProcessingError(
                f"a frame has shape {data.shape}, the scan's header says ({self.n_coils}, {self.n_points})"
            )
        return np.ascontiguousarray(data, dtype=np.complex64)

    # From raw to combined ------------------------------------------------------------------------------------------

    def _update_water(self) -> None:
        total = self._receiver.water_sum
        if total is None or self._receiver.weights is None:
            return
        weights = self._receiver.weights
        self.water = water_reference(
            combine(total, weights),
            self._receiver.n_water,
            self._receiver.n_water_excitations,
            self.dwell_time_s,
            weights.noise_sd * np.sqrt(self._receiver.n_water) / self._receiver.n_water_excitations,
        )
        if self.eddy_current_correction:
            self._eddy = np.exp(-1j * self.water.phase_rad)

    def _take(self, kept: KeptShot, data: NDArray[np.complexfloating]) -> None:
        """Combine one frame, correct eddy currents, keep the combined FID and the coil signs."""
        received = self._receiver.receive(data, kept.shot_index)
        fid = received.fid / kept.n_excitations
        if self._eddy is not None:
            fid = fid * self._eddy
        kept.fid = fid.astype(np.complex64)
        kept.noise_sd = received.noise_sd / kept.n_excitations
        kept.noise_log_variance = received.noise_log_variance
        if self._bands is None:
            self._set_bands(fid)
        kept.water_chi2, kept.lipid_chi2 = self._pattern_signs(kept, data, received)

    def _take_at_start(self, kept: KeptShot, data: NDArray[np.complexfloating]) -> None:
        """While noise and sensitivities are not known well enough, raw frames are kept and combined anew each time."""
        self._receiver.learn_shot(data)
        self._receiver.make_weights()
        if self.water is not None:
            self._update_water()
        self._start_raw.append((kept, np.array(data)))
        ready = self._receiver.knows_enough or len(self._start_raw) >= START_SHOTS
        for other, raw in self._start_raw:
            self._take(other, raw)
        if ready:
            self._receiver.freeze()
            self._start_raw = []
        self._align_all()

    def _set_bands(self, fid: NDArray[np.complex128]) -> None:
        """Find by how much the whole spectrum is off, and set all bands accordingly."""
        f0, dt = self.spectrometer_frequency_mhz, self.dwell_time_s
        self.reference_offset_ppm = found_offset_ppm(fid, dt, f0, self.phantom)
        offset = self.reference_offset_ppm
        water = (
            self.water.fwhm_hz if self.water is not None and self.water.fwhm_hz is not None else _WATER_FWHM_PPM * f0
        )
        lines = () if self.phantom else BRAIN_LINES_PPM
        self._band = align_band(self.n_points, dt, f0, align_ppm=self.align_ppm, offset_ppm=offset, lines_ppm=lines)
        self._bands = sign_bands(
            self.n_points,
            dt,
            f0,
            noise=self._receiver.band,
            water_fwhm_hz=water,
            offset_ppm=offset,
            phantom=self.phantom,
        )
        if self.edited:
            self._linker = make_linker(
                self.n_points, dt, f0, offset_ppm=offset, lines_ppm=lines, shapes=self.edit_shapes
            )

    def _pattern_signs(
        self, kept: KeptShot, data: NDArray[np.complexfloating], received: Received
    ) -> tuple[float | None, float | None]:
        if self._bands is None or kept.fid is None:
            return None, None
        found = []
        for decay, band in (
            (self._bands.water_line, self._bands.water_hz),
            (self._bands.lipid_line, self._bands.lipid_hz),
        ):
            line = strongest_line(kept.fid, kept.noise_sd, decay, band, self._bands)
            waveform = line_waveform(line, decay, self.dwell_time_s)
            if self._eddy is not None:
                waveform = waveform * np.conj(self._eddy[: waveform.size])
            found.append(self._receiver.projections_chi2(data, waveform, received))
        return found[0], found[1]

    # Alignment -----------------------------------------------------------------------------------------------------

    def _align_all(self, *, ask: bool = True) -> None:
        """Align everything so far from the beginning: at the start, and when the order of ON and OFF becomes known.

        `ask` False: what each shot says of the order stands.
        """
        self._aligners = {}
        done = [k for k in self._kept if k.fid is not None]
        for kept in done:
            kept.alignment = kept.aligned = kept.measure = None
        if self._linker is not None:
            if ask:
                self._order.ask_all(done, self._linker)
            self._order.decide(done)
        if self._band is None:
            return
        for condition in dict.fromkeys(k.condition for k in done):
            members = self._members(condition)
            aligner = self._aligners.setdefault(condition, Aligner(self._band))
            aligner.add_many(
                [k.fid for k in members if k.fid is not None],
                [k.noise_sd for k in members],
                [not k.is_dummy for k in members],
            )
            for position, kept in enumerate(members):
                kept.position = position
            self._update(members, aligner)
        self._weigh(done)

    def _align_new(self, kept: KeptShot) -> None:
        """Align one more shot."""
        if self._linker is not None:
            self._order.ask(kept, self._linker)
            if self._order.decide([k for k in self._kept if k.fid is not None]):
                self._align_all(ask=False)
                return
        changed = self._align(kept)
        if self._linker is not None:
            self._order.look(kept, self._aligners, self._linker)
        self._weigh(changed)

    def _weigh(self, changed: list[KeptShot]) -> None:
        """Weights of the changed shots and their neighbours in time."""
        for condition in dict.fromkeys(k.condition for k in changed):
            for kept in weigh(self._members(condition), changed):
                if self._order.lacks_pulse(kept):
                    kept.weight, kept.left_out = 0.0, "its editing pulse seems to be missing"
                self._estimates[kept.place] = None

    def _align(self, kept: KeptShot) -> list[KeptShot]:
        """Give one shot to the aligner of its condition; all shots whose alignment changed."""
        if self._band is None or kept.fid is None:
            return []
        aligner = self._aligners.setdefault(kept.condition, Aligner(self._band))
        members = self._members(kept.condition)
        kept.position = len(aligner.fids)
        positions = aligner.add(kept.fid, kept.noise_sd, not kept.is_dummy)
        changed = [members[i] for i in positions]
        self._update(changed, aligner)
        return changed

    def _members(self, condition: EditCondition | None) -> list[KeptShot]:
        """Shots of one condition that have a combined FID, in order: as their aligner has them."""
        return [k for k in self._kept if k.fid is not None and k.condition == condition]

    def _update(self, changed: list[KeptShot], aligner: Aligner) -> None:
        """Take over alignments, rotate the FIDs, measure the signs again."""
        for kept in changed:
            found = aligner.found[kept.position]
            kept.alignment = found
            if found is None or kept.fid is None or self._bands is None:
                continue
            aligned = rotated(kept.fid.astype(np.complex128), found.frequency_hz, found.phase_rad, self.dwell_time_s)
            kept.aligned = aligned.astype(np.complex64)
            kept.measure = measure_shot(
                kept.fid,
                aligned,
                kept.noise_sd,
                self._receiver.band,
                self._bands,
                found.amplitude,
                aligner.others(kept.position),
            )
            self._estimates[kept.place] = None

    # What comes out ------------------------------------------------------------------------------------------------

    @property
    def estimates(self) -> tuple[ShotEstimate, ...]:
        """Every shot so far, in the order added, as known now."""
        self._reframe()
        return tuple(self._estimate(i) for i in range(len(self._kept)))

    def _reframe(self) -> None:
        """Bring the frame up to date with the references."""
        frame_key = (
            self._passes,
            *((c, a.reference.n_shots) for c, a in self._aligners.items() if a.reference is not None),
        )
        if frame_key != self._framed_with:
            self._framed_with = frame_key
            self._estimates = [None] * len(self._kept)
            self._frame = self._make_frame()

    def _estimate(self, place: int) -> ShotEstimate:
        made = self._estimates[place]
        if made is None:
            kept = self._kept[place]
            made = estimate_of(
                kept,
                frame=self._frame,
                log_variance_sd=self._receiver.log_variance_sd,
                pattern_chi2_sd=self._receiver.pattern_chi2_sd,
            )
            self._estimates[place] = made
        return made

    def _make_frame(self) -> Frame:
        if self._bands is None:
            return Frame()
        # The eddy-current correction takes the water reference's own shift away.
        removed_hz = self.water.frequency_hz if self._eddy is not None and self.water is not None else 0.0
        return frame_of(
            {c: a.reference for c, a in self._aligners.items() if a.reference is not None},
            self._bands,
            self._linker,
            align_ppm=self.align_ppm,
            removed_hz=removed_hz,
            by_shapes=self._passes > 0,
        )

    def average(self, shot_indices: Collection[int] | None = None) -> Average:
        """Weighted average of the accepted shots (None) or of those named (by shot_index) that are usable.

        Named shots keep their weights. With ON and OFF there is also `difference`, ON - OFF.
        """
        wanted = None if shot_indices is None else set(shot_indices)
        tied = pair_weights(self._kept, self.edit_order)
        shots = [
            AlignedShot(
                k.shot_index, k.condition, k.aligned, k.noise_sd, tied.get(k.shot_index, k.weight), k.phase_cycle_index
            )
            for k in self._kept
            if k.aligned is not None and not k.is_dummy and (wanted is None or k.shot_index in wanted)
        ]
        return average_of(
            shots,
            linker=self._linker,
            dwell_time_s=self.dwell_time_s,
            spectrometer_frequency_mhz=self.spectrometer_frequency_mhz,
            offset_ppm=self.reference_offset_ppm,
        )

    def refined(self, replay: Callable[[], Iterator[Shot]]) -> ScanChain:
        """The whole scan once more from scratch: noise and coils learned from every shot first, then all shots
        combined, then every shot aligned against the mean of all other good ones.

        `replay` gives all shots in canonical order (noise, water, metabolite) each time it is called. It depends on
        those shots alone, not on what this chain has seen.
        """
        chain = self._fresh()
        learned = False
        for shot in replay():
            if shot.shot_kind is ShotKind.NOISE:
                chain.add_noise(shot.data)
            elif shot.shot_kind is ShotKind.WATER_REFERENCE:
                chain.add_water_reference(shot.data, shot.n_excitations)
            elif refusal(shot.data, chain._receiver.weights) is None:
                chain._receiver.learn_shot(shot.data)
                learned = True
        if learned:
            chain._receiver.make_weights()
            chain._freeze()
        chain._take_all(replay)
        if learned and chain._receiver.make_own_weights():
            again = self._fresh()
            again._receiver = chain._receiver
            again._freeze()
            again._take_all(replay)
            chain = again
        chain._finish()
        return chain

    def _fresh(self) -> ScanChain:
        return ScanChain(
            self.n_coils,
            self.n_points,
            self.dwell_time_s,
            self.spectrometer_frequency_mhz,
            edited=self.edited,
            edit_pulse_ppm=self.edit_pulse_ppm,
            eddy_current_correction=self.eddy_current_correction,
            align_ppm=self._align_ppm_given,
            phantom=self.phantom,
            edit_shapes=self.edit_shapes,
        )

    def _freeze(self) -> None:
        self._receiver.freeze()
        self._update_water()

    def _take_all(self, replay: Callable[[], Iterator[Shot]]) -> None:
        """Add every metabolite shot, and learn the metabolites' own coil pattern from each."""
        for shot in replay():
            if shot.shot_kind is ShotKind.METABOLITE:
                self.add(
                    shot.data,
                    shot_index=shot.shot_index,
                    edit_condition=shot.edit_condition,
                    n_excitations=shot.n_excitations,
                    phase_cycle_index=shot.phase_cycle_index,
                    is_dummy=shot.is_dummy,
                    frequency_update_hz=shot.frequency_update_hz,
                )
                self._learn_lines(shot.data)

    def _learn_lines(self, data: NDArray[np.complexfloating]) -> None:
        """Show the receiver what of the newest shot lies in the metabolites' lines, once the shot is aligned."""
        kept = self._kept[-1]
        if self._band is None or kept.alignment is None or kept.weight < 0.5 or self._band.lines.shape[0] == 0:
            return
        n = self._band.n_points
        turn = np.exp(2j * np.pi * kept.alignment.frequency_hz * np.arange(n) * self.dwell_time_s)
        if self._eddy is not None:
            turn = turn * np.conj(self._eddy[:n])
        self._receiver.learn_lines(self._checked(data), self._band.lines * turn)

    def _finish(self) -> None:
        """Last passes over the kept FIDs."""
        for condition, aligner in self._aligners.items():
            members = self._members(condition)
            aligner.finish([k.weight > 0.5 for k in members], _FINAL_PASSES)
            self._update(members, aligner)
            self._weigh(members)
        self._passes += 1

    @property
    def edit_order(self) -> EditOrder | None:
        """How ON and OFF follow each other, as known now; None: not edited, or no shot yet."""
        return self._order.found

    @property
    def coil_weights(self) -> NDArray[np.complex128] | None:
        """Combination weights (n_coils,): combined = conj(weights) @ data; None before the first shot."""
        return None if self._receiver.weights is None else self._receiver.weights.weights

    @property
    def link(self) -> tuple[float, float] | None:
        """Frequency (Hz) and phase (rad) between the ON and OFF references, already in the ON shots' estimates."""
        return self._frame.link

    @property
    def coil_report(self) -> CoilReport:
        """What was found about the receive channels."""
        return self._receiver.report()

    @property
    def reference_offset_hz(self) -> float:
        """Offset of the whole spectrum before any alignment, Hz (positive: at lower ppm)."""
        return -self.reference_offset_ppm * self.spectrometer_frequency_mhz

    @property
    def steps(self) -> tuple[str, ...]:
        """What was done to the data, in order, a phrase each."""
        return steps_of(
            self.coil_report,
            eddy_currents_corrected=self._eddy is not None,
            late_water=self._late_water,
            align_ppm=self.align_ppm,
            last_pass=self._passes > 0,
            order=self.edit_order if self.edited else None,
            by_shapes=self.edit_shapes is not None,
        )
