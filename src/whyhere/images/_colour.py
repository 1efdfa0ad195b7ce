"""Every colour mode to 8-bit RGB.

Embedded colour profiles are ignored, as by the processors of CLIP and GeoCLIP, on whose pixels the towers
were trained; and no profile from a stranger's file is ever interpreted.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BITS_PER_SAMPLE_TAG = 258
_PHOTOMETRIC_TAG = 262
_WHITE_IS_ZERO = 0


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
        if image.mode == "La":
            image = image.convert("LA")
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        white.alpha_composite(rgba)
        image = white
    # Converting RGB to RGB copies, and spares the caller's image.
    rgb = image.convert("RGB") if copy or image.mode != "RGB" else image
    rgb.info = {}
    return rgb


def _grey_to_8_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        grey = scale_integers(values, bits=_tiff_bits(image))
        if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO:
            grey = 255 - grey  # Pillow inverts such data at 8 bits, not at 16
    elif image.mode == "I" and values.min() >= 0 and 0xFF < values.max() <= 0xFFFF:
        grey = scale_integers(values, bits=16)  # 16-bit data in a wider box
    elif image.mode == "F" and np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1:
        grey = scale_unit_floats(values)
    else:
        grey = _stretch(values)
    return Image.fromarray(grey)


def scale_integers(values: NDArray[Any], *, bits: int) -> NDArray[np.uint8]:
    """Return unsigned integers of `bits` bits rounded to 8 bits, any shape."""
    top = (1 << bits) - 1
    scaled = (values.astype(np.uint32) * 255 + top // 2) // top
    return cast("NDArray[np.uint8]", np.minimum(scaled, 255).astype(np.uint8))


def scale_unit_floats(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return floats in [0, 1] rounded to 8 bits, any shape."""
    return cast("NDArray[np.uint8]", np.rint(values.astype(np.float64) * 255).astype(np.uint8))


def _stretch(values: NDArray[Any]) -> NDArray[np.uint8]:
    wide = values.astype(np.float64)
    finite = np.isfinite(wide)
    if not finite.any():
        return np.zeros(values.shape, np.uint8)
    low, high = wide[finite].min(), wide[finite].max()
    wide = np.where(finite, wide, low)  # missing values turn black
    return scale_unit_floats((wide - low) / ((high - low) or 1.0))


def _tiff_bits(image: Image.Image) -> int:
    """Return the bits in use of a 16-bit grey image: TIFF may hold 12, unscaled, in 16."""
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE_TAG, (16,))
    first = bits[0] if isinstance(bits, tuple) and bits else bits
    return first if isinstance(first, int) and 8 < first <= 16 else 16
