"""NumPy arrays as photos."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyhere.errors import PhotoError
from whyhere.images._colour import scale_integers, scale_unit_floats


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
