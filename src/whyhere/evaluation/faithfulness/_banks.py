"""The control of the concept bank: the same alignment, with other directions than those of the concepts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import Alignment, LinearAlignment, PhotoCodeAlignment, no_landmarks, sparse_codes
from whyhere.errors import UsageError
from whyhere.evaluation.faithfulness._study import Study

Doubles = NDArray[np.float64]


class NeedsTraining(UsageError):
    """Another bank means another training for this kind of alignment."""


def with_bank(
    alignment: Alignment, directions: Doubles, embeddings: Doubles
) -> LinearAlignment | PhotoCodeAlignment:
    """Give an alignment another bank, made in the same way as its own.

    Args:
        alignment: Of kind "linear" or "photo-code".
        directions: Unit directions in the space of the image embeddings, one a column, shape (d, k).
        embeddings: Image embeddings that the alignment may have learned from, shape (n, d or wider).

    Returns:
        The same head behind the patterns of these directions; in a photo-code alignment the columns are
        learned from what that head says of the photos, and nothing has a map or is a landmark.

    Raises:
        NeedsTraining: The alignment is of another kind.
    """
    from whyhere.training import concept_patterns

    if isinstance(alignment, PhotoCodeAlignment):
        return _recoded(alignment, directions, embeddings)
    if not isinstance(alignment, LinearAlignment):
        raise NeedsTraining(
            "random banks of this kind of alignment must be trained; put them into --held-out DIR/random/00 "
            "to 19"
        )
    d = len(directions)
    patterns = concept_patterns(directions, embeddings[:, :d] - alignment.feature_mean[:d])
    return replace(
        alignment,
        concept_ids=tuple(f"random-{number:03d}" for number in range(directions.shape[1])),
        directions=np.ascontiguousarray(directions, np.float32),
        patterns=np.ascontiguousarray(patterns.columns, np.float32),
        spread=patterns.spread.astype(np.float32),
        grounding=np.empty(0, np.float32),  # what has no meaning has no map
    )


def _recoded(alignment: PhotoCodeAlignment, directions: Doubles, embeddings: Doubles) -> PhotoCodeAlignment:
    from whyhere.training import PhotoCodeRecipe, concept_patterns, fit_columns, learned_patterns

    recipe = PhotoCodeRecipe(penalty=alignment.penalty, most=alignment.most)
    centred = embeddings - alignment.feature_mean
    x = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    found = concept_patterns(directions, centred)
    patterns = learned_patterns(found.columns, x, recipe)
    z = sparse_codes(
        x.astype(np.float32), patterns.astype(np.float32), penalty=recipe.penalty, most=recipe.most
    ).astype(np.float64)
    said = x @ alignment.head.T.astype(np.float64)
    columns = fit_columns(z, said, penalty=recipe.column_penalty)
    return replace(
        alignment,
        concept_ids=tuple(f"random-{number:03d}" for number in range(directions.shape[1])),
        patterns=np.ascontiguousarray(patterns, np.float32),
        columns=np.ascontiguousarray(columns, np.float32),
        grounding=np.zeros(columns.shape, np.float32),  # what has no meaning has no map
        directions=np.ascontiguousarray(directions, np.float32),
        spread=found.spread.astype(np.float32),
        places=no_landmarks(x.shape[1], len(alignment.head)),
    )


def random_directions(d: int, k: int, *, seed: int) -> Doubles:
    """Draw k unit directions evenly from all directions of d dimensions, shape (d, k)."""
    directions = np.random.default_rng((seed, 41)).standard_normal((d, k))
    unit: Doubles = directions / np.linalg.norm(directions, axis=0)
    return unit


def random_alignments(study: Study, fold: int, *, draws: int, seed: int) -> tuple[Alignment, ...]:
    """Return a fold's alignments with random banks of as many concepts, the same banks for every fold.

    Raises:
        NeedsTraining: The kind of alignment needs trained ones, and the study has none.
    """
    if study.random_sets:
        return tuple(draw[fold] for draw in study.random_sets[:draws])
    alignment = study.alignments[fold]
    if not isinstance(alignment, (LinearAlignment, PhotoCodeAlignment)):
        raise NeedsTraining(
            "random banks of this kind of alignment must be trained; put them into --held-out DIR/random/00 "
            "to 19"
        )
    d, k = alignment.directions.shape
    embeddings = study.feature_rows(study.others(fold))
    return tuple(
        with_bank(alignment, random_directions(d, k, seed=seed * 1000 + draw), embeddings)
        for draw in range(draws)
    )
