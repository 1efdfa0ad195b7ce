"""What is trained, in torch: the Concept-Aware Alignment Module and its losses, and the location encoder.

`whyhere.alignment.ConceptAlignment` is the module's NumPy twin, `whyhere.encoders.LocationEncoder` that of
the location encoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from whyhere.alignment import ConceptAlignment, Head, RidgeHead, fit_ridge
from whyhere.encoders import equal_earth
from whyhere.training._config import TrainConfig
from whyhere.training._data import Examples, thinned
from whyhere.training._distributed import shared

Doubles = NDArray[np.float64]

_MAX_SCALE = 100.0  # as in CLIP: a sharper softmax only amplifies noise
_TINY = 1e-12
_SIGMAS = (2.0**0, 2.0**4, 2.0**8)
_FREQUENCIES, _HIDDEN, _DIM = 256, 1024, 512
_START_ROWS = 4096  # photos that means and closed-form start are computed from, at most


# The losses: contrastive (Eq. 4) and divergences between the two sides' concept activations (Eq. 6). All are
# plain, differentiable, and take float32 or float64.


def contrastive_loss(logits: Tensor, *, left_out: Tensor | None = None, symmetric: bool = False) -> Tensor:
    """Cross-entropy of every photo's own place among all places (Eq. 4), averaged over the photos.

    Args:
        logits: Scores over temperature, shape (n, m): the first n places are those of the n photos, in order,
            the other m - n are further negatives.
        left_out: True where a place is no negative of a photo (another photo of the same spot), shape (n, m).
            A photo's own place always counts.
        symmetric: Average it with the same loss from each of the n places to the n photos.

    Returns:
        A scalar.
    """
    count = len(logits)
    own = torch.arange(count, device=logits.device)
    if left_out is not None:
        keep_own = left_out.clone()
        keep_own[own, own] = False
        logits = logits.masked_fill(keep_own, -math.inf)
    loss = functional.cross_entropy(logits, own)
    if symmetric:
        loss = (loss + functional.cross_entropy(logits[:, :count].T, own)) / 2
    return loss


def mean_match(x: Tensor, y: Tensor, *, sigma: Tensor) -> Tensor:
    """Eq. 6 of arXiv 2509.01910 as printed, with the logarithm inside the average.

    The pairwise terms cancel down to |mean(x) - mean(y)|^2 / sigma^2, which is what is computed.

    Args:
        x: Concept activations of images, shape (n, k).
        y: Concept activations of places, shape (m, k).
        sigma: Bandwidth.
    """
    difference = x.mean(dim=0) - y.mean(dim=0)
    return difference.square().sum() / sigma**2


def cauchy_schwarz(x: Tensor, y: Tensor, *, sigma: Tensor) -> Tensor:
    """Cauchy-Schwarz divergence between two samples (Yin et al. 2025, arXiv 2502.17028).

    log mean K(x, x') + log mean K(y, y') - 2 log mean K(x, y), at least 0. Arguments as in `mean_match`.
    """
    return _log_mean(x, x, sigma) + _log_mean(y, y, sigma) - 2 * _log_mean(x, y, sigma)


def mmd(x: Tensor, y: Tensor, *, sigma: Tensor) -> Tensor:
    """Squared maximum mean discrepancy, biased estimate, at least 0. Arguments as in `mean_match`."""

    def mean_kernel(a: Tensor, b: Tensor) -> Tensor:
        return _log_kernel(a, b, sigma).exp().mean()

    return mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)


DIVERGENCES: MappingProxyType[str, Callable[..., Tensor]] = MappingProxyType(
    {"mean": mean_match, "cauchy-schwarz": cauchy_schwarz, "mmd": mmd}
)
"""By the name they have in `TrainConfig.divergence`."""


def median_distance(x: Tensor, y: Tensor) -> Tensor:
    """Median heuristic for the bandwidth: the median distance between different points of both samples.

    No gradient flows through it.
    """
    points = torch.cat((x, y)).detach()
    rows, columns = torch.triu_indices(len(points), len(points), offset=1, device=points.device)
    distances = _squared_distances(points, points)[rows, columns].sqrt()
    return distances.median().clamp_min(1e-6)


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return |x_i - y_j|^2, shape (n, m), never negative and with a gradient everywhere."""
    squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)[None, :] - 2 * x @ y.T
    return squares.clamp_min(0.0)


