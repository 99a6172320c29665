"""NIfTI-MRS files -> `FileContent`. Data are taken as stored: `nifti_mrs`'s own `[...]` access would conjugate them."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from scanner_agent.sources.content import LARGEST_FILE_BYTES, FileContent, refuse
from scanner_agent.sources.nifti_content import content_of_array
from scanner_agent.sources.nifti_header import parse_extension

_MRS_EXTENSION_CODE = 44
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}


def read_nifti_mrs(path: Path) -> FileContent:
    """Read one NIfTI-MRS file of a single voxel: any order of coil, dynamic, edit, phase-cycle and repeat dimensions.

    Raises:
        SourceError: Not NIfTI-MRS, or damaged, or of a kind that is not supported; names the file and the remedy.
    """
    image, stored = _load(path)
    name = bytes(image.header["intent_name"].item()).decode("ascii", "replace")
    if not name.startswith("mrs_v"):
        raise refuse(path, "is a NIfTI image but not NIfTI-MRS", "give a spectroscopy file")
    if not np.iscomplexobj(stored):
        raise refuse(path, "its data are not complex", "export the complex FIDs")
    extension = _extension(path, image)
    has_place = int(image.header["qform_code"]) > 0 or int(image.header["sform_code"]) > 0
    dwell_time_s = _dwell_time(path, image, extension)
    return content_of_array(path, stored, extension, image.affine if has_place else None, dwell_time_s)


def _load(path: Path) -> tuple[Any, NDArray[Any]]:
    try:
        if path.name.lower().endswith(".gz"):
            with gzip.open(path) as stream:  # to its end, so that its checksum is looked at
                whole = stream.read(LARGEST_FILE_BYTES)
            version_2 = whole[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
            image: Any = (nib.Nifti2Image if version_2 else nib.Nifti1Image).from_bytes(whole)
        else:
            image = nib.load(path)
        if not isinstance(image, nib.Nifti1Pair):
            raise refuse(path, "is not a NIfTI file", "give NIfTI-MRS or a vendor's spectroscopy file")
        return image, np.asanyarray(image.dataobj)
    except (ImageFileError, HeaderDataError, nib.wrapstruct.WrapStructError):
        raise refuse(path, "is not a readable NIfTI file", "copy or convert it again") from None
    except (EOFError, gzip.BadGzipFile, zlib.error, OSError, ValueError, OverflowError, MemoryError, TypeError):
        raise refuse(path, "is cut off or damaged", "copy or convert it again") from None


def _extension(path: Path, image: Any) -> dict[str, Any]:
    for extension in image.header.extensions:
        if extension.get_code() == _MRS_EXTENSION_CODE:
            content = extension.get_content()
            if isinstance(content, bytes):
                content = content.decode("utf-8", "replace")
            text = content if isinstance(content, str) else str(getattr(extension, "text", ""))
            return parse_extension(path, text.rstrip("\x00"))
    raise refuse(path, "has no NIfTI-MRS header extension", "convert it again with spec2nii")


def _dwell_time(path: Path, image: Any, extension: dict[str, Any]) -> float:
    unit = image.header.get_xyzt_units()[1]
    stored = image.header["pixdim"][4]
    # NIfTI-1 keeps 32-bit floats: 0.0001666 s becomes 0.00016660000255 s. The shortest decimal number was meant.
    decimal = float(np.format_float_positional(stored, unique=True)) if stored.dtype.itemsize == 4 else float(stored)
    dwell_time_s = decimal * _SECONDS.get(unit, float("nan"))
    if not 1e-6 <= dwell_time_s <= 0.01:
        raise refuse(path, f"its dwell time ({dwell_time_s:g} s) is missing or absurd", "put it right in pixdim[4]")
    width = extension.get("SpectralWidth")
    if isinstance(width, int | float) and width > 0 and abs(width * dwell_time_s - 1.0) > 1e-3:
        raise refuse(path, f"SpectralWidth {width:g} Hz and dwell time {dwell_time_s:g} s disagree", "put one right")
    return dwell_time_s
