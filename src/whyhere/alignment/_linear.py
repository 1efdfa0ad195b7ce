"""The Concept-Aware Alignment Module in closed form: a linear image head, told in concepts.

The head W maps the centred image features x into the location space, and the score of a place with centred
location embedding y is

    scale * <W x, y> / (|W x| |y|).

Every concept j has a detector e_j, which tells how much of it a photo shows: d_j = <e_j, x> / spread_j, in
standard deviations over the training photos, above 0 for more than the average photo. It has a pattern p_j,
how embeddings change with the concept, and therefore a direction in the location space, W p_j. Where an open
map knows the concept, the direction g_j in which it grows over the gallery is added, both at unit length:
b_j = W p_j + g_j. This is B = E + Delta of arXiv 2509.01910, Eq. 1, in closed form. f_img (Eq. 2) writes the
photo's answer as

    W x = B z_img + residual,   z_img sparse, with the sign of d in every entry,

so that the score is sum_j scale * z_img[j] z_loc[j] / (|W x| |y|) + remainder with z_loc = B^T y (Eq. 3),
exact for any z_img. The signs keep the names honest: a concept of which the photo shows more than usual can
only pull towards places that have it, one of which it shows less only away from them; and the fainter the
detection, the dearer it is to use the concept. What the named concepts cannot tell stays in the remainder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from whyhere.alignment._alignment import Contributions, Floats, ImageCode
from whyhere.alignment._cosines import centred_cosines, unit
from whyhere.alignment._sparse_code import sparse_code
from whyhere.alignment._tensors import SMALLEST, number, read_tensors
from whyhere.errors import MissingFileError

_TENSORS = ("head", "feature_mean", "location_mean", "directions", "patterns", "spread", "grounding")
_FAINTEST = 0.2
"""Detections below this many standard deviations are all equally dear."""
_TINY = 1e-12


def _none() -> Floats:
    return np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class LinearAlignment:
    """A linear head with a sparse concept code.

    Attributes:
        concept_ids: Ids of the k concepts.
        head: W, float32, shape (512, p).
        feature_mean: Mean of the image features in training, float32, shape (p,).
        location_mean: Mean of the unit location embeddings in training, float32, shape (512,).
        directions: E, unit detectors in the space of the first d features, float32, shape (d, k).
        scale: Factor on the cosine.
        penalty: l1 penalty of the code of a photo whose detections are one standard deviation.
        patterns: P, how the first d features change with each concept, float32, shape (d, k); E by default.
        spread: Standard deviation of every detection over the training photos, float32, shape (k,); 1 by
            default.
        grounding: G, unit directions of the concepts on open maps, zeros for those without one, float32,
            shape (512, k); zeros by default.
        basis: B = W P / |W P| + G with columns of unit length, float32, shape (512, k); derived.
    """

    concept_ids: tuple[str, ...]
    head: Floats
    feature_mean: Floats
    location_mean: Floats
    directions: Floats
    scale: float
    penalty: float
    patterns: Floats = field(default_factory=_none)
    spread: Floats = field(default_factory=_none)
    grounding: Floats = field(default_factory=_none)
    basis: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.patterns.size:
            object.__setattr__(self, "patterns", self.directions)
        if not self.spread.size:
            object.__setattr__(self, "spread", np.ones(self.directions.shape[1], np.float32))
        basis = _unit_columns(self.head[:, : self.patterns.shape[0]] @ self.patterns)
        if not self.grounding.size:
            object.__setattr__(self, "grounding", np.zeros_like(basis))
        object.__setattr__(self, "basis", _unit_columns(basis + self.grounding))

    @classmethod
    def load(cls, path: Path, config: Mapping[str, Any]) -> LinearAlignment:
        """Read the alignment from a release; see `load_alignment`."""
        tensors = read_tensors(path, _TENSORS, kind="linear")
        try:
            concept_ids = tuple(config["concept_ids"])
            scale, penalty = number(config, "scale", positive=True), number(config, "penalty")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise MissingFileError(
                f"{path.parent / 'config.json'}: the alignment section lacks or garbles {error}"
            ) from error
        _check(tensors, len(concept_ids), path)
        return cls(
            concept_ids=concept_ids,
            scale=scale,
            penalty=penalty,
            **{name: tensors[name] for name in _TENSORS},
        )

    @property
    def grounded(self) -> frozenset[str]:
        """Ids of the concepts with a direction on an open map: half of their column of B."""
        fitted = np.flatnonzero(np.any(self.grounding != 0, axis=0))
        return frozenset(self.concept_ids[column] for column in fitted)

    def encode_image(self, features: Floats) -> ImageCode:
        """Project the features of one photo, float32, shape (p,), onto the concepts."""
        detections = self.concept_agreements(features)
        query = self.head @ (features - self.feature_mean)
        length = max(float(np.linalg.norm(query)), _TINY)
        signs = np.where(detections < 0, -1, 1).astype(np.float32)
        penalties = (self.penalty / np.maximum(np.abs(detections), _FAINTEST)).astype(np.float32)
        code = sparse_code((query / length).astype(np.float32), self.basis * signs, penalty=penalties)
        z_img = (code * signs * length).astype(np.float32)
        return ImageCode(z_img, query - self.basis @ z_img)

    def scores(self, code: ImageCode, location_embeddings: Floats) -> Floats:
        """Score every place.

        Args:
            code: The photo.
            location_embeddings: Unit location embeddings, float32, shape (n, 512).

        Returns:
            scale * cosine between photo and centred place, float32, shape (n,).
        """
        query = self.basis @ code.z_img + code.residual
        # |y - m|^2 = 1 - 2 <y, m> + |m|^2 for unit y: no centred copy of the bank. Two products with one
        # vector take half the time of one with two columns, for which matrix kernels are not made.
        on_mean = location_embeddings @ self.location_mean
        norms = np.sqrt(np.maximum(1 - 2 * on_mean + self.location_mean @ self.location_mean, 1e-12))
        scale = self.scale / max(float(np.linalg.norm(query)), 1e-12)
        scores = scale * (location_embeddings @ query - self.location_mean @ query) / norms
        result: Floats = scores.astype(np.float32, copy=False)
        return result

    def contributions(self, code: ImageCode, location_embeddings: Floats) -> Contributions:
        """Split the scores of a few places into their summands.

        Args:
            code: The photo.
            location_embeddings: Unit location embeddings, float32, shape (m, 512).

        Returns:
            Summands whose sum equals `scores` to 1e-5.
        """
        y = location_embeddings - self.location_mean
        query_norm = max(float(np.linalg.norm(self.basis @ code.z_img + code.residual)), 1e-12)
        factor = self.scale / (query_norm * np.maximum(np.linalg.norm(y, axis=1), 1e-6))
        concepts = factor[:, None] * (y @ self.basis) * code.z_img
        return Contributions(
            concepts=concepts.astype(np.float32), remainder=(factor * (y @ code.residual)).astype(np.float32)
        )

    def location_concepts(self, location_embeddings: Floats) -> Floats:
        """Tell how much every place has of every concept.

        Args:
            location_embeddings: Unit location embeddings, float32, shape (n, 512).

        Returns:
            cos(y, B_j) of the centred place and the concept's direction, float32, shape (n, k).
        """
        return centred_cosines(location_embeddings, self.basis, self.location_mean)

    def location_direction(self, feature_direction: Floats) -> Floats:
        """Send a direction of the image embeddings to the location space.

        Args:
            feature_direction: Direction in the space of the first d features, such as a text's,
                float32, shape (d,).

        Returns:
            W t, unit length, float32, shape (512,).
        """
        return unit(self.head[:, : feature_direction.size] @ feature_direction)

    def location_cosines(self, direction: Floats, location_embeddings: Floats) -> Floats:
        """Return the cosine of every centred place, (n, 512), with a direction, (512,): float32, (n,)."""
        return centred_cosines(location_embeddings, direction[:, None], self.location_mean)[:, 0]

    def concept_agreements(self, features: Floats) -> Floats:
        """Tell how much of every concept one photo shows.

        Args:
            features: As in `encode_image`, float32, shape (p,).

        Returns:
            d, in standard deviations over the training photos, 0 for the average photo; float32, shape (k,).
        """
        x = (features - self.feature_mean)[: len(self.directions)]
        detections: Floats = (x @ self.directions / self.spread).astype(np.float32)
        return detections

    def concept_gradients(self, features: Floats) -> Floats:
        """Tell how `concept_agreements` change with the features.

        Not how z_img changes: a sparse code jumps, and a concept takes from its neighbours in it.

        Args:
            features: As in `encode_image`, float32, shape (p,).

        Returns:
            E over spread, zero for features beyond the first d; float32, shape (p, k).
        """
        gradients = np.zeros((features.size, len(self.concept_ids)), np.float32)
        gradients[: len(self.directions)] = self.directions / self.spread
        return gradients


def _unit_columns(columns: Floats) -> Floats:
    unit_columns: Floats = columns / np.maximum(np.linalg.norm(columns, axis=0), _TINY)
    return unit_columns


def _check(tensors: Mapping[str, Floats], k: int, path: Path) -> None:
    """Refuse tensors that do not fit each other and k concepts."""
    head, directions = tensors["head"], tensors["directions"]
    features, locations = tensors["feature_mean"], tensors["location_mean"]
    fits = (
        head.shape == (locations.size, features.size)
        and directions.ndim == 2
        and directions.shape[0] <= features.size
        and directions.shape[1] == k
        and tensors["patterns"].shape == directions.shape
        and tensors["spread"].shape == (k,)
        and tensors["grounding"].shape == (locations.size, k)
    )
    if not (
        fits
        and all(np.isfinite(tensors[name]).all() for name in _TENSORS)
        and (tensors["spread"] >= SMALLEST).all()
    ):
        raise MissingFileError(
            f"{path}: the tensors do not fit each other and {k} concepts, or are not finite"
        )
