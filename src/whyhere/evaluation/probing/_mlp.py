"""A small neural network on the features, stopped by points set aside inside the training part."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.evaluation.probing._linear import Features, standardise
from whyhere.evaluation.probing._splits import Fold

HIDDEN = (64,)
WEIGHT_DECAYS = (1e-3, 3.0)
"""What the points set aside choose from: wide inputs need a strong one, raw coordinates a weak one."""

LEARNING_RATE = 3e-3
EPOCHS, PATIENCE, BATCH = 80, 6, 100


def mlp_predictions(
    x: Features, y: NDArray[Any], x_test: Features, *, inner: list[Fold], classes: bool, seed: int
) -> tuple[NDArray[Any], dict[str, float]]:
    """Learn from a training part and predict for a test part.

    One hidden layer of 64 ReLUs, Adam, mean squared error or cross-entropy. The first inner division sets
    points aside; they choose weight decay and epoch. The network is not fitted again with them.

    Args:
        x: Features of the training part, shape (n, p).
        y: Targets, shape (n,): numbers, or class numbers.
        x_test: Features of the test part, shape (m, p).
        inner: Divisions of the training part.
        classes: Whether targets are classes.
        seed: Seed of the first weights and of the order of points.

    Returns:
        Predictions, shape (m,), and what was chosen.
    """
    fold = inner[0]
    learn, check, test = (
        part.astype(np.float32) for part in standardise(x[fold.train], x[fold.test], x_test)
    )
    targets, aside = y[fold.train], y[fold.test]
    if classes and len(np.unique(targets)) < 2:
        return np.full(len(x_test), targets[0]), {"epochs": 0.0}
    mean, scale = (0.0, 1.0) if classes else (float(targets.mean()), float(targets.std()) or 1.0)
    if not classes:
        targets, aside = ((part - mean) / scale for part in (targets, aside))
    best, predicted, chosen = np.inf, np.zeros(len(x_test)), {"epochs": 0.0}
    for decay in WEIGHT_DECAYS:
        loss, outputs, epochs = _train(learn, targets, check, aside, test, decay, classes, seed)
        if loss < best:
            best, predicted, chosen = loss, outputs, {"weight_decay": decay, "epochs": float(epochs)}
    return (predicted if classes else mean + scale * predicted), chosen


def _train(
    x: NDArray[np.float32],
    y: NDArray[Any],
    x_check: NDArray[np.float32],
    y_check: NDArray[Any],
    x_test: NDArray[np.float32],
    decay: float,
    classes: bool,
    seed: int,
) -> tuple[float, NDArray[Any], int]:
    """Train until the checked loss has not fallen for a while; return it, test predictions and epochs."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind: Any = MLPClassifier if classes else MLPRegressor
    model = kind(
        hidden_layer_sizes=HIDDEN,
        alpha=decay,
        learning_rate_init=LEARNING_RATE,
        batch_size=min(BATCH, len(x)),
        random_state=seed,
    )
    names, counts = np.unique(y, return_counts=True)
    # Epoch 0 knows no features: it answers the mean or the commonest class, so noise scores 0, not less.
    if classes:
        shares = np.tile(counts / counts.sum(), (len(y_check), 1))
        best = _cross_entropy(shares, y_check, names)
        outputs: NDArray[Any] = np.full(len(x_test), names[np.argmax(counts)])
    else:
        best, outputs = float(np.mean(y_check**2)), np.zeros(len(x_test))
    at = 0
    first = {"classes": names} if classes else {}
    for epoch in range(1, EPOCHS + 1):
        model.partial_fit(x, y, **(first if epoch == 1 else {}))
        if classes:
            loss = _cross_entropy(model.predict_proba(x_check), y_check, names)
        else:
            loss = float(np.mean((model.predict(x_check) - y_check) ** 2))
        if loss < best:
            best, outputs, at = loss, model.predict(x_test), epoch
        elif epoch - at >= PATIENCE:
            break
    return best, outputs, at


def _cross_entropy(probabilities: NDArray[Any], y: NDArray[np.int64], names: NDArray[np.int64]) -> float:
    """Mean negative log probability of the truths that the network knows a class for."""
    column = np.searchsorted(names, y).clip(0, len(names) - 1)
    known = names[column] == y
    if not known.any():
        return float(-probabilities.max(axis=1).mean())
    return float(-np.log(np.maximum(probabilities[known, column[known]], 1e-9)).mean())
