"""Which photos belong together: pairs that are near, and what such pairs join (single linkage)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyhere.geo import EARTH_RADIUS_KM, unit_vectors

Ints = NDArray[np.intp]

_BLOCK = 2048


def near_pairs(lat: ArrayLike, lon: ArrayLike, within_km: float) -> Iterator[Ints]:
    """Yield the pairs of rows closer than a distance, the smaller row first, in blocks of shape (e, 2)."""
    directions = unit_vectors(lat, lon)
    # Chords, not cosines: they keep their digits at short distances.
    square = (2 * np.sin(min(within_km / EARTH_RADIUS_KM, np.pi) / 2)) ** 2
    for start in range(0, len(directions), _BLOCK):
        mine = directions[start : start + _BLOCK]
        cosines = mine @ directions[start:].T
        first, second = np.nonzero(2 - 2 * cosines < square * (1 + 1e-6) + 1e-12)
        first, second = first[first < second], second[first < second]
        chords = ((mine[first] - directions[start:][second]) ** 2).sum(axis=1)
        close = chords < square
        yield np.stack((first[close] + start, second[close] + start), axis=1)


def chains(groups: NDArray[np.integer]) -> Ints:
    """Return pairs of rows that join each group: one member to the next."""
    order = np.argsort(groups, kind="stable")
    joined = groups[order][1:] == groups[order][:-1]
    return np.stack((order[:-1][joined], order[1:][joined]), axis=1)


def components(count: int, edges: Ints) -> Ints:
    """Number the connected parts of a graph, in the order of their first members."""
    label = np.arange(count)
    while True:
        low = np.minimum(label[edges[:, 0]], label[edges[:, 1]])
        before = label.copy()
        for side in (0, 1):
            np.minimum.at(label, label[edges[:, side]], low)
            np.minimum.at(label, edges[:, side], low)
        label = label[label]
        if (label == before).all():
            numbers: Ints = np.unique(label, return_inverse=True)[1]
            return numbers
