"""From photos to an alignment in closed form: a ridge head, patterns, codes and columns. No torch, no seed.

A head maps the whole embedding of a photo to the location space by ridge regression. Patterns are what
embeddings are made of where photos show a concept; codes write photos in patterns; columns say where photos
with such codes are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment._closed_form import PhotoCodeAlignment
from whyhere.alignment._codes import Landmarks, no_landmarks, sparse_codes
from whyhere.stats import dual_ridge

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RidgeHead:
    """A linear map from centred image features into the centred location space.

    Attributes:
        weights: Shape (512, p).
        feature_mean: Shape (p,).
        location_mean: Shape (512,).
    """

    weights: Doubles
    feature_mean: Doubles
    location_mean: Doubles


def fit_ridge(
    features: Doubles, targets: Doubles, *, penalty: float, weights: Doubles | None = None
) -> RidgeHead:
    """Fit a head by kernel ridge regression.

    Both sides are centred and every photo is scaled to unit length, so that `penalty` means the same for
    any tower.

    Args:
        features: Image features of the photos, shape (n, p).
        targets: Unit location embeddings of where they were taken, shape (n, 512).
        penalty: Ridge penalty (lambda), above 0.
        weights: How much each photo counts, shape (n,); alike by default.
    """
    feature_mean, location_mean = features.mean(axis=0), targets.mean(axis=0)
    x, y = _unit(features - feature_mean), _unit(targets - location_mean)
    if weights is not None:
        root = np.sqrt(weights / weights.mean())[:, None]
        x, y = x * root, y * root
    return RidgeHead(dual_ridge(x, y, penalty).T, feature_mean, location_mean)


@dataclass(frozen=True, slots=True)
class ConceptPatterns:
    """What photos tell about concept directions.

    Attributes:
        columns: Unit patterns, shape (d, k).
        spread: Standard deviation of every detection <e, x> over the photos, shape (k,).
    """

    columns: Doubles
    spread: Doubles


def concept_patterns(directions: Doubles, embeddings: Doubles) -> ConceptPatterns:
    """Turn directions that detect concepts into patterns that embeddings are made of.

    A direction e tells how much of a concept a photo shows: <e, x>. How an embedding changes with the
    concept is another vector, cov(x) e (Haufe et al. 2014, "On the interpretation of weight vectors of
    linear models in multivariate neuroimaging"). For CLIP the difference is large: text directions lie
    beside the cone of the images and explain little of an embedding.

    Args:
        directions: Unit concept directions, one a column, shape (d, k).
        embeddings: Centred image embeddings of photos, shape (n, d).

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
    return ConceptPatterns(columns / lengths, spread)


@dataclass(frozen=True, slots=True)
class PhotoCodeRecipe:
    """What is chosen before photos are looked at; docs/base.md has what was measured.

    Attributes:
        penalty: l1 penalty of the codes.
        most: Most concepts of a photo.
        stiffness: How much patterns keep to what the concepts' own directions say of them.
        rounds: How often codes and patterns are learned from each other.
        head_penalty: Ridge penalty of the head.
        column_penalty: Ridge penalty of the columns, for each mean square of the codes.
        map_weight: Length of the part of a column that comes from an open map, as a part of the median
            length of columns.
    """

    penalty: float = 0.02
    most: int = 25
    stiffness: float = 1.0
    rounds: int = 3
    head_penalty: float = 1.0
    column_penalty: float = 3.0
    map_weight: float = 0.3


def fit_photo_code(
    concept_ids: Sequence[str],
    directions: Doubles,
    features: Doubles,
    targets: Doubles,
    recipe: PhotoCodeRecipe,
    *,
    weights: Doubles | None = None,
    maps: Doubles | None = None,
    landmarks: Landmarks | None = None,
) -> PhotoCodeAlignment:
    """Fit an alignment; all that it knows of photos comes from those given.

    Args:
        concept_ids: Ids of the k concepts.
        directions: Unit detectors of the concepts, one a column, shape (d, k).
        features: Unit image features, shape (n, d).
        targets: Unit location embeddings of the neighbourhoods where they were taken, shape (n, 512).
        recipe: What is chosen.
        weights: How much each photo counts for the head, shape (n,); alike by default.
        maps: Unit directions of the concepts on open maps, zeros without one, shape (512, k); see
            `whyhere.references.Grounding.directions`.
        landmarks: Landmarks made from the same photos.
    """
    head = fit_ridge(features, targets, penalty=recipe.head_penalty, weights=weights)
    centred = features - head.feature_mean
    x = _unit(centred)
    found = concept_patterns(directions, centred)
    patterns = learned_patterns(found.columns, x, recipe)
    y = _unit(targets - head.location_mean)
    columns = fit_columns(_codes(x, patterns, recipe.penalty, recipe.most), y, penalty=recipe.column_penalty)
    grounding: Doubles = np.zeros(columns.shape)
    if maps is not None:
        grounding = recipe.map_weight * float(np.median(np.linalg.norm(columns, axis=0))) * maps
    return PhotoCodeAlignment(
        concept_ids=tuple(concept_ids),
        feature_mean=head.feature_mean.astype(np.float32),
        location_mean=head.location_mean.astype(np.float32),
        head=head.weights.astype(np.float32),
        patterns=np.ascontiguousarray(patterns, np.float32),
        columns=np.ascontiguousarray(columns, np.float32),
        grounding=np.ascontiguousarray(grounding, np.float32),
        directions=np.ascontiguousarray(directions, np.float32),
        spread=found.spread.astype(np.float32),
        scale=1.0,
        penalty=recipe.penalty,
        most=recipe.most,
        places=landmarks or no_landmarks(features.shape[1], targets.shape[1]),
    )


def learned_patterns(start: Doubles, x: Doubles, recipe: PhotoCodeRecipe) -> Doubles:
    """Learn patterns from photos, without their places, near those that the concepts' directions give.

    In turn, photos are written in patterns and patterns fitted to the photos, as in dictionary learning
    (Olshausen and Field 1996), each pattern drawn back to where it started: min over P of
    |X - Z P^T|^2 + stiffness * sum_j use_j |p_j - start_j|^2, at unit length, with use_j = |z_j|^2.

    Args:
        start: Unit patterns, one a column, shape (d, k).
        x: Centred unit embeddings, shape (n, d).
        recipe: Penalty, stiffness and rounds.

    Returns:
        Unit patterns, shape (d, k).
    """
    patterns = start
    for _ in range(recipe.rounds):
        z = _codes(x, patterns, recipe.penalty, patterns.shape[1])
        use = (z**2).sum(axis=0)
        # A concept that hardly a photo shows keeps to its start.
        weight = recipe.stiffness * np.maximum(use, 0.1 * use.mean())
        patterns = _unit(np.linalg.solve(z.T @ z + np.diag(weight), z.T @ x + weight[:, None] * start.T)).T
    return patterns


def fit_columns(z: Doubles, y: Doubles, *, penalty: float) -> Doubles:
    """Regress places on codes.

    Args:
        z: Codes, shape (n, k).
        y: Centred unit location embeddings, shape (n, 512).
        penalty: Ridge penalty, for each mean square of a code.

    Returns:
        One column a concept, shape (512, k).
    """
    gram = z.T @ z
    gram[np.diag_indices_from(gram)] += penalty * np.trace(gram) / len(z)
    return np.asarray(np.linalg.solve(gram, z.T @ y).T, np.float64)


def _codes(x: Doubles, patterns: Doubles, penalty: float, most: int) -> Doubles:
    z = sparse_codes(x.astype(np.float32), patterns.astype(np.float32), penalty=penalty, most=most)
    return z.astype(np.float64)


def _unit(rows: Doubles) -> Doubles:
    unit: Doubles = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit
