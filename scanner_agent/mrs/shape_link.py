"""ON brought onto OFF by all lines: what editing does to each metabolite is known from the basis set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from scanner_agent.mrs.axes import WATER_PPM, hz_from_ppm
from scanner_agent.mrs.kernels import rotated
from scanner_agent.mrs.quality import tallest_line

_SHAPES_PPM, _SHAPES_S = (1.7, 4.1), 0.5
# Macromolecules that the editing pulse meets or that are edited with GABA: place and width, ppm.
_BROAD_PPM = ((3.0, 0.114), (1.7, 0.16), (1.43, 0.16), (2.05, 0.16), (2.27, 0.16))
_WATER_PPM, _WATER_STEP_PPM, _WATER_DECAYS_PER_S = (4.42, 4.9), 0.04, (20.0, 60.0)
# Priors of the difference: amounts within this many times OFF's largest; OFF's phase (rad), width and shift (Hz), and
# the amplitude of ON against OFF, within these; water within this many times OFF.
_AMOUNT_PRIOR, _PHASE_PRIOR_RAD, _WIDTH_PRIOR_HZ, _SHIFT_PRIOR_HZ, _AMPLITUDE_PRIOR = 1.0, 0.1, 1.5, 0.3, 0.03
_WATER_PRIOR = 100.0
_RIDGE = 1e-4
_LARGEST_CHANGE_HZ, _LARGEST_CHANGE_RAD = 0.6, 0.25
# Of OFF against the basis: shift and width (Hz) begin and stay within these.
_START_SHIFT_HZ, _START_WIDTH_HZ, _SHIFT_HZ, _WIDTH_HZ = 5.0, 4.0, (-15.0, 15.0), (0.0, 40.0)
_MAX_STEPS, _SETTLED = 12, 1e-5


@dataclass(frozen=True, eq=False)
class EditShapes:
    """FIDs of one unit of each metabolite under the ON and under the OFF pulse, at the scan's dwell time and field."""

    on: NDArray[np.complex128]
    """(n_metabolites, n_points)"""
    off: NDArray[np.complex128]
    """(n_metabolites, n_points)"""


@dataclass(frozen=True, eq=False)
class OffShape:
    """How OFF looks beside the basis."""

    phase_rad: float
    shift_hz: float
    """Of the metabolites from their true places beyond the scan's offset, FID sign."""
    width_hz: float
    """Lorentzian, beyond the basis's own."""
    amounts: NDArray[np.float64]
    """(n_metabolites,) of either sign."""


@dataclass(frozen=True, eq=False)
class _Step:
    """The fit of OFF at one phase, shift and width, amounts eliminated."""

    x: NDArray[np.float64]
    """(3,)"""
    amounts: NDArray[np.float64]
    """(n_metabolites,)"""
    cost: float
    """Sum of squares of what is left."""
    gradient: NDArray[np.float64]
    """(3,) half the slope of `cost`, downwards."""
    curvature: NDArray[np.float64]
    """(3, 3) half that of `cost`, by Gauss and Newton."""


