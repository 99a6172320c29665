"""Whatever a file holds, `open_scan` reads it or says in one line, naming the file, why not."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner_agent.errors import SourceError
from scanner_agent.sources import open_scan

ENDINGS = [".nii", ".nii.gz", ".dat", ".dcm", ".IMA", ".rda", ".sdat", ".spar", ".data", ".list", ".7", ".txt", ""]
STARTS = [b"", b"n+2\0", b"\0" * 128 + b"DICM", b">>> Begin of header <<<\r\n", b"\x89PNG\r\n\x1a\n", b"\x1f\x8b\x08\0",
          b"\x1c\x02\0\0n+2\0\r\n\x1a\n", b"\x5c\x01\0\0", b"\0\0\0\0\1\0\0\0"]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(ending=st.sampled_from(ENDINGS), start=st.sampled_from(STARTS), rest=st.binary(max_size=3000))
def test_random_bytes_are_refused(ending: str, start: bytes, rest: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"scan{ending}"
        path.write_bytes(start + rest)
        with pytest.raises(SourceError) as error:
            open_scan(path)
    assert str(error.value).startswith(path.name)
    assert "\n" not in str(error.value)
    assert str(folder) not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("notes.txt", b"hello", "no format"),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 500, "no format"),
        ("picture.dcm", b"\x89PNG\r\n\x1a\n" + b"\0" * 500, "no format"),
        ("empty.nii.gz", b"", "empty"),
        ("text.nii.gz", b"not a gzip file", "cut off or damaged"),
        ("text.rda", b"not an rda file", "no format"),
        ("scan.dat", b"not a twix file", "cut off or damaged"),
        ("scan.sdat", b"12345678", "not beside it"),
    ],
)
def test_foreign_files(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=says):
        open_scan(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"^none\.nii: does not exist"):
        open_scan(tmp_path / "none.nii")
    with pytest.raises(SourceError, match="is a folder"):
        open_scan(tmp_path)
    with pytest.raises(SourceError):
        open_scan(tmp_path / "x\0y.nii")
