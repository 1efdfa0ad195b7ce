"""Cosines of places with directions of the location space: what a map of a concept or of a text shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from whyhere.alignment._alignment import Floats

_BLOCK = 8192  # rows at a time: the centred copy stays near 16 MB
_TINY = 1e-12


def centred_cosines(location_embeddings: Floats, columns: Floats, mean: Floats | None = None) -> Floats:
    """Return the cosine of every place with every direction.

    Args:
        location_embeddings: Unit location embeddings y, float32, shape (n, 512).
        columns: Directions, one a column, of any length, float32, shape (512, m).
        mean: What is taken off y first, float32, shape (512,); nothing by default.

    Returns:
        Cosines, float32, shape (n, m); 0 for a direction of no length.
    """
    directions = columns / np.maximum(np.linalg.norm(columns, axis=0), _TINY)
    cosines = np.empty((len(location_embeddings), columns.shape[1]), np.float32)
    for start in range(0, len(cosines), _BLOCK):
        y = location_embeddings[start : start + _BLOCK]
        if mean is not None:
            y = y - mean
        lengths = np.maximum(np.linalg.norm(y, axis=1, keepdims=True), _TINY)
        cosines[start : start + _BLOCK] = (y @ directions) / lengths
    return cosines


def unit(direction: Floats) -> Floats:
    """Return a direction at unit length; zeros stay zeros."""
    scaled: Floats = (direction / max(float(np.linalg.norm(direction)), _TINY)).astype(np.float32)
    return scaled
