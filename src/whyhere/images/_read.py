"""From what the caller has (a path, bytes, a file object) to named bytes, within a limit."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any, BinaryIO, Final

from whyhere.errors import PhotoError
from whyhere.images._display import display_name

_CHUNK_BYTES: Final = 1 << 20


def read_path(path: str | os.PathLike[str], *, name: str | None, max_bytes: int) -> tuple[str, bytes]:
    """Return the display name and the bytes of a file.

    Raises:
        PhotoError: There is no such file, it is no file, it cannot be read, is empty or too large.
    """
    text = os.fspath(path)
    shown = display_name(text) if name is None else name
    if not text:
        raise PhotoError('""' if name is None else name, "the name of the photo is empty")
    try:
        found = Path(text).stat()
        if stat.S_ISFIFO(found.st_mode) and not text.startswith(("/dev/", "/proc/")):
            # Nobody may ever write into it; what a shell passes as /dev/fd/63 is another matter.
            raise PhotoError(shown, "this is a pipe, not a photo; send it through standard input, as -")
        with Path(text).open("rb") as stream:
            size = found.st_size if stat.S_ISREG(found.st_mode) else 0
            return shown, read_stream(stream, name=shown, max_bytes=max_bytes, size=size)
    except FileNotFoundError as error:
        raise PhotoError(shown, _missing(text)) from error
    except IsADirectoryError as error:
        raise PhotoError(shown, "this is a directory, not a photo") from error
    except PermissionError as error:
        # Windows answers so for a directory as well.
        is_directory = Path(text).is_dir()
        reason = (
            "this is a directory, not a photo" if is_directory else "permission denied: no right to read it"
        )
        raise PhotoError(shown, reason) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL inside the name
        reason = getattr(error, "strerror", None) or str(error)
        raise PhotoError(shown, f"cannot be read: {reason}") from error


def read_stream(stream: BinaryIO, *, name: str, max_bytes: int, size: int = 0) -> bytes:
    """Return all bytes from the present position of a binary file object.

    Args:
        stream: The file object.
        name: Name for errors.
        max_bytes: How many are read at most.
        size: How many there will be, where that is known: they are then read at once, and held once.

    Raises:
        PhotoError: The stream holds text, nothing, or more than `max_bytes`.
        OSError: Reading failed.
    """
    chunks: list[bytes] = []
    total = 0
    while True:
        # Small reads, at first: a pipe may return less than was asked for, and a device never ends.
        wanted = size if size and not chunks else _CHUNK_BYTES << min(len(chunks), 5)
        chunk: Any = stream.read(min(wanted, max_bytes + 1 - total))
        if isinstance(chunk, str):
            raise PhotoError(name, "the file object is open for text; open it in binary mode, 'rb'")
        if not chunk:
            break
        chunks.append(chunk if isinstance(chunk, bytes) else bytes(chunk))
        total += len(chunk)
        if total > max_bytes:
            raise PhotoError(name, too_many_bytes(None, max_bytes))
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def too_many_bytes(found: int | None, limit: int) -> str:
    """Return the reason given for a file over the limit."""
    has = "has more" if found is None else f"has {found:,} bytes, more"
    return f"{has} than the {limit:,} bytes allowed for one photo (max_bytes)"


def _missing(text: str) -> str:
    if re.match("[A-Za-z][A-Za-z0-9+.-]+:/", text):  # a Path has made one slash of two
        return "is an address, not a file; whyhere reads local files only, so download it first"
    path = Path(text)
    if path.is_symlink():
        return f"is a link to a file that is missing ({display_name(os.readlink(path))})"  # noqa: PTH115 - as written
    if path.is_absolute():
        return "there is no such file"
    try:
        return f"there is no such file; looked for it from {display_name(Path.cwd())}"
    except OSError:  # the current directory itself was deleted
        return "there is no such file"
