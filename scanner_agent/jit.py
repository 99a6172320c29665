"""The only import of numba: its compile cache goes to a folder named by a hash of all kernel sources.

Stale machine code can then not survive an edit or an upgrade: other sources, another folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from platformdirs import user_cache_path

_F = TypeVar("_F", bound=Callable[..., Any])
_PACKAGE = Path(__file__).resolve().parent


@cache
def cache_directory() -> Path:
    """Folder of this program's cached files: `$CACHE_DIRECTORY` (systemd) or the user's cache folder."""
    given = os.environ.get("CACHE_DIRECTORY")
    return Path(given.split(":")[0]) if given else user_cache_path("scanner-agent")


@cache
def kernel_hash() -> str:
    """Hash (hex, 16 characters) over every source file of the package that holds compiled kernels."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        source = path.read_bytes()
        if b"scanner_agent.jit" in source or path.name == "jit.py":
            digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + source + b"\0")
    return digest.hexdigest()[:16]


os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_directory() / "kernels" / kernel_hash()))

import numba  # noqa: E402  (the cache folder must be set before the import)

# No nnan/ninf: bad input is NaN, and must be seen as such.
_FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}


def njit(function: _F) -> _F:
    """Compile `function` to machine code: cached on disk, without the GIL, honouring `NUMBA_DISABLE_JIT`."""
    compiled: Any = numba.njit(cache=True, nogil=True, fastmath=_FASTMATH)(function)
    return cast(_F, compiled)


def njit_inlined(function: _F) -> _F:
    """`njit` for a function that other compiled ones call: it becomes part of each of them.

    Called as a function of its own it would be found at one address in the process that compiles, at another in one
    that loads from the cache, compiled differently: results would differ in their last bits.
    """
    compiled: Any = numba.njit(cache=True, nogil=True, fastmath=_FASTMATH, inline="always")(function)
    return cast(_F, compiled)
