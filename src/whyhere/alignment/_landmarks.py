"""Landmarks: places that a photo looks like one of, as a bounded part of the score.

Every photo that a release was trained on may have left its embedding. The activation of a landmark is how
much of a photo's resemblance is resemblance to photos of that place,

    a_s = sum_{i in s} exp(c_i / tau) / (sum_i exp(c_i / tau) + exp(c_0 / tau)),

with c_i the cosine between the centred photo and photo i: between 0 and 1, near 0 where nothing is similar
(c_0) and where many places are equally so. Its place code falls off around the place,

    t_s(y) = exp(-|y - y_s| / reach_s),

with y and y_s unit location embeddings of neighbourhoods, whose distance grows with the distance on Earth
(about .0024 a km for neighbourhoods of 100 km). The part in the score is weight * a_s * t_s(y).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment._tensors import SMALLEST, number

Floats = NDArray[np.float32]

_BLOCK = 8192  # rows of the gallery at a time
_TENSORS = ("landmark_photos", "landmark_of_photo", "landmark_places", "landmark_reach")
_NUMBERS = ("temperature", "threshold", "weight", "least")


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Places with photos of them.

    Attributes:
        photos: Centred unit embeddings of the photos, float16, shape (n, d).
        of_photo: Landmark of every photo, shape (n,).
        places: Unit location embeddings of the landmarks, float16, shape (s, 512).
        reach: Distance of location embeddings over which a landmark's part falls to 1/e, shape (s,).
        temperature: tau.
        threshold: c_0.
        weight: Largest part of the score.
        least: Activations below it are taken for 0.
    """

    photos: NDArray[np.float16]
    of_photo: NDArray[np.int32]
    places: NDArray[np.float16]
    reach: Floats
    temperature: float
    threshold: float
    weight: float
    least: float

    def __len__(self) -> int:
        return len(self.places)

    @classmethod
    def read(cls, tensors: Mapping[str, NDArray[Any]], section: Mapping[str, Any]) -> Landmarks:
        """Take them from a release's tensors and the `landmarks` part of its alignment section.

        Raises:
            KeyError: A tensor or number is missing.
            ValueError: They do not fit each other.
        """
        photos, of_photo, places, reach = (tensors[name] for name in _TENSORS)
        fits = (
            photos.ndim == places.ndim == 2
            and of_photo.shape == photos.shape[:1]
            and reach.shape == places.shape[:1]
            and (reach >= SMALLEST).all()
            and (not len(of_photo) or (of_photo.min() >= 0 and of_photo.max() < len(places)))
            and all(np.isfinite(array).all() for array in (photos, places, reach))
        )
        if not fits:
            raise ValueError("landmarks")
        temperature, threshold, weight, least = (number(section, name) for name in _NUMBERS)
        if not (temperature >= SMALLEST and least < 1):
            raise ValueError("landmarks")
        return cls(photos, of_photo, places, reach, temperature, threshold, weight, least)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return what `read` takes from a release's tensors."""
        arrays = (self.photos, self.of_photo, self.places, self.reach)
        return {name: np.ascontiguousarray(array) for name, array in zip(_TENSORS, arrays, strict=True)}

    def section(self) -> dict[str, float]:
        """Return what `read` takes from a release's configuration."""
        return {name: getattr(self, name) for name in _NUMBERS}

    def similarities(self, centred: Floats) -> Floats:
        """Return the cosine of a photo with every photo of a landmark: (d,) of unit length to (n,)."""
        cosines: Floats = self.photos.astype(np.float32) @ centred
        return cosines

    def activations(self, centred: Floats) -> Floats:
        """Say how much a photo, (d,), centred and of unit length, looks like each landmark: shape (s,)."""
        cosines = self.similarities(centred).astype(np.float64)
        highest = max(float(cosines.max(initial=-1.0)), self.threshold)
        weights = np.exp((cosines - highest) / self.temperature)
        total = weights.sum() + np.exp((self.threshold - highest) / self.temperature)
        found = np.bincount(self.of_photo, weights / total, minlength=len(self))
        return np.where(found >= self.least, found, 0.0).astype(np.float32)

    def best_photo(self, centred: Floats, landmark: int) -> tuple[int, float]:
        """Return which of a landmark's photos, counted from 0, is most similar to a photo, and its cosine."""
        rows = np.flatnonzero(self.of_photo == landmark)
        cosines = self.photos[rows].astype(np.float32) @ centred
        best = int(cosines.argmax())
        return best, float(cosines[best])

    def place_codes(self, landmarks: NDArray[np.intp], location_embeddings: Floats) -> Floats:
        """Say how near places, (m, 512), are to some landmarks, (a,): t, 0 to 1, float32, shape (m, a)."""
        sites = self.places[landmarks].astype(np.float32)
        codes = np.empty((len(location_embeddings), len(sites)), np.float32)
        squares = (sites**2).sum(axis=1)
        for start in range(0, len(codes), _BLOCK):
            y = location_embeddings[start : start + _BLOCK]
            squared = np.maximum(1.0 + squares - 2.0 * (y @ sites.T), 0.0)
            codes[start : start + _BLOCK] = np.exp(-np.sqrt(squared) / self.reach[landmarks])
        return codes


def no_landmarks(d: int, locations: int) -> Landmarks:
    """Return landmarks for a release that has none."""
    return Landmarks(
        np.empty((0, d), np.float16),
        np.empty(0, np.int32),
        np.empty((0, locations), np.float16),
        np.empty(0, np.float32),
        temperature=1.0,
        threshold=0.0,
        weight=0.0,
        least=0.0,
    )
