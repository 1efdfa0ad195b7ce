"""Files that are read whole: never a pipe or a device, which may make the reader wait for ever."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def plain(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that is about to be opened.

    Raises:
        OSError: There is nothing, or a pipe, a device or a socket.
    """
    mode = os.stat(path).st_mode  # noqa: PTH116 - the error names the path as it was given
    # Opening a directory fails of itself, and what a shell passes as /dev/fd/63 has a writer.
    passed = stat.S_ISFIFO(mode) and os.fspath(path).startswith(("/dev/", "/proc/"))
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or passed):
        raise OSError(errno.EINVAL, "a pipe or a device, not a file", os.fspath(path))
    return Path(path)
