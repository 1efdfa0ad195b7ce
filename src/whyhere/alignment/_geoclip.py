"""GeoCLIP's own heads, explained by a sparse code over concepts in the location space.

GeoCLIP (Vivanco Cepeda et al. 2023, arXiv 2309.16020) sends the embedding of CLIP's image tower through a
perceptron h(x) = W2 relu(W1 x + b1) + b2 into the 512-d location space, and scores a place with unit
location embedding y by exp(s) <q, y>, where q = h(x) / |h(x)|. It answers a text in the same way, with the
embedding of CLIP's text tower as x; so the direction of a concept is that of its text, behind the same head:

    q = E z_img + residual,   score = sum_j exp(s) z_img[j] (E^T y)[j] + exp(s) <residual, y>

which is Eq. 3 of arXiv 2509.01910 with B = E (Delta = 0) in the location space. The head is not linear, so
the split is made behind it, where it is exact for any z_img. Several views of a photo are averaged as in
GeoCLIP's paper, by their scores: these are linear in q, so their mean is the score of the mean of the q.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from whyhere.alignment._algebra import TINY, Alignment
from whyhere.alignment._codes import Floats, ImageCode, sparse_codes
from whyhere.alignment._tensors import number, read_tensors
from whyhere.errors import MissingFileError

_LARGEST_LOGIT = 13.8  # exp of it is a million
_HEAD = ("0.weight", "0.bias", "2.weight", "2.bias", "logit_scale")


@dataclass(frozen=True, slots=True)
class GeoClipHead:
    """GeoCLIP's perceptron and temperature.

    Attributes:
        w1: W1, float32, shape (m, p).
        b1: b1, float32, shape (m,).
        w2: W2, float32, shape (d, m).
        b2: b2, float32, shape (d,).
        scale: exp of the logit scale.
    """

    w1: Floats
    b1: Floats
    w2: Floats
    b2: Floats
    scale: float

    @classmethod
    def load(cls, path: Path) -> GeoClipHead:
        """Read the head from a safetensors file: `0.weight`, `0.bias`, `2.weight`, `2.bias`, `logit_scale`.

        Raises:
            MissingFileError: The file is missing, damaged or not such a head.
        """
        return cls.from_tensors(_read(path), path)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Floats], path: Path) -> GeoClipHead:
        """Take the head out of the tensors of `path`, which serves for messages."""
        missing = [name for name in _HEAD if name not in tensors]
        if missing:
            raise MissingFileError(f"{path}: GeoCLIP's image head lacks {', '.join(missing)}")
        w1, b1, w2, b2, logit_scale = (tensors[name] for name in _HEAD)
        fits = (
            w1.ndim == w2.ndim == 2
            and b1.shape == w1.shape[:1] == w2.shape[1:]
            and b2.shape == w2.shape[:1]
            and logit_scale.size == 1
            and logit_scale.item() <= _LARGEST_LOGIT
        )
        if not (fits and all(np.isfinite(tensors[name]).all() for name in _HEAD)):
            raise MissingFileError(f"{path}: tensors of GeoCLIP's image head do not fit, or are not finite")
        return cls(w1, b1, w2, b2, scale=float(np.exp(logit_scale.astype(np.float64).item())))

    def directions(self, embeddings: Floats) -> Floats:
        """Unit directions in the location space, (n, d), of CLIP embeddings as towers give them, (n, p)."""
        hidden = np.maximum(embeddings @ self.w1.T + self.b1, 0)
        out = hidden @ self.w2.T + self.b2
        unit: Floats = out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), TINY)
        return unit.astype(np.float32, copy=False)


@dataclass(frozen=True, eq=False)
class GeoClipAlignment(Alignment):
    """GeoCLIP's scores with a sparse concept code.

    Attributes:
        head: GeoCLIP's head.
        concept_directions: E, unit directions in the location space, float32, shape (d, k).
        penalty: l1 penalty of the sparse code of a q of unit length.
    """

    head: GeoClipHead
    concept_directions: Floats
    penalty: float
    location_mean: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "basis", self.concept_directions)
        object.__setattr__(self, "location_mean", np.zeros(len(self.concept_directions), np.float32))

    @classmethod
    def load(cls, path: Path, config: Mapping[str, Any]) -> GeoClipAlignment:
        """Read what `save_geoclip` wrote; `config` gives `penalty`. See `load_alignment`."""
        from safetensors import safe_open

        tensors = _read(path)
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
        head = GeoClipHead.from_tensors(tensors, path)
        try:
            penalty, concept_ids = number(config, "penalty"), tuple(json.loads(about["concept_ids"]))
            directions = tensors["directions"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise MissingFileError(
                f"{path}: concepts, or penalty in the config, are missing ({error})"
            ) from error
        expected = (head.w2.shape[0], len(concept_ids))
        if directions.shape != expected or not np.isfinite(directions).all():
            raise MissingFileError(f"{path}: directions are {directions.shape} instead of finite {expected}")
        return cls(concept_ids, head, directions, penalty)

    def tower_problem(self, width: int) -> str | None:
        """Say where an image tower is not the one that the head was trained for."""
        wanted = self.head.w1.shape[1]
        return (
            None
            if width == wanted
            else (
                f"GeoCLIP's image head takes embeddings of width {wanted} (CLIP ViT-L/14), "
                f"and the image tower gives {width}"
            )
        )

    def encode_image(self, features: Floats) -> ImageCode:
        """Write the answer of the head to a photo as concepts and a rest.

        Args:
            features: Embeddings as the image tower gives them, not normalised: float32, shape (p,), or the
                (v, p) of v views, whose scores are averaged.
        """
        q = self.head.directions(np.atleast_2d(features)).mean(axis=0)
        z_img = sparse_codes(
            q[None], self.concept_directions, penalty=self.penalty, steps=500, dtype=np.float64
        )[0]
        return ImageCode(z_img, q - self.concept_directions @ z_img)

    def factors(self, code: ImageCode) -> tuple[float, float]:
        """Return the scale, twice."""
        return self.head.scale, self.head.scale

    def text_directions(self, text_embeddings: Floats) -> Floats:
        """Unit directions in the location space, (n, d), of texts as the text tower gives them, (n, p).

        The cosine with a unit location embedding is GeoCLIP's answer to the text.
        """
        return self.head.directions(text_embeddings)

    def location_direction(self, feature_direction: Floats) -> Floats:
        """Send a text as CLIP's text tower gives it, (p,), to the location space, (d,)."""
        direction: Floats = self.text_directions(feature_direction[None])[0]
        return direction

    def concept_agreements(self, features: Floats) -> Floats:
        """Return E^T q of the raw embedding of one view, (p,): cosines behind the head; float32, (k,)."""
        agreements: Floats = self.head.directions(features[None])[0] @ self.concept_directions
        return agreements

    def concept_gradients(self, features: Floats) -> Floats:
        """Return the Jacobian of `concept_agreements`, (p, k), through the head and its unit length.

        At a kink of the head its left side, where the unit is off.
        """
        head = self.head
        before = head.w1 @ features + head.b1
        out = head.w2 @ np.maximum(before, 0) + head.b2
        length = max(float(np.linalg.norm(out)), TINY)
        q = out / length
        tangent = (self.concept_directions - np.outer(q, q @ self.concept_directions)) / length
        gradients: Floats = head.w1.T @ ((before > 0)[:, None] * (head.w2.T @ tangent))
        return gradients.astype(np.float32, copy=False)


def save_geoclip(
    path: Path, head: Mapping[str, Floats], directions: Floats, concept_ids: Sequence[str]
) -> None:
    """Write head and concept directions, shape (d, k), for `GeoClipAlignment.load`."""
    from safetensors.numpy import save

    tensors = {name: head[name] for name in _HEAD}
    tensors["directions"] = np.ascontiguousarray(directions, np.float32)
    path.write_bytes(save(tensors, metadata={"concept_ids": json.dumps(list(concept_ids))}))


def _read(path: Path) -> dict[str, Floats]:
    return read_tensors(path, (), kind="geoclip", remedy="run `whyhere releases fetch geoclip-l14`")
