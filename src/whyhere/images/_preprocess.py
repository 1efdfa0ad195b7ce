"""From a photo to the pixels of an image tower, equal bit for bit to CLIP's own processor.

The processor meant is `CLIPImageProcessor` of the `transformers` package on its PIL backend: short side
to `size_px` by Pillow's bicubic filter, centre crop, 1/255, CLIP's mean and standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyhere.images._decode import to_rgb

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


CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)
RESAMPLING: Final = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True, slots=True)
class PreprocessSpec:
    """How an image tower wants its photos; the defaults are CLIP's.

    Attributes:
        size_px: Side of the square that the tower sees.
        mean: Mean of red, green and blue on the scale 0 to 1.
        std: Standard deviation of red, green and blue on the same scale.
        resample: "bicubic", "bilinear" or "lanczos".
        views: Views per photo, 1, 7 or 10 (see `preprocess`).

    Raises:
        ValueError: A field is none of these.
    """

    size_px: int = 224
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    resample: str = "bicubic"
    views: int = 1

    def __post_init__(self) -> None:
        if self.size_px < 1:
            raise ValueError(f"size_px must be at least 1, not {self.size_px}")
        if self.views not in VIEW_COUNTS:
            raise ValueError(f"views must be one of {', '.join(map(str, VIEW_COUNTS))}, not {self.views}")
        if self.resample not in RESAMPLING:
            raise ValueError(f"resample must be one of {', '.join(RESAMPLING)}, not {self.resample!r}")
        if len(self.mean) != 3 or len(self.std) != 3 or not all(value > 0 for value in self.std):
            raise ValueError(
                f"mean and std must be three numbers each, std positive, not {self.mean}, {self.std}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON knows them."""
        return {
            "size_px": self.size_px,
            "mean": list(self.mean),
            "std": list(self.std),
            "resample": self.resample,
            "views": self.views,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> PreprocessSpec:
        """Return the spec that `to_dict` wrote; unknown fields raise TypeError, bad values ValueError."""
        known = dict(fields)
        for key in ("mean", "std"):
            if key in known:
                known[key] = tuple(float(value) for value in known[key])
        return cls(**known)


def preprocess(image: Image.Image, spec: PreprocessSpec = PreprocessSpec()) -> NDArray[np.float32]:
    """Return the views of one photo, normalised, as float32 of shape (views, 3, size_px, size_px).

    The first view of 1 and of 7 is always CLIP's centre crop.

    - 1: CLIP's centre crop.
    - 7: centre, start and end of the long side; the whole photo squashed into the square; then start,
      middle and end of the long side once more, at 1.5 times the scale and centred across. Together they
      show the whole photo, its middle in finer detail. Made for this project.
    - 10: the ten crops of torchvision's `TenCrop` after a resize to 8/7 of the size (256 for 224): top
      left, top right, bottom left, bottom right, centre, and the same of the mirrored photo. GeoCLIP's
      paper evaluates with ten crops (averaging similarities, not embeddings); its package resizes to 256.

    An image more than 128 times as long as wide, which `open_photo` would refuse, is cut before it is
    resized, to bound the memory. Only then may pixels differ from CLIP's processor: Pillow chooses the
    order of its two passes, between which it rounds, by the size of the result.

    Args:
        image: A photo; `Photo.image`. Modes other than RGB are converted as `open_photo` does.
        spec: What the tower wants.
    """
    if image.mode != "RGB":
        image = to_rgb(image)
    crops = crops_of(image, views=spec.views, size_px=spec.size_px, resample=RESAMPLING[spec.resample])
    table = _normalised_levels(spec.mean, spec.std)
    pixels = np.empty((len(crops), 3, spec.size_px, spec.size_px), np.float32)
    for view, crop in enumerate(crops):
        for channel in range(3):
            np.take(table[channel], crop[:, :, channel], out=pixels[view, channel])
    return pixels


@lru_cache(maxsize=8)
def _normalised_levels(
    mean: tuple[float, float, float], std: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Return what each of the 256 levels becomes, float32 of shape (3, 256), in the reference's arithmetic.

    `transformers` rescales in float64, rounds to float32, then subtracts and divides in float32.
    """
    levels = (np.arange(256, dtype=np.float64) * (1 / 255)).astype(np.float32)
    means = np.array(mean, np.float32)[:, None]
    stds = np.array(std, np.float32)[:, None]
    table = (levels[None, :] - means) / stds
    table.flags.writeable = False
    return cast("NDArray[np.float32]", table)
