"""From bytes to pixels: the only place that meets a decoder, and that turns its failures into sentences.

The decoder is chosen by content and called directly, not through `PIL.Image.open`: so only the formats
listed here can ever run, `max_pixels` holds without touching `PIL.Image.MAX_IMAGE_PIXELS` (which belongs
to the whole process), and HEIC needs no plugin registered with Pillow.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from typing import Any, Final, cast

from PIL import Image

from whyhere.errors import PhotoError
from whyhere.images._cost import Clock, DecodingEnded, Limits, Room, check_memory, has_endless_metadata
from whyhere.images._guarded_file import GuardedFile
from whyhere.images._heif_guard import has_sound_item_types
from whyhere.images._jpeg_guard import header_fault
from whyhere.images._quiet import silence_libtiff
from whyhere.images._sniff import sniff

MAX_ASPECT: Final = 100
"""Longest side over shortest at most; beyond it there is a line, not a picture."""

_DECODERS: Final = {
    "jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "png": ("PIL.PngImagePlugin", "PngImageFile"),
    "webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "tiff": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "gif": ("PIL.GifImagePlugin", "GifImageFile"),
    "bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "avif": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "heif": ("pi_heif", "HeifImageFile"),
}
_DNG_VERSION_TAG: Final = 50706
_NEW_SUBFILE_TYPE_TAG: Final = 254
_COMPRESSION_TAG: Final = 259
_STRIP_BYTE_COUNT_TAGS: Final = (279, 325)
_JPEG_COMPRESSIONS: Final = (6, 7)


def decode(data: bytes, *, name: str, limits: Limits, room: Room) -> tuple[Image.Image, str]:
    """Return the first frame of an image file, loaded, and its format key; orientation is not applied.

    Call it inside `quiet_image_libraries`.

    Args:
        data: The file.
        name: Name for errors.
        limits: What it may cost.
        room: Takes the memory that decoding will need.

    Raises:
        PhotoError: This is no image of a known format, it is damaged or truncated, too large, or takes
            too long.
    """
    if not data:
        raise PhotoError(name, "the file is empty (0 bytes)")
    content = sniff(data)
    if content.format is None:
        raise PhotoError(name, f"this is not a photo that can be read; it looks like {content.description}")
    what = content.description
    image_class = _image_class(content.format, name)
    if content.format == "heif" and not has_sound_item_types(data):
        raise PhotoError(name, "a HEIC image whose metadata is damaged, which its decoder would not survive")
    if has_endless_metadata(data):
        raise PhotoError(
            name, f"{what} whose metadata is damaged or hostile: it refers to itself again and again"
        )
    fault = header_fault(data) if content.format == "jpeg" else None
    if fault is not None:
        raise PhotoError(name, f"{what} that is damaged or hostile: {fault}")
    if content.format == "tiff":
        silence_libtiff()
    file = GuardedFile(data, Clock(limits.decode_seconds, room.ended))
    try:
        image = image_class(file)
    except DecodingEnded as error:
        raise PhotoError(name, f"{what} that is damaged or hostile: {error}") from error
    except Image.DecompressionBombError as error:
        raise PhotoError(name, f"{what} with too many pixels: {error}") from error
    except MemoryError as error:
        raise PhotoError(name, f"{what} too large for the memory of this machine") from error
    except Exception as error:  # decoders raise nearly everything on damaged headers
        detail = f" ({error})" if str(error) else ""
        raise PhotoError(
            name,
            f"it starts like {what}, but is damaged, truncated or of a variant that cannot be read{detail}",
        ) from error
    check_size(image.size, name=name, max_pixels=limits.pixels)
    if content.format == "tiff":
        _refuse_camera_raw(image, name)
        _refuse_repeated_strips(image, data, name)
    room.take(
        check_memory(image, format_key=content.format, file_bytes=len(data), name=name, limits=limits), limits
    )
    file.by_scan = content.format == "jpeg"
    load(image, what=what, name=name)
    return image, content.format


def check_size(size: tuple[int, int], *, name: str, max_pixels: int) -> None:
    """Raise `PhotoError` for a width and height in pixels that are empty, too large or far too long."""
    width, height = size
    if min(size) <= 0:
        raise PhotoError(name, f"the image has no pixels ({width} x {height})")
    if width * height > max_pixels:
        raise PhotoError(
            name,
            f"the image claims {width} x {height} = {width * height:,} pixels, more than the {max_pixels:,} "
            "allowed (max_pixels); scale it down first, or raise the limit if you trust it",
        )
    if max(size) > MAX_ASPECT * min(size):
        raise PhotoError(
            name,
            f"the image is a strip of {width} x {height} pixels; sides beyond {MAX_ASPECT}:1 show no scene",
        )


def load(image: Image.Image, *, what: str, name: str) -> None:
    """Decode the pixels of an opened image in place.

    Raises:
        PhotoError: The data ends too early, is damaged, or does not fit into memory.
    """
    try:
        image.load()
    except DecodingEnded as error:
        raise PhotoError(name, f"{what} that cannot be decoded in time: {error}") from error
    except MemoryError as error:
        raise PhotoError(name, f"{what} too large for the memory of this machine") from error
    except Exception as error:  # decoders raise nearly everything on damaged data
        detail = f" ({error})" if str(error) else ""
        raise PhotoError(name, f"{what} whose data is truncated or damaged{detail}") from error


def _image_class(format_key: str, name: str) -> Callable[[io.BytesIO], Image.Image]:
    module_name, class_name = _DECODERS[format_key]
    try:
        return cast(
            "Callable[[io.BytesIO], Image.Image]", getattr(importlib.import_module(module_name), class_name)
        )
    except ImportError as error:
        if format_key == "heif":
            reason = (
                'a HEIC image, which needs an extra decoder; install it with: pip install "whyhere[heic]"'
            )
            raise PhotoError(name, reason) from error
        raise PhotoError(name, f"this build of Pillow cannot read {format_key.upper()}: {error}") from error


def _refuse_camera_raw(image: Image.Image, name: str) -> None:
    """Refuse TIFF-based camera raw files: their first picture is a thumbnail or a sensor mosaic."""
    tags = getattr(image, "tag_v2", {})
    subfile_type = tags.get(_NEW_SUBFILE_TYPE_TAG, 0)
    is_preview = isinstance(subfile_type, int) and subfile_type & 1
    if _DNG_VERSION_TAG in tags or is_preview:
        raise PhotoError(
            name, "this looks like a camera raw file (its first picture is a preview); export it as JPEG"
        )


def _refuse_repeated_strips(image: Image.Image, data: bytes, name: str) -> None:
    """Refuse a TIFF whose strips or tiles overlap in the file: libtiff would unpack the same bytes again."""
    tags: Any = getattr(image, "tag_v2", {})
    for tag in _STRIP_BYTE_COUNT_TAGS:
        if tag not in tags:
            continue
        counts = tags[tag]
        counts = counts if isinstance(counts, tuple) else (counts,)
        claimed = sum(count for count in counts if isinstance(count, int))
        if claimed > 2 * len(data) + 1_000_000:
            raise PhotoError(
                name, f"a TIFF image whose parts claim {claimed:,} bytes of a file of {len(data):,}"
            )
        if tags.get(_COMPRESSION_TAG) in _JPEG_COMPRESSIONS and data.count(b"\xff\xda") > 16 + 4 * len(
            counts
        ):
            raise PhotoError(name, "a TIFF image whose JPEG data goes over the picture again and again")
