"""The one algebra of all alignments: a photo's code, a place's code, and the sum of their products.

    score(photo, y) = a z . t(y) + b r(y) + sum_s w a_s t_s(y)
    t(y) = B^T (y - m) / n_c(y),   r(y) = <residual, y - m> / n_r(y)

z and the residual are the photo's code, y is a unit location embedding, m their mean; a and b depend on the
photo alone, n_c and n_r on the place alone, and the last sum is over the landmarks that the photo looks like.
The summands are the explanation. Kinds of alignment differ in how they make a code of a photo, and in a, b
and n.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np

from whyhere.alignment._codes import Contributions, Floats, ImageCode, Landmarks, no_landmarks

TINY = 1e-12
_BLOCK = 8192  # rows of a gallery at a time: temporaries stay near 16 MB


@dataclass(frozen=True, eq=False)
class Alignment(ABC):
    """What turns image features into scores of places and their exact explanation.

    Attributes:
        concept_ids: Ids of the k concepts, in the order of every array.
        location_mean: m, mean of the unit location embeddings in training, float32, shape (512,).
        basis: B, directions of the concepts in the location space, float32, shape (512, k).
        places: Landmarks.
    """

    concept_ids: tuple[str, ...]
    location_mean: Floats = field(kw_only=True)
    basis: Floats = field(init=False, repr=False)
    places: Landmarks = field(kw_only=True, default_factory=lambda: no_landmarks(0, 0))
    _norms_of: list[tuple[Floats, Floats, Floats]] = field(init=False, repr=False, default_factory=list)

    @property
    def grounded(self) -> frozenset[str]:
        """Ids of the concepts whose location direction was fitted to an open map; of these it is no test."""
        return frozenset()

    def tower_problem(self, width: int) -> str | None:
        """Say why an image tower that gives embeddings of a width does not fit; None where it does."""
        return None

    @abstractmethod
    def encode_image(self, features: Floats) -> ImageCode:
        """Make the code of one photo from its features, shape (p,)."""

    @abstractmethod
    def concept_agreements(self, features: Floats) -> Floats:
        """Tell how much one photo, (p,), agrees with every concept, each for itself: shape (k,)."""

    @abstractmethod
    def concept_gradients(self, features: Floats) -> Floats:
        """Tell how `concept_agreements` change with the features of one photo, (p,): shape (p, k)."""

    @abstractmethod
    def location_direction(self, feature_direction: Floats) -> Floats:
        """Send a direction of the image embeddings, a text say, (d,), to the location space, (512,)."""

    @abstractmethod
    def factors(self, code: ImageCode) -> tuple[float, float]:
        """Return a and b."""

    def norms(self, centred: Floats) -> tuple[Floats, Floats]:
        """Return n_c and n_r of centred places, (n, 512): one array where they are the same."""
        lengths: Floats = np.maximum(np.linalg.norm(centred, axis=1), 1e-6)
        return lengths, lengths

    def gallery_norms(self, location_embeddings: Floats) -> tuple[Floats, Floats]:
        """Return n_c and n_r of a whole gallery without a centred copy: |y - m|^2 = 1 - 2 <y, m> + |m|^2."""
        squares = 1 - 2 * (location_embeddings @ self.location_mean) + self.location_mean @ self.location_mean
        lengths: Floats = np.sqrt(np.maximum(squares, TINY))
        return lengths, lengths

    def scores(self, code: ImageCode, location_embeddings: Floats) -> Floats:
        """Score every place: unit location embeddings, (n, 512), to float32, shape (n,).

        Norms of a gallery are kept after the first call, for one read-only array (a memory-mapped gallery
        is one); an array that can be written to is always measured anew.
        """
        a, b = self.factors(code)
        concept_norms, rest_norms = self._kept_norms(location_embeddings)
        # Centring the products is one subtraction; centring the gallery would copy it. A product with one
        # vector takes half the time of one with two columns, for which matrix kernels are not made.
        if concept_norms is rest_norms and a == b:
            query = self.basis @ code.z_img + code.residual
            scores = a * (location_embeddings @ query - self.location_mean @ query) / rest_norms
        else:
            named, rest = self.basis @ code.z_img * np.float32(a), code.residual * np.float32(b)
            scores = (location_embeddings @ named - self.location_mean @ named) / concept_norms
            scores += (location_embeddings @ rest - self.location_mean @ rest) / rest_norms
        if code.landmarks.any():
            scores += self.landmark_scores(code, location_embeddings)
        result: Floats = scores.astype(np.float32, copy=False)
        return result

    def landmark_scores(self, code: ImageCode, location_embeddings: Floats) -> Floats:
        """Return the part of the landmarks in the scores of places, (n, 512): float32, shape (n,)."""
        rows = np.flatnonzero(code.landmarks)
        weights = np.float32(self.places.weight) * code.landmarks[rows]
        scores: Floats = self.places.place_codes(rows, location_embeddings) @ weights
        return scores

    def contributions(self, code: ImageCode, location_embeddings: Floats) -> Contributions:
        """Split the scores of some places, (m, 512), into summands, which equal `scores` to 1e-5."""
        a, b = (np.float32(factor) for factor in self.factors(code))
        centred = location_embeddings - self.location_mean
        concept_norms, rest_norms = self.norms(centred)
        rows = np.flatnonzero(code.landmarks)
        weights = np.float32(self.places.weight) * code.landmarks[rows]
        return Contributions(
            concepts=((a / concept_norms)[:, None] * (centred @ self.basis) * code.z_img).astype(np.float32),
            remainder=(b / rest_norms * (centred @ code.residual)).astype(np.float32),
            landmark_rows=rows,
            landmarks=self.places.place_codes(rows, location_embeddings) * weights,
        )

    def place_codes(self, location_embeddings: Floats) -> Floats:
        """Return t(y) of places, (n, 512): what each has of every concept in the score, float32, (n, k)."""
        codes = np.empty((len(location_embeddings), len(self.concept_ids)), np.float32)
        for start in range(0, len(codes), _BLOCK):
            centred = location_embeddings[start : start + _BLOCK] - self.location_mean
            codes[start : start + _BLOCK] = centred @ self.basis / self.norms(centred)[0][:, None]
        return codes

    def place_rests(self, residual: Floats, location_embeddings: Floats) -> Floats:
        """Return r(y) of places, (n, 512), for the residual of a photo: float32, shape (n,)."""
        rests = location_embeddings @ residual - self.location_mean @ residual
        divided: Floats = (rests / self._kept_norms(location_embeddings)[1]).astype(np.float32, copy=False)
        return divided

    def location_concepts(self, location_embeddings: Floats) -> Floats:
        """Tell how much every place, (n, 512), has of every concept: cosines of y - m and B, (n, k)."""
        return self._cosines(location_embeddings, self.basis)

    def location_cosines(self, direction: Floats, location_embeddings: Floats) -> Floats:
        """Tell how much every place, (n, 512), has of a direction of the location space, (512,): (n,)."""
        return self._cosines(location_embeddings, direction[:, None])[:, 0]

    def _cosines(self, location_embeddings: Floats, columns: Floats) -> Floats:
        directions = columns / np.maximum(np.linalg.norm(columns, axis=0), TINY)
        cosines = np.empty((len(location_embeddings), columns.shape[1]), np.float32)
        for start in range(0, len(cosines), _BLOCK):
            centred = location_embeddings[start : start + _BLOCK] - self.location_mean
            lengths = np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), TINY)
            cosines[start : start + _BLOCK] = (centred @ directions) / lengths
        return cosines

    def _kept_norms(self, embeddings: Floats) -> tuple[Floats, Floats]:
        for array, concept_norms, rest_norms in self._norms_of:
            if array is embeddings:
                return concept_norms, rest_norms
        found = self.gallery_norms(embeddings)
        if not embeddings.flags.writeable:
            # The array itself is kept, so that no other array can take its identity.
            self._norms_of[:] = [(embeddings, *found)]
        return found


def unit(direction: Floats) -> Floats:
    """Return a direction at unit length; zeros stay zeros."""
    scaled: Floats = (direction / max(float(np.linalg.norm(direction)), TINY)).astype(np.float32)
    return scaled
