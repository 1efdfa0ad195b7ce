"""The Concept-Aware Alignment Module in torch; `whyhere.alignment.ConceptAlignment` is its NumPy twin."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from whyhere.alignment import ConceptAlignment, Head
from whyhere.training._config import TrainConfig
from whyhere.training._distributed import shared
from whyhere.training._ridge import RidgeHead

_MAX_SCALE = 100.0  # as in CLIP: a sharper softmax only amplifies noise
_TINY = 1e-12


class ResidualHead(nn.Module):
    """x -> L x + b + O relu(H x + c), with O zero at the start: it begins as the linear map it is given.

    Args:
        start: L at the start, shape (out, p); None leaves the linear path out (GeoCLIP's plain MLP), and O
            starts at random.
        width: (out, p).
        hidden: Hidden width, 0 for none.
        generator: Source of the random weights.
    """

    def __init__(
        self, start: Tensor | None, width: tuple[int, int], *, hidden: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        out, inputs = width
        self.linear = nn.Parameter(torch.zeros(out, inputs) if start is None else start.clone())
        self.linear.requires_grad_(start is not None)
        self.bias = nn.Parameter(torch.zeros(out))
        bound = math.sqrt(2 / inputs)
        self.hidden = nn.Parameter(torch.randn(hidden, inputs, generator=generator) * bound)
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        last = torch.randn(out, hidden, generator=generator) / math.sqrt(max(hidden, 1))
        self.out = nn.Parameter(last if start is None else torch.zeros(out, hidden))

    def forward(self, x: Tensor) -> Tensor:
        """Map rows of shape (n, p) to shape (n, out)."""
        bent = torch.relu(functional.linear(x, self.hidden, self.hidden_bias))
        return functional.linear(x, self.linear, self.bias) + functional.linear(bent, self.out)

    def export(self) -> Head:
        """Return the NumPy twin."""
        return Head(*(_array(t) for t in (self.linear, self.bias, self.hidden, self.hidden_bias, self.out)))


@dataclass(frozen=True, slots=True)
class Start:
    """What a module starts from.

    Attributes:
        directions: E, unit concept directions as columns, float32, shape (d, k).
        feature_mean: Mean image features, float32, shape (p,); p is d or more.
        location_mean: Mean unit location embedding, float32, shape (512,).
        ridge: Closed-form head that A and the feature head start from; None starts both as identity.
    """

    directions: NDArray[np.float32]
    feature_mean: NDArray[np.float32]
    location_mean: NDArray[np.float32]
    ridge: RidgeHead | None = None


class ConceptAlignmentModule(nn.Module):
    """Both sides of the alignment, in concept space and in feature space.

    Args:
        start: Directions, means and starting maps.
        config: Choices of the run.
    """

    def __init__(self, start: Start, config: TrainConfig) -> None:
        super().__init__()
        directions = torch.from_numpy(start.directions.copy()).float()
        (d, k), p, places = directions.shape, len(start.feature_mean), len(start.location_mean)
        generator = torch.Generator().manual_seed(config.seed)
        self.space, self.normalise = config.contrast_space, config.normalise
        self.register_buffer("directions", directions)
        self.register_buffer("feature_mean", torch.from_numpy(start.feature_mean.copy()).float())
        self.register_buffer("location_mean", torch.from_numpy(start.location_mean.copy()).float())
        head = torch.eye(places, p) if start.ridge is None else _unit_spectrum(start.ridge.weights)
        projection = functional.pad(directions.T, (0, p - d))  # features behind the embedding start unused
        self.image = ResidualHead(projection, (k, p), hidden=config.hidden, generator=generator)
        self.feature = ResidualHead(
            None if config.feature_head == "mlp" else head,
            (places, p),
            hidden=p if config.feature_head == "mlp" else config.hidden,
            generator=generator,
        )
        # A photo reaches the places through W; a concept direction does so too where A = W^T.
        self.adapter = nn.Parameter(head[:, :d].T.clone().contiguous())
        self.delta = nn.Parameter(torch.zeros(d, k))
        log_scale = -math.log(config.temperature)
        self.log_scale_concept = nn.Parameter(torch.tensor(log_scale))
        self.log_scale_feature = nn.Parameter(torch.tensor(log_scale))

    def encode_images(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map image features, shape (n, p), to z_img, shape (n, k), and the feature space query, (n, 512)."""
        x = _unit(features - self.get_buffer("feature_mean"))
        return self._scaled(self.image(x)), self._scaled(self.feature(x))

    def encode_places(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Map raw location embeddings, (n, 512), to z_loc, shape (n, k), and centred embeddings, (n, 512)."""
        y = _unit(embeddings) - self.get_buffer("location_mean")
        z_loc = functional.linear(y, self.adapter) @ (self.get_buffer("directions") + self.delta)
        return self._scaled(z_loc), self._scaled(y)

    def scales(self) -> tuple[Tensor, Tensor]:
        """Return the inverse temperatures of the concept and the feature term."""
        return (
            shared(self.log_scale_concept).exp().clamp_max(_MAX_SCALE),
            shared(self.log_scale_feature).exp().clamp_max(_MAX_SCALE),
        )

    def logits(
        self, images: tuple[Tensor, Tensor], places: tuple[Tensor, Tensor]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return the scaled scores, (n, m), of the concept and the feature term; None for an unused one."""
        concept_scale, feature_scale = self.scales()
        concept = None if self.space == "feature" else concept_scale * images[0] @ places[0].T
        feature = None if self.space == "concept" else feature_scale * images[1] @ places[1].T
        return concept, feature

    def drift_penalty(self) -> Tensor:
        """Return mean_j |Delta_j|^2; directions have unit length."""
        return shared(self.delta).square().sum(dim=0).mean()

    def export(self, concept_ids: tuple[str, ...]) -> tuple[ConceptAlignment, float]:
        """Return the NumPy twin and the temperature that belongs to its scores.

        The two inverse temperatures are divided by their sum, so that scores lie within [-1, 1] where they
        are cosines; the softmax over score / temperature is the one that was trained.
        """
        with torch.no_grad():
            scales = [float(scale) for scale in self.scales()]
        used = (scales[0] * (self.space != "feature"), scales[1] * (self.space != "concept"))
        total = sum(used)
        alignment = ConceptAlignment(
            concept_ids=concept_ids,
            image=self.image.export(),
            feature=self.feature.export(),
            directions=_array(self.get_buffer("directions")),
            delta=_array(self.delta),
            adapter=_array(self.adapter),
            feature_mean=_array(self.get_buffer("feature_mean")),
            location_mean=_array(self.get_buffer("location_mean")),
            concept_weight=used[0] / total,
            feature_weight=used[1] / total,
            normalise=self.normalise,
        )
        return alignment, 1 / total

    def _scaled(self, rows: Tensor) -> Tensor:
        return _unit(rows) if self.normalise else rows


def _unit(rows: Tensor) -> Tensor:
    return functional.normalize(rows, dim=1, eps=_TINY)


def _unit_spectrum(weights: NDArray[np.float64]) -> Tensor:
    """Scale a matrix to spectral norm 1: ridge shrinks by the penalty, and steps must not depend on it."""
    return torch.from_numpy(weights / max(float(np.linalg.norm(weights, 2)), _TINY)).float()


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), np.float32)
