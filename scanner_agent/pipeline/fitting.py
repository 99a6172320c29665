"""The fits of one scan: which sub-spectra, on which basis, started from the last fit of the same sub-spectrum."""

from __future__ import annotations

import time
from functools import lru_cache

from scanner_agent.basis import BasisSet
from scanner_agent.fit import FitResult, FitSettings, PreparedBasis, fit_spectrum, prepare
from scanner_agent.mrs.chain import Average
from scanner_agent.records import ScanHeader
from scanner_agent.scan_protocol import ScanProtocol

FITTED_SPECTRA = ("main", "off", "difference")
"""Sub-spectra that are fitted, in this order (ratios of the difference need tCr of OFF)."""


@lru_cache(maxsize=32)
def _prepared(
    basis: BasisSet, n_points: int, dwell_time_s: float, spectrometer_frequency_mhz: float, settings: FitSettings
) -> PreparedBasis:
    return prepare(basis, dwell_time_s, n_points, spectrometer_frequency_mhz, settings)


class SpectrumFits:
    """Fits the averages of one scan; keeps the last result of each sub-spectrum for a warm start."""

    def __init__(self, header: ScanHeader, protocol: ScanProtocol, basis: dict[str, BasisSet] | None) -> None:
        self._header = header
        self._bases = basis or {}
        self._settings = {
            name: FitSettings(
                ppm_range=protocol.fit.ppm_range,
                metabolites=protocol.fit.metabolites,
                macromolecules=protocol.fit.macromolecules,
                edited=name == "difference",
                phantom=protocol.match.is_phantom,
            )
            for name in FITTED_SPECTRA
        }
        self.latest: dict[str, FitResult] = {}
        self.fit_ms: float | None = None
        """Time of the last round of fits, milliseconds."""

    def fit(self, average: Average, *, warm: bool = True) -> dict[str, FitResult]:
        """Fit every sub-spectrum of an average; `warm` starts from the last results and replaces them."""
        begin = time.perf_counter()
        results: dict[str, FitResult] = {}
        for name in FITTED_SPECTRA:
            fid = average.fids.get(name)
            basis = self._bases.get(name)
            if fid is None or basis is None:
                continue
            results[name] = fit_spectrum(
                fid,
                _prepared(
                    basis,
                    self._header.n_points,
                    self._header.dwell_time_s,
                    self._header.spectrometer_frequency_mhz,
                    self._settings[name],
                ),
                dwell_time_s=self._header.dwell_time_s,
                spectrometer_frequency_mhz=self._header.spectrometer_frequency_mhz,
                noise_sd=average.noise_sd.get(name),
                settings=self._settings[name],
                start=self.latest.get(name) if warm else None,
            )
        if warm:
            self.latest = results
        self.fit_ms = (time.perf_counter() - begin) * 1e3
        return results
