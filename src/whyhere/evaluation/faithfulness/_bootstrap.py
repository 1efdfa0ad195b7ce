"""Intervals by resampling photos, for figures that are no plain means."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from whyhere.evaluation import Interval, bootstrap_interval

Doubles = NDArray[np.float64]


def nan_mean(values: Doubles, axis: int) -> Doubles:
    """Return means without NaN; NaN where nothing is left, without a warning."""
    there = ~np.isnan(values)
    total = np.where(there, values, 0.0).sum(axis=axis)
    means: Doubles = np.where(there.any(axis=axis), total / np.maximum(there.sum(axis=axis), 1), np.nan)
    return means


def mean_interval(values: Doubles, *, seed: int, resamples: int = 2000) -> Interval:
    """Return a mean with its interval; NaN where there is nothing to average.

    Args:
        values: One value a photo, shape (n,); NaN is left out.
        seed: Seed of the resampling.
        resamples: Number of resampled sets.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"))
    return bootstrap_interval(values, lambda v: v.mean(axis=-1), seed=seed, resamples=resamples)


def median_interval(values: Doubles, *, seed: int, resamples: int = 2000) -> Interval:
    """Return a median with its interval; see `mean_interval`."""
    values = values[~np.isnan(values)]
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"))
    return bootstrap_interval(values, lambda v: np.median(v, axis=-1), seed=seed, resamples=resamples)


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
    rng = np.random.default_rng(seed)
    times = rng.multinomial(units, np.full(units, 1 / units), size=resamples).astype(np.float64)
    figures = statistic(times)
    figures = figures[~np.isnan(figures)]
    value = float(statistic(np.ones((1, units)))[0])
    if not len(figures):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(figures, (2.5, 97.5))
    return Interval(value, float(low), float(high))


def mean_of_means(total: Doubles, count: Doubles, times: Doubles) -> Doubles:
    """Return the mean over columns of each column's mean over photos.

    Args:
        total: Sum of what a photo adds to a column, shape (n, c).
        count: How many values that sum has, shape (n, c).
        times: How often each photo counts, shape (r, n).

    Returns:
        Shape (r,); columns that a set of photos leaves empty are left out of its mean.
    """
    below = times @ count
    means = np.where(below > 0, (times @ total) / np.maximum(below, 1), 0.0)
    columns = (below > 0).sum(axis=1)
    figures: Doubles = np.where(columns > 0, means.sum(axis=1) / np.maximum(columns, 1), np.nan)
    return figures
