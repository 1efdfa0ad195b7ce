"""Closed-form alignment: a linear image head, explained by a sparse code over the concepts.

The head W maps the centred image features x into the location space. The photo is written as a sparse
non-negative sum of concept patterns, x = E z_img + rest, so that z_img[j] says how much of concept j the
photo shows, and

    W x = W E z_img + (W x - W E z_img) = B z_img + residual

with B = W E: every concept reaches the location space through the same head as the photo (as GeoCLIP sends
text through its image head). The score of a place with centred location embedding y is

    scale * <W x, y> / (|W x| |y|) = sum_j scale * z_img[j] z_loc[j] / (|W x| |y|) + remainder

with z_loc = B^T y, which is Eq. 3 of arXiv 2509.01910 with the norms of the feature space, exact for any
z_img. A concept speaks for a place it fits and against one it does not fit; what the photo does not show says
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from whyhere.alignment._alignment import Contributions, Floats, ImageCode
from whyhere.alignment._sparse_code import sparse_code
from whyhere.alignment._tensors import read_tensors
from whyhere.errors import MissingFileError

_TENSORS = ("head", "feature_mean", "location_mean", "directions")


@dataclass(frozen=True, slots=True)
class LinearAlignment:
    """A linear head with a sparse concept code.

    Attributes:
        concept_ids: Ids of the k concepts.
        head: W, float32, shape (512, p).
        feature_mean: Mean of the image features in training, float32, shape (p,).
        location_mean: Mean of the unit location embeddings in training, float32, shape (512,).
        directions: E, unit concept patterns in the space of the first d features, float32, shape (d, k).
        scale: Factor on the cosine.
        penalty: l1 penalty of the sparse code.
        basis: B = W E, float32, shape (512, k); derived.
    """

    concept_ids: tuple[str, ...]
    head: Floats
    feature_mean: Floats
    location_mean: Floats
    directions: Floats
    scale: float
    penalty: float
    basis: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        basis = self.head[:, : self.directions.shape[0]] @ self.directions
        object.__setattr__(self, "basis", basis)

    @classmethod
    def load(cls, path: Path, config: Mapping[str, Any]) -> LinearAlignment:
        """Read the alignment from a release; see `load_alignment`."""
        tensors = read_tensors(path, _TENSORS, kind="linear")
        try:
            concept_ids = tuple(config["concept_ids"])
            scale, penalty = float(config["scale"]), float(config["penalty"])
        except (KeyError, TypeError, ValueError) as error:
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

    def encode_image(self, features: Floats) -> ImageCode:
        """Project the features of one photo, float32, shape (p,), onto the concepts."""
        x = features - self.feature_mean
        d, _ = self.directions.shape
        length = float(np.linalg.norm(x[:d])) or 1.0
        z_img = sparse_code(x[:d] / length, self.directions, penalty=self.penalty) * np.float32(length)
        residual = self.head @ x - self.basis @ z_img
        return ImageCode(z_img, residual)

    def scores(self, code: ImageCode, location_embeddings: Floats) -> Floats:
        """Score every place.

        Args:
            code: The photo.
            location_embeddings: Unit location embeddings, float32, shape (n, 512).

        Returns:
            scale * cosine between photo and centred place, float32, shape (n,).
        """
        query = self.basis @ code.z_img + code.residual
        # |y - m|^2 = 1 - 2 <y, m> + |m|^2 for unit y: two passes over the bank instead of a centred copy.
        products = location_embeddings @ np.stack((query, self.location_mean), axis=1)
        norms = np.sqrt(np.maximum(1 - 2 * products[:, 1] + self.location_mean @ self.location_mean, 1e-12))
        scale = self.scale / max(float(np.linalg.norm(query)), 1e-12)
        scores = scale * (products[:, 0] - self.location_mean @ query) / norms
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


def _check(tensors: Mapping[str, Floats], k: int, path: Path) -> None:
    """Refuse tensors that do not fit each other and k concepts."""
    head, directions = tensors["head"], tensors["directions"]
    features, locations = tensors["feature_mean"], tensors["location_mean"]
    fits = (
        head.shape == (locations.size, features.size)
        and directions.ndim == 2
        and directions.shape[0] <= features.size
        and directions.shape[1] == k
    )
    if not (fits and all(np.isfinite(tensors[name]).all() for name in _TENSORS)):
        raise MissingFileError(
            f"{path}: the tensors do not fit each other and {k} concepts, or are not finite"
        )
