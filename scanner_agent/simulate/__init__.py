"""A scanner, a head and a phantom that do not exist: header, shots and the truth about them."""

from scanner_agent.simulate.scan import SimulatedScan
from scanner_agent.simulate.scenarios import SCENARIOS, Scenario
from scanner_agent.simulate.simulate import simulate_scan

__all__ = ["SCENARIOS", "Scenario", "SimulatedScan", "simulate_scan"]
