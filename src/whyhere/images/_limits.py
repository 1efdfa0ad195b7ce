"""What reading a photo may cost: memory and time, and the memory of all photos that are read at once.

A decoder asks for nothing before it takes, so what it will need is worked out from the header, and a photo
that would need too much is refused by its size before it is decoded. Photos that fit one by one but not
together wait for each other. Some attacks are seen before a decoder gets the bytes (endless metadata, JPEG
segments, HEIF items), others end by the clock when the decoder comes back for more bytes.
"""

from __future__ import annotations

import io
import logging
import re
import struct
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

from PIL import Image

from whyhere.errors import PhotoError

MAX_PIXELS: Final = 178_956_970
"""Largest photo decoded by default, in pixels: where Pillow too speaks of a decompression bomb."""

MAX_BYTES: Final = 256 * 1024 * 1024
"""Largest photo file read by default."""

DECODE_SECONDS: Final = 5.0
"""Processor time that one photo may take to decode by default."""

DECODE_MEMORY_MB: Final = 1200
"""Memory that all photos in decoding may need together by default, in millions of bytes."""

LARGE_FILE_BYTES: Final = 32_000_000
"""A file beyond this is read while no other photo is: the bytes of two would count."""

_WORK_BYTES: Final = 40_000_000  # for the arithmetic on one strip of colours
_POLL_SECONDS: Final = 0.1
_BYTES_PER_PIXEL: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
# What decoders may hold of their own beside the pixels of Pillow, in bytes a pixel: planes, the same once
# more as RGB or RGBA, and once more as Python bytes. The sum is a bound: with Pillow 13 and pi-heif 1.4
# photos of 9 megapixels took 16 to 17 bytes a pixel in all as WebP, 10 to 12 as AVIF, 9 to 10 as HEIC.
_DECODER_BYTES: Final = {"webp": 16, "avif": 16, "heif": 16}


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one photo may cost.

    Attributes:
        pixels: Largest width times height.
        file_bytes: Largest file.
        decode_seconds: Processor time for decoding.
        decode_bytes: Memory for all photos in decoding, and so for one.
    """

    pixels: int = MAX_PIXELS
    file_bytes: int = MAX_BYTES
    decode_seconds: float = DECODE_SECONDS
    decode_bytes: int = DECODE_MEMORY_MB * 1_000_000


class DecodingEnded(Exception):
    """Raised inside a decoder that took too long, read too much, or is no longer wanted."""


class Room:
    """Memory that one photo holds while it is read; a context manager that gives it back.

    Args:
        ended: Set by another thread where the photo is no longer wanted.
    """

    _free = threading.Condition()
    _in_use = 0

    def __init__(self, ended: threading.Event | None = None) -> None:
        self.ended = ended
        self._mine = 0

    def __enter__(self) -> Room:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with Room._free:
            Room._in_use -= self._mine
            self._mine = 0
            Room._free.notify_all()

    def take(self, wanted: int, limits: Limits) -> None:
        """Wait until there is room for so many bytes; a photo that is alone always has it.

        What was taken first is not added to: so no two photos ever wait for each other.

        Raises:
            DecodingEnded: The photo is no longer wanted.
        """
        if self._mine:
            return
        with Room._free:
            while Room._in_use and Room._in_use + wanted > limits.decode_bytes:
                if self.ended is not None and self.ended.is_set():
                    raise DecodingEnded("no longer wanted")
                Room._free.wait(_POLL_SECONDS)
            Room._in_use += wanted
            self._mine = wanted


class Clock:
    """The processor time of this thread since the clock was made; waiting for others takes none."""

    def __init__(self, seconds: float, ended: threading.Event | None) -> None:
        self._seconds, self._ended = seconds, ended
        self._start = time.thread_time()

    def check(self) -> None:
        """Raise `DecodingEnded` where the time is over or the photo no longer wanted."""
        if self._ended is not None and self._ended.is_set():
            raise DecodingEnded("no longer wanted")
        if time.thread_time() - self._start > self._seconds:
            raise DecodingEnded(
                f"it took longer than the {self._seconds:g} seconds of processor time allowed for one photo "
                "(decode_seconds; --decode-seconds of locate and explain)"
            )


def check_memory(image: Image.Image, *, format_key: str, file_bytes: int, name: str, limits: Limits) -> int:
    """Return the bytes that decoding an opened image will need.

    Raises:
        PhotoError: More than is allowed.
    """
    needed = _peak_bytes(image, format_key) + file_bytes + _WORK_BYTES
    if needed > limits.decode_bytes:
        width, height = image.size
        raise PhotoError(
            name,
            f"the image of {width} x {height} pixels ({image.mode}) needs {needed / 1e6:,.0f} MB to decode, "
            f"more than the {limits.decode_bytes / 1e6:,.0f} MB allowed (decode_memory_mb; "
            "--decode-memory-mb of locate and explain); scale it down first, or raise the limit if you "
            "trust it",
        )
    return needed


def _peak_bytes(image: Image.Image, format_key: str) -> int:
    pixels = image.width * image.height
    stored = pixels * _BYTES_PER_PIXEL.get(image.mode, 4)
    rgb = 4 * pixels
    if format_key == "jpeg":
        extra = _coefficient_bytes(image)
    elif format_key == "tiff":
        extra = _block_bytes(image)
    elif format_key == "bmp":
        extra = pixels  # run-length decoding collects a byte a pixel
    else:
        extra = _DECODER_BYTES.get(format_key, 0) * pixels
    # Colours are converted, and pixels turned, into a second image once the decoder is done.
    return stored + max(rgb, extra)


def _coefficient_bytes(image: Image.Image) -> int:
    """A JPEG of several scans keeps all its coefficients, 16 bits each, until the last scan is read."""
    if "progressive" not in image.info and "progression" not in image.info:
        return 0
    layers: list[tuple[int, int, int, int]] = getattr(image, "layer", [])
    widest = max((h * v for _, h, v, _ in layers), default=1)
    return round(2 * image.width * image.height * sum(h * v for _, h, v, _ in layers) / max(widest, 1))


def _block_bytes(image: Image.Image) -> int:
    """A strip or tile of a TIFF is unpacked whole."""
    tags: Any = getattr(image, "tag_v2", {})

    def number(tag: int, default: int) -> int:
        value = tags.get(tag, default)
        value = max(value, default=default) if isinstance(value, tuple) else value
        return value if isinstance(value, int) and value > 0 else default

    bits = number(258, 8) * number(277, 1)
    if 322 in tags:
        return number(322, 1) * number(323, 1) * bits // 8
    return image.width * min(number(278, image.height), image.height) * bits // 8


_TIFF_HEADERS: Final = (b"II*\0", b"MM\0*")
_TYPE_BYTES: Final = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4)
_MAX_METADATA_BYTES: Final = 64_000_000
_HEADERS_LOOKED_AT: Final = 32


def metadata_bytes(data: bytes) -> int:
    """Return what Pillow would hold after reading the directories of tags (EXIF) that lie in data.

    Every tag may point to the same bytes, so that a file of 1 MB can ask for 60 GB.
    """
    most = 0
    for magic in _TIFF_HEADERS:
        at = data.find(magic)
        for _ in range(_HEADERS_LOOKED_AT):
            if at < 0:
                break
            most = max(most, _directory_bytes(data, at, "<" if magic[:1] == b"I" else ">"))
            at = data.find(magic, at + 1)
    return most


def has_endless_metadata(data: bytes) -> bool:
    """Return whether a directory of tags in data asks for more memory than sound metadata can."""
    return metadata_bytes(data) > _MAX_METADATA_BYTES + len(data)


def _directory_bytes(data: bytes, start: int, order: str) -> int:
    """Return the bytes that the first directory after a TIFF header refers to."""
    try:
        first = start + struct.unpack_from(order + "L", data, start + 4)[0]
        (count,) = struct.unpack_from(order + "H", data, first)
        entries = data[first + 2 : first + 2 + 12 * count]
    except struct.error:
        return 0
    total = 0
    for _, kind, values, offset in struct.iter_unpack(order + "HHLL", entries[: len(entries) // 12 * 12]):
        size = _TYPE_BYTES[kind] * values if kind < len(_TYPE_BYTES) else 0
        if size > 4:
            total += max(0, min(size, len(data) - start - offset))
    return total


MAX_SEGMENTS: Final = 20_000
"""Segments before the picture at most; cameras write tens, a profile in pieces hundreds."""

MAX_FILL_BYTES: Final = 1_000_000
"""Bytes of padding or junk between segments at most."""

_FILL: Final = re.compile(rb"[^\xff]*\xff+")


def header_fault(data: bytes) -> str | None:
    """Return what is wrong with the segments before the first scan (ITU-T T.81, B.1.1), or None."""
    at, segments, fill = 2, 0, 0
    while True:
        marker = _FILL.match(data, at)
        if marker is None:
            break
        fill += marker.end() - at - 1
        at = marker.end() + 1
        kind = data[at - 1 : at]
        segments += 1
        if segments > MAX_SEGMENTS:
            return f"more than {MAX_SEGMENTS:,} segments before its picture"
        if fill > MAX_FILL_BYTES:
            return f"more than {MAX_FILL_BYTES:,} bytes of padding before its picture"
        if kind in (b"\xda", b"\xd9", b""):
            break
        if kind in (b"\0", b"\1") or b"\xd0" <= kind <= b"\xd8":  # markers without a segment
            continue
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return None


def has_sound_item_types(data: bytes) -> bool:
    """Return whether the item entries (`infe`, ISO/IEC 14496-12) of a HEIF file hold only UTF-8 text."""
    meta = _top_level_box(data, b"meta")
    at = meta.find(b"infe")
    while at >= 4:
        size = int.from_bytes(meta[at - 4 : at], "big")
        # Sizes 0 and 1 mean "to the end" and "64 bits follow"; neither belongs here: look at all the rest.
        entry = meta[at + 4 : at - 4 + size if size > 1 else len(meta)]
        # version, 3 bytes of flags, an id of 2 or (version 3) 4 bytes, 2 of protection; then type and names
        text = entry[10 if entry[:1] == b"\3" else 8 :]
        try:
            text.decode("utf-8")
        except UnicodeDecodeError:
            return False
        at = meta.find(b"infe", at + 4)
    return True


def _top_level_box(data: bytes, kind: bytes) -> bytes:
    """Return the first top-level box of a kind, or nothing where there is none."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        header = 8
        if size == 1:  # the size follows as 64 bits
            size = int.from_bytes(data[at + 8 : at + 16], "big")
            header = 16
        end = len(data) if size == 0 else at + size
        if data[at + 4 : at + 8] == kind:
            return data[at:end]
        if size and size < header:
            break
        at = end
    return b""


