"""Sliding window of functional scans: metabolites over time, from averages of neighbouring shots."""

from __future__ import annotations

from scanner_agent.fit import to_amounts
from scanner_agent.judge import Judgement
from scanner_agent.mrs.chain import ScanChain
from scanner_agent.pipeline.fitting import SpectrumFits
from scanner_agent.records import WindowPoint

WATCHED = ("GABA+", "Glx", "tNAA")
_STEPS_PER_WINDOW = 4


def window_course(
    chain: ScanChain, judgement: Judgement, fits: SpectrumFits, window_shots: int
) -> tuple[WindowPoint, ...]:
    """Amounts over tCr in windows of `window_shots` shots, four windows to a window's length.

    A window holds the usable shots of one pose only. Each value is of its own average; neighbouring windows share three
    quarters of their shots, so their errors are correlated.
    """
    points: list[WindowPoint] = []
    step = max(1, window_shots // _STEPS_PER_WINDOW)
    for segment in judgement.segments:
        for first in range(segment.first_shot, segment.last_shot + 2 - window_shots, step):
            last = first + window_shots - 1
            inside = [index for index in segment.shots if first <= index <= last]
            average = chain.average(inside) if inside else None
            if average is None or average.n_used < window_shots // 2:
                continue
            found = fits.fit(average, warm=False)
            for name, result in found.items():
                tcr = found.get("off") if name == "difference" else None
                points += [
                    WindowPoint(
                        first_shot=first,
                        last_shot=last,
                        name=amount.name,
                        ratio_to_tCr=amount.ratio_to_tCr,
                        ratio_to_tCr_sd=amount.ratio_to_tCr_sd,
                    )
                    for amount in to_amounts(result, name, (), tcr)
                    if amount.name in WATCHED and (name == "difference") == (amount.name in ("GABA+", "Glx"))
                ]
    return tuple(points)
