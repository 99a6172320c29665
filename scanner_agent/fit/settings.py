"""What the caller chooses of a fit; everything else is a constant with its reason beside it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FitSettings:
    """Choices of a fit."""

    ppm_range: tuple[float, float] = (0.2, 4.2)
    """Fit window, ppm, from low to high."""
    metabolites: tuple[str, ...] | None = None
    """Names to take from the basis; None: all of it. What the basis lacks is left out (flag `basis_incomplete`)."""
    macromolecules: bool = True
    """Add Gaussian macromolecules and lipids; never done for a phantom."""
    edited: bool = False
    """The spectrum is a difference, ON - OFF: co-edited macromolecules only, GABA+ and Glx are reported."""
    phantom: bool = False
    """Test object: no macromolecules, no expected ratios, narrow lines, any temperature."""