class ShapeLink:
    """What of the link by shapes is the same for a whole scan: shapes, the band that is looked at, and its water."""

    def __init__(
        self,
        shapes: EditShapes,
        n_points: int,
        dwell_time_s: float,
        spectrometer_frequency_mhz: float,
        offset_ppm: float,
    ) -> None:
        self._dt, self._f0, self._offset_ppm = dwell_time_s, spectrometer_frequency_mhz, offset_ppm
        self._n = min(n_points, round(_SHAPES_S / dwell_time_s))
        self._t = np.arange(self._n) * dwell_time_s
        ppm = WATER_PPM - scipy.fft.fftfreq(self._n, dwell_time_s) / spectrometer_frequency_mhz - offset_ppm
        self._bins = np.flatnonzero((ppm >= _SHAPES_PPM[0]) & (ppm <= _SHAPES_PPM[1]))
        # At the scan's offset already: the shift that is left is small.
        moved = np.exp(-2j * np.pi * offset_ppm * spectrometer_frequency_mhz * self._t)
        off = shapes.off[:, : self._n] * moved
        # Beside each line what its shift and its width change.
        self._off = np.concatenate([off, self._t * off])
        self._edited = (shapes.on[:, : self._n] - shapes.off[:, : self._n]) * moved
        self._broad = self._spectra(
            np.array([self._line(p, np.pi * w * spectrometer_frequency_mhz) for p, w in _BROAD_PPM])
        )
        places = np.arange(_WATER_PPM[0], _WATER_PPM[1], _WATER_STEP_PPM)
        water = np.array([self._line(float(p), d) for p in places for d in _WATER_DECAYS_PER_S])
        free = _rows(self._spectra(np.concatenate([water, 1j * water])))
        # Water is the same in every fit: its span once (of lines of unit length, for the ridge), not its 48 columns.
        self._water, self._water_strength = _span(free)
        self._ridged, strength = _span(free / np.linalg.norm(free, axis=1, keepdims=True))
        self._ridged_share = strength**2 / (strength**2 + _RIDGE)

    def _spectra(self, fids: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """(k, n_bins) of FIDs (k, n); white noise keeps its SD per real channel."""
        return np.asarray(scipy.fft.fft(fids, axis=-1)[..., self._bins] / np.sqrt(self._n))

    def _line(self, ppm: float, decay_per_s: float) -> NDArray[np.complex128]:
        """(n,) damped line of unit amplitude."""
        hz = hz_from_ppm(ppm + self._offset_ppm, self._f0)
        return np.asarray(np.exp((2j * np.pi * hz - decay_per_s) * self._t))

    def _shape(self, phase_rad: float, shift_hz: float, width_hz: float) -> NDArray[np.complex128]:
        """(n,) what turns a line of the basis, at the scan's offset, into one of OFF."""
        return np.asarray(np.exp(1j * phase_rad + (2j * np.pi * shift_hz - np.pi * width_hz) * self._t))

    def _without_water(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows (..., 2 n_bins) less what water under the ridge takes of them."""
        return np.asarray(rows - ((rows @ self._ridged.T) * self._ridged_share) @ self._ridged)

    def link(
        self,
        on: NDArray[np.complex128],
        off: NDArray[np.complex128],
        noise_sd: float,
        frequency_hz: float,
        phase_rad: float,
    ) -> tuple[float, float]:
        """Frequency (Hz) and phase (rad) of ON against OFF from all lines, starting at (frequency_hz, phase_rad).

        ON - OFF is explained by what a turn and a shift of OFF would give (i OFF, 2 pi i t OFF) beside what editing
        does: the metabolites' differences with free real amounts, broad lines, residual water, and small errors of the
        shape that OFF lends them. All is linear and has its prior, so that a poor S/N falls back on what is usual. Kept
        only near the start: a basis set that does not belong to the data must not do harm. FIDs (n_points,), `noise_sd`
        of their difference per real channel.
        """
        start = frequency_hz, phase_rad
        if noise_sd <= 0:
            return start
        found = self.fit_off(off)
        if found is None:
            return start
        t, early = self._t, off[: self._n]
        lines = self._edited * self._shape(found.phase_rad, found.shift_hz, found.width_hz)
        model = found.amounts @ lines
        errors = np.array([1j * model, t * np.pi * model, 2j * np.pi * t * model])
        own = np.array([early, 1j * early, 2j * np.pi * t * early])
        spectra = self._spectra(np.concatenate([lines, errors, own]))
        design = _rows(np.concatenate([self._broad * np.exp(1j * found.phase_rad), spectra]))
        amounts = np.full(lines.shape[0] + self._broad.shape[0], _AMOUNT_PRIOR * float(np.max(np.abs(found.amounts))))
        priors = np.concatenate(
            [amounts, [_PHASE_PRIOR_RAD, _WIDTH_PRIOR_HZ, _SHIFT_PRIOR_HZ, _AMPLITUDE_PRIOR, np.inf, np.inf]]
        )
        water_prior = noise_sd / (_WATER_PRIOR * float(np.linalg.norm(early)))
        share = self._water_strength**2 / (self._water_strength**2 + water_prior**2)
        bare = design - ((design @ self._water.T) * share) @ self._water
        normal = design @ bare.T + np.diag((noise_sd / priors) ** 2)
        solve = np.linalg.solve(normal, np.eye(priors.size)[:, -2:]).T @ bare
        for _ in range(3):
            moved = rotated(np.ascontiguousarray(on[: self._n]), frequency_hz, phase_rad, self._dt)
            by_phase, by_frequency = solve @ _rows(self._spectra(moved - early))
            phase_rad, frequency_hz = phase_rad + float(by_phase), frequency_hz + float(by_frequency)
        if (
            abs(frequency_hz - start[0]) > _LARGEST_CHANGE_HZ
            or abs(phase_rad - start[1]) > _LARGEST_CHANGE_RAD
            or not np.isfinite(frequency_hz + phase_rad)
        ):
            return start
        return frequency_hz, phase_rad

    def fit_off(self, off: NDArray[np.complex128]) -> OffShape | None:
        """OFF (n_points,) against the basis; None: no fit.

        Variable projection (Golub and Pereyra 1973, doi:10.1137/0710036): amounts, broad lines and water are eliminated
        linearly, columns of unit length under a small ridge; damped Gauss-Newton steps on the rest.
        """
        offset = self._offset_ppm
        height, place, phase = tallest_line(off, self._dt, self._f0, (1.9 + offset, 2.12 + offset))
        if height <= 0:
            return None
        shift = hz_from_ppm(place, self._f0) - hz_from_ppm(2.01 + offset, self._f0)
        data = self._without_water(_rows(self._spectra(off[: self._n])))
        low, high = np.array([-np.inf, _SHIFT_HZ[0], _WIDTH_HZ[0]]), np.array([np.inf, _SHIFT_HZ[1], _WIDTH_HZ[1]])
        begin = np.array([phase, np.clip(shift, -_START_SHIFT_HZ, _START_SHIFT_HZ), _START_WIDTH_HZ])
        found = self._step(begin, data)
        damping = 1e-2
        for _ in range(_MAX_STEPS):
            # What stands at a bound and wants beyond it is held, or the others would count on its going.
            free = ~(((found.x <= low) & (found.gradient < 0)) | ((found.x >= high) & (found.gradient > 0)))
            curvature = found.curvature[np.ix_(free, free)]
            diagonal = np.diag(curvature)
            if not np.all(diagonal > 0):
                break
            move = np.zeros(3)
            move[free] = np.linalg.solve(curvature + damping * np.diag(diagonal), found.gradient[free])
            trial = self._step(np.clip(found.x + move, low, high), data)
            expected = float(found.gradient @ (trial.x - found.x))
            if trial.cost <= found.cost:
                found, damping = trial, 0.1 * damping
            else:
                damping *= 10.0
            if expected <= _SETTLED * found.cost:
                break
        if not (np.all(np.isfinite(found.x)) and np.any(found.amounts)):
            return None
        turn, moved, width = (float(v) for v in found.x)
        return OffShape(turn, moved, width, found.amounts)

    def _step(self, x: NDArray[np.float64], data: NDArray[np.float64]) -> _Step:
        """The fit at phase, shift and width `x` of `data`, rows of OFF without water."""
        n = self._off.shape[0] // 2
        spectra = self._spectra(self._off * self._shape(*x))
        columns, later = np.concatenate([spectra[:n], self._broad * np.exp(1j * x[0])]), spectra[n:]
        rows = _rows(columns)
        length = np.maximum(np.linalg.norm(rows, axis=1), 1e-300)
        rows /= length[:, None]
        bare = self._without_water(rows)
        normal = rows @ bare.T
        normal[np.diag_indices_from(normal)] += _RIDGE
        inverse = np.linalg.inv(normal)
        amounts = inverse @ (rows @ data)
        left = data - amounts @ bare
        # Phase turns all columns (i S), shift (2 pi i t S) and width (-pi t S) change the metabolites' alone; unit
        # length takes from each what merely lengthens it. `pulls`: the derivatives' products with what is left.
        by_phase, by_time = 1j * columns, later / length[:n, None]
        waiting = left[: self._bins.size] + 1j * left[self._bins.size :]
        pull = by_time.conj() @ waiting
        stretch = np.einsum("ij,ij->i", by_time.conj(), columns[:n]) / length[:n]
        stretches = np.array([2 * np.pi * stretch.imag, -np.pi * stretch.real])
        pulls = np.zeros((3, length.size))
        pulls[0] = np.real(by_phase.conj() @ waiting) / length
        pulls[1:, :n] = [2 * np.pi * pull.imag, -np.pi * pull.real] - stretches * (rows[:n] @ left)
        moved = amounts[:n] @ by_time
        model = _rows(np.array([(amounts / length) @ by_phase, 2j * np.pi * moved, -np.pi * moved]))
        model[1:] -= (stretches * amounts[:n]) @ rows[:n]
        jacobian = self._without_water(model) + ((pulls - model @ bare.T) @ inverse) @ bare
        return _Step(
            x, amounts[:n] / length[:n], float(left @ left), jacobian @ left, np.asarray(jacobian @ jacobian.T)
        )


def _rows(spectra: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Real and imaginary parts (..., 2 n_bins) of spectra (..., n_bins)."""
    return np.concatenate([spectra.real, spectra.imag], axis=-1)


def _span(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Orthonormal rows that span `rows`, and their singular values; what is only rounding is left out."""
    _, strength, span = np.linalg.svd(rows, full_matrices=False)
    kept = strength > 1e-13 * strength[0]
    return span[kept], strength[kept]
