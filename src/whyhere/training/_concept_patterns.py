"""From concept directions, which detect, to concept patterns, of which a photo's embedding is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHRINKAGES = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
LEAST_COSINE = 0.5
"""What every pattern must keep of its concept, as cosine with the concept's direction."""


@dataclass(frozen=True, slots=True)
class ConceptPatterns:
    """Patterns of concepts in the space of image embeddings.

    Attributes:
        columns: Unit patterns, shape (d, k).
        shrinkage: How much of an identity was added to the covariance, relative to its mean variance.
        cosines: Cosine of every pattern with the concept's own direction, shape (k,).
    """

    columns: NDArray[np.float64]
    shrinkage: float
    cosines: NDArray[np.float64]


def concept_patterns(directions: NDArray[np.float64], embeddings: NDArray[np.float64]) -> ConceptPatterns:
    """Turn directions that detect concepts into patterns that embeddings are made of.

    A direction e tells how much of a concept a photo shows: <e, x>. How an embedding changes with the
    concept is another vector, cov(x) e (Haufe et al. 2014, "On the interpretation of weight vectors of
    linear models in multivariate neuroimaging"). For CLIP the difference is large: text directions lie
    beside the cone of the images and explain little of an embedding.

    The covariance is shrunk towards a multiple of the identity, by the least of `SHRINKAGES` that leaves
    every pattern a cosine of at least `LEAST_COSINE` with its direction: less would explain more of the
    photo, but under wrong names.

    Args:
        directions: Unit concept directions, one a column, shape (d, k).
        embeddings: Centred image embeddings of photos, shape (n, d).

    Returns:
        The patterns.

    Raises:
        ValueError: A direction is not of unit length, or no shrinkage keeps every pattern near its concept.
    """
    if not np.allclose(np.linalg.norm(directions, axis=0), 1.0, atol=1e-4):
        raise ValueError("concept directions must be of unit length")
    covariance = embeddings.T @ embeddings / len(embeddings)
    variance = float(np.trace(covariance)) / len(covariance)
    for shrinkage in SHRINKAGES:
        columns = covariance @ directions + shrinkage * variance * directions
        columns /= np.maximum(np.linalg.norm(columns, axis=0), 1e-12)
        cosines = (columns * directions).sum(axis=0)
        if cosines.min() >= LEAST_COSINE:
            break
    else:
        raise ValueError("no shrinkage keeps every pattern near its concept")
    return ConceptPatterns(columns, shrinkage, cosines)
