"""Every colour mode to 8-bit RGB.

Embedded colour profiles are ignored, as by the processors of CLIP and GeoCLIP, on whose pixels the towers
were trained; and no profile from a stranger's file is ever interpreted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
