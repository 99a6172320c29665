"""Which reader a file needs: by its content where formats can be told from it, else by its name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from scanner_agent.sources.content import LARGEST_FILE_BYTES, FileContent, refuse
from scanner_agent.sources.nifti_reader import read_nifti_mrs


def read_file(path: Path) -> FileContent:
    """Read any supported file.

    Raises:
        SourceError: Missing, empty, a folder, of no supported format, or damaged.
    """
    try:
        if path.is_dir():
            raise refuse(path, "is a folder", "name one file in it")
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(512)
    except FileNotFoundError:
        raise refuse(path, "does not exist", "check the name") from None
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else "is not a possible file name"
        raise refuse(path, f"cannot be read ({what.lower()})", "check name and rights") from None
    if size == 0:
        raise refuse(path, "is empty", "copy it again")
    if size > LARGEST_FILE_BYTES:
        raise refuse(path, f"has {size / 1e9:.1f} GB", "give a single-voxel spectroscopy file")
    name = path.name.lower()
    if (
        name.endswith((".nii", ".nii.gz"))
        or start[4:8] in (b"n+2\0", b"n+1\0")
        or start[344:348] in (b"n+1\0", b"ni1\0")
    ):
        return read_nifti_mrs(path)
    reader = _vendor_reader(name, start)
    if reader is None:
        raise refuse(path, "is of no format that is known here", "give NIfTI-MRS or a vendor's spectroscopy file")
    return reader(path)


def _vendor_reader(name: str, start: bytes) -> Callable[[Path], FileContent] | None:
    """Reader of a vendor's format; its libraries are loaded only now."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel and others warn while they load
        from scanner_agent.sources import twix, vendor

    if start[128:132] == b"DICM":
        return vendor.read_dicom
    if start.startswith(b">>> Begin of header <<<"):
        return vendor.read_rda
    ending = name.rsplit(".", 1)[-1]
    return {
        "dat": twix.read_twix,
        "sdat": vendor.read_sdat,
        "spar": vendor.read_sdat,
        "data": vendor.read_data_list,
        "list": vendor.read_data_list,
        "7": vendor.read_pfile,
    }.get(ending)
