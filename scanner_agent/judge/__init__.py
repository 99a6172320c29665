"""The judgement: from the signs of the shots and the fits of their averages to a verdict, causes and advice. Pure."""

from scanner_agent.judge.judge import Judge
from scanner_agent.judge.judgement import Judgement, SegmentJudgement
from scanner_agent.judge.signs import FitSummary, ScanContext, ShotSigns
from scanner_agent.judge.window import WindowChange, metabolite_changes

__all__ = [
    "FitSummary",
    "Judge",
    "Judgement",
    "ScanContext",
    "SegmentJudgement",
    "ShotSigns",
    "WindowChange",
    "metabolite_changes",
]
