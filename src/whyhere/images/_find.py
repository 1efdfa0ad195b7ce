"""From command line arguments to photos: files, directories and standard input."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from whyhere.errors import PhotoError
from whyhere.images._display import display_name

PHOTO_SUFFIXES: Final = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".tif", ".tiff", ".gif", ".bmp",
    ".avif", ".heic", ".heif", ".hif",
)  # fmt: skip
"""Suffixes, in lower case, that make a file in a directory a photo. A file named outright needs none."""

_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StdinPhoto:
    """The one photo that standard input carries; `open_photo` reads it.

    Attributes:
        stream: Binary stream to read to its end.
        name: What the photo is called in results and errors.
    """

    stream: BinaryIO = field(repr=False)
    name: str = "-"


def find_photos(
    arguments: Iterable[str | os.PathLike[str]],
    *,
    stdin: BinaryIO | None = None,
    recursive: bool = True,
) -> Iterator[Path | StdinPhoto | PhotoError]:
    """Yield the photos that command line arguments mean, in a stable order.

    A directory stands for the files in it with a photo suffix, files before subdirectories, each in
    natural order (`img2` before `img10`); hidden names are skipped, links are followed, and a directory
    that was already visited is not entered again. `-` is one photo on standard input. Anything else is
    yielded as it is, also where it does not exist: `open_photo` says what is wrong with it.

    Args:
        arguments: Paths of files and directories, or "-".
        stdin: Binary stream behind "-"; `sys.stdin.buffer` by default.
        recursive: Whether to enter subdirectories.

    Yields:
        A path, the photo on standard input, or a `PhotoError` (not raised, so that the rest goes on) for
        a directory without photos or that cannot be read, and for a second or interactive "-".
    """
    stdin_used = False
    for argument in arguments:
        text = os.fspath(argument)
        if text == "-":
            yield (
                PhotoError("-", "standard input was named twice, but holds one photo")
                if stdin_used
                else (_stdin_photo(stdin))
            )
            stdin_used = True
        elif _ADDRESS.match(text) and not os.path.lexists(text):
            yield PhotoError(
                text,
                "this is a web address, and whyhere never fetches anything; save the photo and name its file",
            )
        elif os.path.isdir(text):  # noqa: PTH112 - Path("") would be the current directory
            yield from _in_directory(Path(text), recursive=recursive)
        else:
            yield Path(text) if text else PhotoError('""', "the name of the photo is empty")


def _stdin_photo(stdin: BinaryIO | None) -> StdinPhoto | PhotoError:
    stream = sys.stdin.buffer if stdin is None else stdin
    if stream.isatty():
        return PhotoError(
            "-", "standard input is a terminal; pipe a photo into it: whyhere locate - < photo.jpg"
        )
    return StdinPhoto(stream)


def _in_directory(directory: Path, *, recursive: bool) -> Iterator[Path | PhotoError]:
    found_any = False
    visited: set[tuple[int, int]] = set()
    pending = [directory]
    while pending:
        current = pending.pop()
        try:
            status = current.stat()
            if (status.st_dev, status.st_ino) in visited:
                continue  # a link back up, or two links to one directory
            visited.add((status.st_dev, status.st_ino))
            files, directories, too_long = _list(current)
        except OSError as error:
            found_any = True
            reason = error.strerror or str(error)
            yield PhotoError(display_name(current), f"the directory cannot be read: {reason}")
            continue
        for file in files:
            found_any = True
            yield file
        if recursive:
            for path in too_long:
                found_any = True
                yield PhotoError(
                    display_name(path),
                    "this path is longer than the system can open, so what it holds was not looked at; move "
                    "it up, or run whyhere from a directory further down",
                )
            pending.extend(reversed(directories))
    if not found_any:
        where = "it and its subdirectories" if recursive else "it, but no subdirectories,"
        suffixes = " ".join(PHOTO_SUFFIXES)
        yield PhotoError(
            display_name(directory), f"no photos in this directory; searched {where} for {suffixes}"
        )


def _list(directory: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """Return photos and subdirectories of a directory, and what has too long a path; in natural order."""
    files: list[Path] = []
    directories: list[Path] = []
    too_long: list[Path] = []
    for path in sorted(directory.iterdir(), key=_natural_key):
        if path.name.startswith("."):
            continue
        is_photo = path.suffix.lower() in PHOTO_SUFFIXES
        try:
            mode = path.stat().st_mode
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG and not is_photo:
                too_long.append(path)
            # A broken link or a circle of links: an error worth telling only if it claims to be a photo.
            mode = stat.S_IFREG
        if stat.S_ISDIR(mode):
            directories.append(path)
        elif stat.S_ISREG(mode) and is_photo:  # never a pipe or device that happens to lie there
            files.append(path)
    return files, directories, too_long


def _natural_key(path: Path) -> tuple[list[str | int], str]:
    # Text and digits alternate in what re.split returns, so equal positions always compare alike.
    parts = re.split("([0-9]+)", path.name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], path.name
