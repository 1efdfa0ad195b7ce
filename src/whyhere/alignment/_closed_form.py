"""Alignments in closed form: a linear image head W, told in concepts.

W maps the centred image features x into the location space; score = scale * <q, y> / (|q| |y|) for q = W x
and a centred place y. Every concept j has a detector e_j, which tells how much of it a photo shows:
d_j = <e_j, x> / spread_j, in standard deviations over the training photos. f_img (arXiv 2509.01910,
Eq. 2) writes q = B z + residual, so that the score is sum_j scale z_j <b_j, y> / (|q| |y|) + remainder
(Eq. 3), exact for any z. Two kinds differ in B and z:

`PhotoCodeAlignment`, the photo first: x, of unit length, is written as a sum of few concept patterns,
    min over z >= 0 of |x - P z|^2 / 2 + penalty * sum(z),   the `most` largest entries kept,
as SpLiCE does for CLIP (Bhalla et al. 2024, arXiv 2402.10376). There is no place in it: nothing is told that
the photo does not show. The columns of B are learned on such codes alone and, where there is an open map of
the concept, on that: B = E + Delta of Eq. 1 in closed form. Landmarks are summands like concepts.

`LinearAlignment`, the answer first: q itself is written as a sum of directions b_j = W p_j + g_j (p_j: how
embeddings change with the concept; g_j: the direction in which an open map of it grows), both at unit length.
z has the sign of d in every entry: a concept of which the photo shows more than usual can only pull towards
places that have it, one of which it shows less only away from them; and the fainter the detection, the dearer
it is to use the concept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from whyhere.alignment._algebra import TINY, Alignment, unit
from whyhere.alignment._codes import Floats, ImageCode, Landmarks, sparse_codes
from whyhere.alignment._tensors import SMALLEST, number, read_tensors, section_error
from whyhere.errors import MissingFileError

_FAINTEST = 0.2
"""Detections below this many standard deviations are all equally dear."""


def _none() -> Floats:
    return np.empty(0, np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class _ClosedForm(Alignment):
    """What both kinds share.

    Attributes:
        head: W, float32, shape (512, p).
        feature_mean: Mean of the image features in training, float32, shape (p,).
        directions: E, unit detectors in the space of the first d features, float32, shape (d, k).
        patterns: P, how the first d features change with each concept, float32, shape (d, k).
        spread: Standard deviation of every detection over the training photos, float32, shape (k,).
        grounding: Where open maps have the concepts, zeros for those without one, float32, shape (512, k).
        scale: Factor on the cosine.
        penalty: l1 penalty of the code.
    """

    head: Floats
    feature_mean: Floats
    directions: Floats
    patterns: Floats = field(default_factory=_none)
    spread: Floats = field(default_factory=_none)
    grounding: Floats = field(default_factory=_none)
    scale: float
    penalty: float

    @property
    def grounded(self) -> frozenset[str]:
        """Ids of the concepts with a part from an open map; of these it is no test."""
        return frozenset(self.concept_ids[j] for j in np.flatnonzero(np.any(self.grounding != 0, axis=0)))

    def factors(self, code: ImageCode) -> tuple[float, float]:
        """Return scale / |q|, twice."""
        factor = self.scale / max(float(np.linalg.norm(self.basis @ code.z_img + code.residual)), TINY)
        return factor, factor

    def concept_agreements(self, features: Floats) -> Floats:
        """Return d, in standard deviations over the training photos, 0 for the average one; shape (k,)."""
        x = (features - self.feature_mean)[: len(self.directions)]
        detections: Floats = (x @ self.directions / self.spread).astype(np.float32)
        return detections

    def concept_gradients(self, features: Floats) -> Floats:
        """Tell how `concept_agreements` change with the features, (p,): E over spread, shape (p, k).

        Not how z changes: a sparse code jumps, and a concept takes from its neighbours in it.
        """
        gradients = np.zeros((features.size, len(self.concept_ids)), np.float32)
        gradients[: len(self.directions)] = self.directions / self.spread
        return gradients

    def location_direction(self, feature_direction: Floats) -> Floats:
        """Send a direction of the first d features, a text say, to the location space: W t, unit length."""
        return unit(self.head[:, : feature_direction.size] @ feature_direction)


_LINEAR = ("head", "feature_mean", "location_mean", "directions", "patterns", "spread", "grounding")
_PHOTO_CODE = (
    *("feature_mean", "location_mean", "head", "patterns", "columns"),
    *("grounding", "directions", "spread"),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearAlignment(_ClosedForm):
    """A linear head with a sparse code of its answer; patterns are E, spread 1, grounding 0 by default."""

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
        tensors: dict[str, Any] = read_tensors(path, _LINEAR, kind="linear")
        with section_error(path):
            ids = tuple(config["concept_ids"])
            scale, penalty = number(config, "scale", positive=True), number(config, "penalty")
        _check(tensors, _LINEAR, len(ids), path, narrow=True)
        return cls(concept_ids=ids, scale=scale, penalty=penalty, **{name: tensors[name] for name in _LINEAR})

    def tensors(self) -> dict[str, Floats]:
        """Return what `load` reads from `model.safetensors`."""
        return {name: np.ascontiguousarray(getattr(self, name)) for name in _LINEAR}

    def encode_image(self, features: Floats) -> ImageCode:
        """Write what the head says of the features of one photo, float32, shape (p,), as concepts."""
        detections = self.concept_agreements(features)
        query = self.head @ (features - self.feature_mean)
        length = max(float(np.linalg.norm(query)), TINY)
        signs = np.where(detections < 0, -1, 1).astype(np.float32)
        penalties = (self.penalty / np.maximum(np.abs(detections), _FAINTEST)).astype(np.float32)
        code = sparse_codes(
            (query / length).astype(np.float32)[None],
            self.basis * signs,
            penalty=penalties,
            steps=500,
            dtype=np.float64,
        )[0]
        z_img = (code * signs * length).astype(np.float32)
        return ImageCode(z_img, query - self.basis @ z_img)


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoCodeAlignment(_ClosedForm):
    """A nonnegative sparse code of the photo, columns learned on it, a linear head, and landmarks.

    Attributes:
        columns: Where photos with the concepts are, float32, shape (512, k).
        most: Most concepts of a photo.
    """

    columns: Floats
    most: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "basis", self.columns + self.grounding)

    @classmethod
    def load(cls, path: Path, config: Mapping[str, Any]) -> PhotoCodeAlignment:
        """Read the alignment from a release; see `load_alignment`."""
        tensors: dict[str, Any] = read_tensors(path, _PHOTO_CODE, kind="photo-code")
        given: dict[str, Any] = {}
        with section_error(path):
            ids, most = tuple(config["concept_ids"]), int(config["most"])
            scale, penalty = number(config, "scale", positive=True), number(config, "penalty")
            if config.get("landmarks") is not None:
                given["places"] = Landmarks.read(tensors, config["landmarks"])
        _check(tensors, _PHOTO_CODE, len(ids), path, fits=most >= 1)
        arrays = {name: tensors[name].astype(np.float32) for name in _PHOTO_CODE}
        return cls(concept_ids=ids, scale=scale, penalty=penalty, most=most, **arrays, **given)

    def tensors(self) -> dict[str, Floats]:
        """Return what `load` reads from `model.safetensors`."""
        own = {name: np.ascontiguousarray(getattr(self, name)) for name in _PHOTO_CODE}
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

    def encode_image(self, features: Floats) -> ImageCode:
        """Write the features of one photo, float32, shape (p,), as concepts, landmarks and a rest."""
        x = unit(features - self.feature_mean)
        z_img = sparse_codes(x[None], self.patterns, penalty=self.penalty, most=self.most)[0]
        return ImageCode(z_img, self.head @ x - self.basis @ z_img, *self.places.look(x))


def _unit_columns(columns: Floats) -> Floats:
    unit_columns: Floats = columns / np.maximum(np.linalg.norm(columns, axis=0), TINY)
    return unit_columns


def _check(
    tensors: Mapping[str, Floats],
    names: tuple[str, ...],
    k: int,
    path: Path,
    *,
    narrow: bool = False,
    fits: bool = True,
) -> None:
    """Refuse tensors that do not fit each other and k concepts; `narrow`: concepts may see fewer features."""
    p, places = tensors["feature_mean"].size, tensors["location_mean"].size
    d = len(tensors["directions"]) if narrow and tensors["directions"].ndim == 2 else p
    shapes = {
        "head": (places, p), "feature_mean": (p,), "location_mean": (places,), "directions": (d, k),
        "patterns": (d, k), "spread": (k,), "columns": (places, k), "grounding": (places, k),
    }  # fmt: skip
    if not (
        fits
        and d <= p
        and all(tensors[name].shape == shapes[name] and np.isfinite(tensors[name]).all() for name in names)
        and (tensors["spread"] >= SMALLEST).all()
    ):
        raise MissingFileError(
            f"{path}: the tensors do not fit each other and {k} concepts, or are not finite"
        )
