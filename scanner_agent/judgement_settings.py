"""Every threshold of the judgement, as protocol files give them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class JudgementSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every threshold of the judgement. None has a default in code: `protocols/defaults.toml` holds values and sources.

    "Excitations" count single acquisitions: a stored frame of 8 NEX is 8 of them. Scatters are those of one excitation.
    """

    # When to speak.
    min_excitations: Annotated[int, Meta(ge=1)]
    """Excitations before the first verdict on the spectrum."""
    stop_min_excitations: Annotated[int, Meta(ge=1)]
    """Excitations in a segment before its spectrum may cost a `stop`."""
    stop_persistence: Annotated[int, Meta(ge=1)]
    """Assessments in a row that must agree before the verdict gets worse."""
    recover_persistence: Annotated[int, Meta(ge=1)]
    """Assessments in a row that must agree before the verdict gets better."""
    recover_margin: Annotated[float, Meta(ge=0, lt=1)]
    """Part of a threshold by which a number must fall back before its finding is taken away, 0-1."""
    max_extension: Annotated[float, Meta(ge=0, le=4)]
    """Longest extension worth asking for, as a part of the planned shots."""
    max_segment_gap_shots: Annotated[int, Meta(ge=0)]
    """Missing shots in a row that are noted only; more are `watch`."""
    max_missing_fraction: Annotated[float, Meta(gt=0, le=1)]
    """Part of the planned shots that may be missing or unusable before `watch`, 0-1."""

    # Physiologic scatter of a still head, the prior of the scatter that is then learnt from the scan.
    frequency_scatter_hz: Annotated[float, Meta(gt=0)]
    """SD of the frequency, Hz."""
    phase_scatter_deg: Annotated[float, Meta(gt=0)]
    """SD of the phase, degrees."""
    amplitude_scatter: Annotated[float, Meta(gt=0)]
    """SD of the log amplitude."""
    broadening_scatter_hz: Annotated[float, Meta(gt=0)]
    """SD of the line's broadening, Hz."""
    water_scatter: Annotated[float, Meta(gt=0)]
    """SD of the log residual water."""
    water_phase_scatter_deg: Annotated[float, Meta(gt=0)]
    """SD of the residual water's phase against the metabolites', degrees."""
    lipid_scatter: Annotated[float, Meta(gt=0)]
    """SD of the lipid band over NAA."""
    scatter_prior_shots: Annotated[float, Meta(gt=0)]
    """Shots that the priors above are worth against the scan's own scatter."""

    # Steps: generalised likelihood ratio of all signs together.
    step_threshold: Annotated[float, Meta(gt=0)]
    """Joint statistic (a sum of squared z) above which a step is called."""
    step_threshold_shots: Annotated[int, Meta(ge=1)]
    """Shots of the scan that this was set for; it grows with twice the logarithm of more."""
    step_memory_shots: Annotated[int, Meta(ge=4)]
    """Shots before a supposed step that it is measured against."""
    step_lookback_shots: Annotated[int, Meta(ge=2)]
    """How far back a step is looked for."""
    step_min_before: Annotated[int, Meta(ge=2)]
    """Shots needed before a step."""
    step_confirm_shots: Annotated[int, Meta(ge=1)]
    """Shots in a new state after which it is a pose of its own, no passing movement."""
    step_min_frequency_hz: Annotated[float, Meta(gt=0)]
    """Smallest frequency step of interest, Hz."""
    step_min_amplitude: Annotated[float, Meta(gt=0)]
    """Smallest step of the log amplitude of interest."""
    step_min_broadening_hz: Annotated[float, Meta(gt=0)]
    """Smallest step of the width of interest, Hz."""
    step_min_water: Annotated[float, Meta(gt=0)]
    """Smallest step of the log residual water of interest."""
    step_sign_z: Annotated[float, Meta(gt=0)]
    """Standard errors that a sign must change by to count among those that tell what the step was."""
    gain_log_variance: Annotated[float, Meta(gt=0)]
    """Change of all channels' log noise variance together that is a gain, and is taken off the amplitude."""
    creep_sign_z: Annotated[float, Meta(gt=0)]
    """Slow movement: standard errors that a sign must have changed by since the pose's first shots."""
    creep_pose_threshold: Annotated[float, Meta(gt=0)]
    """Slow movement: sum of squared z from which on a pose of its own begins; from `step_threshold` on it is told."""
    water_flood_log: Annotated[float, Meta(gt=0)]
    """Rise of the log residual water that spoils the other signs: suppression was lost, no head need have moved."""

    # Bursts: two-state hidden Markov model of hit and unhit shots.
    burst_scale: Annotated[float, Meta(gt=1)]
    """How many times wider the signs of a hit shot scatter."""
    burst_start_probability: Annotated[float, Meta(gt=0, lt=1)]
    """Probability per shot that a burst begins."""
    burst_mean_shots: Annotated[float, Meta(ge=1)]
    """Mean length of a burst, shots."""
    burst_watch_fraction: Annotated[float, Meta(gt=0, lt=1)]
    """Part of a pose's shots that passing movements may cost before the scan is no longer `good`."""
    burst_min_shots: Annotated[int, Meta(ge=2)]
    """Hit shots close together that make a movement; fewer are single outliers."""
    burst_log_odds: Annotated[float, Meta(ge=0)]
    """Sum of their log-likelihood ratios that makes a movement where no change of level shows one; with less they are
    left out and nothing is said."""

    # Drift.
    drift_watch_hz: Annotated[float, Meta(gt=0)]
    """Expected travel of the frequency over the whole scan that is worth a `watch`, Hz."""
    drift_note_hz_per_min: Annotated[float, Meta(gt=0)]
    """Rate worth a note, Hz per minute."""
    editing_drift_watch_hz: Annotated[float, Meta(gt=0)]
    """Edited scans: offset from the editing pulse's design that is worth a `watch`, Hz."""
    editing_drift_stop_hz: Annotated[float, Meta(gt=0)]
    """Edited scans: offset that spoils the editing, Hz."""
    editing_wrong_log_odds: Annotated[float, Meta(gt=0)]
    """Log-likelihood by which NAA contradicts a shot's edit condition: it is left out."""
    editing_wrong_shots: Annotated[int, Meta(ge=1)]
    """Such shots that make a finding."""

    # Before the first shot.
    offset_suspicious_hz: Annotated[float, Meta(gt=0)]
    """Offset of the first shots from the prescan's centre that counts as a sign of displacement, Hz."""
    water_over_shim_suspicious: Annotated[float, Meta(gt=1)]
    """Water linewidth over the shim's report that counts as a sign."""
    metabolite_narrower_hz: Annotated[float, Meta(ge=0)]
    """How much narrower metabolite lines are than water's, Hz; used where there is no water reference."""
    pattern_suspicious: Annotated[float, Meta(gt=0)]
    """Excess of the residual water's coil pattern, reduced chi-square, that marks water from outside the voxel."""
    lipid_part_suspicious: Annotated[float, Meta(gt=0, lt=1)]
    """Part of the energy at 0.8-1.8 ppm with another coil pattern below which the pattern says nothing of fat, 0-1."""
    pattern_z: Annotated[float, Meta(gt=0)]
    """The water pattern's excess in its standard errors; both must be passed."""
    displaced_min_signs: Annotated[int, Meta(ge=2)]
    """Signs needed for a suspicion of displacement; an offset alone is none."""

    # Levels.
    water_fwhm_watch_hz: Annotated[float, Meta(gt=0)]
    """Width of unsuppressed water worth a `watch`, Hz."""
    residual_water_watch: Annotated[float, Meta(gt=0)]
    """Residual water over NAA worth a `watch`."""
    lipid_watch: Annotated[float, Meta(gt=0)]
    """Lipid over NAA worth a `watch`."""
    lipid_fitted_watch: Annotated[float, Meta(gt=0)]
    """Fitted lipid of any phase at 1.28 ppm, macromolecules taken off, over tNAA."""
    lipid_pattern_watch: Annotated[float, Meta(gt=0)]
    """Excess of the coil pattern at 0.8-1.8 ppm that weighs as much as that fitted lipid: their parts are added."""
    lipid_pattern_most: Annotated[float, Meta(gt=0)]
    """Excess that counts at most: without a lipid line a pattern proves no fat."""
    lipid_pattern_z: Annotated[float, Meta(ge=0)]
    """Its standard errors below which it does not count."""
    fit_quality_watch: Annotated[float, Meta(gt=1)]
    """FQN (variance of residual over noise) worth a `watch`."""
    fit_trusted_snr: Annotated[float, Meta(ge=0)]
    """S/N (LCModel: over the residual) from which on such a fit is still believed; below, the scan cannot be judged."""
    subtraction_watch: Annotated[float, Meta(gt=0)]
    """Subtraction artefact over tCho worth a `watch`."""
    subtraction_noise: Annotated[float, Meta(ge=0)]
    """What noise alone makes of it at most, times S/N (LCModel)."""
    late_energy_z: Annotated[float, Meta(gt=0)]
    """Energy late in the FID or of a passing echo, z, that marks a spurious echo in a shot."""
    spurious_echo_fraction: Annotated[float, Meta(gt=0, le=1)]
    """Part of the shots with such energy worth a `watch`, 0-1."""
    echo_sum_z: Annotated[float, Meta(gt=0)]
    """Sum of the last 32 shots' echo signs over the root of their number, z, that marks a weak one."""
    coil_noise_log_step: Annotated[float, Meta(gt=0)]
    """Change of one channel's log noise variance against the others' that is a fault."""

    # Functional scans.
    window_change_z: Annotated[float, Meta(gt=0)]
    """Largest z of a course of windows above which a metabolite has changed."""

    # Forecast.
    forecast_fit_quality: Annotated[float, Meta(ge=1)]
    """FQN of a model that fits; what is above does not average out."""
    forecast_snr_sd_least: Annotated[float, Meta(gt=0)]
    """SD of the log S/N at the end, per square root of its log growth, at high S/N."""
    forecast_snr_sd: Annotated[float, Meta(gt=0)]
    """The same beyond it at S/N (LCModel) 1; falls with S/N."""
    forecast_snr_sd_last: Annotated[float, Meta(ge=0)]
    """The same by the last pass over all shots."""
    forecast_fwhm_sd: Annotated[float, Meta(gt=0)]
    """SD of the log linewidth at S/N (LCModel) 1; falls with S/N."""
    forecast_fwhm_sd_last: Annotated[float, Meta(ge=0)]
    """The same by the last pass over all shots."""
    forecast_percent_sd_sd_least: Annotated[float, Meta(gt=0)]
    """SD of the log %SD at the end at high S/N, while all is still to come."""
    forecast_percent_sd_sd: Annotated[float, Meta(ge=0)]
    """The same beyond it at S/N (LCModel) 1; falls with S/N."""
    forecast_percent_sd_sd_last: Annotated[float, Meta(ge=0)]
    """The same by the last pass over all shots."""
    forecast_percent_sd_power: Annotated[float, Meta(gt=0, le=1)]
    """Power of the S/N's growth that %SD falls by."""
    forecast_percent_sd_usual: dict[str, Annotated[float, Meta(gt=0)]]
    """By metabolite: %SD that is usual at an S/N (LCModel) of 1; falls with the same power."""
    forecast_percent_sd_usual_sd: Annotated[float, Meta(gt=0)]
    """SD of its log between scans."""
    forecast_subtraction_sd: Annotated[float, Meta(gt=0)]
    """SD of the log subtraction artefact, per square root of the log growth of the shots."""
    stop_probability: Annotated[float, Meta(gt=0, lt=0.5)]
    """Probability of passing below which the scan is lost."""
    watch_probability: Annotated[float, Meta(gt=0, lt=1)]
    """Probability of passing below which it is watched."""
    extend_probability: Annotated[float, Meta(gt=0.5, lt=1)]
    """Probability of passing that an extension must reach."""
