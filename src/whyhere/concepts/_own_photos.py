"""What a user's example photos show of a concept: a direction, and how well it holds on photos held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere.concepts._bridge import unit_rows
from whyhere.concepts._build import BuildRule, activation_vectors, correlation
from whyhere.concepts._separation import Separation, pair_separation

Array = NDArray[np.float64]

LEAST_PHOTOS = 5
"""Example photos below which a concept is weak, and below which other folders are no fair comparison."""


_ALIKE = 1e-6  # differences of unit embeddings below this are rounding


@dataclass(frozen=True, slots=True)
class Stack:
    """All photos of a bank, one below the other.

    Attributes:
        embeddings: Unit embeddings, [n, d]; [0, 0] without photos.
        owner: Concept that each is an example of, "" for the background, [n].
    """

    embeddings: Array
    owner: NDArray[np.str_]

    @classmethod
    def of(cls, ids: Sequence[str], photos: Mapping[str, Array], background: Array | None) -> Stack:
        """Stack the photos of concepts in the order of `ids`, the background last."""
        parts = [(key, photos[key]) for key in ids if len(photos.get(key, ()))]
        if background is not None and len(background):
            parts.append(("", background))
        if not parts:
            return cls(np.zeros((0, 0)), np.zeros(0, np.str_))
        owner = np.repeat([key for key, _ in parts], [len(part) for _, part in parts])
        return cls(np.concatenate([part for _, part in parts]).astype(np.float64), owner)

    def centred(self, mean: Array) -> Array:
        """Return the photos minus a mean embedding [d], unit length, [n, d]; zeros where nothing is left."""
        difference = self.embeddings.reshape(-1, mean.size) - mean
        difference[np.linalg.norm(difference, axis=1) < _ALIKE] = 0
        return unit_rows(difference)


@dataclass(frozen=True, slots=True)
class Seen:
    """The photo side of one concept.

    Attributes:
        vector: Direction of its examples, [d]; not of unit length.
        separation: How well it tells them from other photos; None without others.
        agreement: Correlation of the text direction with "is an example"; None without text or others.
        spread: Standard deviations of the text's and the photos' activations over all photos.
    """

    vector: Array
    separation: Separation | None
    agreement: float | None
    spread: tuple[float, float]


def seen_in(
    features: Array, owner: NDArray[np.str_], concept_id: str, worded: Array | None, rule: BuildRule
) -> Seen:
    """Learn a direction from the examples of one concept, and measure it on pairs held out.

    All photos take part in the fit. It is judged against the other concepts' photos, which come from the same
    hands, and against the background only where they are too few.

    Args:
        features: Centred unit embeddings of all photos, [n, d].
        owner: As in `Stack`.
        concept_id: The concept; at least one photo is its example.
        worded: Its text direction, [d], if there is one.
        rule: Strengths.
    """
    shows = owner == concept_id
    if shows.all():  # nothing to tell it from: the mean of the class, as far as that goes
        return Seen(unit_rows(features.mean(axis=0)), None, None, (0.0, 0.0))
    others = ~shows & (owner != "")
    judged = shows | (others if others.sum() >= LEAST_PHOTOS else ~shows)
    target = shows.astype(np.float64)
    centred = features - features.mean(axis=0)
    if np.abs(centred).max() < _ALIKE:  # nothing varies, so nothing can be learned
        return Seen(np.zeros(features.shape[1]), None, None, (0.0, 0.0))
    vector = activation_vectors(centred, (target - target.mean())[:, None], ridge=rule.ridge)[:, 0]
    separation = pair_separation(features, shows, judged, ridge=rule.ridge)
    if worded is None:
        return Seen(vector, separation, None, (0.0, 0.0))
    spoken, learned = features @ worded, features @ vector
    agreement = correlation(spoken[judged], target[judged])
    return Seen(vector, separation, agreement, (float(spoken.std()), float(learned.std())))
