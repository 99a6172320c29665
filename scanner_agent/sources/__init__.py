"""Files -> header and shots in one shape, and back to NIfTI-MRS. Patient fields end here."""

from scanner_agent.sources.content import MOVEMENT_NOTE
from scanner_agent.sources.dicom_common import started_at
from scanner_agent.sources.nifti_writer import write_nifti_mrs
from scanner_agent.sources.scan_source import CANONICAL_ORDER, ScanSource, open_scan

__all__ = ["CANONICAL_ORDER", "MOVEMENT_NOTE", "ScanSource", "open_scan", "started_at", "write_nifti_mrs"]
