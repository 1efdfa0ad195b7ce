"""Directories in the cache that are computed here: complete or absent, named by what made them.

What is deleted or damaged was made from assets, and is made again from them when it is needed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

from whyhere._io import MEMORY, exclusive, home, put_in_place, seal, sealed_problems
from whyhere.errors import MissingFileError
from whyhere.releases._child import size_of, termination_unwinds


def fingerprint_of(*parts: str) -> str:
    """A short name for everything that a result depends on."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def computed(kind: str, fingerprint: str, make: Callable[[Path], None]) -> Path:
    """Return the directory `kind`/`fingerprint` of the cache; make it where it is absent or damaged.

    Of two processes one makes it and the other waits. What a killed one left, the next one sweeps up.

    Args:
        kind: Directory below the cache.
        fingerprint: Names everything the result depends on.
        make: Fills an empty directory. It is renamed into place when all is written, so that what is found
            is complete.

    Raises:
        MissingFileError: The cache cannot be written.
    """
    root = home()
    final, name = root / kind / fingerprint, f"{kind}-{fingerprint}"
    if _is_whole(final):
        return final
    try:
        for folder in (root / "tmp", root / "locks", final.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with termination_unwinds(), exclusive(root / "locks" / f"{name}.lock", required=False) as alone:
            if _is_whole(final):
                return final
            if alone:
                for leftover in (root / "tmp").glob(f"{name}@*"):
                    shutil.rmtree(leftover, ignore_errors=True)
            if final.is_dir():
                print(f"whyhere: {final} is damaged or of another version: made again", file=sys.stderr)
            stage = root / "tmp" / f"{name}@{os.getpid()}-{uuid.uuid4().hex[:8]}"
            try:
                stage.mkdir()
                make(stage)
                seal(stage)
                put_in_place(stage, final)
            finally:
                shutil.rmtree(stage, ignore_errors=True)
    except OSError as error:
        raise MissingFileError(
            f"{final} cannot be written: {error.strerror or error}. Remedy: make room or give write "
            "permission there, or set WHYHERE_HOME to another directory"
        ) from error
    return final


def _is_whole(directory: Path) -> bool:
    problems = sealed_problems(directory, home() / MEMORY)
    return problems is not None and not any(problems.values())


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
    doomed = home() / "tmp" / f"{asset}@{directory.name}-{uuid.uuid4().hex[:8]}"
    try:
        doomed.parent.mkdir(exist_ok=True)
        directory.rename(doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise MissingFileError(f"{directory} cannot be deleted: {error.strerror or error}") from error
    return freed
