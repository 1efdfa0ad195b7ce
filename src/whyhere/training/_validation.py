"""What the held-out photos say about a module while it is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyhere.geo import great_circle_km
from whyhere.training._batches import Examples, same_place
from whyhere.training._config import TrainConfig
from whyhere.training._objectives import contrastive_loss

if TYPE_CHECKING:
    from whyhere.training._trainee import Trainee

_MOST_PHOTOS, _MOST_PLACES = 2048, 4096


class Validation:
    """Ranks, for every held-out photo, the places of held-out and of training photos.

    Args:
        examples: All photos.
        training: Rows trained on.
        held_out: Rows held out; without any, `figures` is empty.
        config: Choices of the run.
    """

    def __init__(
        self,
        examples: Examples,
        training: NDArray[np.int64],
        held_out: NDArray[np.int64],
        config: TrainConfig,
    ) -> None:
        rows = _thinned(held_out, _MOST_PHOTOS)
        self._features = examples.take(rows)
        places = np.concatenate((rows, _thinned(training, _MOST_PLACES)))
        self._lat, self._lon, self._count = examples.lat[places], examples.lon[places], len(rows)
        self._left_out = torch.from_numpy(
            same_place(
                self._lat[: len(rows)], self._lon[: len(rows)], self._lat, self._lon, km=config.same_place_km
            )
        )

    def figures(self, trainee: Trainee) -> dict[str, float]:
        """Return loss, median error and shares within distances of the best-scored place."""
        if self._count == 0:
            return {}
        with torch.no_grad():
            module = trainee.alignment
            features = torch.from_numpy(self._features).to(module.delta.device)
            places = module.encode_places(trainee.embed(self._lat, self._lon))
            terms = [t for t in module.logits(module.encode_images(features), places) if t is not None]
            logits: Tensor = torch.stack(terms).sum(dim=0).cpu()
            loss = float(contrastive_loss(logits, left_out=self._left_out))
        best = logits.argmax(dim=1).numpy()
        error_km = great_circle_km(
            self._lat[: self._count], self._lon[: self._count], self._lat[best], self._lon[best]
        )
        return {
            "loss": loss,
            "median_km": float(np.median(error_km)),
            "within_750_km": float(np.mean(error_km <= 750)),
            "within_2500_km": float(np.mean(error_km <= 2500)),
        }


def _thinned(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most so many rows, evenly spread."""
    thinned: NDArray[np.int64] = rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(int)]
    return thinned
