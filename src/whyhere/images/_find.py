"""From command line arguments to photos: files, directories and standard input."""

from __future__ import annotations

import codecs
import errno
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from whyhere._text import printable
from whyhere.errors import PhotoError

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


SNIFFED_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Content:
    """What the first bytes of a file tell.

    Attributes:
        format: Key of the decoder in `_decode`, or None where whyhere does not read this.
        description: What it is, with its article: "a PDF document".
    """

    format: str | None
    description: str


_PHOTOS: Final = (
    (b"\xff\xd8\xff", "jpeg", "a JPEG image"),
    (b"\x89PNG\r\n\x1a\n", "png", "a PNG image"),
    (b"GIF87a", "gif", "a GIF image"),
    (b"GIF89a", "gif", "a GIF image"),
    (b"II*\0", "tiff", "a TIFF image"),
    (b"MM\0*", "tiff", "a TIFF image"),
    (b"II+\0", "tiff", "a TIFF image"),
    (b"MM\0+", "tiff", "a TIFF image"),
    (b"BM", "bmp", "a BMP image"),
)
_OTHERS: Final = (
    (b"%PDF-", "a PDF document; save its pictures as JPEG or PNG"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image; save it as JPEG or PNG"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image; save it as JPEG or PNG"),
    (b"\xff\x0a", "a JPEG XL image; save it as JPEG or PNG"),
    (b"8BPS", "a Photoshop file; save it as JPEG or PNG"),
    (b"%!PS", "a PostScript document; save it as JPEG or PNG"),
    (b"\0\0\1\0", "an icon file"),
    (b"FUJIFILMCCD-RAW", "a camera raw file; export it as JPEG"),
    (b"IIRO", "a camera raw file; export it as JPEG"),
    (b"IIRS", "a camera raw file; export it as JPEG"),
    (b"IIU\0", "a camera raw file; export it as JPEG"),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM); save a frame of it as JPEG"),
    (b"\0\0\1\xba", "a video (MPEG); save a frame of it as JPEG"),
    (b"\0\0\1\xb3", "a video (MPEG); save a frame of it as JPEG"),
    (b"FLV\1", "a video (Flash); save a frame of it as JPEG"),
    (b"0&\xb2u\x8ef\xcf\x11", "a video (Windows Media); save a frame of it as JPEG"),
    (b"ID3", "an audio file"),
    (b"OggS", "an audio or video file (Ogg)"),
    (b"fLaC", "an audio file"),
    (b"PK\3\4", "a ZIP archive or an office document; unpack it first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ\0", "an xz archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"),
    (b"Rar!\x1a\7", "a RAR archive; unpack it first"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3\0", "a database"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the photo itself with: git lfs pull"),
)
_HEIF_BRANDS: Final = {
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevx",
    b"hevm",
    b"hevs",
    b"mif1",
    b"msf1",
}


def sniff(data: bytes) -> Content:
    """Return what data is, judged by its first `SNIFFED_BYTES` bytes."""
    head = data[:SNIFFED_BYTES]
    if head[4:8] == b"ftyp":
        return _sniff_iso_media(head)
    if head[:4] == b"RIFF":
        if head[8:12] == b"WEBP":
            return Content("webp", "a WebP image")
        kind = {b"AVI ": "a video (AVI); save a frame of it as JPEG", b"WAVE": "an audio file"}
        return Content(None, kind.get(head[8:12], "a RIFF file"))
    if head[:4] == b"II*\0" and head[8:10] == b"CR":
        return Content(None, "a camera raw file (CR2); export it as JPEG")
    for magic, format_key, description in _PHOTOS:
        if head.startswith(magic):
            return Content(format_key, description)
    for magic, description in _OTHERS:
        if head.startswith(magic):
            return Content(None, description)
    return Content(None, _describe_text(head) or "data of an unknown kind")


def _sniff_iso_media(head: bytes) -> Content:
    """Tell AVIF, HEIC, camera raw and video apart: all are boxes behind an `ftyp` box with brands."""
    box_bytes = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12]] + [head[at : at + 4] for at in range(16, box_bytes - 3, 4)]
    if brands[0] in (b"avif", b"avis") or (brands[0] in (b"mif1", b"msf1") and b"avif" in brands):
        return Content("avif", "an AVIF image")
    if brands[0] in _HEIF_BRANDS:
        return Content("heif", "a HEIC image")
    if brands[0] == b"crx ":
        return Content(None, "a camera raw file (CR3); export it as JPEG")
    if brands[0] in (b"M4A ", b"M4B "):
        return Content(None, "an audio file")
    return Content(None, "a video (MP4 or QuickTime); save a frame of it as JPEG")


def _describe_text(head: bytes) -> str | None:
    """Return which kind of text data is, or None where it is none."""
    encoding = "utf-16" if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    try:
        # An incremental decoder forgives the character that the cut at SNIFFED_BYTES splits.
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None
    if any(ord(character) < 32 and character not in "\t\n\r\f\x1b" for character in text):
        return None
    start = text.lstrip()[:1000].lower()
    if start.startswith(("<!doctype html", "<html")) or (start.startswith("<") and "<html" in start):
        return "a web page (HTML), as a failed download leaves it"
    if "<svg" in start:
        return "a drawing (SVG), not a photo"
    if start.startswith("<?xml"):
        return "an XML document"
    if start.startswith("data:image/"):
        return "a data: URL; decode its base64 part first"
    if start.startswith(("{", "[")):
        return "text (JSON)"
    return "text" if start else "blank text"


def display_name(path: str | os.PathLike[str]) -> str:
    r"""Return a path as one printable line that can always be encoded as UTF-8.

    Control characters, line separators, bidirectional controls, noncharacters and bytes that are not UTF-8
    become escapes; all else stays as it is. Backslashes are not doubled, so that Windows paths stay readable.

    Example:
        >>> display_name("two\nlines.jpg")
        'two\\nlines.jpg'
        >>> display_name("caf\udce9.jpg")
        'caf\\xe9.jpg'
    """
    return printable(os.fspath(path))
