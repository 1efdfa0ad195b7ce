"""What a run trains and what it starts from."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyhere.training._batches import Examples
from whyhere.training._config import TrainConfig
from whyhere.training._location_net import LocationNet
from whyhere.training._module import ConceptAlignmentModule, Start
from whyhere.training._ridge import fit_ridge

Doubles = NDArray[np.float64]
_START_ROWS = 4096  # photos that means and closed-form start are computed from, at most


class Encoder(Protocol):
    """A frozen location encoder, such as `whyhere.encoders.LocationEncoder`."""

    def embed(self, lat: Doubles, lon: Doubles) -> NDArray[np.float32]:
        """Embed positions in degrees, each shape (n,), to shape (n, 512)."""
        ...


class Trainee(nn.Module):
    """Everything that a run may change: the module, and the location encoder where it is trained."""

    def __init__(
        self, alignment: ConceptAlignmentModule, frozen: Encoder | None, trained: LocationNet | None
    ) -> None:
        super().__init__()
        self.alignment, self.location, self._frozen = alignment, trained, frozen

    def embed(self, lat: Doubles, lon: Doubles) -> Tensor:
        """Embed positions in degrees, float32, shape (n, 512)."""
        if self.location is not None:
            embeddings: Tensor = self.location(lat, lon)
            return embeddings
        assert self._frozen is not None
        device = self.alignment.delta.device
        return torch.from_numpy(self._frozen.embed(lat, lon)).to(device)


def start_trainee(
    examples: Examples,
    training: NDArray[np.int64],
    directions: NDArray[np.float32],
    encoder: Encoder | LocationNet,
    config: TrainConfig,
) -> Trainee:
    """Return what is trained: means over training photos, and the closed-form start where it is asked for."""
    rows = training[np.linspace(0, len(training) - 1, min(len(training), _START_ROWS)).astype(int)]
    features = examples.take(rows).astype(np.float64)
    learned = encoder if isinstance(encoder, LocationNet) else None
    with torch.no_grad():
        embeddings = (
            learned(examples.lat[rows], examples.lon[rows]).cpu().numpy()
            if learned is not None
            else encoder.embed(examples.lat[rows], examples.lon[rows])  # type: ignore[operator]
        )
    unit = embeddings.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    start = Start(
        directions=directions,
        feature_mean=features.mean(axis=0).astype(np.float32),
        # The mean of embeddings that are trained would move away from under its own subtraction.
        location_mean=(unit.mean(axis=0) * (learned is None)).astype(np.float32),
        ridge=fit_ridge(features, unit, penalty=config.ridge_penalty)
        if config.location_start == "ridge"
        else None,
    )
    frozen = None if isinstance(encoder, LocationNet) else encoder
    return Trainee(ConceptAlignmentModule(start, config), frozen, learned)


def optimiser_of(trainee: Trainee, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimiser of all that may change."""
    parameters = [parameter for parameter in trainee.parameters() if parameter.requires_grad]
    kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    return kind(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
