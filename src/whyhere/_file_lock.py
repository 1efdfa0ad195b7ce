"""One writer at a time, across processes and without stale locks.

The operating system holds the lock and lets go of it when the process ends, however it ends, so there is
nothing to detect or clean up. The lock file itself stays: deleting it would let two processes hold it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.1


@contextmanager
def exclusive(
    path: Path, *, waiting: Callable[[], None] | None = None, required: bool = True
) -> Iterator[bool]:
    """Hold the lock on `path` while the block runs.

    Args:
        path: Lock file; created where absent, never deleted.
        waiting: Called once where another process holds the lock and this one waits.
        required: Whether a file system without locks is an error.

    Yields:
        True where the lock is held, False where the file system has none and none is required.

    Raises:
        OSError: The file cannot be made, or its file system has no locks and one is required.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            if not _try_lock(handle):
                if waiting is not None:
                    waiting()
                while not _try_lock(handle):
                    time.sleep(_POLL_SECONDS)
            held = True
        except OSError:
            if required:
                raise
            held = False
        yield held
    finally:
        os.close(handle)  # closing releases the lock


def hold(handle: int) -> bool:
    """Lock an open file until it is closed; False where another process holds it, or there are no locks."""
    try:
        return _try_lock(handle)
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        os.lseek(handle, 0, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
