"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run: what fails fails for everybody. `--hypothesis-profile=default` draws new ones.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")

# Linear algebra in one thread: the tests then say the same on every machine.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real vendor files and reference spectra; the test skips where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real files of ../shared/data, which are not here")
    return folder
