"""Receive side of one scan: noise covariance, coil weights, channels left out, combination of each shot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner_agent.mrs.coils import (
    CoilWeights,
    anchored,
    combination_weights,
    combine,
    own_pattern,
    pattern_chi2,
    sensitivities,
    signal_matrix,
)
from scanner_agent.mrs.kernels import channel_products
from scanner_agent.mrs.noise import NoiseBand, noise_band, noise_samples, second_moment, shrunk_covariance
from scanner_agent.mrs.reference import START_SHOTS
from scanner_agent.mrs.shots import CoilReport

# Samples per channel beyond which a covariance from FID tails is good enough to be frozen: costs 1 / 100 of the S/N^2.
_ENOUGH_PER_CHANNEL = 100.0
_OTHER_LEVEL = 0.3
# Noise variance and S/N of a channel over the channels' median. Real arrays span 0.6-1.8 (32 channels, 7 T) and 0.3-4.0
# (32 of 34, 3 T; the two others 38-67 at an S/N of 0.2), simulated ones 0.23-5 over 1200 channels. A low or high gain
# changes signal and noise alike; a dead channel lost more of its signal than of its noise, a noisy one has noise alone.
_DEAD_RATIO, _NOISY_RATIO = 0.2, 9.0
_DEAD_SNR, _NOISY_SNR = 0.8, 0.6
# 20 dB less than the others is no gain that anybody sets, whatever signal is left; 40 dB less cannot be whitened.
_LOST_RATIO, _SILENT_RATIO = 0.01, 1e-4
_SHOT_NOISY_LOG, _SHOT_DEAD_LOG, _SHOT_SDS = float(np.log(4.0)), float(np.log(0.15)), 8.0


@dataclass(frozen=True, eq=False)
class Received:
    """One shot after combination."""

    fid: NDArray[np.complex128]
    """(n_points,) combined, as stored (not divided by excitations)."""
    noise_sd: float
    """Per real channel."""
    noise_log_variance: NDArray[np.float64]
    """(n_coils,) over the covariance's; NaN where left out."""
    weights: CoilWeights
    """As used for this shot."""
    dropped: tuple[int, ...]
    """Channels left out of this shot alone."""


