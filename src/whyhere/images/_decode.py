"""From bytes to pixels: the only place that meets a decoder, and that turns its failures into sentences.

The decoder is chosen by content and called directly, not through `PIL.Image.open`: so only the formats
listed here can ever run, `max_pixels` holds without touching `PIL.Image.MAX_IMAGE_PIXELS` (which belongs
to the whole process), and HEIC needs no plugin registered with Pillow.
"""

from __future__ import annotations

import importlib
import io
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyhere.errors import PhotoError
from whyhere.geo import LatLon
from whyhere.images._find import sniff
from whyhere.images._limits import (
    Clock,
    DecodingEnded,
    GuardedFile,
    Limits,
    Room,
    check_memory,
    has_endless_metadata,
    has_sound_item_types,
    header_fault,
    silence_libtiff,
)

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


def image_from_array(array: NDArray[Any], *, name: str) -> Image.Image:
    """Return an array as a grey, RGB or RGBA image of 8 bits.

    Args:
        array: Shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); uint8, uint16 (full range), bool, or floats
            in [0, 1]. With pixels (`check_size`).
        name: Name for errors.

    Raises:
        PhotoError: Another shape or type, or floats that are not finite or outside [0, 1].
    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = "; this one has its channels first: array.transpose(1, 2, 0)"
        elif array.ndim == 4:
            hint = "; pass the photos of a batch one by one"
        shape = "x".join(map(str, array.shape)) or "no dimensions"
        raise PhotoError(name, f"the array must have shape (H, W), (H, W, 3) or (H, W, 4), not {shape}{hint}")
    if array.dtype == np.uint8:
        values = array
    elif array.dtype == np.bool_:
        values = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype == np.uint16:
        values = scale_integers(array, bits=16)
    elif np.issubdtype(array.dtype, np.floating):
        # Written so that NaN fails too.
        if not (array.min() >= 0 and array.max() <= 1):
            raise PhotoError(
                name, "the floats of the array must be finite and lie in [0, 1]; divide 0-255 by 255"
            )
        values = scale_unit_floats(array)
    else:
        raise PhotoError(
            name, f"the array must hold uint8, uint16, bool or floats in [0, 1], not {array.dtype}"
        )
    return Image.fromarray(np.ascontiguousarray(values))


_BITS_PER_SAMPLE_TAG = 258
_PHOTOMETRIC_TAG = 262
_WHITE_IS_ZERO = 0
_STRIP_PIXELS: Final = 1_000_000


def to_rgb(image: Image.Image, *, copy: bool = True) -> Image.Image:
    """Return a loaded image as RGB without metadata; transparency shows white.

    Integer greys of 16 bits are scaled from their full range, floats within [0, 1] from that range; other
    integers and floats have no agreed white, and are stretched from their minimum to their maximum.

    Args:
        image: The image, of any mode.
        copy: False where the image is the caller's to lose: it may then be returned itself, stripped.

    Raises:
        ValueError: The colour mode cannot be converted (such as LAB).
    """
    if image.mode.startswith("I") or image.mode == "F":
        image = _grey_to_8_bits(image)
    if image.has_transparency_data:
        rgb = Image.new("RGB", image.size)
        for top, strip in _strips(image):
            rgba = (strip.convert("LA") if strip.mode == "La" else strip).convert("RGBA")
            white = Image.new("RGBA", rgba.size, "white")
            white.alpha_composite(rgba)
            rgb.paste(white.convert("RGB"), (0, top))
    else:
        # Converting RGB to RGB copies, and spares the caller's image.
        rgb = image.convert("RGB") if copy or image.mode != "RGB" else image
    rgb.info = {}
    return rgb


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield an image from top to bottom, in strips with their first row.

    Arithmetic on all of it at once takes up to 45 bytes a pixel.
    """
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _grey_to_8_bits(image: Image.Image) -> Image.Image:
    """Return a grey image of other numbers with 8 bits."""
    grey = Image.new("L", image.size)
    # Missing values, signalling ones too, are no errors here.
    with np.errstate(invalid="ignore"):
        to_8_bits = _grey_scale(image)
        for top, strip in _strips(image):
            grey.paste(Image.fromarray(to_8_bits(np.asarray(strip))), (0, top))
    return grey


def _grey_scale(image: Image.Image) -> Callable[[NDArray[Any]], NDArray[np.uint8]]:
    """Return what makes 8 bits of the numbers of a grey image, judged by all of them."""
    if image.mode.startswith("I;16"):
        bits = _tiff_bits(image)
        if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO:
            # Pillow inverts such data at 8 bits, not at 16
            return lambda values: 255 - scale_integers(values, bits=bits)
        return lambda values: scale_integers(values, bits=bits)
    low, high, complete = _range(image)
    if image.mode == "I" and low >= 0 and 0xFF < high <= 0xFFFF:
        return lambda values: scale_integers(values, bits=16)  # 16-bit data in a wider box
    if image.mode == "F" and complete and low >= 0 and high <= 1:
        return scale_unit_floats
    return lambda values: _stretch(values, low, high)


