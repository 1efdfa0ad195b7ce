"""The code of a photo: what it shows of the concepts, which landmarks it looks like, and what is left.

Landmarks: places that a photo looks like one of, as a bounded part of the score.

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
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment._tensors import SMALLEST, number

Floats = NDArray[np.float32]

_BLOCK = 8192  # rows of the gallery at a time
_TENSORS = ("landmark_photos", "landmark_of_photo", "landmark_places", "landmark_reach")
_NUMBERS = ("temperature", "threshold", "weight", "least")


@dataclass(frozen=True, slots=True)
class Similar:
    """A photo of a landmark that a photo looks like.

    Attributes:
        landmark: Number of the landmark in the release.
        photo: Number of the photo among those of the landmark.
        cosine: Similarity, at most 1.
    """

    landmark: int
    photo: int
    cosine: float


@dataclass(frozen=True, slots=True)
class ImageCode:
    """One photo as the alignment sees it.

    Attributes:
        z_img: Concept coefficients of the photo, float32, shape (k,).
        residual: What the named concepts leave over, in the location space, float32, shape (d,).
        landmarks: How much the photo looks like each landmark of the release, 0 to 1, float32, shape (s,);
            empty for releases without any.
        similar: The most similar photo of every landmark that is not at 0.
    """

    z_img: Floats
    residual: Floats
    landmarks: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    similar: tuple[Similar, ...] = ()


@dataclass(frozen=True, slots=True)
class Contributions:
    """The summands of the scores of m places for one photo.

    Attributes:
        concepts: Signed contribution of every concept, float32, shape (m, k).
        remainder: Contribution of what the concepts leave over, float32, shape (m,).
        landmark_rows: Numbers of the landmarks that the photo looks like, ascending, shape (a,).
        landmarks: Their contributions, float32, shape (m, a).
    """

    concepts: Floats
    remainder: Floats
    landmark_rows: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    landmarks: Floats = field(default_factory=lambda: np.empty((0, 0), np.float32))

    @property
    def scores(self) -> Floats:
        """Scores, float32, shape (m,): the sum of the parts, by definition."""
        total = self.concepts.sum(axis=1, dtype=np.float64) + self.remainder
        if self.landmarks.size:
            total += self.landmarks.sum(axis=1, dtype=np.float64)
        scores: Floats = total.astype(np.float32)
        return scores


def sparse_codes(
    embeddings: NDArray[np.float32],
    patterns: NDArray[np.float32],
    *,
    penalty: float | NDArray[np.float32],
    most: int | None = None,
    steps: int = 100,
    dtype: type[np.float32 | np.float64] = np.float32,
) -> NDArray[np.float32]:
    """Write embeddings as sparse non-negative sums of patterns.

    Minimises |x - E z|^2 / 2 + sum(penalty * z) over z >= 0, as SpLiCE does for CLIP (Bhalla et al. 2024,
    arXiv 2402.10376), by FISTA (Beck and Teboulle 2009) with a fixed number of steps, so that the result
    depends on nothing but its arguments.

    Args:
        embeddings: Shape (n, d).
        patterns: E, one pattern a column, shape (d, k).
        penalty: Weight of the l1 norm, one number or one a pattern, shape (k,); larger ones name fewer.
        most: Entries that each code keeps, the largest; the others become 0. All by default.
        steps: Number of FISTA steps.
        dtype: What to compute in.

    Returns:
        Codes, float32, shape (n, k), no entry negative. A code does not depend on the others beyond rounding.
    """
    e: NDArray[Any] = patterns.astype(dtype)
    gram, targets = e.T @ e, embeddings.astype(dtype) @ e - np.asarray(penalty, dtype)
    step = dtype(1.0 / max(float(np.linalg.eigvalsh(gram.astype(np.float64))[-1]), 1e-12))
    z = momentum = np.zeros_like(targets)
    t = 1.0
    for _ in range(steps):
        following = np.maximum(momentum + step * (targets - momentum @ gram), dtype(0))
        t_following = (1 + np.sqrt(1 + 4 * t * t)) / 2
        momentum = following + dtype((t - 1) / t_following) * (following - z)
        z, t = following, t_following
    if most is not None and most < z.shape[1]:
        order = np.argsort(-z, axis=1, kind="stable")
        np.put_along_axis(z, order[:, most:], dtype(0), axis=1)
    codes: NDArray[np.float32] = z.astype(np.float32, copy=False)
    return codes


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
        temperature, threshold, weight, least = (number(section, name) for name in _NUMBERS)
        fits = (
            photos.ndim == places.ndim == 2
            and of_photo.shape == photos.shape[:1]
            and reach.shape == places.shape[:1]
            and (reach >= SMALLEST).all()
            and (not len(of_photo) or (of_photo.min() >= 0 and of_photo.max() < len(places)))
            and all(np.isfinite(array).all() for array in (photos, places, reach))
            and temperature >= SMALLEST
            and least < 1
        )
        if not fits:
            raise ValueError("landmarks")
        return cls(photos, of_photo, places, reach, temperature, threshold, weight, least)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return what `read` takes from a release's tensors."""
        arrays = (self.photos, self.of_photo, self.places, self.reach)
        return {name: np.ascontiguousarray(array) for name, array in zip(_TENSORS, arrays, strict=True)}

    def section(self) -> dict[str, float]:
        """Return what `read` takes from a release's configuration."""
        return {name: getattr(self, name) for name in _NUMBERS}

    def activations(self, centred: Floats) -> Floats:
        """Say how much a photo, (d,), centred and of unit length, looks like each landmark: shape (s,)."""
        return self.look(centred)[0]

    def look(self, centred: Floats) -> tuple[Floats, tuple[Similar, ...]]:
        """Return the activations, shape (s,), and the most similar photo of every landmark not at 0."""
        if not len(self):
            return np.empty(0, np.float32), ()
        cosines = self.photos.astype(np.float32) @ centred
        highest = max(float(cosines.max(initial=-1.0)), self.threshold)
        weights = np.exp((cosines.astype(np.float64) - highest) / self.temperature)
        total = weights.sum() + np.exp((self.threshold - highest) / self.temperature)
        found = np.bincount(self.of_photo, weights / total, minlength=len(self))
        activations = np.where(found >= self.least, found, 0.0).astype(np.float32)
        similar = []
        for landmark in np.flatnonzero(activations).tolist():
            own = cosines[self.of_photo == landmark]
            similar.append(Similar(landmark, int(own.argmax()), float(own.max())))
        return activations, tuple(similar)

    def place_codes(self, landmarks: NDArray[np.intp], location_embeddings: Floats) -> Floats:
        """Say how near places, (m, 512), are to some landmarks, (a,): t, 0 to 1, float32, shape (m, a)."""
        sites = self.places[landmarks].astype(np.float32)
        codes = np.empty((len(location_embeddings), len(sites)), np.float32)
        if not len(sites):
            return codes
        squares = (sites**2).sum(axis=1)
        for start in range(0, len(codes), _BLOCK):
            y = location_embeddings[start : start + _BLOCK]
            squared = np.maximum(1.0 + squares - 2.0 * (y @ sites.T), 0.0)
            codes[start : start + _BLOCK] = np.exp(-np.sqrt(squared) / self.reach[landmarks])
        return codes


def no_landmarks(d: int, locations: int) -> Landmarks:
    """Return landmarks for a release that has none; photos are `d` wide, places `locations`."""
    photos, places = np.empty((0, d), np.float16), np.empty((0, locations), np.float16)
    return Landmarks(photos, np.empty(0, np.int32), places, np.empty(0, np.float32), 1.0, 0.0, 0.0, 0.0)
