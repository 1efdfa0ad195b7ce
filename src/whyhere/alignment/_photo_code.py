"""The photo first: concepts that a photo shows, where photos with such concepts are, and what is left.

The centred image embedding x of a photo, of unit length, is written as a sum of few concept patterns,

    min over z >= 0 of |x - P z|^2 / 2 + penalty * sum(z),   the `most` largest entries kept,

as SpLiCE does for CLIP (Bhalla et al. 2024, arXiv 2402.10376). This is f_img of arXiv 2509.01910, Eq. 2, with
no place in it: nothing is told that the photo does not show. Every concept has a column b_j in the location
space, learned on such codes alone and, where there is an open map of the concept, on that: B = E + Delta of
Eq. 1 in closed form. The whole embedding says W x of the place; what of that the concepts do not say is the
remainder:

    q = W x = B z + residual,
    score = scale * <q, y> / (|q| |y|) + sum_s weight * a_s t_s(y)
          = sum_j scale * z[j] <b_j, y> / (|q| |y|) + remainder + landmarks

for a place with centred location embedding y: Eq. 3 with one summand a concept, exact for any z. Landmarks
are summands like concepts: an activation a_s of the photo times a code t_s of the place (`Landmarks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from whyhere.alignment._alignment import Contributions, Floats, ImageCode, Similar
from whyhere.alignment._cosines import centred_cosines, unit
from whyhere.alignment._landmarks import Landmarks, no_landmarks
from whyhere.alignment._sparse_code import sparse_codes
from whyhere.alignment._tensors import SMALLEST, number, read_tensors
from whyhere.errors import MissingFileError

_TENSORS = (
    "feature_mean",
    "location_mean",
    "head",
    "patterns",
    "columns",
    "grounding",
    "directions",
    "spread",
)
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class PhotoCodeAlignment:
    """A nonnegative sparse code of the photo, columns learned on it, a linear head, and landmarks.

    Attributes:
        concept_ids: Ids of the k concepts.
        feature_mean: Mean of the image features in training, float32, shape (d,).
        location_mean: Mean of the unit location embeddings in training, float32, shape (512,).
        head: W, what the whole embedding says of the place, float32, shape (512, d).
        patterns: P, unit patterns of the concepts, float32, shape (d, k).
        columns: Where photos with the concepts are, float32, shape (512, k).
        grounding: Where open maps have the concepts, zeros for those without one, float32, shape (512, k).
        directions: E, unit detectors of the concepts, float32, shape (d, k).
        spread: Standard deviation of every detection over the training photos, float32, shape (k,).
        scale: Factor on the cosine.
        penalty: l1 penalty of the code.
        most: Most concepts of a photo.
        places: Landmarks.
        basis: B, columns and grounding together, float32, shape (512, k); derived.
    """

    concept_ids: tuple[str, ...]
    feature_mean: Floats
    location_mean: Floats
    head: Floats
    patterns: Floats
    columns: Floats
    grounding: Floats
    directions: Floats
    spread: Floats
    scale: float
    penalty: float
    most: int
    places: Landmarks
    basis: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "basis", self.columns + self.grounding)

    @classmethod
    def load(cls, path: Path, config: Mapping[str, Any]) -> PhotoCodeAlignment:
        """Read the alignment from a release; see `load_alignment`."""
        tensors: dict[str, Any] = read_tensors(path, _TENSORS, kind="photo-code")
        try:
            concept_ids = tuple(config["concept_ids"])
            scale, penalty = number(config, "scale", positive=True), number(config, "penalty")
            most = int(config["most"])
            landmarks = no_landmarks(len(tensors["feature_mean"]), len(tensors["location_mean"]))
            if config.get("landmarks") is not None:
                landmarks = Landmarks.read(tensors, config["landmarks"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise MissingFileError(
                f"{path.parent / 'config.json'}: the alignment section lacks or garbles {error}"
            ) from error
        d, locations, k = len(tensors["feature_mean"]), len(tensors["location_mean"]), len(concept_ids)
        shapes = {
            "head": (locations, d), "patterns": (d, k), "columns": (locations, k),
            "grounding": (locations, k), "directions": (d, k), "spread": (k,),
        }  # fmt: skip
        fits = all(tensors[name].shape == shape for name, shape in shapes.items())
        finite = all(np.isfinite(tensors[name]).all() for name in _TENSORS)
        if not (fits and finite and (tensors["spread"] >= SMALLEST).all() and most >= 1):
            raise MissingFileError(
                f"{path}: the tensors do not fit each other and {k} concepts, or are not finite"
            )
        return cls(
            concept_ids=concept_ids,
            **{name: tensors[name].astype(np.float32) for name in _TENSORS},
            scale=scale,
            penalty=penalty,
            most=most,
            places=landmarks,
        )

    def tensors(self) -> dict[str, Floats]:
        """Return what `load` reads from `model.safetensors`."""
        own = {name: np.ascontiguousarray(getattr(self, name)) for name in _TENSORS}
        return own | (self.places.tensors() if len(self.places) else {})

    def section(self) -> dict[str, Any]:
        """Return what `load` reads from the `alignment` section of `config.json`."""
        return {
            "kind": "photo-code",
            "scale": self.scale,
            "penalty": self.penalty,
            "most": self.most,
            "landmarks": self.places.section() if len(self.places) else None,
            "concept_ids": list(self.concept_ids),
        }

    @property
    def grounded(self) -> frozenset[str]:
        """Ids of the concepts with a part from an open map; of these it is no test."""
        there = np.any(self.grounding != 0, axis=0)
        return frozenset(name for name, yes in zip(self.concept_ids, there, strict=True) if yes)

    def encode_image(self, features: Floats) -> ImageCode:
        """Write the features of one photo, float32, shape (d,), as concepts, landmarks and a rest."""
        x = unit(features - self.feature_mean)
        z_img = sparse_codes(x[None], self.patterns, penalty=self.penalty, most=self.most)[0]
        landmarks = self.places.activations(x)
        similar = (
            Similar(landmark, *self.places.best_photo(x, landmark))
            for landmark in np.flatnonzero(landmarks).tolist()
        )
        return ImageCode(z_img, self.head @ x - self.basis @ z_img, landmarks, tuple(similar))

    def scores(self, code: ImageCode, location_embeddings: Floats) -> Floats:
        """Score every place, unit location embeddings of shape (n, 512): float32, shape (n,)."""
        query = self.basis @ code.z_img + code.residual
        # |y - m|^2 = 1 - 2 <y, m> + |m|^2 for unit y: no centred copy of the bank.
        on_mean = location_embeddings @ self.location_mean
        norms = np.sqrt(np.maximum(1 - 2 * on_mean + self.location_mean @ self.location_mean, _TINY))
        scale = self.scale / max(float(np.linalg.norm(query)), _TINY)
        scores = scale * (location_embeddings @ query - self.location_mean @ query) / norms
        rows = np.flatnonzero(code.landmarks)
        if len(rows):
            scores += self.places.place_codes(rows, location_embeddings) @ (
                np.float32(self.places.weight) * code.landmarks[rows]
            )
        result: Floats = scores.astype(np.float32, copy=False)
        return result

    def contributions(self, code: ImageCode, location_embeddings: Floats) -> Contributions:
        """Split the scores of a few places, shape (m, 512), into summands that equal `scores` to 1e-5."""
        y = location_embeddings - self.location_mean
        query_norm = max(float(np.linalg.norm(self.basis @ code.z_img + code.residual)), _TINY)
        factor = self.scale / (query_norm * np.maximum(np.linalg.norm(y, axis=1), 1e-6))
        rows = np.flatnonzero(code.landmarks)
        weights = np.float32(self.places.weight) * code.landmarks[rows]
        return Contributions(
            concepts=(factor[:, None] * (y @ self.basis) * code.z_img).astype(np.float32),
            remainder=(factor * (y @ code.residual)).astype(np.float32),
            landmark_rows=rows,
            landmarks=self.places.place_codes(rows, location_embeddings) * weights,
        )

    def location_concepts(self, location_embeddings: Floats) -> Floats:
        """Return the cosines of centred places, (n, 512), with the columns of B: float32, (n, k)."""
        return centred_cosines(location_embeddings, self.basis, self.location_mean)

    def location_direction(self, feature_direction: Floats) -> Floats:
        """Send a direction of the image embeddings, a text say, (d,), to the location space, (512,)."""
        return unit(self.head @ feature_direction)

    def location_cosines(self, direction: Floats, location_embeddings: Floats) -> Floats:
        """Return the cosine of every centred place, (n, 512), with a direction, (512,): float32, (n,)."""
        return centred_cosines(location_embeddings, direction[:, None], self.location_mean)[:, 0]

    def concept_agreements(self, features: Floats) -> Floats:
        """Tell how much of every concept one photo, (d,), shows, each for itself.

        Returns:
            <e_j, x> over its spread, standard deviations over the training photos; float32, shape (k,).
        """
        agreements: Floats = ((features - self.feature_mean) @ self.directions / self.spread).astype(
            np.float32
        )
        return agreements

    def concept_gradients(self, features: Floats) -> Floats:
        """Tell how `concept_agreements` change with the features, (d,): E over spread, shape (d, k)."""
        return self.directions / self.spread
