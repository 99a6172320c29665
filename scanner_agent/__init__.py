"""Real-time quality control for single-voxel MR spectroscopy: a verdict while the patient is still on the table."""

__version__ = "0.1.0"