def _range(image: Image.Image) -> tuple[float, float, bool]:
    """Return the lowest and highest finite number of a grey image, and whether all numbers are finite."""
    low, high, complete = math.inf, -math.inf, True
    for _, strip in _strips(image):
        values = np.asarray(strip)
        finite = np.isfinite(values)
        complete &= bool(finite.all())
        if finite.any():
            known = values[finite]
            low, high = min(low, float(known.min())), max(high, float(known.max()))
    return low, high, complete


def scale_integers(values: NDArray[Any], *, bits: int) -> NDArray[np.uint8]:
    """Return unsigned integers of `bits` bits rounded to 8 bits, any shape."""
    top = (1 << bits) - 1
    scaled = (values.astype(np.uint32) * 255 + top // 2) // top
    return cast("NDArray[np.uint8]", np.minimum(scaled, 255).astype(np.uint8))


def scale_unit_floats(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return floats in [0, 1] rounded to 8 bits, any shape."""
    return cast("NDArray[np.uint8]", np.rint(values.astype(np.float64) * 255).astype(np.uint8))


def _stretch(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    if low > high:  # no number is finite
        return np.zeros(values.shape, np.uint8)
    wide = values.astype(np.float64)
    wide = np.where(np.isfinite(wide), wide, low)  # missing values turn black
    return scale_unit_floats((wide - low) / ((high - low) or 1.0))


def _tiff_bits(image: Image.Image) -> int:
    """Return the bits in use of a 16-bit grey image: TIFF may hold 12, unscaled, in 16."""
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE_TAG, (16,))
    first = bits[0] if isinstance(bits, tuple) and bits else bits
    return first if isinstance(first, int) and 8 < first <= 16 else 16


_ORIENTATION_TAG: Final = 0x0112
_GPS_IFD_TAG: Final = 0x8825
_ROUNDING_DEG: Final = 1e-9  # 89 degrees 59 minutes 60 seconds are a rounding error more than 90
_GPS_LAT_REF, _GPS_LAT, _GPS_LON_REF, _GPS_LON = 1, 2, 3, 4

# EXIF 2.3, tag Orientation: how to turn the stored pixels upright.
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_exif(image: Image.Image) -> tuple[Image.Transpose | None, LatLon | None]:
    """Return the turn that makes a loaded image upright, if any, and the position it claims, if any.

    Call it inside `quiet_image_libraries`.
    """
    turn: Image.Transpose | None = None
    try:
        exif = image.getexif()
        orientation = exif.get(_ORIENTATION_TAG)
        if isinstance(orientation, int):
            turn = _TURNS.get(orientation)
        return turn, gps_position(exif.get_ifd(_GPS_IFD_TAG))
    except Exception:  # parsers of metadata raise nearly everything; the pixels are good all the same
        return turn, None


def gps_position(gps: Mapping[Any, Any]) -> LatLon | None:
    """Return the position in a GPS directory, or None where it holds none that can be trusted.

    None comes of missing or odd hemisphere letters, missing, negative or non-finite numbers, zero
    denominators, minutes or seconds beyond 60, values out of range, and of exactly (0, 0), which cameras
    without a fix write.

    Args:
        gps: EXIF GPS tags by number: 1 and 3 are the hemispheres, 2 and 4 degrees, minutes and seconds.
    """
    lat = _signed_degrees(gps.get(_GPS_LAT), gps.get(_GPS_LAT_REF), "NS", limit=90.0)
    lon = _signed_degrees(gps.get(_GPS_LON), gps.get(_GPS_LON_REF), "EW", limit=180.0)
    if lat is None or lon is None or lat == lon == 0.0:
        return None
    return LatLon(lat, lon)


def _signed_degrees(parts: Any, ref: Any, hemispheres: str, *, limit: float) -> float | None:  # noqa: ANN401
    if isinstance(ref, bytes):
        ref = ref.decode("ascii", "replace")
    letter = ref.strip(" \0").upper() if isinstance(ref, str) else ""
    if len(letter) != 1 or letter not in hemispheres:
        return None
    values = parts if isinstance(parts, (tuple, list)) else (parts,)
    if not 1 <= len(values) <= 3:
        return None
    degrees = 0.0
    for position, value in enumerate(values):
        number = _number(value)
        if number is None or number < 0 or (position > 0 and number > 60):
            return None
        degrees += number / 60**position
    if degrees > limit + _ROUNDING_DEG:
        return None
    degrees = min(degrees, limit)
    return degrees if letter == hemispheres[0] else -degrees


def _number(value: Any) -> float | None:  # noqa: ANN401
    """Return a rational, as Pillow gives it or as a pair, as a finite float."""
    try:
        if isinstance(value, (str, bytes, bool)):
            return None
        number = value[0] / value[1] if isinstance(value, tuple) and len(value) == 2 else value
        result = float(number)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return result if math.isfinite(result) else None
