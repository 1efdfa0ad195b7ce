"""Which photos and which negatives a step sees: a function of the seed and the step, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import UsageError
from whyhere.geo import EARTH_RADIUS_KM, unit_vectors

Doubles = NDArray[np.float64]
Rows = NDArray[np.int64]

_ORDER, _SPLIT, _QUEUE, BATCH_NOISE, QUEUE_NOISE, SHARE = range(6)
_BLOCK_DEG = 10.0


def generator(seed: int, purpose: int, number: int = 0) -> np.random.Generator:
    """Return the generator of one purpose at one step or epoch."""
    return np.random.default_rng((seed, purpose, number))


@dataclass(frozen=True, slots=True)
class Examples:
    """Photos with their places.

    Attributes:
        features: Image features, float32, shape (m, p); may be a memory map.
        rows: Row of `features` of each photo, shape (n,).
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
    """

    features: NDArray[np.float32]
    rows: Rows
    lat: Doubles
    lon: Doubles

    def __len__(self) -> int:
        return len(self.lat)

    def take(self, photos: Rows) -> NDArray[np.float32]:
        """Return the features of some photos, read from the map now."""
        return np.asarray(self.features[self.rows[photos]], np.float32)


def split(lat: Doubles, lon: Doubles, *, share: float, blocks: bool, seed: int) -> tuple[Rows, Rows]:
    """Divide photos into training and validation.

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
        share: Share of the photos for validation, met from below by whole blocks.
        blocks: Hold out whole fields of 10 by 10 degrees, so that no validation photo has a neighbour in
            training; otherwise single photos.
        seed: Seed.

    Returns:
        Rows of the training and of the validation photos, rising.

    Raises:
        UsageError: Too few photos are left to train on.
    """
    rng, count = generator(seed, _SPLIT), len(lat)
    if blocks:
        columns = int(360 / _BLOCK_DEG)
        block = np.floor((lat + 90) / _BLOCK_DEG) * columns + np.floor((lon + 180) / _BLOCK_DEG)
        names, block_of = np.unique(block, return_inverse=True)
        sizes = np.bincount(block_of)
        held, room = np.zeros(len(names), bool), share * count
        for number in rng.permutation(len(names)):
            if sizes[number] <= room:
                held[number] = True
                room -= sizes[number]
        mask = held[block_of]
    else:
        mask = np.zeros(count, bool)
        mask[rng.permutation(count)[: int(share * count)]] = True
    training, validation = np.flatnonzero(~mask), np.flatnonzero(mask)
    if len(training) < 2:
        raise UsageError(f"{len(training)} photos are too few to train on; at least 2 must be left")
    return training, validation


def epoch_order(count: int, *, seed: int, epoch: int) -> Rows:
    """Return the order in which an epoch goes through the photos."""
    return generator(seed, _ORDER, epoch).permutation(count)


class Negatives:
    """A ring of coordinates, embedded anew each step.

    Args:
        size: Coordinates it holds.
        places: Where they come from before the batches, and with `from_places` always: latitude and
            longitude in degrees, shape (m, 2).
        from_places: Replace the oldest by random places instead of by the batch.
        seed: Seed.
    """

    def __init__(self, *, size: int, places: Doubles, from_places: bool, seed: int) -> None:
        self._places, self._from_places, self._seed = places, from_places, seed
        self.ring = places[generator(seed, _QUEUE).integers(len(places), size=size)]

    def push(self, batch: Doubles, *, step: int) -> None:
        """Replace the oldest coordinates after a step by the batch's, or by as many random places."""
        count = min(len(batch), len(self.ring))
        if self._from_places:
            rng = generator(self._seed, _QUEUE, step)
            batch = self._places[rng.integers(len(self._places), size=count)]
        self.ring = np.concatenate((self.ring[count:], batch[:count]))


def same_place(
    lat: Doubles, lon: Doubles, other_lat: Doubles, other_lon: Doubles, *, km: float
) -> NDArray[np.bool_]:
    """Tell which pairs of places lie within `km` of each other, shape (n, m); none for 0 km."""
    if km <= 0:
        return np.zeros((len(lat), len(other_lat)), bool)
    # |a - b|^2 = 2 - 2 <a, b>, and half the chord is the sine of half the angle.
    cosines = unit_vectors(lat, lon) @ unit_vectors(other_lat, other_lon).T
    near: NDArray[np.bool_] = 1 - cosines <= 2 * np.sin(km / (2 * EARTH_RADIUS_KM)) ** 2
    return near
