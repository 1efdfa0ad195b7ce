"""The statistics that all of whyhere shares: intervals, bootstraps, ranks, AUROC and ridge regression.

Every interval is a percentile bootstrap of 95 % unless it says otherwise. A bootstrap resamples photos
(`resample`, `bootstrap_interval`), or units that carry any amount of data, such as blocks of the Earth
(`times_drawn`, `counts_interval`): neighbouring cells are no independent evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere._record import Record

Doubles = NDArray[np.float64]

MAX_RESAMPLES = 10_000
_DRAWS = 100_000_000
_BLOCK = 4_000_000
_Z = 1.959964  # 95 %


class Interval(Record, frozen=True):
    """A figure with its 95 % interval: the 2.5th and 97.5th percentile over resampled sets."""

    value: float
    low: float
    high: float


def interval(value: float, draws: Doubles) -> Interval:
    """Return a figure with the 2.5th and 97.5th percentile of its resampled values.

    Args:
        value: The figure on all units.
        draws: Its values on resampled sets, shape (r,); NaN (a set that allows none) is left out.
    """
    draws = draws[~np.isnan(draws)]
    if len(draws) == 0:
        return Interval(value, float("nan"), float("nan"))
    # Between two finite neighbours linear interpolation is right; next to an infinity it would give NaN.
    finite = bool(np.isfinite(draws).all())
    low, high = np.percentile(draws, (2.5, 97.5), method="linear" if finite else "nearest")
    return Interval(value, float(low), float(high))


def bootstrap_interval(
    values: Doubles, statistic: Callable[[Doubles], Doubles], *, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Estimate a figure's uncertainty by resampling its values with replacement.

    Args:
        values: One value a photo, shape (n,).
        statistic: Maps values of shape (..., n) to figures of shape (...).
        resamples: Number of resampled sets.
        seed: Seed of the resampling.
    """
    rng = np.random.default_rng(seed)
    # In blocks, because all sets of a large benchmark would not fit into memory; the draws are the same.
    block = max(1, _BLOCK // max(len(values), 1))
    figures = [
        statistic(values[rng.integers(0, len(values), (min(block, resamples - start), len(values)))])
        for start in range(0, resamples, block)
    ]
    return interval(float(statistic(values)), np.concatenate(figures))


def mean_interval(values: Doubles, *, seed: int = 0, resamples: int = 2000) -> Interval:
    """Return a mean with its interval, shape (n,); NaN is left out, and the answer where nothing else is."""
    return _known_interval(values, lambda sets: sets.mean(axis=-1), seed, resamples)


def median_interval(values: Doubles, *, seed: int = 0, resamples: int = 2000) -> Interval:
    """Return a median with its interval; see `mean_interval`."""
    return _known_interval(values, lambda sets: np.median(sets, axis=-1), seed, resamples)


def _known_interval(
    values: Doubles, statistic: Callable[[Doubles], Doubles], seed: int, resamples: int
) -> Interval:
    values = values[~np.isnan(values)]
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"))
    return bootstrap_interval(values, statistic, seed=seed, resamples=resamples)


def resamples_for(photos: int) -> int:
    """Return how many sets `resample` draws: 10,000, fewer beyond 10,000 photos, never fewer than 1,000.

    Percentiles of 1,000 sets are good to about a twentieth of the width of the interval.
    """
    return max(1_000, min(MAX_RESAMPLES, _DRAWS // max(photos, 1)))


def resample(
    photos: int,
    ratios: Sequence[tuple[Doubles, Doubles]],
    medians: Sequence[Doubles] = (),
    *,
    resamples: int | None = None,
    seed: int = 0,
) -> tuple[Doubles, Doubles]:
    """Draw sets of photos with replacement and return every figure on every set.

    Figures on the same sets are paired: their differences are far better known than they are.

    Args:
        photos: Number of photos, n.
        ratios: Numerators and denominators, each of shape (n,): a figure is the sum of the one over the sum
            of the other.
        medians: Values of shape (n,) whose median is wanted; infinite ones are allowed.
        resamples: Number of sets, r; `resamples_for` by default.
        seed: Seed of the drawing: the same photos give the same sets.

    Returns:
        Ratios, shape (r, len(ratios)), NaN where a denominator is zero, and medians, shape (r, len(medians)).
    """
    resamples = resamples_for(photos) if resamples is None else resamples
    above = np.array([numerator for numerator, _ in ratios], np.float64).reshape(len(ratios), photos)
    below = np.array([denominator for _, denominator in ratios], np.float64).reshape(len(ratios), photos)
    orders = [np.argsort(values, kind="stable") for values in medians]
    found, middle = np.empty((resamples, len(ratios))), np.empty((resamples, len(medians)))
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // photos)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        rows = rng.integers(0, photos, (size, photos))
        rows += np.arange(size)[:, None] * photos
        times = np.bincount(rows.ravel(), minlength=size * photos).reshape(size, photos).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            found[start : start + size] = (times @ above.T) / (times @ below.T)
        for column, (values, order) in enumerate(zip(medians, orders, strict=True)):
            taken = times[:, order].cumsum(axis=1)
            low, high = (
                values[order][(taken <= rank).sum(axis=1)] for rank in ((photos - 1) // 2, photos // 2)
            )
            middle[start : start + size, column] = (low + high) / 2  # right for two infinities, too
    return found, middle


def share(numerator: Doubles, denominator: Doubles) -> float:
    """Return the sum of the one over the sum of the other, NaN where that is zero."""
    below = float(denominator.sum())
    return float(numerator.sum()) / below if below else float("nan")


def times_drawn(units: int, resamples: int, rng: np.random.Generator) -> Doubles:
    """Draw units with replacement; how often each was drawn, shape (resamples, units)."""
    return rng.multinomial(units, np.full(units, 1 / units), size=resamples).astype(np.float64)


def counts_interval(
    units: int, statistic: Callable[[Doubles], Doubles], *, seed: int, resamples: int = 2000
) -> Interval:
    """Return a figure with its interval, where each unit may carry any amount of data.

    Args:
        units: Photos, or blocks of the Earth.
        statistic: Maps how often each unit was drawn, shape (r, units), to figures of shape (r,); NaN where a
            set allows none.
        seed: Seed of the resampling.
        resamples: Number of resampled sets.
    """
    draws = statistic(times_drawn(units, resamples, np.random.default_rng(seed)))
    return interval(float(statistic(np.ones((1, units)))[0]), draws)


def nan_mean(values: Doubles, axis: int) -> Doubles:
    """Return means without NaN; NaN where nothing is left, without a warning."""
    there = ~np.isnan(values)
    total = np.where(there, values, 0.0).sum(axis=axis)
    return np.where(there.any(axis=axis), total / np.maximum(there.sum(axis=axis), 1), np.nan)


def total_variation(p: Doubles, q: Doubles) -> float:
    """Return half the sum of absolute differences of two distributions over the same cells, 0 to 1.

    It is the largest difference between the probabilities that the two give to any one area.

    >>> total_variation(np.array([0.5, 0.5, 0.0]), np.array([0.5, 0.0, 0.5]))
    0.5
    """
    return float(np.abs(p - q).sum() / 2)


def mean_ranks(values: NDArray[np.floating[Any]]) -> Doubles:
    """Rank values, shape (n,), from 1 for the smallest; equal values share the mean of their ranks."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Doubles = (np.cumsum(counts) - (counts - 1) / 2)[group]
    return ranks


def spearman(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> float:
    """Return the rank correlation of values, both of shape (n,); ties share their mean rank."""
    return float(np.corrcoef(mean_ranks(a), mean_ranks(b))[0, 1])


def auroc(scores: NDArray[np.floating[Any]], positive: NDArray[np.bool_]) -> float | None:
    """Probability that a positive has the higher score, half for equals; None where one kind is missing."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    rank_sum = float(mean_ranks(scores)[positive].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def auroc_interval(auroc: float, positives: int, negatives: int) -> Interval:
    """Return an AUROC with Newcombe's 95 % interval: all values from which it is not surprising.

    It keeps its width where a handful is told apart without a mistake (Newcombe 2006, Stat. Med. 25,
    method 5).

    Args:
        auroc: The AUROC.
        positives: How many show the thing.
        negatives: How many do not.
    """
    half = (positives + negatives) / 2 - 1

    def reach(value: float) -> float:
        """Return 1.96 standard errors at a true AUROC (Hanley and McNeil 1982, sizes averaged)."""
        spread = 1 + half * ((1 - value) / (2 - value) + value / (1 + value))
        return _Z * float(np.sqrt(value * (1 - value) * spread / (positives * negatives)))

    def edge(outside: float) -> float:
        """Bisect between a value that is too far off, or the limit, and the AUROC itself."""
        far, near = outside, auroc
        for _ in range(60):
            middle = (far + near) / 2
            if abs(middle - auroc) > reach(middle):
                far = middle
            else:
                near = middle
        return near

    return Interval(auroc, edge(0.0), edge(1.0))


def weighted_auroc(scores: Doubles, present: NDArray[np.bool_], weights: Doubles) -> Doubles:
    """Compute the area under the ROC curve with weights; ties count half.

    Weights that say how often a unit was drawn give what `auroc` gives on the repeated units.

    Args:
        scores: Shape (m,).
        present: Which are positive, shape (m,).
        weights: One row per resample, shape (d, m).

    Returns:
        Shape (d,); NaN where all weight lies on one side.
    """
    order, starts, _ = _ties(scores)
    sorted_weights, sorted_present = weights[:, order], present[order]
    positive = np.add.reduceat(sorted_weights * sorted_present, starts, axis=1)
    negative = np.add.reduceat(sorted_weights * ~sorted_present, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    won = (positive * below).sum(axis=1)
    return np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1.0), np.nan)


def weighted_spearman(a: Doubles, b: Doubles, weights: Doubles) -> Doubles:
    """Compute Spearman's rank correlation with weights, as `weighted_auroc` does; NaN for a single value."""
    x, y = _weighted_ranks(a, weights), _weighted_ranks(b, weights)
    total = weights.sum(axis=1, keepdims=True)
    x -= (weights * x).sum(axis=1, keepdims=True) / total
    y -= (weights * y).sum(axis=1, keepdims=True) / total
    shared = (weights * x * y).sum(axis=1)
    square = (weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1)
    return np.where(square > 0, shared / np.sqrt(np.where(square > 0, square, 1.0)), np.nan)


def _weighted_ranks(values: Doubles, weights: Doubles) -> Doubles:
    """Return mean ranks less one half, of each value among the weighted ones, shape (d, m)."""
    order, starts, group = _ties(values)
    tied = np.add.reduceat(weights[:, order], starts, axis=1)
    middle: Doubles = (np.cumsum(tied, axis=1) - tied / 2)[:, group]
    return middle


def _ties(values: Doubles) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the rising order, where each run of equal values starts in it, and the run of each value."""
    _, first, group = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(values, kind="stable")
    counts = np.bincount(group.ravel(), minlength=len(first))
    return order, np.cumsum(counts) - counts, group.ravel()


def unit_rows(rows: Doubles) -> Doubles:
    """Return rows, shape (n, d), scaled to length one; rows of zeros stay zeros."""
    unit: Doubles = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return unit


def dual_ridge(x: Doubles, y: Doubles, penalty: float, *, relative: bool = False) -> Doubles:
    """Fit ridge regression without an intercept through the Gram matrix, for fewer rows than columns.

    Args:
        x: Inputs, shape (n, p).
        y: Targets, shape (n, t).
        penalty: Added to the eigenvalues of the Gram matrix.
        relative: Whether the penalty is a multiple of their mean.

    Returns:
        Coefficients, shape (p, t).
    """
    gram = x @ x.T
    strength = penalty * np.trace(gram) / len(gram) if relative else penalty
    coefficients: Doubles = x.T @ np.linalg.solve(gram + strength * np.eye(len(gram)), y)
    return coefficients


def correlation(a: Doubles, b: Doubles) -> float:
    """Return Pearson's correlation of two vectors; 0 where one is constant."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else 0.0


def percentiles(values: Doubles) -> Doubles:
    """Place each value among all, shape (n,): the percentage below it, counting half of its equals."""
    shares: Doubles = 100 * (mean_ranks(values) - 0.5) / max(len(values), 1)
    return shares


def weighted_percentiles(values: Doubles, population: NDArray[np.floating], weights: Doubles) -> Doubles:
    """Place values within a weighted population, one column a quantity.

    Args:
        values: Shape (k,).
        population: Shape (n, k).
        weights: Weight of each row, none negative, not all zero, shape (n,).

    Returns:
        Percentage of the weight below each value, counting half of the equals, shape (k,).
    """
    share = weights / weights.sum()
    # Column by column: no copy of the population is needed.
    below = [
        share[column < value].sum() + share[column == value].sum() / 2
        for value, column in zip(values, population.T, strict=True)
    ]
    return 100 * np.array(below, np.float64)


def weighted_mean_and_error(
    values: Doubles, weights: Doubles, blocks: NDArray[np.integer]
) -> tuple[Doubles, Doubles]:
    """Average units by weight; the standard error takes blocks of units, not units, as independent.

    The error is that of a ratio of sums, linearised, with blocks as the units (Cochran 1977, section 6.5):
    sqrt(g / (g - 1) * sum over blocks of (sum of w (x - mean))^2) / sum of w.

    Args:
        values: One row a unit, shape (m, k).
        weights: Weight of each unit, positive, shape (m,).
        blocks: Which block each unit lies in, shape (m,).

    Returns:
        Means and standard errors, both of shape (k,); errors are NaN where there is only one block.
    """
    total = float(weights.sum())
    mean: Doubles = weights @ values / total
    _, block = np.unique(blocks, return_inverse=True)
    count = int(block.max()) + 1
    if count < 2:
        return mean, np.full(values.shape[1], np.nan)
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, block, weights[:, None] * (values - mean))
    error: Doubles = np.sqrt(count / (count - 1) * (sums**2).sum(axis=0)) / total
    return mean, error
