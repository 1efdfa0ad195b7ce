"""The trained Concept-Aware Alignment Module at inference (arXiv 2509.01910, Eq. 1 to 3), in NumPy.

    z_img = f_img(x)              f_img: a linear path that starts as projection on E, plus a residual MLP
    z_loc = (A y)^T (E + Delta)   A: linear adapter from the location space, E: concept directions
    score = w_c <z_img, z_loc> / (|z_img| |z_loc|)  +  w_f <h(x), y> / (|h(x)| |y|)

with x the centred image features of unit length and y the centred location embedding. The second, feature
space term is there only where a release uses it (w_f > 0); it is the named remainder. Concept j contributes
w_c z_img[j] z_loc[j] / (|z_img| |z_loc|), so the parts add up to the score by construction. The torch twin is
`whyhere.training.ConceptAlignmentModule`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from whyhere.alignment._alignment import Contributions, Floats, ImageCode
from whyhere.alignment._cosines import centred_cosines, unit
from whyhere.alignment._tensors import number, read_tensors
from whyhere.errors import MissingFileError

_BLOCK = 8192  # rows of a gallery at a time: the temporaries stay near 16 MB
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Head:
    """A linear path plus a residual MLP with one hidden layer: x -> L x + b + O relu(H x + c).

    Attributes:
        linear: L, float32, shape (out, p).
        bias: b, float32, shape (out,).
        hidden: H, float32, shape (h, p); h may be 0.
        hidden_bias: c, float32, shape (h,).
        out: O, float32, shape (out, h).
    """

    linear: Floats
    bias: Floats
    hidden: Floats
    hidden_bias: Floats
    out: Floats

    def __call__(self, x: Floats) -> Floats:
        """Map one vector, shape (p,), to shape (out,)."""
        bent = np.maximum(self.hidden @ x + self.hidden_bias, 0)
        mapped: Floats = self.linear @ x + self.bias + self.out @ bent
        return mapped


HEAD_TENSORS = ("linear", "bias", "hidden", "hidden_bias", "out")
_TENSORS = (
    "directions", "delta", "adapter", "feature_mean", "location_mean",
    *(f"image.{name}" for name in HEAD_TENSORS),
    *(f"feature.{name}" for name in HEAD_TENSORS),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ConceptAlignment:
    """A trained module.

    Attributes:
        concept_ids: Ids of the k concepts.
        image: f_img, from centred unit features (p,) to concepts (k,).
        feature: h, from centred unit features (p,) to the location space (512,).
        directions: E, float32, shape (d, k).
        delta: Delta, the learned offset of E, float32, shape (d, k).
        adapter: A, float32, shape (d, 512).
        feature_mean: Mean of the image features in training, float32, shape (p,).
        location_mean: Mean of the unit location embeddings in training, float32, shape (512,).
        concept_weight: w_c; 0 where the release scores in feature space alone.
        feature_weight: w_f; 0 where it scores by concepts alone.
        normalise: Whether both terms are cosines; otherwise plain dot products.
        basis: M = A^T (E + Delta), float32, shape (512, k), so that z_loc = M^T y; derived.
    """

    concept_ids: tuple[str, ...]
    image: Head
    feature: Head
    directions: Floats
    delta: Floats
    adapter: Floats
    feature_mean: Floats
    location_mean: Floats
    concept_weight: float
    feature_weight: float
    normalise: bool
    basis: Floats = field(init=False, repr=False)
    _kept: list[tuple[Floats, Floats, Floats]] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        object.__setattr__(self, "basis", self.adapter.T @ (self.directions + self.delta))

    @classmethod
    def load(cls, path: Path, config: Mapping[str, Any]) -> ConceptAlignment:
        """Read the module from a release; see `load_alignment`."""
        tensors = read_tensors(path, _TENSORS, kind="caam")
        try:
            concept_ids = tuple(config["concept_ids"])
            weights = number(config, "concept_weight"), number(config, "feature_weight")
            normalise = bool(config["normalise"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise MissingFileError(
                f"{path.parent / 'config.json'}: the alignment section lacks or garbles {error}"
            ) from error
        _check(tensors, len(concept_ids), path)
        return cls(
            concept_ids=concept_ids,
            image=Head(*(tensors[f"image.{name}"] for name in HEAD_TENSORS)),
            feature=Head(*(tensors[f"feature.{name}"] for name in HEAD_TENSORS)),
            directions=tensors["directions"],
            delta=tensors["delta"],
            adapter=tensors["adapter"],
            feature_mean=tensors["feature_mean"],
            location_mean=tensors["location_mean"],
            concept_weight=weights[0],
            feature_weight=weights[1],
            normalise=normalise,
        )

    @property
    def grounded(self) -> frozenset[str]:
        """Ids of the concepts whose location direction was fitted to an open map: none."""
        return frozenset()

    @property
    def drift(self) -> Floats:
        """cos(B_j, E_j) of every concept, float32, shape (k,): 1 where a column kept its direction."""
        moved = self.directions + self.delta
        lengths = np.linalg.norm(moved, axis=0) * np.linalg.norm(self.directions, axis=0)
        cosines: Floats = (moved * self.directions).sum(axis=0) / np.maximum(lengths, _TINY)
        return cosines

    def encode_image(self, features: Floats) -> ImageCode:
        """Project the features of one photo, float32, shape (p,).

        Returns:
            The concept coefficients, and as residual the query h(x) of the feature space term (zeros where
            the release does not use it).
        """
        x, _ = self._unit(features)
        residual = self.feature(x) if self.feature_weight else np.zeros_like(self.location_mean)
        return ImageCode(self.image(x), residual)

    def scores(self, code: ImageCode, location_embeddings: Floats) -> Floats:
        """Score every place.

        Norms of a gallery are kept after the first call, for one read-only array (a memory-mapped gallery
        is one); an array that can be written to is always measured anew.

        Args:
            code: The photo.
            location_embeddings: Unit location embeddings, float32, shape (n, 512).

        Returns:
            The scores, float32, shape (n,).
        """
        concept_factor, feature_factor = self._image_factors(code)
        queries = np.stack((self.basis @ code.z_img * concept_factor, code.residual * feature_factor), axis=1)
        # Centring the queries' products is one subtraction; centring the gallery would copy it.
        products = location_embeddings @ queries - self.location_mean @ queries
        if not self.normalise:
            plain: Floats = products.sum(axis=1)
            return plain
        concept_norms, place_norms = self._norms(location_embeddings)
        scores: Floats = products[:, 0] / concept_norms + products[:, 1] / place_norms
        return scores.astype(np.float32, copy=False)

    def contributions(self, code: ImageCode, location_embeddings: Floats) -> Contributions:
        """Split the scores of a few places into their summands.

        Args:
            code: The photo.
            location_embeddings: Unit location embeddings, float32, shape (m, 512).

        Returns:
            Summands whose sum equals `scores` to 1e-5; the remainder is the feature space term.
        """
        concept_factor, feature_factor = self._image_factors(code)
        y = location_embeddings - self.location_mean
        z_loc = y @ self.basis
        concepts = z_loc * (code.z_img * concept_factor)
        remainder = y @ (code.residual * feature_factor)
        if self.normalise:
            concepts = concepts / np.maximum(np.linalg.norm(z_loc, axis=1, keepdims=True), _TINY)
            remainder = remainder / np.maximum(np.linalg.norm(y, axis=1), _TINY)
        return Contributions(concepts.astype(np.float32), remainder.astype(np.float32))

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
            The direction that the linear paths of the heads give it, unit length, float32, shape (512,).
        """
        if self.feature_weight:
            return unit(self.feature.linear[:, : feature_direction.size] @ feature_direction)
        return unit(self.basis @ (self.image.linear[:, : feature_direction.size] @ feature_direction))

    def location_cosines(self, direction: Floats, location_embeddings: Floats) -> Floats:
        """Return the cosine of every centred place, (n, 512), with a direction, (512,): float32, (n,)."""
        return centred_cosines(location_embeddings, direction[:, None], self.location_mean)[:, 0]

    def concept_agreements(self, features: Floats) -> Floats:
        """Return z_img of one photo, (p,): here every concept has a coefficient of its own. Shape (k,)."""
        return self.image(self._unit(features)[0])

    def concept_gradients(self, features: Floats) -> Floats:
        """Tell how z_img changes with the features, through f_img and the unit length of its input.

        Args:
            features: As in `encode_image`, float32, shape (p,).

        Returns:
            The Jacobian, float32, shape (p, k). At a kink of the MLP its left side, where the unit is off.
        """
        x, length = self._unit(features)
        on = self.image.hidden @ x + self.image.hidden_bias > 0
        jacobian = self.image.linear + (self.image.out * on) @ self.image.hidden
        tangent: Floats = (jacobian - np.outer(jacobian @ x, x)) / length
        return np.ascontiguousarray(tangent.T, np.float32)

    def _unit(self, features: Floats) -> tuple[Floats, float]:
        """Return the centred features at unit length, and their length before."""
        x = features.astype(np.float32, copy=False) - self.feature_mean
        length = max(float(np.linalg.norm(x)), _TINY)
        return x / np.float32(length), length

    def _image_factors(self, code: ImageCode) -> tuple[np.float32, np.float32]:
        """Return what the photo's side of each term is multiplied by."""
        if not self.normalise:
            return np.float32(self.concept_weight), np.float32(self.feature_weight)
        concept = self.concept_weight / max(float(np.linalg.norm(code.z_img)), _TINY)
        feature = self.feature_weight / max(float(np.linalg.norm(code.residual)), _TINY)
        return np.float32(concept), np.float32(feature)

    def _norms(self, embeddings: Floats) -> tuple[Floats, Floats]:
        """Return |z_loc| and |y| of every place, each shape (n,)."""
        for array, concept_norms, place_norms in self._kept:
            if array is embeddings:
                return concept_norms, place_norms
        concept_norms, place_norms = (np.empty(len(embeddings), np.float32) for _ in range(2))
        for start in range(0, len(embeddings), _BLOCK):
            rows = slice(start, start + _BLOCK)
            y = embeddings[rows] - self.location_mean
            place_norms[rows] = np.linalg.norm(y, axis=1)
            concept_norms[rows] = np.linalg.norm(y @ self.basis, axis=1)
        np.maximum(concept_norms, _TINY, out=concept_norms)
        np.maximum(place_norms, _TINY, out=place_norms)
        if not embeddings.flags.writeable:
            # The array itself is kept, so that no other array can take its identity.
            self._kept[:] = [(embeddings, concept_norms, place_norms)]
        return concept_norms, place_norms


def _check(tensors: Mapping[str, Floats], k: int, path: Path) -> None:
    """Refuse tensors that do not fit each other and k concepts."""
    (p,), (places,) = tensors["feature_mean"].shape[:1], tensors["location_mean"].shape[:1]
    d = tensors["directions"].shape[0]
    shapes: dict[str, tuple[int, ...]] = {
        "directions": (d, k), "delta": (d, k), "adapter": (d, places),
        "feature_mean": (p,), "location_mean": (places,),
    }  # fmt: skip
    for head, width in (("image", k), ("feature", places)):
        h = tensors[f"{head}.hidden_bias"].size
        shapes |= {
            f"{head}.linear": (width, p), f"{head}.bias": (width,), f"{head}.hidden": (h, p),
            f"{head}.hidden_bias": (h,), f"{head}.out": (width, h),
        }  # fmt: skip
    for name, shape in shapes.items():
        if tensors[name].shape != shape or not np.isfinite(tensors[name]).all():
            raise MissingFileError(
                f"{path}: tensor {name} must be finite and of shape {shape} for {k} concepts, "
                f"not {tensors[name].shape}; train or install the release again"
            )
