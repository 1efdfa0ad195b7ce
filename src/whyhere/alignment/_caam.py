"""The trained Concept-Aware Alignment Module at inference (arXiv 2509.01910, Eq. 1 to 3), in NumPy.

    z_img = f_img(x)              f_img: a linear path that starts as projection on E, plus a residual MLP
    z_loc = (A y)^T (E + Delta)   A: linear adapter from the location space, E: concept directions
    score = w_c <z_img, z_loc> / (|z_img| |z_loc|)  +  w_f <h(x), y> / (|h(x)| |y|)

with x the centred image features of unit length and y the centred location embedding. The second, feature
space term is there only where a release uses it (w_f > 0); it is the named remainder. The torch twin is
`whyhere.training.ConceptAlignmentModule`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from whyhere.alignment._algebra import TINY, Alignment, unit
from whyhere.alignment._codes import Floats, ImageCode
from whyhere.alignment._tensors import number, read_tensors, section_error
from whyhere.errors import MissingFileError

_BLOCK = 8192  # rows of a gallery at a time: the temporaries stay near 16 MB


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

    def jacobian(self, x: Floats) -> Floats:
        """Return the derivative at one vector, (out, p); at a kink its left side, where the unit is off."""
        on = self.hidden @ x + self.hidden_bias > 0
        jacobian: Floats = self.linear + (self.out * on) @ self.hidden
        return jacobian


_HEAD = ("linear", "bias", "hidden", "hidden_bias", "out")
_OWN = ("directions", "delta", "adapter", "feature_mean", "location_mean")
_HEADS = ("image", "feature")


@dataclass(frozen=True, kw_only=True, eq=False)
class ConceptAlignment(Alignment):
    """A trained module; its basis is A^T (E + Delta), so that z_loc = B^T y.

    Attributes:
        image: f_img, from centred unit features (p,) to concepts (k,).
        feature: h, from centred unit features (p,) to the location space (512,).
        directions: E, float32, shape (d, k).
        delta: Delta, the learned offset of E, float32, shape (d, k).
        adapter: A, float32, shape (d, 512).
        feature_mean: Mean of the image features in training, float32, shape (p,).
        concept_weight: w_c; 0 where the release scores in feature space alone.
        feature_weight: w_f; 0 where it scores by concepts alone.
        normalise: Whether both terms are cosines; otherwise plain dot products.
    """

    image: Head
    feature: Head
    directions: Floats
    delta: Floats
    adapter: Floats
    feature_mean: Floats
    concept_weight: float
    feature_weight: float
    normalise: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "basis", self.adapter.T @ (self.directions + self.delta))

    @classmethod
    def load(cls, path: Path, config: Mapping[str, Any]) -> ConceptAlignment:
        """Read the module from a release; see `load_alignment`."""
        names = (*_OWN, *(f"{side}.{name}" for side in _HEADS for name in _HEAD))
        tensors: dict[str, Any] = read_tensors(path, names, kind="caam")
        with section_error(path):
            concept_ids = tuple(config["concept_ids"])
            weights = number(config, "concept_weight"), number(config, "feature_weight")
            normalise = bool(config["normalise"])
        _check(tensors, len(concept_ids), path)
        image, feature = (Head(*(tensors[f"{side}.{name}"] for name in _HEAD)) for side in _HEADS)
        return cls(
            concept_ids=concept_ids,
            image=image,
            feature=feature,
            **{name: tensors[name] for name in _OWN},
            concept_weight=weights[0],
            feature_weight=weights[1],
            normalise=normalise,
        )

    def tensors(self) -> dict[str, Floats]:
        """Return what `load` reads from `model.safetensors`."""
        heads = {f"{side}.{name}": getattr(getattr(self, side), name) for side in _HEADS for name in _HEAD}
        return {name: getattr(self, name) for name in _OWN} | heads

    def section(self) -> dict[str, Any]:
        """Return what `load` reads from the `alignment` section of `config.json`."""
        return {
            "kind": "caam",
            "concept_weight": self.concept_weight,
            "feature_weight": self.feature_weight,
            "normalise": self.normalise,
            "concept_ids": list(self.concept_ids),
        }

    @property
    def drift(self) -> Floats:
        """cos(B_j, E_j) of every concept, float32, shape (k,): 1 where a column kept its direction."""
        moved = self.directions + self.delta
        lengths = np.linalg.norm(moved, axis=0) * np.linalg.norm(self.directions, axis=0)
        cosines: Floats = (moved * self.directions).sum(axis=0) / np.maximum(lengths, TINY)
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

    def factors(self, code: ImageCode) -> tuple[float, float]:
        """Return w_c / |z_img| and w_f / |h(x)|, the weights alone for plain products."""
        if not self.normalise:
            return self.concept_weight, self.feature_weight
        lengths = (max(float(np.linalg.norm(part)), TINY) for part in (code.z_img, code.residual))
        concept, feature = lengths
        return self.concept_weight / concept, self.feature_weight / feature

    def norms(self, centred: Floats) -> tuple[Floats, Floats]:
        """Return |z_loc| and |y|, ones for plain products."""
        if not self.normalise:
            ones = np.ones(len(centred), np.float32)
            return ones, ones
        concept_norms, rest_norms = (np.linalg.norm(part, axis=1) for part in (centred @ self.basis, centred))
        return np.maximum(concept_norms, TINY), np.maximum(rest_norms, TINY)

    def gallery_norms(self, location_embeddings: Floats) -> tuple[Floats, Floats]:
        """Return `norms` of a whole gallery, by blocks."""
        blocks = [
            self.norms(location_embeddings[start : start + _BLOCK] - self.location_mean)
            for start in range(0, len(location_embeddings), _BLOCK)
        ]
        concept_norms, rest_norms = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        return concept_norms, rest_norms

    def location_direction(self, feature_direction: Floats) -> Floats:
        """Send a direction of the first d features, a text say, to the location space by the linear paths."""
        if self.feature_weight:
            return unit(self.feature.linear[:, : feature_direction.size] @ feature_direction)
        return unit(self.basis @ (self.image.linear[:, : feature_direction.size] @ feature_direction))

    def concept_agreements(self, features: Floats) -> Floats:
        """Return z_img of one photo, (p,): here every concept has a coefficient of its own. Shape (k,)."""
        return self.image(self._unit(features)[0])

    def concept_gradients(self, features: Floats) -> Floats:
        """Return the Jacobian of z_img, (p, k), through f_img and the unit length of its input."""
        x, length = self._unit(features)
        jacobian = self.image.jacobian(x)
        tangent: Floats = (jacobian - np.outer(jacobian @ x, x)) / length
        return np.ascontiguousarray(tangent.T, np.float32)

    def _unit(self, features: Floats) -> tuple[Floats, float]:
        """Return the centred features at unit length, and their length before."""
        x = features.astype(np.float32, copy=False) - self.feature_mean
        length = max(float(np.linalg.norm(x)), TINY)
        return x / np.float32(length), length


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
