"""Real-time quality control for single-voxel MR spectroscopy: a verdict while the patient is still on the table."""

import os

# One thread for linear algebra: arrays are small, and waiting threads cost more than they bring. NumPy reads this once.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

__version__ = "0.1.0"
