"""From a ridge head and concept directions to the alignment of release `base`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import LinearAlignment
from whyhere.training._concept_patterns import concept_patterns
from whyhere.training._grounding import Grounding
from whyhere.training._ridge import RidgeHead


def closed_form_alignment(
    head: RidgeHead,
    concept_ids: Sequence[str],
    directions: NDArray[np.float64],
    features: NDArray[np.float64],
    *,
    penalty: float,
    grounding: Grounding | None = None,
) -> LinearAlignment:
    """Join a head and a bank; what the bank needs to know about photos comes from those given.

    Args:
        head: The head.
        concept_ids: Ids of the k concepts.
        directions: Unit concept directions in the space of the first d features, shape (d, k).
        features: Features of the photos that the head was fitted on, shape (n, p).
        penalty: l1 penalty of the concept code.
        grounding: Open maps; half of the direction of a concept that has one then comes from it.

    Returns:
        The alignment; its scores are the head's, whatever the bank.
    """
    patterns = concept_patterns(directions, (features - head.feature_mean)[:, : len(directions)])
    ground = np.zeros((len(head.location_mean), len(concept_ids)))
    if grounding is not None:
        ground = grounding.directions(concept_ids, head.location_mean)
    return LinearAlignment(
        concept_ids=tuple(concept_ids),
        head=head.weights.astype(np.float32),
        feature_mean=head.feature_mean.astype(np.float32),
        location_mean=head.location_mean.astype(np.float32),
        directions=np.ascontiguousarray(directions, np.float32),
        scale=1.0,
        penalty=penalty,
        patterns=np.ascontiguousarray(patterns.columns, np.float32),
        spread=patterns.spread.astype(np.float32),
        grounding=ground.astype(np.float32),
    )
