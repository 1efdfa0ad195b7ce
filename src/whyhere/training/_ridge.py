"""The closed-form head of release `base`: kernel ridge regression from image features to the location space.

With a hundred photos and hundreds of features, ridge regression has one solution, no seed and one number to
choose, `penalty`. Its targets are GeoCLIP's location embeddings, so a photo is answered from the whole
gallery, not from the training photos.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RidgeHead:
    """A linear map from centred image features into the centred location space.

    Attributes:
        weights: Shape (512, p).
        feature_mean: Shape (p,).
        location_mean: Shape (512,).
    """

    weights: Doubles
    feature_mean: Doubles
    location_mean: Doubles

    def predict(self, features: Doubles) -> Doubles:
        """Map features of shape (n, p) to directions in the centred location space, shape (n, 512)."""
        return (features - self.feature_mean) @ self.weights.T


def fit_ridge(
    features: Doubles, location_embeddings: Doubles, *, penalty: float, weights: Doubles | None = None
) -> RidgeHead:
    """Fit the head.

    Both sides are centred and every photo is scaled to unit length, so that `penalty` means the same for
    any tower.

    Args:
        features: Image features of the photos, shape (n, p).
        location_embeddings: Unit location embeddings of where they were taken, shape (n, 512).
        penalty: Ridge penalty (lambda), above 0.
        weights: How much each photo counts, shape (n,); alike by default.

    Returns:
        The head.
    """
    feature_mean, location_mean = features.mean(axis=0), location_embeddings.mean(axis=0)
    x, y = _unit(features - feature_mean), _unit(location_embeddings - location_mean)
    if weights is not None:
        root = np.sqrt(weights / weights.mean())[:, None]
        x, y = x * root, y * root
    dual = np.linalg.solve(x @ x.T + penalty * np.eye(len(x)), y)
    return RidgeHead(dual.T @ x, feature_mean, location_mean)


def _unit(rows: Doubles) -> Doubles:
    unit: Doubles = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