_REREAD: Final = 4
_REREAD_BYTES: Final = 16_000_000
_SCAN: Final = b"\xff\xda"


class GuardedFile(io.BytesIO):
    """Bytes to decode, with a clock.

    Attributes:
        by_scan: Hand out at most one scan of a JPEG at a time: libjpeg goes over the whole picture for each,
            and thousands fit into one block.
    """

    def __init__(self, data: bytes, clock: Clock) -> None:
        super().__init__(data)
        self.by_scan = False
        self._data, self._clock = data, clock
        self._left = _REREAD * len(data) + _REREAD_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `io.BytesIO` does.

        Raises:
            DecodingEnded: The clock says so, or more was read than any sound file makes a decoder read.
        """
        self._clock.check()
        if self.by_scan and size is not None and size > 0:
            start = self.tell()
            scan = self._data.find(_SCAN, start + 1, start + size)
            size = size if scan < 0 else scan - start
        chunk = super().read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise DecodingEnded("its decoder reads the same bytes again and again")
        return chunk


_FILTER: Final = ("ignore", None, Warning, re.compile(r"(PIL|pi_heif)\."), 0)
_HANDLER: Final = logging.NullHandler()
_lock: Final = threading.Lock()
_readers = 0


@cache
def silence_libtiff() -> None:
    """Switch off the lines that the libtiff of Pillow's wheels writes to standard error by itself.

    Its faults come back as exceptions all the same. Where Pillow was built otherwise, it keeps its lines.
    """
    import ctypes

    import PIL

    for folder in ("pillow.libs", "pillow.dylibs", "PIL/.dylibs"):
        for library in (Path(PIL.__file__).parent.parent / folder).glob("libtiff*"):
            with suppress(OSError, AttributeError):
                loaded = ctypes.CDLL(str(library))
                for handler in (loaded.TIFFSetErrorHandler, loaded.TIFFSetWarningHandler):
                    handler.restype, handler.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
                    handler(None)


@contextmanager
def quiet_image_libraries() -> Iterator[None]:
    """Silence warnings raised by Pillow and pi_heif code inside the block; safe to overlap in threads."""
    global _readers
    filters = cast("list[Any]", warnings.filters)
    with _lock:
        _readers += 1
        # Another thread's catch_warnings may have dropped it; then it goes in again.
        if _FILTER not in filters:
            filters.insert(0, _FILTER)
        logging.getLogger("PIL").addHandler(_HANDLER)
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if _readers == 0:
                logging.getLogger("PIL").removeHandler(_HANDLER)
                with suppress(ValueError):
                    cast("list[Any]", warnings.filters).remove(_FILTER)
