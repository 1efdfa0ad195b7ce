"""Choosing the head of `base`: which ridge penalty, and how coarse a target, predict unseen photos best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere.training._cells import CellTable
from whyhere.training._ridge import fit_ridge
from whyhere.training._temperature import KERNEL_KM

Doubles = NDArray[np.float64]

_TEMPERATURES = tuple(float(t) for t in np.geomspace(0.04, 0.12, 4))


@dataclass(frozen=True, slots=True)
class Recipe:
    """What cross-validation chooses.

    Attributes:
        penalty: Ridge penalty.
        scale_km: Scale of the neighbourhood whose mean location embedding is the target; 0 for the
            embedding of the very place.
    """

    penalty: float
    scale_km: float


@dataclass(frozen=True, slots=True)
class Examples:
    """Photos to learn from.

    Attributes:
        features: Image features, shape (n, p).
        targets: Unit target embeddings for every `scale_km` of the recipes, each of shape (n, 512).
        distances_km: Distances from the true places to the cells, shape (n, m).
    """

    features: Doubles
    targets: dict[float, Doubles]
    distances_km: Doubles

    def take(self, rows: NDArray[np.intp]) -> Examples:
        """Return some of the photos."""
        return Examples(
            self.features[rows],
            {scale_km: target[rows] for scale_km, target in self.targets.items()},
            self.distances_km[rows],
        )


def choose_recipe(
    examples: Examples, cells: CellTable, recipes: Sequence[Recipe], *, folds: int, seed: int
) -> Recipe:
    """Choose the recipe with the least mean negative log density at the truth of held-out photos.

    Args:
        examples: The photos that may be looked at.
        cells: The gallery by cell.
        recipes: The candidates; the first of equals wins.
        folds: Number of folds.
        seed: Seed of the random assignment to folds.

    Returns:
        The best recipe; its temperature is fitted alongside and thrown away.
    """
    count = len(examples.features)
    fold_of = np.random.default_rng(seed).permutation(np.arange(count) % folds)
    kernel = np.exp(-examples.distances_km / KERNEL_KM) / (2 * np.pi * KERNEL_KM**2)
    squares = (cells.embeddings**2).sum(axis=1)
    losses = []
    for recipe in recipes:
        loss = np.empty((len(_TEMPERATURES), count))
        for fold in range(folds):
            test = np.flatnonzero(fold_of == fold)
            train = examples.take(np.flatnonzero(fold_of != fold))
            head = fit_ridge(train.features, train.targets[recipe.scale_km], penalty=recipe.penalty)
            query = head.predict(examples.features[test])
            query /= np.linalg.norm(query, axis=1, keepdims=True)
            mean = head.location_mean
            # Cosines with the centred cells, without a centred copy of them.
            products = cells.embeddings @ np.concatenate((query, mean[None])).T
            norms = np.sqrt(squares - 2 * products[:, -1] + mean @ mean)
            scores = ((products[:, :-1] - query @ mean) / norms[:, None]).T
            for row, temperature in enumerate(_TEMPERATURES):
                mass = cells.area_km2 * np.exp((scores - 1.0) / temperature)
                density = (mass * kernel[test]).sum(axis=1) / mass.sum(axis=1)
                loss[row, test] = -np.log(np.maximum(density, 1e-300))
        losses.append(loss.mean(axis=1).min())
    return recipes[int(np.argmin(losses))]
