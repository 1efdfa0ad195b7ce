"""Ridge regression in its dual form, cross-validated: what of the place can be read off a code linearly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere.stats import Interval, counts_interval, interval

Doubles = NDArray[np.float64]
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Relative to the mean squared length of the centred inputs."""

FOLDS = 10
_INNER = 5


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found.

    Attributes:
        value: Out-of-fold R2 with its interval over photos.
        control: The same with permuted targets: mean, and 2.5th and 97.5th percentile over permutations.
    """

    value: Interval
    control: Interval


def probe_r2(
    inputs: Doubles, targets: Doubles, *, seed: int, permutations: int = 20, resamples: int = 2000
) -> ProbeResult:
    """Probe.

    Args:
        inputs: Shape (n, p).
        targets: Shape (n, t).
        seed: Seed of folds, permutations and bootstrap.
        permutations: Runs with permuted targets.
        resamples: Resampled sets of photos.
    """
    rng = np.random.default_rng((seed, 47))
    dealt = [targets[rng.permutation(len(targets))] for _ in range(permutations)]
    residual, total = _residuals(_gram(inputs), np.stack([targets, *dealt]), seed)
    nulls = 1.0 - residual[1:].sum(axis=1) / total[1:].sum(axis=1)
    value = counts_interval(
        len(inputs),
        lambda times: 1.0 - (times @ residual[0]) / np.maximum(times @ total[0], 1e-300),
        seed=seed,
        resamples=resamples,
    )
    return ProbeResult(value, interval(float(np.mean(nulls)), nulls))


def _gram(inputs: Doubles) -> Doubles:
    """Return inner products of the inputs, scaled to a mean squared length of 1."""
    centred = inputs - inputs.mean(axis=0)
    gram: Doubles = centred @ centred.T
    return gram / max(float(np.trace(gram)) / len(gram), 1e-300)


def _residuals(gram: Doubles, targets: Doubles, seed: int) -> tuple[Doubles, Doubles]:
    """Return squared errors and squared distances from the training mean, each row held out once.

    Args:
        gram: Inner products of the inputs, shape (n, n).
        targets: Several sets of targets for the same inputs, shape (s, n, t).
        seed: Seed of the folds.

    Returns:
        Both of shape (s, n).
    """
    n = len(gram)
    folds = np.random.default_rng((seed, 53)).permutation(n) % min(FOLDS, n)
    residual, total = np.empty(targets.shape[:2]), np.empty(targets.shape[:2])
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        best = _choose(gram, targets, train)
        predicted = np.stack(_predictions(gram, targets, train, test))[best, np.arange(len(targets))]
        middle = targets[:, train].mean(axis=1, keepdims=True)
        residual[:, test] = ((targets[:, test] - predicted) ** 2).sum(axis=2)
        total[:, test] = ((targets[:, test] - middle) ** 2).sum(axis=2)
    return residual, total


def _choose(gram: Doubles, targets: Doubles, train: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return for every set of targets the penalty with the least squared error inside the training rows."""
    inner = np.arange(len(train)) % min(_INNER, len(train))
    errors = np.zeros((len(PENALTIES), len(targets)))
    for fold in np.unique(inner):
        fit, check = train[inner != fold], train[inner == fold]
        for row, predicted in enumerate(_predictions(gram, targets, fit, check)):
            errors[row] += ((targets[:, check] - predicted) ** 2).sum(axis=(1, 2))
    best: NDArray[np.intp] = errors.argmin(axis=0)
    return best


def _predictions(
    gram: Doubles, targets: Doubles, train: NDArray[np.intp], test: NDArray[np.intp]
) -> list[Doubles]:
    """Fit dual ridge regression with an intercept on some rows and predict others, for every penalty.

    One eigendecomposition serves all penalties and all sets of targets; each prediction is (s, test, t).
    """
    inside, across = gram[np.ix_(train, train)], gram[np.ix_(test, train)]
    mean = inside.mean(axis=0)
    centred = inside - mean - mean[:, None] + mean.mean()
    across = across - across.mean(axis=1, keepdims=True) - mean + mean.mean()
    values, vectors = np.linalg.eigh(centred)
    left, middle = across @ vectors, targets[:, train].mean(axis=1, keepdims=True)
    spread = vectors.T @ (targets[:, train] - middle)
    shrunk = (1.0 / (np.maximum(values, 0.0) + penalty) for penalty in PENALTIES)
    return [middle + (left * shrink) @ spread for shrink in shrunk]
