"""A scanner, a head and a phantom that do not exist: header, shots and the truth about them."""

from scanner_agent.simulate.cohort import CohortScan, draw_cohort
from scanner_agent.simulate.phantom import CONTENTS_MM, simulate_phantom
from scanner_agent.simulate.scan import SimulatedScan
from scanner_agent.simulate.scenarios import SCENARIOS, Scenario
from scanner_agent.simulate.simulate import simulate_scan

__all__ = [
    "CONTENTS_MM",
    "SCENARIOS",
    "CohortScan",
    "Scenario",
    "SimulatedScan",
    "draw_cohort",
    "simulate_phantom",
    "simulate_scan",
]