class Receiver:
    """Learns noise and sensitivities from what it is shown, then combines with frozen weights."""

    def __init__(self, n_coils: int, n_points: int, dwell_time_s: float, spectrometer_frequency_mhz: float) -> None:
        self.n_coils = n_coils
        self.dwell_time_s = dwell_time_s
        self.band: NoiseBand = noise_band(n_points, dwell_time_s, spectrometer_frequency_mhz)
        self.frozen = False
        self.weights: CoilWeights | None = None
        self.left_out: dict[int, str] = {}
        self.dropped_in_shots: dict[int, list[int]] = {}
        empty = np.zeros((n_coils, n_coils), dtype=np.complex128)
        self._noise_scan, self._noise_scan_n = empty, 0.0
        self._tails, self._tails_n, self._tails_level = empty, 0.0, 0.0
        self._water_moment = empty
        self.water_sum: NDArray[np.complex128] | None = None
        """(n_coils, n_points) sum of the unsuppressed frames, each turned to the first one's phase."""
        self.n_water, self.n_water_excitations = 0, 0
        self._signal_moment = empty
        self._first_data: NDArray[np.complexfloating] | None = None
        self._n_shots = 0
        self._line_moment, self._n_line_products = empty, 0
        self.weights_from = "none yet"
        self._covariance: NDArray[np.complex128] | None = None
        self._pattern: NDArray[np.complex128] | None = None
        self._subsets: dict[bytes, CoilWeights] = {}
        self._log_scales: list[float] = []
        self._scale = 1.0

    def learn_noise(self, data: NDArray[np.complexfloating]) -> None:
        """Samples of a noise scan (n_coils, n_points)."""
        centred = data - np.mean(data, axis=1, keepdims=True)
        self._noise_scan = self._noise_scan + second_moment(centred) * data.shape[1]
        self._noise_scan_n += data.shape[1] - 1

    def learn_water(self, data: NDArray[np.complexfloating], n_excitations: int) -> None:
        """One unsuppressed water frame (n_coils, n_points)."""
        self._water_moment = self._water_moment + signal_matrix(data, self.dwell_time_s)
        if self.water_sum is None:
            self.water_sum = np.array(data, dtype=np.complex128)
        else:
            overlap = complex(np.vdot(self.water_sum[:, :16], data[:, :16]))
            turn = overlap / abs(overlap) if overlap != 0 else 1.0
            self.water_sum = self.water_sum + data * np.conj(turn)
        self.n_water += 1
        self.n_water_excitations += n_excitations
        self._learn_tail(data)

    def learn_shot(self, data: NDArray[np.complexfloating]) -> None:
        """One metabolite shot (n_coils, n_points)."""
        self._signal_moment = self._signal_moment + signal_matrix(data, self.dwell_time_s)
        if self._first_data is None:
            self._first_data = np.array(data[:, :8])
        self._n_shots += 1
        self._learn_tail(data)

    def learn_lines(self, data: NDArray[np.complex64], lines: NDArray[np.complex128]) -> None:
        """Part of a shot (n_coils, n_points) in the metabolites' own lines: orthonormal rows (rank, n)."""
        products = np.stack([channel_products(data, line) for line in lines], axis=1)
        self._line_moment = self._line_moment + products @ products.conj().T
        self._n_line_products += products.shape[1]

    def _learn_tail(self, data: NDArray[np.complexfloating]) -> None:
        moment = second_moment(noise_samples(data, self.band))
        level = _level(moment)
        if level <= 0:
            return
        if self._tails_n == 0:
            self._tails_level = level
        # Frames of other gain or number of excitations are brought to the first's level.
        scale = self._tails_level / level if abs(np.log(level / self._tails_level)) > _OTHER_LEVEL else 1.0
        self._tails = self._tails + moment * (scale * self.band.n_effective)
        self._tails_n += self.band.n_effective

    def _noise_moment(self) -> tuple[NDArray[np.complex128], float]:
        """Second moment of the noise (noise scan and tails together, at the tails' level) and its samples."""
        n = self._noise_scan_n + self._tails_n
        if n <= 0:
            return np.eye(self.n_coils, dtype=np.complex128), 1.0
        scan, tails = _level(self._noise_scan), _level(self._tails)
        if scan <= 0 or tails <= 0:
            return (self._noise_scan + self._tails) / n, n
        scale = (tails / self._tails_n) / (scan / self._noise_scan_n)
        return (self._noise_scan * scale + self._tails) / n, n

    @property
    def log_variance_sd(self) -> float:
        """SD by chance of a channel's log noise variance in one frame."""
        return float(1.0 / np.sqrt(self.band.n_effective))

    @property
    def pattern_chi2_sd(self) -> float | None:
        """SD by chance of a reduced chi-square of a coil pattern; None with one channel."""
        n_active = 0 if self.weights is None else self.weights.pattern.size
        return float(1.0 / np.sqrt(n_active - 1)) if n_active > 1 else None

    @property
    def has_water(self) -> bool:
        """Whether a water reference was seen."""
        return self.n_water > 0

    @property
    def knows_enough(self) -> bool:
        """Whether weights made now are as good as they need to be."""
        noise = self._noise_scan_n + self._tails_n >= _ENOUGH_PER_CHANNEL * self.n_coils
        return noise and (self.has_water or self.n_coils == 1 or self._n_shots >= START_SHOTS)

    def make_weights(self) -> CoilWeights:
        """Weights from all that was learned so far; `freeze` keeps them."""
        moment, n = self._noise_moment()
        variance = np.real(np.diag(moment))
        positive = variance[variance > 0]
        typical = float(np.median(positive)) if positive.size else 1.0
        active = variance > _SILENT_RATIO * typical
        if not active.any():
            active = np.ones(self.n_coils, dtype=bool)
            moment = np.eye(self.n_coils, dtype=np.complex128)
        covariance = np.eye(self.n_coils, dtype=np.complex128) * typical
        kept = np.ix_(active, active)
        covariance[kept] = shrunk_covariance(moment[kept], n)
        signal = self._water_moment if self.has_water else self._signal_moment
        first = self.water_sum if self.has_water else self._first_data
        if first is None:
            raise ValueError("neither water nor metabolite shots were learned")
        pattern = anchored(sensitivities(signal, covariance, active), first)
        self.weights_from = "water reference" if self.has_water else "metabolite shots"
        self.left_out = faulty_channels(np.where(active, np.real(np.diag(covariance)), 0.0), pattern)
        healthy = active & np.array([k not in self.left_out for k in range(self.n_coils)])
        weights = combination_weights(pattern, covariance, healthy if healthy.any() else active)
        self._covariance, self._pattern, self.weights = covariance, pattern, weights
        self._subsets = {}
        self._log_scales = []
        self._scale = 1.0
        return weights

    def make_own_weights(self) -> bool:
        """Turn to weights for the metabolites' own pattern, where it surely differs from the one in use."""
        if self._pattern is None or self._covariance is None or self.weights is None:
            return False
        own = own_pattern(
            self._line_moment, self._n_line_products, self._pattern, self._covariance, self.weights.active
        )
        if own is None:
            return False
        self._pattern = own
        self.weights = combination_weights(own, self._covariance, self.weights.active)
        self.weights_from += ", then the metabolites' own pattern (it differs)"
        self._subsets, self._log_scales, self._scale = {}, [], 1.0
        self.dropped_in_shots = {}
        return True

    def freeze(self) -> None:
        """Keep the weights from here on."""
        if self.weights is None:
            self.make_weights()
        self.frozen = True

    def receive(self, data: NDArray[np.complexfloating], shot_index: int | None = None) -> Received:
        """Combine one frame (n_coils, n_points). Channels that suddenly went noisy or dead are left out of it."""
        if self.weights is None or self._covariance is None or self._pattern is None:
            raise ValueError("no weights yet")
        power = np.mean(np.abs(noise_samples(data, self.band)) ** 2, axis=-1)
        with np.errstate(divide="ignore"):
            log_variance = np.log(power / np.real(np.diag(self._covariance)))
        in_use = self.weights.active
        usual = float(np.median(log_variance[in_use]))
        off = log_variance - usual
        bad = in_use & (((off > _SHOT_NOISY_LOG) & (off > _SHOT_SDS * self.log_variance_sd)) | (off < _SHOT_DEAD_LOG))
        weights = self.weights
        dropped: tuple[int, ...] = ()
        if bad.any() and np.count_nonzero(in_use & ~bad) >= 1:
            dropped = tuple(int(k) for k in np.flatnonzero(bad))
            active = in_use & ~bad
            key = active.tobytes()
            if key not in self._subsets:
                self._subsets[key] = combination_weights(self._pattern, self._covariance, active)
            weights = self._subsets[key]
            for k in dropped if shot_index is not None else ():
                self.dropped_in_shots.setdefault(k, []).append(int(shot_index or 0))
        reported = np.where(weights.active, log_variance, np.nan)
        level = float(np.mean(log_variance[weights.active])) if np.isfinite(usual) else 0.0
        if shot_index is not None and len(self._log_scales) < START_SHOTS:
            self._log_scales.append(level)
            self._scale = float(np.exp(np.median(self._log_scales)))
        # The scale of a scan's noise (gain, bandwidth, excitations per frame) is frozen early; a real jump is followed.
        scale = float(np.exp(level)) if shot_index is None or abs(level - np.log(self._scale)) > 0.3 else self._scale
        return Received(combine(data, weights), weights.noise_sd * float(np.sqrt(scale)), reported, weights, dropped)

    def projections_chi2(
        self, data: NDArray[np.complexfloating], waveform: NDArray[np.complex128], received: Received
    ) -> float | None:
        """Coil-pattern chi-square of one waveform (n,) in a frame against the voxel's, at the frame's noise level."""
        if received.weights.pattern.size < 2:
            return None
        projections = channel_products(data, waveform)
        scale = (received.noise_sd / received.weights.noise_sd) ** 2
        return pattern_chi2(
            projections.astype(np.complex128), float(np.sum(np.abs(waveform) ** 2)) * scale, received.weights
        )

    def report(self) -> CoilReport:
        """What was found."""
        largest: float | None = None
        if self._covariance is not None and self.n_coils > 1 and self._tails_n + self._noise_scan_n > 0:
            sd = np.sqrt(np.real(np.diag(self._covariance)))
            correlation = np.abs(self._covariance / np.outer(sd, sd)) - np.eye(self.n_coils)
            largest = float(np.max(correlation))
        used = [name for name, n in (("noise scan", self._noise_scan_n), ("FID tails", self._tails_n)) if n > 0]
        return CoilReport(
            n_coils=self.n_coils,
            left_out=dict(self.left_out),
            dropped_in_shots={k: tuple(v) for k, v in self.dropped_in_shots.items()},
            noise_from=" and ".join(used) if used else "unit variance",
            weights_from=self.weights_from,
            n_noise_samples=self._noise_scan_n + self._tails_n,
            noise_relative_sd=self._noise_relative_sd(),
            largest_noise_correlation=largest,
        )

    def _noise_relative_sd(self) -> float | None:
        """The channels' combination is known from all samples, its level from the tails of the first shots."""
        n = self._noise_scan_n + self._tails_n
        if self._covariance is None or self.weights is None or not self._log_scales or n <= 0:
            return None
        used = np.ix_(self.weights.active, self.weights.active)
        sd = np.sqrt(np.real(np.diag(self._covariance[used])))
        # Channels with common noise count as fewer; the median of a few levels is 1.3 times as uncertain as their mean.
        channels = sd.size**2 / float(np.sum(np.abs(self._covariance[used] / np.outer(sd, sd)) ** 2))
        level = len(self._log_scales) * self.band.n_effective * channels / 1.3
        return 0.5 * float(np.sqrt(1.0 / n + 1.0 / level))


