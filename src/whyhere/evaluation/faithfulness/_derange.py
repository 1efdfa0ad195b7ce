"""Shuffling names so that none keeps its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def derangements(count: int, draws: int, *, seed: int) -> list[NDArray[np.intp]]:
    """Draw permutations of `count` things in which nothing stays in its place.

    Args:
        count: At least 2.
        draws: How many.
        seed: Seed.

    Returns:
        Arrays of shape (count,).
    """
    rng = np.random.default_rng((seed, 43))
    found: list[NDArray[np.intp]] = []
    while len(found) < draws:
        order = rng.permutation(count)
        if (order != np.arange(count)).all():
            found.append(order)
    return found
