"""A fast stand-in for the line: signs and fits of a simulated scan drawn from what the line is known to measure.

No FID is made: each sign is its true value, from the scan's plan, plus an error of the size that the line has. Those
sizes are those of docs/science.md 3.2; `benchmarks/judgement.py` holds this model against the whole line.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanner_agent.mrs.axes import hz_from_ppm, ppm_axis, spectrum
from scanner_agent.mrs.echo import ECHO_PPM, WINDOW_SD_S, EchoWindows, echo_windows, z_of_largest
from scanner_agent.mrs.editing import edit_log_odds, off_ratio_of
from scanner_agent.mrs.receiver import faulty_channels
from scanner_agent.mrs.shots import EditCondition, ShotEstimate
from scanner_agent.simulate.measured_errors import (
    BROADENING_IN_AMPLITUDE,
    BROADENING_IN_MISFIT,
    BROADENING_SEEN,
    CHAIN_SNR,
    ECHO_CELLS,
    ECHO_SEEN,
    LAST_PASS_ERROR,
    LIPID_FIT,
    LIPID_FIT_ERROR,
    LIPID_FIT_LEAST,
    LOG_VARIANCE_SD,
    MISFIT_SD,
    OFF,
    ON,
    PERCENT_SD_EDITED,
    PERCENT_SD_FIT_ERROR,
    PERCENT_SD_PRESS,
    PERCENT_SD_SCAN_ERROR,
    PLAN_PER_LCMODEL,
    PRESS,
    REFERENCE_WIDTH_HZ,
    RESIDUAL_WATER_FIT,
    SNR_FIT_ERROR,
    SUBTRACTION,
    SWAP_ODDS,
    WIDENINGS_HZ,
    WIDTH_FIT_ERROR,
    at,
)
from scanner_agent.simulate.scan import SimulatedScan
from scanner_agent.simulate.voxel import Complex, VoxelSignals


@dataclass(frozen=True, kw_only=True)
class FittedNumbers:
    """What a fit of an average would say; the names are those of the judgement's input."""

    shots: frozenset[int]
    n_effective: float
    snr_lcmodel: float
    snr_naa: float
    fwhm_hz: float
    fwhm_ppm: float
    percent_sd_lcmodel: Mapping[str, float]
    percent_sd: Mapping[str, float]
    fit_quality: float
    frequency_offset_hz: float
    residual_water_ratio: float
    lipid_ratio: float
    subtraction_artefact: float | None


@dataclass(frozen=True, eq=False)
class _Facts:
    """Numbers of the voxel that do not change from shot to shot."""

    heights: NDArray[np.float64]
    """Height of a line widened by `WIDENINGS_HZ` over that of the line as it is."""

    residual: complex
    """Line amplitude and phase of the residual water whose first point is 1."""
    macromolecules: float
    """Signal at 0.8-1.8 ppm over NAA's."""
    lipid: complex
    """The same of a lipid whose first point is NAA's."""
    scale: float
    """NAA's band amplitude over the first point of its singlet."""
    naa_over_tcr: float
    """Band amplitudes, OFF or unedited."""
    naa_over_tcr_on: float
    """Band amplitudes in ON."""


def _band(fid: Complex, scan: SimulatedScan, low: float, high: float) -> complex:
    h = scan.header
    ppm = ppm_axis(fid.size, h.dwell_time_s, h.spectrometer_frequency_mhz)
    return complex(np.sum(spectrum(fid)[(ppm >= low) & (ppm <= high)]) / fid.size)


