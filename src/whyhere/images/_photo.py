"""A photo, opened: whatever it came from, an upright 8-bit RGB image under a name."""

from __future__ import annotations

import os
import stat
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyhere.errors import PhotoError
from whyhere.geo import LatLon
from whyhere.images._arrays import image_from_array
from whyhere.images._colour import to_rgb
from whyhere.images._cost import (
    DECODE_MEMORY_MB,
    DECODE_SECONDS,
    LARGE_FILE_BYTES,
    MAX_BYTES,
    MAX_PIXELS,
    DecodingEnded,
    Limits,
    Room,
)
from whyhere.images._decode import check_size, decode, load
from whyhere.images._display import display_name
from whyhere.images._exif import read_exif
from whyhere.images._find import StdinPhoto
from whyhere.images._quiet import quiet_image_libraries
from whyhere.images._read import read_path, read_stream, too_many_bytes

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
