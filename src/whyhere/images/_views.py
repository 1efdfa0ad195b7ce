"""The squares that are cut from a photo for an image tower."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_WHOLE_ASPECT: Final = 128
"""Images longer than this, relative to their width, are never resized as a whole."""

_FINE_SCALE: Final = 1.5


def crops_of(
    image: Image.Image, *, views: int, size_px: int, resample: Image.Resampling
) -> list[NDArray[np.uint8]]:
    """Return the views of an RGB image, each uint8 of shape (size_px, size_px, 3); see `preprocess`."""
    return _VIEWS[views](image, size_px, resample)


def _one(image: Image.Image, size_px: int, resample: Image.Resampling) -> list[NDArray[np.uint8]]:
    width, height = _short_side_to(image.size, size_px)
    return _cut(image, (width, height), [_centre(width, height, size_px)], size_px, resample)


def _seven(image: Image.Image, size_px: int, resample: Image.Resampling) -> list[NDArray[np.uint8]]:
    crops: list[NDArray[np.uint8]] = []
    for short_px in (size_px, round(size_px * _FINE_SCALE)):
        width, height = _short_side_to(image.size, short_px)
        left, top = _centre(width, height, size_px)
        if width >= height:
            start, end = (0, top), (width - size_px, top)
        else:
            start, end = (left, 0), (left, height - size_px)
        crops += _cut(image, (width, height), [start, (left, top), end], size_px, resample)
    whole = np.asarray(image.resize((size_px, size_px), resample))
    return [crops[1], crops[0], crops[2], whole, *crops[3:]]


def _ten(image: Image.Image, size_px: int, resample: Image.Resampling) -> list[NDArray[np.uint8]]:
    width, height = _short_side_to(image.size, round(size_px * 8 / 7))
    right, bottom = width - size_px, height - size_px
    # torchvision rounds half to even where CLIP's processor rounds down.
    corners = [(0, 0), (right, 0), (0, bottom), (right, bottom)]
    centre = (round(right / 2), round(bottom / 2))
    # In the mirrored photo the left corner shows what was on the right.
    mirrored_corners = [(right, 0), (0, 0), (right, bottom), (0, bottom)]
    mirrored_centre = (right - round(right / 2), round(bottom / 2))
    offsets = [*corners, centre, *mirrored_corners, mirrored_centre]
    crops = _cut(image, (width, height), offsets, size_px, resample)
    return crops[:5] + [crop[:, ::-1] for crop in crops[5:]]


_VIEWS: Final = {1: _one, 7: _seven, 10: _ten}
VIEW_COUNTS: Final = tuple(_VIEWS)


def _short_side_to(size: tuple[int, int], short_px: int) -> tuple[int, int]:
    """Return (width, height) with the short side at `short_px`; the long one rounds down, as for CLIP."""
    width, height = size
    if width <= height:
        return short_px, int(short_px * height / width)
    return int(short_px * width / height), short_px


def _centre(width: int, height: int, size_px: int) -> tuple[int, int]:
    """Return (left, top) of CLIP's centre crop."""
    return (width - size_px) // 2, (height - size_px) // 2


def _cut(
    image: Image.Image,
    resized: tuple[int, int],
    offsets: Sequence[tuple[int, int]],
    size_px: int,
    resample: Image.Resampling,
) -> list[NDArray[Any]]:
    """Return the squares at (left, top) offsets of the image resized to (width, height)."""
    width, height = resized
    if max(resized) <= MAX_WHOLE_ASPECT * min(resized):
        whole = np.asarray(image.resize(resized, resample))
        return [whole[top : top + size_px, left : left + size_px] for left, top in offsets]
    x_scale, y_scale = image.width / width, image.height / height
    crops = []
    for left, top in offsets:
        right, bottom = left + size_px, top + size_px
        box = (
            left * x_scale,
            top * y_scale,
            min(right * x_scale, image.width),
            min(bottom * y_scale, image.height),
        )
        crops.append(np.asarray(image.resize((size_px, size_px), resample, box)))
    return crops