class SignModel:
    """Signs and fits of one simulated scan. `seed` is of the measurement's errors, apart from the scan's own."""

    def __init__(self, scan: SimulatedScan, seed: int) -> None:
        """Draw all errors at once, so that fits of overlapping averages have errors in common."""
        self.scan = scan
        parts, maker = scan.maker.parts, scan.maker
        self._plan, self._setup, self._voxel = parts.plan, parts.setup, parts.prescribed
        self._rng = np.random.default_rng([seed, 83])
        self._conditions = self._setup.edit_conditions()
        self._facts = _facts(scan)
        self._per_shot = self._plan.excitations_per_shot
        self._moved_height = parts.moved.naa_height / parts.prescribed.naa_height
        self._snr = self._shot_snr()
        self._pattern = maker.voxel
        early = slice(0, min(8, self._plan.n_shots))
        self._reference_hz = float(np.mean(self._plan.per_shot(self._plan.frequency_hz)[early]))
        self._reference_broadening = float(np.median(self._plan.per_shot(self._plan.broadening_hz)[early]))
        levels = self._plan.per_shot(self._plan.amplitude * (1.0 + self._plan.content * (self._moved_height - 1.0)))
        self._reference_amplitude = float(np.median(levels[early]))
        n = self._plan.n_shots
        self._fit_errors = self._rng.standard_normal((n, 3))
        self._scan_errors = self._rng.standard_normal(13)
        h = scan.header
        self._windows: EchoWindows = echo_windows(h.n_points, h.dwell_time_s, h.spectrometer_frequency_mhz, 0.0)
        energy = np.linspace(0.5, 30.0, 600)
        law = np.log(ECHO_CELLS * self._windows.n_cells * energy + 1.0) - energy
        self._largest = law[::-1], energy[::-1]
        self._echo_hz = [hz_from_ppm(ppm, h.spectrometer_frequency_mhz) for ppm in ECHO_PPM]
        self._told, self._told_after = 0.0, list[float]()
        self.estimates: tuple[ShotEstimate, ...] = tuple(
            self._estimate(k) for k in range(n) if not self._plan.missing[k]
        )
        """One for each shot that arrived, in order."""

    @property
    def water_fwhm_hz(self) -> float | None:
        """Of the water reference; None without one."""
        if not self._setup.n_water_shots:
            return None
        wider = self._plan.reference_broadening_hz
        return float((self._voxel.water_fwhm_hz + wider) * (1.0 + 0.01 * self._scan_errors[0]))

    @property
    def water_frequency_hz(self) -> float | None:
        """Of the water reference; None without one."""
        return float(self._plan.frequency_hz[0]) if self._setup.n_water_shots else None

    @property
    def coils_left_out(self) -> dict[int, str]:
        """Channels whose noise and signal before the scan are far from what they should be."""
        plan, maker = self._plan, self.scan.maker
        variance = np.real(np.diag(maker.covariance)) * plan.reference_coil_noise**2
        return faulty_channels(variance, maker.voxel * plan.reference_coil_signal)

    def _mean(self, track: NDArray[np.generic]) -> NDArray[np.complex128]:
        frames = np.asarray(track, dtype=np.complex128).reshape(self._plan.n_shots, self._per_shot)
        return np.asarray(frames.mean(axis=1), dtype=np.complex128)

    def _shot_snr(self) -> NDArray[np.float64]:
        """(n_shots,) height of NAA over the noise in each stored shot."""
        plan, parts = self._plan, self.scan.maker.parts
        used = plan.n / (2.0 if self._setup.edited else 1.0)
        one = parts.snr_naa / np.sqrt(used)
        content = 1.0 + plan.content * (self._moved_height - 1.0)
        width = np.interp(plan.broadening_hz, WIDENINGS_HZ, self._facts.heights)
        turned = plan.amplitude * content * width * np.exp(1j * np.deg2rad(plan.phase_deg))
        return np.asarray(one * plan.signal_factor * np.abs(self._mean(turned)) * np.sqrt(self._per_shot))

    def _estimate(self, k: int) -> ShotEstimate:
        plan, rng, facts = self._plan, self._rng, self._facts
        condition = self._conditions[k]
        here = slice(k * self._per_shot, (k + 1) * self._per_shot)
        snr = max(float(self._snr[k]), 1e-3)
        reference = float(np.median(self._snr[: min(32, self._snr.size)]))
        wider = float(plan.broadening_hz[here].mean())
        fwhm = self._voxel.fwhm_hz
        errors = PRESS if condition is None else ON if condition == "on" else OFF

        frequency_sd = at(errors.frequency_hz, snr, fwhm + wider)
        phase_sd = at(errors.phase_deg, snr, fwhm + wider)
        # Amounts are relative to the reference, and so are their errors.
        amplitude_sd = at(errors.amplitude, reference, fwhm)
        turned = plan.amplitude[here] * np.exp(1j * np.deg2rad(plan.phase_deg[here]))
        mean = complex(turned.mean())
        content = 1.0 + float(plan.content[here].mean()) * (self._moved_height - 1.0)
        first = self._reference_broadening
        gain = float(plan.gain[here].mean())
        # A gain changes the noise as well.
        amplitude_sd *= gain
        amplitude = abs(mean) * content * gain
        amplitude *= fwhm / (fwhm + BROADENING_IN_AMPLITUDE * max(wider - first, 0.0)) / self._reference_amplitude
        phase = float(np.degrees(np.angle(mean)))
        water, pattern = self._water(here)
        water_sd = gain * at(errors.water, reference, fwhm)
        water = gain * water + water_sd * complex(rng.standard_normal(), rng.standard_normal())
        size = max(abs(water), 1e-9)
        lipid_sd = gain * at(errors.lipid, reference, fwhm)
        lipid = facts.macromolecules * abs(mean) * content * gain + gain * float(
            np.real((plan.lipid[here] * np.exp(-1j * np.angle(mean))).mean() * facts.lipid)
        )
        change = abs(wider - first) / 2.0
        mismatch = BROADENING_IN_MISFIT * (snr * change / (fwhm + change)) ** 2
        chain = CHAIN_SNR[condition is not None]
        odds = self._log_odds(k, snr)
        if odds is not None and condition is not None:
            self._told += -odds if self._label(k) == "on" else odds
        self._told_after.append(self._told)
        return ShotEstimate(
            shot_index=k,
            edit_condition=self._decided(k),
            edit_log_odds=odds,
            usable=True,
            weight=1.0,
            frequency_hz=float(plan.frequency_hz[here].mean())
            - self._reference_hz
            + frequency_sd * float(rng.standard_normal()),
            frequency_sd_hz=frequency_sd,
            phase_deg=phase + phase_sd * float(rng.standard_normal()),
            phase_sd_deg=phase_sd,
            amplitude=max(amplitude + amplitude_sd * float(rng.standard_normal()), 1e-3),
            amplitude_sd=amplitude_sd,
            broadening_hz=BROADENING_SEEN * (wider - first)
            + at(errors.broadening_hz, snr, fwhm + wider) * float(rng.standard_normal()),
            broadening_sd_hz=2.0 * frequency_sd,
            misfit=1.0 + mismatch + MISFIT_SD * float(rng.standard_normal()),
            misfit_sd=MISFIT_SD,
            residual_water=size,
            residual_water_sd=water_sd,
            water_phase_deg=float(np.degrees(np.angle(water * np.exp(-1j * np.deg2rad(phase))))),
            water_phase_sd_deg=float(np.degrees(min(water_sd / size, np.pi))),
            lipid=lipid + lipid_sd * float(rng.standard_normal()),
            lipid_sd=lipid_sd,
            water_pattern_chi2=self._pattern_chi2(pattern, water_sd / gain),
            lipid_pattern_chi2=self._pattern_chi2(
                self.scan.maker.scalp * complex(plan.lipid[here].mean()) * abs(facts.lipid), lipid_sd / gain
            ),
            pattern_chi2_sd=float(1.0 / np.sqrt(max(self._setup.n_coils - 1, 1))) if self._setup.n_coils > 1 else None,
            late_energy=float(rng.standard_normal()) + self._late(here, snr / max(abs(mean), 0.1)),
            echo_z=self._echo(k, snr / max(abs(mean), 0.1)),
            noise_log_variance=self._log_variance(here),
            noise_log_variance_sd=LOG_VARIANCE_SD,
            snr=chain[0] * (fwhm / REFERENCE_WIDTH_HZ) ** chain[1] * snr,
            frequency_update_hz=float(plan.announced_hz[here.start]),
            n_excitations=self._per_shot,
        )

    def _label(self, k: int) -> EditCondition | None:
        """What the header stream calls the shot."""
        played = self._conditions[k]
        if played is None or not self._plan.swapped[k * self._per_shot]:
            return played
        return "off" if played == "on" else "on"

    def _decided(self, k: int) -> EditCondition | None:
        """The label, unless the data so far contradict the labels."""
        label = self._label(k)
        if label is None or self._told > -SWAP_ODDS:
            return label
        return "off" if label == "on" else "on"

    def _water(self, here: slice) -> tuple[complex, Complex]:
        """Residual water over NAA as combined, and what of its coil pattern is not the voxel's."""
        plan, facts, maker = self._plan, self._facts, self.scan.maker
        turn = np.exp(1j * np.deg2rad(plan.phase_deg[here]))
        inside = complex((plan.water[here] * turn).mean())
        outside = complex((plan.outside_water[here] * turn).mean())
        solved = np.linalg.solve(maker.covariance, self._pattern)
        weights = solved / (self._pattern.conj() @ solved)
        heard = complex(weights.conj() @ maker.outside)
        unit = facts.residual / facts.scale
        return (inside + outside * heard) * unit, maker.outside * (outside * abs(unit))

    def _pattern_chi2(self, pattern: Complex, sd: float) -> float | None:
        """Reduced chi-square (2 (n_coils - 1) degrees of freedom) of a pattern beside the voxel's."""
        n = self._setup.n_coils
        if n < 2:
            return None
        maker = self.scan.maker
        root = np.linalg.cholesky(maker.covariance)
        voxel, other = np.linalg.solve(root, self._pattern), np.linalg.solve(root, pattern)
        across = other - voxel * (np.vdot(voxel, other) / np.vdot(voxel, voxel))
        # `sd` is that of the combined amplitude, whose whitened pattern has the norm of the voxel's.
        noncentral = float(np.sum(np.abs(across) ** 2) / np.sum(np.abs(voxel) ** 2)) / sd**2
        free = 2 * (n - 1)
        return (
            float(self._rng.noncentral_chisquare(free, noncentral) if noncentral else self._rng.chisquare(free)) / free
        )

    def _late(self, here: slice, snr: float) -> float:
        """z of the late energy that a spurious echo brings."""
        echo = complex(self._plan.echo[here].mean())
        if echo == 0.0:
            return 0.0
        h, plan = self.scan.header, self._plan
        # NAA's first point over the noise's SD, from its height over the spectrum's noise.
        first = snr * np.pi * self._voxel.fwhm_hz * h.dwell_time_s * np.sqrt(h.n_points)
        tail_starts = 0.75 * h.n_points * h.dwell_time_s
        reach = np.exp(-0.5 * max(0.0, (tail_starts - plan.echo_time_s) / plan.echo_width_s) ** 2)
        energy = (abs(echo) * first * reach) ** 2 * plan.echo_width_s / h.dwell_time_s * 1.77
        return float(energy / np.sqrt(0.25 * h.n_points))

    def _echo(self, k: int, snr: float) -> float | None:
        """z of the largest echo that the shot has and those before it have not, or that noise makes."""
        plan, windows = self._plan, self._windows
        earlier = [i for i in range(max(0, k - 64), k) if self._conditions[i] == self._conditions[k]]
        if not earlier:
            return None
        h, chance = self.scan.header, float(self._rng.random())
        # The law of the largest cell by noise, turned round.
        largest = float(np.interp(np.log(-np.log(chance)), self._largest[0], self._largest[1]))
        echo = self._mean(plan.echo)
        seen = abs(complex(echo[k]) - complex(np.mean(echo[earlier])))
        inside = min(self._echo_hz) < plan.echo_frequency_hz < max(self._echo_hz)
        if seen > 0.0 and inside:
            first = snr * np.pi * self._voxel.fwhm_hz * h.dwell_time_s * np.sqrt(h.n_points)
            both = plan.echo_width_s**2 + WINDOW_SD_S**2
            overlap = np.sqrt(2.0 * np.pi * plan.echo_width_s**2 * WINDOW_SD_S**2 / both)
            expected = (seen * first * overlap) ** 2 / (2.0 * np.sqrt(np.pi) * WINDOW_SD_S * h.dwell_time_s)
            turned = np.sqrt(ECHO_SEEN * expected) + complex(*self._rng.standard_normal(2)) / np.sqrt(2.0)
            largest = max(largest, abs(turned) ** 2)
        return z_of_largest(largest, windows.n_cells)

    def _log_variance(self, here: slice) -> NDArray[np.float64]:
        """(n_coils,) noise variance against the scan's own, log."""
        plan, maker = self._plan, self.scan.maker
        rest, moved = np.real(np.diag(maker.covariance)), np.real(np.diag(maker.moved_covariance))
        loading = float(plan.loading[here].mean()) - plan.reference_loading
        factor = (plan.coil_noise[here] / plan.reference_coil_noise).mean(axis=0) * plan.gain[here].mean()
        level = loading * np.log(moved / rest) + 2.0 * np.log(factor)
        return np.asarray(level + LOG_VARIANCE_SD * self._rng.standard_normal(level.size), dtype=np.float64)

    def _log_odds(self, k: int, snr: float) -> float | None:
        """Log-likelihood of OFF against ON, of what was really played."""
        condition = self._conditions[k]
        if condition is None:
            return None
        facts = self._facts
        played = float(self._plan.edit_efficiency[k * self._per_shot]) if condition == "on" else 0.0
        ratio = facts.naa_over_tcr + played * (facts.naa_over_tcr_on - facts.naa_over_tcr)
        sd = 0.5 / snr
        return edit_log_odds(ratio + sd * float(self._rng.standard_normal()), sd, off_ratio_of([facts.naa_over_tcr]))

    def edit_order_agrees(self, up_to: int) -> bool | None:
        """What the data say of the labels of the first `up_to` shots; None: they do not tell, or there are none."""
        told = self._told_after[up_to - 1] if up_to else 0.0
        return True if told > SWAP_ODDS else False if told < -SWAP_ODDS else None

    def settled(self) -> tuple[ShotEstimate, ...]:
        """The estimates with ON and OFF as all shots together tell them apart."""
        return tuple(replace(e, edit_condition=self._decided(e.shot_index)) for e in self.estimates)

    def fit(self, shots: Collection[int], *, last_pass: bool = False) -> FittedNumbers | None:
        """Numbers of the fit of an average over these shots (shot_index); None for no shot.

        `last_pass`: as the last look at all shots makes it.
        """
        chosen = np.array(sorted(k for k in shots if not self._plan.missing[k]), dtype=np.int64)
        edited = self._setup.edited
        plain = np.array([k for k in chosen if self._conditions[k] != "on"], dtype=np.int64)
        if plain.size == 0:
            return None
        plan, header = self._plan, self.scan.header
        snr_naa = float(np.sqrt(np.sum(self._snr[plain] ** 2)))
        error = self._fit_errors[plain].sum(axis=0) / np.sqrt(plain.size)
        wider = plan.per_shot(plan.broadening_hz)[plain]
        spread = float(np.std(plan.per_shot(plan.frequency_hz - plan.announced_hz)[plain])) * 0.05
        fwhm = float(self._voxel.fwhm_hz + np.mean(wider) + spread)
        by_last_pass = np.exp(np.array(LAST_PASS_ERROR[edited]) * self._scan_errors[10:]) if last_pass else np.ones(3)
        fwhm *= float(np.exp(WIDTH_FIT_ERROR[edited] * error[0] / snr_naa) * by_last_pass[1])
        inside = float(np.mean(plan.per_shot(np.abs(plan.lipid))[plain])) * abs(self._facts.lipid)
        fat_errors = np.exp(np.array(LIPID_FIT_ERROR) * self._scan_errors[8:10])
        lipid = LIPID_FIT_LEAST * float(fat_errors[0]) + LIPID_FIT * inside * float(fat_errors[1])
        water = RESIDUAL_WATER_FIT * float(np.mean(np.abs(self._mean(plan.water))[plain]))
        quality = 1.06 + 0.06 * abs(float(self._scan_errors[1])) + 0.0025 * (snr_naa * inside) ** 1.5 / 10.0
        per_lcmodel = PLAN_PER_LCMODEL[edited]
        snr = snr_naa / (per_lcmodel[0] * (fwhm / REFERENCE_WIDTH_HZ) ** per_lcmodel[1]) / np.sqrt(quality / 1.1)
        snr *= float(np.exp(SNR_FIT_ERROR * error[1] * np.sqrt(30.0 / max(snr_naa, 3.0))) * by_last_pass[0])
        table = PERCENT_SD_EDITED if edited else PERCENT_SD_PRESS
        least, at_snr_1 = PERCENT_SD_FIT_ERROR[edited]
        of_scan, on_the_way = PERCENT_SD_SCAN_ERROR[edited], least + at_snr_1 / max(float(snr), 1.0)
        percent = {
            name: at_one
            * max(float(snr), 1e-3) ** of_snr
            * (fwhm / REFERENCE_WIDTH_HZ) ** of_width
            * float(np.exp(of_scan * self._scan_errors[2 + i] + on_the_way * error[2]) * by_last_pass[2])
            for i, (name, (at_one, of_snr, of_width)) in enumerate(table.items())
        }
        artefact = SUBTRACTION / max(float(snr), 1e-3) * float(np.exp(0.3 * error[2]))
        return FittedNumbers(
            shots=frozenset(int(k) for k in chosen),
            n_effective=float(chosen.size),
            snr_lcmodel=float(snr),
            snr_naa=snr_naa,
            fwhm_hz=fwhm,
            fwhm_ppm=fwhm / header.spectrometer_frequency_mhz,
            percent_sd_lcmodel=percent,
            percent_sd={name: value / float(np.sqrt(quality)) for name, value in percent.items()},
            fit_quality=quality,
            frequency_offset_hz=self._reference_hz + 0.3 * float(self._scan_errors[1]),
            residual_water_ratio=water,
            lipid_ratio=lipid,
            subtraction_artefact=artefact if edited else None,
        )


