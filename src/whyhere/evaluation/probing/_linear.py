"""Linear probes: ridge regression and logistic regression, the penalty chosen inside the training part."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.evaluation.probing._splits import Fold
from whyhere.evaluation.probing._task import Floats

Features = NDArray[np.float32] | NDArray[np.float64]

RIDGE_PENALTIES = tuple(float(value) for value in np.geomspace(1e-9, 1e2, 23))
"""Per point, for columns of unit variance."""

LOGISTIC_STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""scikit-learn's C: a larger one fits closer."""

_LOGISTIC_STEPS = 200


def standardise(train: Features, *others: Features) -> tuple[Floats, ...]:
    """Shift and scale columns so that those of `train` have mean 0 and variance 1; others follow."""
    mean, scale = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    scale = np.where(scale > 1e-12, scale, 1.0)
    return tuple((part - mean) / scale for part in (train, *others))


def ridge_predictions(
    x: Features, y: Floats, x_test: Features, *, inner: list[Fold]
) -> tuple[Floats, dict[str, float]]:
    """Learn from a training part and predict for a test part.

    Args:
        x: Features of the training part, shape (n, p).
        y: Targets, shape (n,).
        x_test: Features of the test part, shape (m, p).
        inner: Divisions of the training part by which the penalty is chosen.

    Returns:
        Predictions, shape (m,), and the penalty chosen.
    """
    errors = np.zeros(len(RIDGE_PENALTIES))
    for fold in inner:
        path = _ridge_path(x[fold.train], y[fold.train], x[fold.test])
        errors += ((path - y[fold.test]) ** 2).sum(axis=1)
    best = int(np.argmin(errors))
    return _ridge_path(x, y, x_test)[best], {"penalty": RIDGE_PENALTIES[best]}


def _ridge_path(x: Features, y: Floats, x_test: Features) -> Floats:
    """Predict with every penalty, shape (penalties, m), from one decomposition."""
    x, x_test = standardise(x, x_test)
    mean = y.mean()
    eigenvalues, vectors = np.linalg.eigh(x.T @ x / len(x))
    along = vectors.T @ (x.T @ (y - mean)) / len(x)
    penalties = np.array(RIDGE_PENALTIES)[:, None]
    weights = along / (np.maximum(eigenvalues, 0.0) + penalties)
    predicted: Floats = mean + weights @ (x_test @ vectors).T
    return predicted


def logistic_predictions(
    x: Features, y: NDArray[np.int64], x_test: Features, *, inner: list[Fold]
) -> tuple[NDArray[np.int64], dict[str, float]]:
    """Learn classes from a training part and predict those of a test part; see `ridge_predictions`.

    Only the first inner division is used: a fit is slow.
    """
    fold = inner[0]
    right = [
        (predicted == y[fold.test]).mean()
        for predicted in _logistic_path(x[fold.train], y[fold.train], x[fold.test], LOGISTIC_STRENGTHS)
    ]
    best = int(np.argmax(right))
    *_, predicted = _logistic_path(x, y, x_test, LOGISTIC_STRENGTHS[best : best + 1])
    return predicted, {"strength": LOGISTIC_STRENGTHS[best]}


def _logistic_path(
    x: Features, y: NDArray[np.int64], x_test: Features, strengths: tuple[float, ...]
) -> list[NDArray[np.int64]]:
    """Predict with every strength, each fit starting from the one before."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(y)) < 2:
        return [np.full(len(x_test), y[0]) for _ in strengths]
    x, x_test = (part.astype(np.float32) for part in standardise(x, x_test))
    model: Any = LogisticRegression(warm_start=True, max_iter=_LOGISTIC_STEPS, tol=1e-3)
    predictions = []
    for strength in strengths:
        model.set_params(C=strength)
        with warnings.catch_warnings():
            # Stopping early is a regularisation of its own, and the same for all features.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x, y)
        predictions.append(model.predict(x_test))
    return predictions
