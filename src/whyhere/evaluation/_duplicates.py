"""Photos that show the same picture twice: equal perceptual hash, or nearly equal features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from whyhere.evaluation._linkage import chains, components
from whyhere.images import open_photo

_SIDE = 8
_BLOCK = 2048


def perceptual_hash(image: Image.Image) -> int:
    """Return 64 bits that scaling, recompressing and slight changes of tone leave alone.

    The difference hash: the photo, grey, 9 by 8 pixels, and whether each pixel is brighter than its right
    neighbour. (Neal Krawetz, "Kind of like that", 2013.)
    """
    grey = image.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX)
    pixels = np.asarray(grey, np.int16)
    return int.from_bytes(np.packbits(pixels[:, 1:] > pixels[:, :-1]).tobytes(), "big")


def photo_hashes(files: Sequence[Path]) -> list[int]:
    """Return the perceptual hash of photos.

    Raises:
        PhotoError: A photo cannot be read.
    """
    return [perceptual_hash(open_photo(file).image) for file in files]


def near_duplicates(
    features: NDArray[np.floating] | None, *, cosine: float, hashes: ArrayLike | None = None
) -> NDArray[np.intp]:
    """Group photos that are the same picture, by single linkage.

    Args:
        features: Unit features of photos, shape (n, p); None where only hashes are known.
        cosine: Photos whose features have at least this cosine are near-duplicates.
        hashes: Perceptual hashes; photos of equal hash are near-duplicates, shape (n,). A hash of 0, an even
            picture, says nothing.

    Returns:
        A number for each group, shape (n,); photos without a near-duplicate have one of their own.
    """
    edges: list[NDArray[np.intp]] = []
    count = 0
    if features is not None:
        count = len(features)
        unit = np.asarray(features, np.float32)
        for start in range(0, count, _BLOCK):
            first, second = np.nonzero(unit[start : start + _BLOCK] @ unit[start:].T >= cosine)
            keep = first < second
            edges.append(np.stack((first[keep] + start, second[keep] + start), axis=1))
    if hashes is not None:
        bits = np.asarray(hashes, np.uint64)
        count = len(bits)
        speaking = np.flatnonzero(bits)
        edges.append(speaking[chains(bits[speaking])])
    return components(count, np.concatenate([np.empty((0, 2), np.intp), *edges]))
