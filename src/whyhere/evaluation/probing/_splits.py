"""Which points are learned from and which are tested: at random, or whole regions at a time.

Neighbouring places are alike, so a random split asks for little more than interpolation. A blocked split
tests on regions that were not seen, and leaves a margin around them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import UsageError
from whyhere.evaluation.probing._task import Floats
from whyhere.geo import EARTH_RADIUS_KM, cells_of, unit_vectors, wrap_lon

Integers = NDArray[np.int64]

SAME_PLACE_DEG = 1e-4
"""Random folds never part positions that round to the same multiple of this (11 m)."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One division of the points.

    Attributes:
        train: Numbers of the points to learn from.
        test: Numbers of the points to test on.
    """

    train: Integers
    test: Integers


@dataclass(frozen=True, slots=True)
class Splitter:
    """Makes folds of one kind.

    Attributes:
        kind: "random" or "blocked".
        resolution: Blocks are H3 cells of this resolution: 0 is 4.4 million km2, 1 is 0.6 million km2.
        buffer_km: In blocked folds, nothing is learned from points nearer than this to a tested one.
    """

    kind: Literal["random", "blocked"]
    resolution: int = 1
    buffer_km: float = 100.0

    def folds(self, lat: Floats, lon: Floats, *, count: int, seed: int) -> list[Fold]:
        """Divide points so that each is tested exactly once.

        Args:
            lat: Latitudes in degrees, shape (n,).
            lon: Longitudes in degrees, shape (n,).
            count: Number of folds, 2 or more.
            seed: Seed of the division.

        Returns:
            The folds. In a random one, equal positions are on the same side; in a blocked one, so are whole
            cells, and points within `buffer_km` of a tested one are on neither.

        Raises:
            UsageError: There are fewer places or blocks than folds, or nothing is left to learn from.
        """
        blocked = self.kind == "blocked"
        group = blocks(lat, lon, resolution=self.resolution) if blocked else _places(lat, lon)
        fold_of = _deal(group, count, seed, what="blocks" if blocked else "different positions")
        folds = []
        for number in range(count):
            test = np.flatnonzero(fold_of == number)
            train = np.flatnonzero(fold_of != number)
            if blocked and self.buffer_km > 0:
                near = _nearest_km(lat[train], lon[train], lat[test], lon[test]) < self.buffer_km
                train = train[~near]
            if not len(train):
                raise UsageError(
                    "a blocked fold leaves nothing to learn from: all points lie within "
                    f"{self.buffer_km:g} km of a tested one; lower --buffer-km"
                )
            folds.append(Fold(train, test))
        return folds


def blocks(lat: Floats, lon: Floats, *, resolution: int) -> Integers:
    """Number the H3 cells that hold the points, from 0, shape (n,)."""
    _, number = np.unique(cells_of(lat, lon, resolution), return_inverse=True)
    return number.astype(np.int64).ravel()


def _places(lat: Floats, lon: Floats) -> Integers:
    """Number the different positions from 0; at a pole every longitude is the same place."""
    y = np.round(lat / SAME_PLACE_DEG).astype(np.int64)
    turn = round(360 / SAME_PLACE_DEG)
    x = np.round(wrap_lon(lon) / SAME_PLACE_DEG).astype(np.int64) % turn
    x = np.where(np.abs(y) >= round(90 / SAME_PLACE_DEG), 0, x)
    _, number = np.unique(np.column_stack((y, x)), axis=0, return_inverse=True)
    return number.astype(np.int64).ravel()


def _deal(group: Integers, count: int, seed: int, *, what: str) -> Integers:
    """Deal whole groups to folds in random order, each to the fold with the fewest points so far."""
    sizes = np.bincount(group)
    if len(sizes) < count:
        raise UsageError(f"{len(sizes)} {what} cannot make {count} folds; give more points or fewer --folds")
    fold_of_group = np.empty(len(sizes), np.int64)
    filled = np.zeros(count, np.int64)
    for number in np.random.default_rng(seed).permutation(len(sizes)):
        fold_of_group[number] = np.argmin(filled)
        filled[fold_of_group[number]] += sizes[number]
    return fold_of_group[group]


def _nearest_km(lat: Floats, lon: Floats, to_lat: Floats, to_lon: Floats) -> Floats:
    """Distance from each point to the nearest of others, shape (n,)."""
    from scipy.spatial import cKDTree

    chord, _ = cKDTree(unit_vectors(to_lat, to_lon)).query(unit_vectors(lat, lon))
    km: Floats = 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord / 2, 1.0))
    return km
