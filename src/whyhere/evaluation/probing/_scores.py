"""From predictions to scores with intervals.

A score is R2 or accuracy over all points, each predicted once a repeat by a probe that did not see it. Its
interval resamples what it could have been otherwise: the repeat (how points were divided and networks
started) and the blocks of the Earth that were tested (neighbours are no independent evidence).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.evaluation.probing._task import Floats, Kind
from whyhere.stats import Interval, interval, times_drawn

DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Resampling:
    """Draws shared by everything that is scored on the same points, so that differences are paired.

    Attributes:
        weights: How often each block counts, float64, shape (draws, blocks).
        repeat: Which repeat counts, shape (draws,).
    """

    weights: Floats
    repeat: NDArray[np.int64]

    @classmethod
    def of(cls, blocks: int, repeats: int, *, seed: int, draws: int = DRAWS) -> Resampling:
        """Draw `blocks` blocks with replacement and one repeat, `draws` times."""
        rng = np.random.default_rng(seed)
        return cls(times_drawn(blocks, draws, rng), rng.integers(0, repeats, draws))


@dataclass(frozen=True, slots=True)
class Sampled:
    """A score.

    Attributes:
        value: Mean over repeats.
        repeats: Value of each repeat.
        draws: Values over the draws of a `Resampling`.
    """

    value: float
    repeats: tuple[float, ...]
    draws: Floats

    @property
    def interval(self) -> Interval:
        """The value with the central 95 % of its draws."""
        return interval(self.value, self.draws)


def score(
    kind: Kind,
    target: NDArray[Any],
    predicted: NDArray[Any],
    block: NDArray[np.int64],
    resampling: Resampling,
) -> tuple[Sampled, Sampled | None]:
    """Score the predictions of all repeats.

    Args:
        kind: "value" for R2, "class" for accuracy.
        target: Truths, shape (n,): numbers, or class numbers.
        predicted: Predictions, shape (repeats, n).
        block: Number of each point's block, shape (n,).
        resampling: The draws.

    Returns:
        R2 and None, or accuracy and balanced accuracy (the mean of the accuracies within classes).
    """
    if kind == "value":
        return _r2(target.astype(np.float64), predicted.astype(np.float64), block, resampling), None
    hits = predicted == target
    single = np.zeros(len(target), np.int64)
    return _accuracy(single, hits, block, resampling), _accuracy(target, hits, block, resampling)


def share(kept: list[Sampled], whole: list[Sampled]) -> Sampled:
    """Return the mean of some scores as a share of the mean of others, task by task in the same order."""
    part, total = sum(s.value for s in kept), sum(s.value for s in whole)
    draws = np.sum([s.draws for s in kept], axis=0) / np.sum([s.draws for s in whole], axis=0)
    return Sampled(part / total, (), draws)


def _r2(target: Floats, predicted: Floats, block: NDArray[np.int64], resampling: Resampling) -> Sampled:
    """1 - squared error / squared deviation from the mean, from sums over blocks."""
    y = target - target.mean()  # R2 does not change, and the sums below lose no digits
    squares = (predicted - target) ** 2
    blocks = resampling.weights.shape[1]

    def per_block(values: Floats) -> Floats:
        return np.bincount(block, values, blocks).astype(np.float64)

    one, first, second = per_block(np.ones(len(y))), per_block(y), per_block(y * y)
    errors = np.stack([per_block(row) for row in squares], axis=1)  # (blocks, repeats)

    def r2(weights: Floats) -> Floats:
        count, total = weights @ one, weights @ first
        spread = np.maximum(weights @ second - total**2 / count, 1e-300)
        values: Floats = 1 - (weights @ errors) / spread[:, None]
        return values

    return _sampled(r2(np.ones((1, blocks)))[0], r2(resampling.weights), resampling)


def _accuracy(
    group: NDArray[np.int64], hits: NDArray[np.bool_], block: NDArray[np.int64], resampling: Resampling
) -> Sampled:
    """Mean over groups of the share of hits within each, from counts over blocks and groups."""
    blocks, groups = resampling.weights.shape[1], int(group.max()) + 1
    cell = block * groups + group

    def per_cell(values: Floats) -> Floats:
        summed = np.bincount(cell, values, blocks * groups).astype(np.float64)
        return summed.reshape(blocks, groups)

    counts = per_cell(np.ones(len(group)))
    right = [per_cell(row.astype(np.float64)) for row in hits]

    def accuracy(weights: Floats) -> Floats:
        there = weights @ counts
        present = there > 0  # a draw may lack a class
        shares = [np.where(present, (weights @ row) / np.maximum(there, 1), 0.0) for row in right]
        values: Floats = np.stack([row.sum(axis=1) / present.sum(axis=1) for row in shares], axis=1)
        return values

    return _sampled(accuracy(np.ones((1, blocks)))[0], accuracy(resampling.weights), resampling)


def _sampled(repeats: Floats, draws: Floats, resampling: Resampling) -> Sampled:
    """Pick the repeat of each draw; `draws` has shape (draws, repeats)."""
    picked = draws[np.arange(len(draws)), resampling.repeat]
    return Sampled(float(repeats.mean()), tuple(float(value) for value in repeats), picked)