def _log_kernel(x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
    """Return the logarithm of the Gaussian kernel (Eq. 5), shape (n, m)."""
    return -_squared_distances(x, y) / (2 * sigma**2)


def _log_mean(x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
    kernel = _log_kernel(x, y, sigma)
    return torch.logsumexp(kernel.flatten(), dim=0) - math.log(kernel.numel())


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


class _Capsule(nn.Module):
    def __init__(self, sigma: float, generator: torch.Generator) -> None:
        super().__init__()
        frequencies = torch.randn(_FREQUENCIES, 2, generator=generator) * sigma
        self.register_buffer("frequencies", frequencies)
        widths = (2 * _FREQUENCIES, _HIDDEN, _HIDDEN, _HIDDEN, _DIM)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        with torch.no_grad():
            for layer in self.layers:
                assert isinstance(layer, nn.Linear)
                bound = 1 / math.sqrt(layer.in_features)
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.uniform_(-bound, bound, generator=generator)

    def forward(self, points: Tensor) -> Tensor:
        phases = (2 * math.pi * points) @ self.get_buffer("frequencies").T
        hidden = torch.cat((torch.cos(phases), torch.sin(phases)), dim=1)
        for layer in self.layers[:-1]:
            hidden = torch.relu(layer(hidden))
        out: Tensor = self.layers[-1](hidden)
        return out


class LocationNet(nn.Module):
    """Equal Earth projection, random Fourier features at three scales, three small networks, summed.

    Args:
        seed: Seed of the weights and frequencies.
    """

    dim = _DIM

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.capsules = nn.ModuleList(_Capsule(sigma, generator) for sigma in _SIGMAS)

    def forward(self, lat: Doubles, lon: Doubles) -> Tensor:
        """Embed positions in degrees, each shape (n,), to float32, shape (n, 512), with a gradient."""
        weight = self.capsules[0].get_parameter("layers.0.weight")
        points = torch.from_numpy(equal_earth(lat, lon)).to(weight)
        return torch.stack([capsule(points) for capsule in self.capsules]).sum(dim=0)

    def load(self, path: Path) -> None:
        """Read the weights of a `location_encoder.safetensors`."""
        from safetensors.torch import load_file

        tensors = load_file(path)
        self.load_state_dict({own: tensors[name] for own, name in _names().items()})

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights under the names that `whyhere.encoders.LocationEncoder` reads."""
        state = self.state_dict()
        return {name: state[own].detach().cpu().numpy().astype(np.float32) for own, name in _names().items()}


def _names() -> dict[str, str]:
    """Map names of this module to names of the file."""
    names: dict[str, str] = {}
    for number in range(len(_SIGMAS)):
        capsule, file = f"capsules.{number}", f"LocEnc{number}"
        names[f"{capsule}.frequencies"] = f"{file}.capsule.0.b"
        for layer, place in enumerate(("capsule.1", "capsule.3", "capsule.5", "head.0")):
            for kind in ("weight", "bias"):
                names[f"{capsule}.layers.{layer}.{kind}"] = f"{file}.{place}.{kind}"
    return names


class Encoder(Protocol):
    """A frozen location encoder, such as `whyhere.encoders.LocationEncoder`."""

    def embed(self, lat: Doubles, lon: Doubles) -> NDArray[np.float32]:
        """Embed positions in degrees, each shape (n,), to shape (n, 512)."""
        ...


class Trainee(nn.Module):
    """Everything that a run may change: the module, and the location encoder where it is trained.

    Args:
        alignment: The module.
        encoder: Frozen location encoder, or one that is trained.
    """

    def __init__(self, alignment: ConceptAlignmentModule, encoder: Encoder | LocationNet) -> None:
        super().__init__()
        self.alignment = alignment
        self.location = encoder if isinstance(encoder, LocationNet) else None
        self._encoder = (encoder,)  # in a tuple, torch does not count it twice

    def embed(self, lat: Doubles, lon: Doubles) -> Tensor:
        """Embed positions in degrees, float32, shape (n, 512)."""
        return _embed(self._encoder[0], lat, lon).to(self.alignment.delta.device)


def _embed(encoder: Encoder | LocationNet, lat: Doubles, lon: Doubles) -> Tensor:
    if isinstance(encoder, LocationNet):
        embeddings: Tensor = encoder(lat, lon)
        return embeddings
    return torch.from_numpy(encoder.embed(lat, lon))


def start_trainee(
    examples: Examples,
    training: NDArray[np.int64],
    directions: NDArray[np.float32],
    encoder: Encoder | LocationNet,
    config: TrainConfig,
) -> Trainee:
    """Return what is trained: means over training photos, and the closed-form start where it is asked for."""
    rows = thinned(training, _START_ROWS)
    features = examples.take(rows).astype(np.float64)
    with torch.no_grad():
        unit = _embed(encoder, examples.lat[rows], examples.lon[rows]).cpu().numpy().astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    # The mean of embeddings that are trained would move away from under its own subtraction.
    location_mean = unit.mean(axis=0) * (not isinstance(encoder, LocationNet))
    ridge = None
    if config.location_start == "ridge":
        ridge = fit_ridge(features, unit, penalty=config.ridge_penalty)
    feature_mean = features.mean(axis=0).astype(np.float32)
    start = Start(directions, feature_mean, location_mean.astype(np.float32), ridge)
    return Trainee(ConceptAlignmentModule(start, config), encoder)
