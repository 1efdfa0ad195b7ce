"""From concept directions, which detect, to concept patterns, of which a photo's embedding is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ConceptPatterns:
    """What photos tell about concept directions.

    Attributes:
        columns: Unit patterns, shape (d, k).
        spread: Standard deviation of every detection <e, x> over the photos, shape (k,).
        cosines: Cosine of every pattern with the concept's own direction, shape (k,).
    """

    columns: NDArray[np.float64]
    spread: NDArray[np.float64]
    cosines: NDArray[np.float64]


def concept_patterns(directions: NDArray[np.float64], embeddings: NDArray[np.float64]) -> ConceptPatterns:
    """Turn directions that detect concepts into patterns that embeddings are made of.

    A direction e tells how much of a concept a photo shows: <e, x>. How an embedding changes with the
    concept is another vector, cov(x) e (Haufe et al. 2014, "On the interpretation of weight vectors of
    linear models in multivariate neuroimaging"). For CLIP the difference is large: text directions lie
    beside the cone of the images and explain little of an embedding.

    Args:
        directions: Unit concept directions, one a column, shape (d, k).
        embeddings: Centred image embeddings of photos, shape (n, d).

    Returns:
        The patterns.

    Raises:
        ValueError: A direction is not of unit length, or no photo shows more of a concept than another.
    """
    if not np.allclose(np.linalg.norm(directions, axis=0), 1.0, atol=1e-4):
        raise ValueError("concept directions must be of unit length")
    detections = embeddings @ directions
    spread = np.sqrt((detections**2).mean(axis=0))
    columns = embeddings.T @ detections
    lengths = np.linalg.norm(columns, axis=0)
    if not (spread > 1e-9).all() or not (lengths > 0).all():
        raise ValueError("every photo shows the same amount of a concept")
    columns /= lengths
    return ConceptPatterns(columns, spread, (columns * directions).sum(axis=0))
