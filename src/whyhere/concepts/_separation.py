"""How well a few example photos tell a concept from other photos, measured on photos held out in pairs.

Every pair of an example and another photo is held out in turn, and the direction fitted on all the rest says
which of the two shows the concept (leave-pair-out, Airola et al. 2009, MLR 8): unlike pooled leave-one-out
predictions, whose offsets shift with the class of the photo left out, this has no bias on small samples. The
fits are never repeated: for ridge regression with an intercept the held-out residuals follow from the hat
matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere.stats import auroc_interval

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Separation:
    """Share of held-out pairs that are ordered rightly, ties counting half.

    Attributes:
        auroc: The share.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    auroc: float
    low: float
    high: float


def pair_separation(
    features: Array, shows: NDArray[np.bool_], judged: NDArray[np.bool_], *, ridge: float
) -> Separation:
    """Measure how well a ridge direction towards `shows` orders pairs of photos held out.

    Args:
        features: Features of all photos, [n, d].
        shows: Photos that show the concept, [n].
        judged: Photos that pairs are made of, [n]; at least one of them shows the concept and one does not.
        ridge: Strength relative to the mean eigenvalue of the centred Gram matrix of all photos.
    """
    count = len(features)
    centred = features - features.mean(axis=0)
    gram = centred @ centred.T
    strength = max(ridge * float(np.trace(gram)) / count, 1e-12)
    hat = gram @ np.linalg.inv(gram + strength * np.eye(count)) + 1 / count
    target = shows.astype(np.float64)
    residual = target - hat @ target
    i, j = np.flatnonzero(shows & judged)[:, None], np.flatnonzero(~shows & judged)[None, :]
    # Residuals with i and j both left out: (I - H_pair)^-1 r_pair, written out for two rows.
    a, b, c = 1 - hat[i, i], -hat[i, j], 1 - hat[j, j]
    determinant = np.maximum(a * c - b * b, 1e-12)
    guess_i = 1 - (c * residual[i] - b * residual[j]) / determinant
    guess_j = 0 - (a * residual[j] - b * residual[i]) / determinant
    gap = guess_i - guess_j
    auroc = float(np.mean(np.where(np.abs(gap) < 1e-12, 0.5, gap > 0)))
    found = auroc_interval(auroc, i.size, j.size)
    return Separation(found.value, found.low, found.high)
