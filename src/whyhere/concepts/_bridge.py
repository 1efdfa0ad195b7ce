"""A small map from one CLIP text space to another, learned on words that have a row in both.

Used at build time only, where the text tower of the wanted space is out of reach but text rows of a sister
model are at hand (B/32 to B/16). It never sees a photo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TextBridge:
    """Ridge map between the centred rows of two text spaces.

    Attributes:
        source_mean: Mean of the source rows it was fitted on, [d].
        target_mean: Mean of the target rows, [e].
        weights: The map between centred rows, [d, e].
        reach: Quadratic form that tells how much of a centred source row the fitted words span, [d, d].
    """

    source_mean: Array
    target_mean: Array
    weights: Array
    reach: Array

    @classmethod
    def fit(cls, source: Array, target: Array, *, ridge: float) -> TextBridge:
        """Fit the map on paired rows.

        Args:
            source: Unit rows of the source space, [n, d].
            target: Unit rows of the same words in the target space, [n, e].
            ridge: Strength relative to the mean eigenvalue of the Gram matrix.

        Raises:
            ValueError: The rows are not paired, or too few.
        """
        if len(source) != len(target) or len(source) < 2:
            raise ValueError(f"expected two or more paired rows, got {len(source)} and {len(target)}")
        source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
        x, y = source - source_mean, target - target_mean
        gram = x @ x.T
        inverse = np.linalg.inv(gram + ridge * np.trace(gram) / len(x) * np.eye(len(x)))
        return cls(source_mean, target_mean, x.T @ inverse @ y, x.T @ inverse @ x)

    def centred(self, rows: Array) -> Array:
        """Map source rows [m, d] to centred target rows [m, e], not unit length."""
        mapped: Array = (rows - self.source_mean) @ self.weights
        return mapped

    def explained(self, rows: Array) -> Array:
        """Return the share, 0 to 1, of each source row [m, d] that the fitted words explain.

        One minus the relative posterior variance of the Gaussian process whose mean the ridge map is: low
        for words unlike all that the map was fitted on.
        """
        centred = rows - self.source_mean
        share: Array = np.sum((centred @ self.reach) * centred, axis=1) / np.sum(centred**2, axis=1)
        return share


def held_out_bridge(source: Array, target: Array, *, ridge: float, folds: int, seed: int) -> dict[str, Any]:
    """Measure a bridge on words it was not fitted on.

    Args:
        source: Paired source rows, [n, d].
        target: Paired target rows, [n, e].
        ridge: As in `TextBridge.fit`.
        folds: Number of random folds.
        seed: Of the folds.

    Returns:
        Means over words: `cosine` to the true row, `centred_cosine`, shares `first` and `five` of words whose
        true row is the nearest or among the five nearest of all n. Per word: `cosines` (centred), `explained`
        (see `TextBridge.explained`) and `rows`, the unit centred rows [n, e] guessed with the word held out.
    """
    fold = np.random.default_rng(seed).permutation(len(source)) % folds
    cosine, centred = np.empty(len(source)), np.empty(len(source))
    rank = np.empty(len(source), dtype=np.int64)
    explained, rows = np.empty(len(source)), np.empty_like(target)
    for held in range(folds):
        test = fold == held
        bridge = TextBridge.fit(source[~test], target[~test], ridge=ridge)
        guess = bridge.centred(source[test])
        truth = unit_rows(target - bridge.target_mean)
        cosine[test] = np.sum(unit_rows(guess + bridge.target_mean) * target[test], axis=1)
        similarity = unit_rows(guess) @ truth.T
        rows[test], explained[test] = unit_rows(guess), bridge.explained(source[test])
        own = similarity[np.arange(len(guess)), np.flatnonzero(test)]
        centred[test] = own
        rank[test] = np.sum(similarity > own[:, None], axis=1)
    return {
        "cosine": float(cosine.mean()),
        "centred_cosine": float(centred.mean()),
        "first": float(np.mean(rank == 0)),
        "five": float(np.mean(rank < 5)),
        "cosines": centred,
        "explained": explained,
        "rows": rows,
    }


def unit_rows(rows: Array) -> Array:
    """Return rows scaled to length one; rows of zeros stay zeros."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Array = rows / np.where(length == 0, 1.0, length)
    return scaled