def _facts(scan: SimulatedScan) -> _Facts:
    """Band amplitudes of the noise-free voxel."""
    voxel: VoxelSignals = scan.maker.parts.prescribed
    tissue = voxel.tissue.get("main", voxel.tissue.get("off"))
    if tissue is None:
        raise ValueError("a voxel has a spectrum without editing")
    naa = float(np.real(_band(tissue, scan, 1.92, 2.12)))
    tcr = float(np.real(_band(tissue, scan, 2.95, 3.10)))
    on = tissue
    if "edit" in voxel.tissue:
        on = tissue + voxel.tissue["edit"] + voxel.tissue["saturation"]
    h = scan.header
    times = np.arange(tissue.size) * h.dwell_time_s
    decay = np.exp(-np.pi * voxel.water_fwhm_hz * times)
    filtered = np.fft.fft(voxel.residual * decay)
    best = complex(filtered[np.argmax(np.abs(filtered))]) / float(np.sum(decay**2))
    # The water's envelope stands for the line's.
    envelope = np.abs(voxel.water)
    gauss = np.sqrt(WIDENINGS_HZ * (2.0 * voxel.fwhm_hz + WIDENINGS_HZ))
    widening = np.exp(-((np.pi * np.outer(gauss, times)) ** 2) / (4.0 * np.log(2.0)))
    return _Facts(
        heights=np.asarray(widening @ envelope / envelope.sum(), dtype=np.float64),
        residual=best,
        macromolecules=float(np.real(_band(tissue, scan, 0.8, 1.8))) / naa,
        lipid=_band(voxel.lipid, scan, 0.8, 1.8) / naa,
        scale=naa / voxel.naa_first_point,
        naa_over_tcr=naa / tcr,
        naa_over_tcr_on=float(np.real(_band(on, scan, 1.92, 2.12))) / tcr,
    )
