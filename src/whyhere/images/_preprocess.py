"""From a photo to the pixels of an image tower, equal bit for bit to CLIP's own processor.

The processor meant is `CLIPImageProcessor` of the `transformers` package on its PIL backend: short side
to `size_px` by Pillow's bicubic filter, centre crop, 1/255, CLIP's mean and standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyhere.images._colour import to_rgb
from whyhere.images._views import VIEW_COUNTS, crops_of

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
