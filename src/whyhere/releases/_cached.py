"""Directories in the cache that are computed here: complete or absent, named by what made them.

What is deleted was made from assets, and is made again from them when it is needed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from whyhere.errors import MissingFileError
from whyhere.releases import _home
from whyhere.releases._child import size_of


def fingerprint_of(*parts: str) -> str:
    """A short name for everything that a result depends on."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def computed(kind: str, fingerprint: str, make: Callable[[Path], None]) -> Path:
    """Return the directory `kind`/`fingerprint` of the cache; make it where it is absent.

    Args:
        kind: Directory below the cache.
        fingerprint: Names everything the result depends on.
        make: Fills an empty directory. It is renamed into place when all is written, so that what is found
            is complete; two processes may both make it, and then one result, the same as the other, stays.

    Raises:
        MissingFileError: The cache cannot be written.
    """
    final = _home.home() / kind / fingerprint
    if final.is_dir():
        return final
    stage = _home.home() / "tmp" / f"{kind}-{fingerprint}@{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        stage.mkdir(parents=True)
        final.parent.mkdir(parents=True, exist_ok=True)
        make(stage)
        try:
            stage.rename(final)
        except OSError:
            if not final.is_dir():  # else another process was quicker
                raise
    except OSError as error:
        raise MissingFileError(
            f"{final} cannot be written: {error.strerror or error}. Remedy: make room or give write "
            "permission there, or set WHYHERE_HOME to another directory"
        ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return final


def discard(directory: Path, *, asset: str) -> int:
    """Delete a directory of the cache and return how many bytes that freed; 0 where it is absent.

    Args:
        directory: What to delete.
        asset: Asset that it was made from. It goes among the leftovers of that asset first, so that the next
            fetch sweeps it up where deleting is interrupted.

    Raises:
        MissingFileError: It cannot be deleted.
    """
    if not directory.is_dir():
        return 0
    freed = size_of(directory)
    doomed = _home.home() / "tmp" / f"{asset}@{directory.name}-{uuid.uuid4().hex[:8]}"
    try:
        doomed.parent.mkdir(exist_ok=True)
        directory.rename(doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise MissingFileError(f"{directory} cannot be deleted: {error.strerror or error}") from error
    return freed
