"""The link by shapes as its model says: every column written out, numerical derivatives, one dense least squares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from scanner_agent.mrs.axes import hz_from_ppm
from scanner_agent.mrs.quality import tallest_line

BROAD_PPM = ((3.0, 0.114), (1.7, 0.16), (1.43, 0.16), (2.05, 0.16), (2.27, 0.16))


class PlainLink:
    """Shapes (n_metabolites, n_points) under the ON and the OFF pulse, as `ShapeLink` is given them."""

    def __init__(
        self, on: NDArray[np.complex128], off: NDArray[np.complex128], dwell_s: float, f0_mhz: float, offset_ppm: float
    ) -> None:
        n = round(0.5 / dwell_s)
        self.dwell_s, self.f0_mhz, self.offset_ppm, self.t = dwell_s, f0_mhz, offset_ppm, np.arange(n) * dwell_s
        ppm = 4.65 - np.fft.fftfreq(n, dwell_s) / f0_mhz - offset_ppm
        self.inside = (ppm >= 1.7) & (ppm <= 4.1)
        self.on, self.off = on[:, :n], off[:, :n]
        water = [self.line(float(p), d) for p in np.arange(4.42, 4.9, 0.04) for d in (20.0, 60.0)]
        self.water = np.array([*water, *(1j * w for w in water)])

    def line(self, ppm: float, decay_per_s: float) -> NDArray[np.complex128]:
        hz = hz_from_ppm(ppm + self.offset_ppm, self.f0_mhz)
        return np.asarray(np.exp((2j * np.pi * hz - decay_per_s) * self.t))

    def rows(self, fids: NDArray[np.complex128]) -> NDArray[np.float64]:
        spectra = np.fft.fft(fids, axis=-1)[..., self.inside] / np.sqrt(self.t.size)
        return np.concatenate([spectra.real, spectra.imag], axis=-1)

    def shape(self, phase: float, shift_hz: float, width_hz: float) -> NDArray[np.complex128]:
        rate = 2j * np.pi * (shift_hz - self.offset_ppm * self.f0_mhz) - np.pi * width_hz
        return np.asarray(np.exp(1j * phase + rate * self.t))

    def broad(self, phase: float) -> NDArray[np.complex128]:
        return np.array([self.line(p, np.pi * w * self.f0_mhz) for p, w in BROAD_PPM]) * np.exp(1j * phase)

    def parts(
        self, x: NDArray[np.float64], off: NDArray[np.complex128]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Amounts of the metabolites and what is left of OFF."""
        design = self.rows(np.concatenate([self.off * self.shape(*x), self.broad(x[0]), self.water])).T
        data, lengths = self.rows(off[: self.t.size]), np.linalg.norm(design, axis=0)
        ridge = 1e-2 * np.eye(lengths.size)
        found = np.linalg.lstsq(
            np.concatenate([design / lengths, ridge]), np.concatenate([data, np.zeros(lengths.size)])
        )[0]
        return (found / lengths)[: self.off.shape[0]], data - design @ (found / lengths)

    def fit_off(self, off: NDArray[np.complex128]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Phase, shift and width (3,), amounts, sum of squares."""
        band = (1.9 + self.offset_ppm, 2.12 + self.offset_ppm)
        _, place, phase = tallest_line(off, self.dwell_s, self.f0_mhz, band)
        shift = hz_from_ppm(place, self.f0_mhz) - hz_from_ppm(2.01 + self.offset_ppm, self.f0_mhz)
        found = least_squares(
            lambda x: self.parts(x, off)[1],
            [phase, np.clip(shift, -5.0, 5.0), 4.0],
            bounds=([-np.inf, -15.0, 0.0], [np.inf, 15.0, 40.0]),
            x_scale=[0.1, 0.5, 1.0],
            jac="3-point",
            ftol=1e-15,
            xtol=1e-15,
            gtol=1e-15,
            max_nfev=40,
        )
        return np.asarray(found.x), self.parts(found.x, off)[0], 2 * float(found.cost)

    def link(
        self,
        on: NDArray[np.complex128],
        off: NDArray[np.complex128],
        sd: float,
        frequency_hz: float,
        phase_rad: float,
    ) -> tuple[float, float]:
        x, amounts, _ = self.fit_off(off)
        n, t = self.t.size, self.t
        early, lines = off[:n], (self.on - self.off) * self.shape(*x)
        model = amounts @ lines
        errors = np.array([1j * model, t * np.pi * model, 2j * np.pi * t * model])
        own = np.array([early, 1j * early, 2j * np.pi * t * early])
        design = self.rows(np.concatenate([lines, self.broad(x[0]), errors, self.water, own])).T
        n_amounts = len(lines) + len(BROAD_PPM)
        priors = np.concatenate(
            [
                np.full(n_amounts, np.max(np.abs(amounts))),
                [0.1, 1.5, 0.3],
                np.full(len(self.water), 100.0 * np.linalg.norm(early)),
                [0.03, np.inf, np.inf],
            ]
        )
        stacked = np.concatenate([design / sd, np.diag(1.0 / priors)])
        for _ in range(3):
            back = np.exp(-1j * (2 * np.pi * frequency_hz * t + phase_rad))
            data = np.concatenate([self.rows(on[:n] * back - early) / sd, np.zeros(priors.size)])
            by_phase, by_frequency = np.linalg.lstsq(stacked, data)[0][-2:]
            frequency_hz, phase_rad = frequency_hz + by_frequency, phase_rad + by_phase
        return frequency_hz, phase_rad
