"""Frequency-selective inversion pulses of MEGA editing: waveforms of a wanted duration and bandwidth, and profiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from scanner_agent.errors import SourceError

Shape = Literal["gaussian", "sinc_gaussian", "ideal"]
_STEP_S = 1e-4
"""Piecewise-constant step; its side bands lie 10 kHz away."""


@dataclass(frozen=True)
class EditPulse:
    """An inversion pulse: amplitude only, flip angle 180 degrees on resonance.

    The defaults are a 15 ms sinc-Gaussian as in GABA editing at TE 68 ms
    (Mikkelsen 2017, 10.1016/j.neuroimage.2017.07.021).
    """

    duration_s: float = 0.015
    """Length, seconds."""
    bandwidth_hz: float = 87.0
    """Full width at half maximum of the inverted band (Mz from +1 through 0 to -1), Hz."""
    shape: Shape = "sinc_gaussian"
    """Family; its width is chosen to give the bandwidth. `ideal`: a top hat that turns whole spins, in no time."""

    def waveform_hz(self) -> NDArray[np.float64]:
        """RF amplitude (n_steps,) in Hz (gamma B1 / 2 pi), one value per equal step of the duration.

        Raises `SourceError` if the family cannot reach the bandwidth in that duration, or has no waveform (`ideal`).
        """
        if self.shape == "ideal":
            raise SourceError("an ideal editing pulse has no waveform")
        n_steps = max(32, round(self.duration_s / _STEP_S))
        low, high = np.log(0.02 * self.duration_s), np.log(3.0 * self.duration_s)

        def excess(log_width: float) -> float:
            wave = _waveform(self.shape, self.duration_s, float(np.exp(log_width)), n_steps)
            return _full_width_hz(wave, self.duration_s) - self.bandwidth_hz

        if excess(low) < 0.0 or excess(high) > 0.0:
            widths = [excess(edge) + self.bandwidth_hz for edge in (high, low)]
            raise SourceError(
                f"a {self.shape} pulse of {self.duration_s * 1e3:.1f} ms cannot invert {self.bandwidth_hz:.0f} Hz "
                f"({widths[0]:.0f} to {widths[1]:.0f} Hz are possible)"
            )
        return _waveform(self.shape, self.duration_s, float(np.exp(brentq(excess, low, high, xtol=1e-4))), n_steps)


def inversion_profile(
    waveform_hz: NDArray[np.float64], duration_s: float, offsets_hz: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mz (n_offsets,) after the pulse for magnetisation that was +1, by Bloch rotation step by step (no relaxation)."""
    step = duration_s / len(waveform_hz)
    # Cayley-Klein parameters (alpha, beta) of the rotation so far, one pair per offset.
    alpha = np.ones(len(offsets_hz), dtype=np.complex128)
    beta = np.zeros(len(offsets_hz), dtype=np.complex128)
    for amplitude in waveform_hz:
        effective = np.hypot(offsets_hz, amplitude)
        half = np.pi * effective * step
        scale = np.divide(np.sin(half), effective, out=np.zeros_like(half), where=effective > 0)
        a = np.cos(half) - 1j * offsets_hz * scale
        b = -1j * amplitude * scale
        alpha, beta = a * alpha - np.conj(b) * beta, b * alpha + np.conj(a) * beta
    return np.asarray(np.abs(alpha) ** 2 - np.abs(beta) ** 2)


def _waveform(shape: str, duration_s: float, width_s: float, n_steps: int) -> NDArray[np.float64]:
    """`gaussian`: SD `width_s`; `sinc_gaussian`: sinc with first zeros at +-width times a Gaussian of that SD."""
    times = (np.arange(n_steps) + 0.5) * (duration_s / n_steps) - duration_s / 2
    wave = np.exp(-0.5 * (times / width_s) ** 2)
    if shape == "sinc_gaussian":
        wave = wave * np.sinc(times / width_s)
    return np.asarray(wave * (0.5 * n_steps / (duration_s * wave.sum())))


def _full_width_hz(waveform_hz: NDArray[np.float64], duration_s: float) -> float:
    """FWHM of the inverted band, Hz: twice the first offset at which Mz passes 0."""
    offsets = np.linspace(0.0, 60.0 / duration_s, 600)
    mz = inversion_profile(waveform_hz, duration_s, offsets)
    first = int(np.argmax(mz > 0.0))
    if first == 0:
        return float(2 * offsets[-1])
    slope = (mz[first] - mz[first - 1]) / (offsets[1] - offsets[0])
    return float(2 * (offsets[first] - mz[first] / slope))
