"""From bytes to pixels: the only place that meets a decoder, and that turns its failures into sentences.

The decoder is chosen by content and called directly, not through `PIL.Image.open`: so only the formats
listed here can ever run, `max_pixels` holds without touching `PIL.Image.MAX_IMAGE_PIXELS` (which belongs
to the whole process), and HEIC needs no plugin registered with Pillow.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from typing import Final, cast

from PIL import Image

from whyhere.errors import PhotoError
from whyhere.images._heif_guard import has_sound_item_types
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


def decode(data: bytes, *, name: str, max_pixels: int) -> tuple[Image.Image, str]:
    """Return the first frame of an image file, loaded, and its format key; orientation is not applied.

    Call it inside `quiet_image_libraries`.

    Raises:
        PhotoError: This is no image of a known format, it is damaged or truncated, or too large.
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
    try:
        image = image_class(io.BytesIO(data))
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
    check_size(image.size, name=name, max_pixels=max_pixels)
    if content.format == "tiff":
        _refuse_camera_raw(image, name)
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
