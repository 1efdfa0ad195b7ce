"""The seam between the encoders and everything behind them.

A release may hold any kind of alignment: the callers know this protocol and nothing more, so that the next
release drops in without touching them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import MissingFileError

Floats = NDArray[np.float32]


def _none() -> Floats:
    return np.empty(0, np.float32)


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
    landmarks: Floats = field(default_factory=_none)
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


class Alignment(Protocol):
    """What turns image features into scores of places and their exact explanation."""

    @property
    def concept_ids(self) -> tuple[str, ...]:
        """Ids of the k concepts, in the order of every array."""
        ...

    @property
    def grounded(self) -> frozenset[str]:
        """Ids of the concepts whose location direction was fitted to an open map; of these it is no test."""
        ...

    def encode_image(self, features: Floats) -> ImageCode:
        """Project the features of one photo, shape (p,), onto the concepts."""
        ...

    def scores(self, code: ImageCode, location_embeddings: Floats) -> Floats:
        """Score every place: location embeddings of unit length, shape (n, 512), to shape (n,)."""
        ...

    def contributions(self, code: ImageCode, location_embeddings: Floats) -> Contributions:
        """Split the scores of a few places, shape (m, 512), into their summands."""
        ...

    def location_concepts(self, location_embeddings: Floats) -> Floats:
        """Tell how much every place has of every concept, (n, 512) to (n, k): cosines, no photo needed."""
        ...

    def location_direction(self, feature_direction: Floats) -> Floats:
        """Send a direction of the image embeddings, a text say, (d,), to the location space, (512,)."""
        ...

    def location_cosines(self, direction: Floats, location_embeddings: Floats) -> Floats:
        """Tell how much every place, (n, 512), has of a direction of the location space, (512,)."""
        ...

    def concept_agreements(self, features: Floats) -> Floats:
        """Tell how much one photo, (p,), agrees with every concept, each for itself: shape (k,)."""
        ...

    def concept_gradients(self, features: Floats) -> Floats:
        """Tell how `concept_agreements` change with the features of one photo, (p,): shape (p, k)."""
        ...


def load_alignment(path: Path, config: Mapping[str, Any]) -> Alignment:
    """Read the alignment of a release.

    Args:
        path: The release's `model.safetensors`.
        config: The `alignment` section of its `config.json`.

    Returns:
        The alignment.

    Raises:
        MissingFileError: The file is missing or does not fit the configuration, or `kind` is unknown.
    """
    from whyhere.alignment._geoclip import GeoClipAlignment
    from whyhere.alignment._linear import LinearAlignment

    kind = config.get("kind")
    if kind == "linear":
        return LinearAlignment.load(path, config)
    if kind == "geoclip":
        return GeoClipAlignment.load(path, config)
    if kind == "photo-code":
        from whyhere.alignment._photo_code import PhotoCodeAlignment

        return PhotoCodeAlignment.load(path, config)
    if kind == "caam":
        from whyhere.alignment._caam import ConceptAlignment

        return ConceptAlignment.load(path, config)
    raise MissingFileError(
        f"{path.parent / 'config.json'}: alignment kind {kind!r} is not known to this version of whyhere "
        "(known: photo-code, linear, geoclip, caam); update it with: pip install --upgrade whyhere"
    )
