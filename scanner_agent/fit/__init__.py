"""Linear-combination fit of spectra, its errors, and amounts."""

from scanner_agent.fit.amounts import to_amounts
from scanner_agent.fit.gaussian import GaussianGaba, gaba_unit_area, gaussian_gaba
from scanner_agent.fit.prepare import PreparedBasis, prepare
from scanner_agent.fit.result import REMEDIES, FitResult
from scanner_agent.fit.settings import FitSettings
from scanner_agent.fit.spectrum import fit_spectrum
from scanner_agent.fit.water_scaling import TissueFractions, WaterScaling

__all__ = [
    "REMEDIES",
    "FitResult",
    "FitSettings",
    "GaussianGaba",
    "PreparedBasis",
    "TissueFractions",
    "WaterScaling",
    "fit_spectrum",
    "gaba_unit_area",
    "gaussian_gaba",
    "prepare",
    "to_amounts",
]
