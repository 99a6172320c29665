"""One scan's way from shots to verdict: `start_pipeline(header, replay)`, `add(shot)`, `finish(end)`."""

from scanner_agent.pipeline.provider import ScanPipelines, start_pipeline
from scanner_agent.pipeline.scan import ScanPipeline

__all__ = ["ScanPipeline", "ScanPipelines", "start_pipeline"]
