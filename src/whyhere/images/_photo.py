"""A photo, opened: whatever it came from, an upright 8-bit RGB image under a name."""

from __future__ import annotations

import io
import os
import re
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyhere.errors import PhotoError
from whyhere.geo import LatLon
from whyhere.images._decode import check_size, decode, image_from_array, load, read_exif, to_rgb
from whyhere.images._find import StdinPhoto, display_name
from whyhere.images._limits import (
    DECODE_MEMORY_MB,
    DECODE_SECONDS,
    LARGE_FILE_BYTES,
    MAX_BYTES,
    MAX_PIXELS,
    DecodingEnded,
    Limits,
    Room,
    quiet_image_libraries,
)

PhotoSource: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryIO
    | StdinPhoto
    | Image.Image
    | NDArray[Any]
)
"""What `open_photo` takes: a path, the bytes of a file, a binary file object, an image or an array."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo, ready to be looked at.

    Attributes:
        name: What to call it, safe to print (see `display_name`).
        image: Upright 8-bit RGB image without metadata.
        exif_gps: Position that the metadata claims; to be shown or checked, never to answer.
    """

    name: str
    image: Image.Image = field(repr=False)
    exif_gps: LatLon | None = None


def open_photo(
    source: PhotoSource,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    decode_seconds: float = DECODE_SECONDS,
    decode_memory_mb: float = DECODE_MEMORY_MB,
    room: Room | None = None,
) -> Photo:
    """Read one photo, safely: any file, however broken or hostile, gives a photo or a `PhotoError`.

    The content decides what a file is, not its suffix. Of animations the first frame is read. EXIF
    orientation is applied, transparency becomes white, colour profiles are ignored. Nothing of the
    process is changed (warning filters stay as they were, Pillow's settings are not touched), so threads may
    read photos at the same time.

    Args:
        source: A path; the bytes of an image file; a binary file object, read from where it stands; what
            `find_photos` yields for "-"; a PIL image (its current frame; not changed); or an array of shape
            (H, W), (H, W, 3) or (H, W, 4) of uint8, uint16, bool, or floats in [0, 1].
        name: What to call the photo; by default its path or a word for what it is.
        max_pixels: Largest width times height.
        max_bytes: Largest file.
        decode_seconds: Processor time that decoding may take.
        decode_memory_mb: Memory, in millions of bytes, that decoding may need; threads that read photos at
            the same time share it, and wait for each other.
        room: Holds the photo's share of that memory until it is closed, where the caller wants to keep it
            while the photo is prepared, and can end the reading.

    Raises:
        PhotoError: The photo cannot be read; the reason is a sentence for its owner.
        TypeError: The source is none of the above.

    Example:
        >>> import numpy as np
        >>> open_photo(np.zeros((2, 3), np.uint8), name="dark").image.size
        (3, 2)
    """
    limits = Limits(max_pixels, max_bytes, decode_seconds, round(decode_memory_mb * 1e6))
    name = None if name is None else display_name(name)
    with quiet_image_libraries():
        if isinstance(source, np.ndarray):
            name = "array" if name is None else name
            if source.ndim >= 2:
                check_size((source.shape[1], source.shape[0]), name=name, max_pixels=max_pixels)
            return _upright(image_from_array(source, name=name), name=name)
        if isinstance(source, Image.Image):
            name = _image_name(source) if name is None else name
            check_size(source.size, name=name, max_pixels=max_pixels)
            load(source, what="an image", name=name)
            return _upright(source, name=name)
        with Room() if room is None else nullcontext(room) as room:
            try:
                if _is_large(source):
                    room.take(limits.decode_bytes, limits)
                name, data = _read(source, name, max_bytes)
                *loaded, format_key = decode(data, name=name, limits=limits, room=room)
            except DecodingEnded as error:
                raise PhotoError("photo" if name is None else name, f"was not read: {error}") from error
            del data
            # The decoders of TIFF and HEIF turn the pixels themselves.
            return _upright(loaded.pop(), name=name, orientable=format_key not in ("tiff", "heif"), own=True)


def _upright(image: Image.Image, *, name: str, orientable: bool = True, own: bool = False) -> Photo:
    """Return a loaded image as a photo, in RGB and turned as its metadata says.

    An own image is given up as soon as it can be: so no more than two ever exist.
    """
    turn, exif_gps = read_exif(image)
    mode = image.mode
    try:
        turned = turn is not None and orientable
        rgb = to_rgb(image, copy=not (own and turned))
        del image
        if turn is not None and orientable:
            rgb = rgb.transpose(turn)
    except MemoryError as error:
        raise PhotoError(name, "the image is too large for the memory of this machine") from error
    except (ValueError, OSError) as error:
        raise PhotoError(name, f"its colours ({mode}) cannot be read; save it as an RGB image") from error
    return Photo(name=name, image=rgb, exif_gps=exif_gps)


