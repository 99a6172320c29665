"""The border to other people's converters: silent, without temporary files, any failure one clear line."""

from __future__ import annotations

import contextlib
import io
import logging
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from scanner_agent.errors import SourceError
from scanner_agent.records import ShotKind
from scanner_agent.sources.content import FileContent, refuse
from scanner_agent.sources.nifti_content import content_of_array
from scanner_agent.sources.nifti_header import checked_extension

_Result = TypeVar("_Result")


def quietly(path: Path, call: Callable[[], _Result], failure: str) -> _Result:
    """Result of `call`, with everything that it prints, warns of or logs swallowed.

    Parsers of damaged files raise whatever comes: each such error becomes a SourceError that says `failure`. Its own
    text is not passed on, for it may quote the file.
    """
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
            np.errstate(all="ignore"),
            _no_logging(),
        ):
            warnings.simplefilter("ignore")
            try:
                return call()
            except Exception as error:
                traceback.clear_frames(error.__traceback__)  # closes what the parser left open, while warnings are off
                raise
    except SourceError:
        raise
    except (Exception, SystemExit) as error:
        raise refuse(path, f"{failure} ({type(error).__name__})", "copy it again, or convert it to NIfTI-MRS") from None


@contextlib.contextmanager
def _no_logging() -> Any:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def content_of_converted(
    path: Path,
    images: Sequence[Any],
    *,
    trim: Callable[[NDArray[Any], float], tuple[NDArray[Any], float, list[str]]] | None = None,
) -> FileContent:
    """Content of the NIfTI-MRS images (nifti_mrs.NIFTI_MRS) that spec2nii makes of one file.

    Images that say that they are not water suppressed become the water reference of the others.

    Args:
        path: The file.
        images: What spec2nii returned.
        trim: Maps data in NIfTI-MRS dimensions and their dwell time to trimmed ones and notes.

    Raises:
        SourceError: Nothing usable, or more than one scan in the file.
    """
    parts: list[FileContent] = []
    for image in images:
        extension = checked_extension(path, image.hdr_ext.to_dict())
        data = np.asarray(image[:]).conj()  # its access conjugates
        dwell_time_s, notes = float(image.dwelltime), list[str]()
        if not 1e-6 <= dwell_time_s <= 0.01:
            raise refuse(path, f"its dwell time ({dwell_time_s:g} s) is missing or absurd", "convert it by hand")
        if trim is not None:
            data, dwell_time_s, notes = trim(data, dwell_time_s)
        affine = np.asarray(image.getAffine("voxel", "world"), dtype=np.float64)
        part = content_of_array(path, data, extension, affine, dwell_time_s)
        parts.append(replace(part, notes=(*part.notes, *notes)))
    metabolite = [part for part in parts if part.water_suppressed is not False]
    water = [part for part in parts if part.water_suppressed is False]
    if not parts:
        raise refuse(path, "holds no spectrum", "give a single-voxel spectroscopy file")
    if len(metabolite) > 1:
        raise refuse(path, f"holds {len(metabolite)} scans", "convert it with spec2nii and give one of them")
    if not metabolite:
        return water[0]
    main = metabolite[0]
    if not water:
        return main
    stacks = {**main.stacks, ShotKind.WATER_REFERENCE: water[0].stacks[ShotKind.METABOLITE]}
    more = [f"Of {len(water)} water references in the file the first is used."] if len(water) > 1 else []
    return replace(main, stacks=stacks, notes=(*main.notes, *more), water_suppressed=True)
