"""One writer at a time across processes, so that two first uses do not both embed a gallery.

The system holds the lock and lets go of it when the process ends, however it ends. Correctness never hangs
on it: banks are renamed into place whole. So a file system without locks is no error.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.1


@contextmanager
def exclusive(path: Path) -> Iterator[bool]:
    """Hold the lock file `path` (made where absent, never deleted) while the block runs.

    Yields:
        True where the lock is held, False where the file system has no locks.

    Raises:
        OSError: The file cannot be made.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield _wait(handle)
    finally:
        os.close(handle)  # closing releases the lock


def _wait(handle: int) -> bool:
    while True:
        try:
            _take(handle)
        except (BlockingIOError, PermissionError):  # held by another process: POSIX, Windows
            time.sleep(_POLL_SECONDS)
        except OSError:
            return False
        else:
            return True


if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