def _is_large(source: Any) -> bool:  # noqa: ANN401 - any source
    """Return whether a path leads to a file so large that its bytes count."""
    if not isinstance(source, (str, os.PathLike)):
        return False
    try:
        found = Path(source).stat()
    except (OSError, ValueError):
        return False  # said when it is opened
    return not stat.S_ISREG(found.st_mode) or found.st_size > LARGE_FILE_BYTES


def _read(source: Any, name: str | None, max_bytes: int) -> tuple[str, bytes]:  # noqa: ANN401 - narrowed here
    """Return the name and the bytes of a source that is no image yet."""
    if isinstance(source, (str, os.PathLike)):
        return read_path(os.fsdecode(source), name=name, max_bytes=max_bytes)
    if isinstance(source, (bytes, bytearray, memoryview)):
        name = "bytes" if name is None else name
        size = memoryview(source).nbytes
        if size > max_bytes:
            raise PhotoError(name, too_many_bytes(size, max_bytes))
        return name, bytes(source)
    if isinstance(source, StdinPhoto):
        name = source.name if name is None else name
        source = source.stream
    elif not callable(getattr(source, "read", None)):
        raise TypeError(
            "a photo is a path, bytes, a binary file object, a PIL image or a NumPy array, "
            f"not {type(source).__name__}"
        )
    if name is None:
        stream_name = getattr(source, "name", None)
        name = display_name(stream_name) if isinstance(stream_name, (str, Path)) else "file object"
    try:
        return name, read_stream(source, name=name, max_bytes=max_bytes)
    except (OSError, ValueError) as error:  # ValueError: the file object is closed
        raise PhotoError(name, f"cannot be read: {error}") from error


def _image_name(image: Image.Image) -> str:
    filename = getattr(image, "filename", "")
    return display_name(filename) if isinstance(filename, str) and filename else "image"


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


def thumbnail(image: Image.Image, *, max_side_px: int = 640, quality: int = 82) -> bytes:
    """Return a JPEG of a photo, scaled down to fit, never up, and without any metadata.

    Args:
        image: The photo, upright; it is not changed.
        max_side_px: Longest side of the result.
        quality: JPEG quality, 1 to 95.

    Raises:
        ValueError: `max_side_px` or `quality` is out of range.
    """
    if max_side_px < 1:
        raise ValueError(f"max_side_px must be at least 1, not {max_side_px}")
    if not 1 <= quality <= 95:
        raise ValueError(f"quality must lie in 1 to 95, not {quality}")
    scale = min(1.0, max_side_px / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = to_rgb(image) if image.mode != "RGB" else image
    # reducing_gap skips most of the work for large photos; nobody measures a thumbnail.
    small = small.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    small.info = {}  # resize hands on comments and resolutions, and the JPEG writer would store them
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


READ_AHEAD: Final = 2
"""Photos that are read while the ones before them are looked at."""

DECODER = "whyhere-decoder"
"""How the names of threads that decode photos begin."""

_THREADS: Final = 2

T = TypeVar("T")


def prepared_ahead(
    photos: Iterable[PhotoSource], prepare: Callable[[PhotoSource, Room], T]
) -> Iterator[T | PhotoError]:
    """Yield what becomes of photos, in their order; the next ones are read meanwhile.

    In the place of a photo that cannot be read stands its error. Whoever stops early, as by Ctrl-C, does not
    wait for photos that nobody wants any more.

    Args:
        photos: The photos, read lazily.
        prepare: Reads one photo with `open_photo(..., room=...)` and makes something small of it: several
            photos at full size would not fit into memory. Called in threads.
    """
    waiting = iter(photos)
    ended = threading.Event()
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix=DECODER)

    def prepared(photo: PhotoSource) -> T | PhotoError:
        try:
            with Room(ended) as room:
                return prepare(photo, room)
        except PhotoError as error:
            return error

    def submit() -> list[Future[T | PhotoError]]:
        return [pool.submit(prepared, photo) for photo in islice(waiting, READ_AHEAD)]

    try:
        batch = submit()
        while batch:
            following = submit()
            yield from [future.result() for future in batch]
            batch = following
    finally:
        ended.set()
        pool.shutdown(wait=False, cancel_futures=True)