def faulty_channels(variance: NDArray[np.float64], pattern: NDArray[np.complexfloating]) -> dict[int, str]:
    """Channels that are dead or noisy, and why; from each one's noise variance and sensitivity, both (n_coils,)."""
    positive = variance[variance > 0]
    if positive.size == 0:
        return {}
    ratio = variance / float(np.median(positive))
    snr = np.zeros(variance.size)
    np.divide(np.abs(pattern), np.sqrt(variance), out=snr, where=variance > 0)
    usual = float(np.median(snr[variance > 0]))
    snr = snr / usual if usual > 0 else np.ones(variance.size)
    found = {int(k): "dead: no noise" for k in np.flatnonzero(ratio <= _SILENT_RATIO)}
    lost = (ratio < _LOST_RATIO) | ((ratio < _DEAD_RATIO) & (snr < _DEAD_SNR))
    for k in np.flatnonzero(lost & (ratio > _SILENT_RATIO)):
        found[int(k)] = f"dead: {100 * np.sqrt(ratio[k]):.0f} % of the usual noise and little signal"
    for k in np.flatnonzero((ratio > _NOISY_RATIO) & (snr < _NOISY_SNR)):
        found[int(k)] = f"noisy: {np.sqrt(ratio[k]):.0f} times the usual noise"
    return found


def _level(moment: NDArray[np.complex128]) -> float:
    """Median over the channels that are not dead of the noise power in a second moment."""
    power = np.real(np.diag(moment))
    return float(np.median(power[power > 0])) if np.any(power > 0) else 0.0
