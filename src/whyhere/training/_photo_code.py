"""From photos to the alignment of `base`: patterns, codes, columns and a head, all in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import Landmarks, PhotoCodeAlignment, no_landmarks, sparse_codes
from whyhere.training._concept_patterns import concept_patterns
from whyhere.training._ridge import fit_ridge

Doubles = NDArray[np.float64]


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
            `Grounding.directions`.
        landmarks: Landmarks made from the same photos; see `make_landmarks`.

    Returns:
        The alignment.
    """
    head = fit_ridge(features, targets, penalty=recipe.head_penalty, weights=weights)
    centred = features - head.feature_mean
    x = _unit(centred)
    found = concept_patterns(directions, centred)
    patterns = learned_patterns(found.columns, x, recipe)
    z = sparse_codes(
        x.astype(np.float32), patterns.astype(np.float32), penalty=recipe.penalty, most=recipe.most
    ).astype(np.float64)
    y = _unit(targets - head.location_mean)
    columns = fit_columns(z, y, penalty=recipe.column_penalty)
    grounding: Doubles = np.zeros(columns.shape)
    if maps is not None:
        length = recipe.map_weight * float(np.median(np.linalg.norm(columns, axis=0)))
        grounding = np.asarray(length * maps, np.float64)
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
        z = sparse_codes(
            x.astype(np.float32),
            patterns.astype(np.float32),
            penalty=recipe.penalty,
            most=patterns.shape[1],
        ).astype(np.float64)
        use = (z**2).sum(axis=0)
        # A concept that hardly a photo shows keeps to its start.
        weight = recipe.stiffness * np.maximum(use, 0.1 * use.mean())
        gram = z.T @ z + np.diag(weight)
        patterns = _unit(np.linalg.solve(gram, z.T @ x + weight[:, None] * start.T)).T
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
    columns: Doubles = np.asarray(np.linalg.solve(gram, z.T @ y).T, np.float64)
    return columns


def _unit(rows: Doubles) -> Doubles:
    unit: Doubles = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit
