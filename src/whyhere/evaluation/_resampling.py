"""The bootstrap for many figures at once: each resampled set of photos gives all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whyhere.evaluation._accuracy import Interval

Array = NDArray[np.float64]

MAX_RESAMPLES = 10_000
_DRAWS = 100_000_000
_BLOCK = 4_000_000


def resamples_for(photos: int) -> int:
    """Return how many sets are drawn: 10,000, fewer beyond 10,000 photos, never fewer than 1,000.

    Percentiles of 1,000 sets are good to about a twentieth of the width of the interval.
    """
    return max(1_000, min(MAX_RESAMPLES, _DRAWS // max(photos, 1)))


def resample(
    photos: int,
    ratios: Sequence[tuple[Array, Array]],
    medians: Sequence[Array] = (),
    *,
    resamples: int | None = None,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Draw sets of photos with replacement and return every figure on every set.

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
    found = np.empty((resamples, len(ratios)))
    middle = np.empty((resamples, len(medians)))
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
            middle[start : start + size, column] = _medians(values[order], times[:, order])
    return found, middle


def _medians(ordered: Array, times: Array) -> Array:
    """Return the median of each set: `ordered` (n,) taken `times` (r, n) times each, n in all."""
    photos = len(ordered)
    taken = times.cumsum(axis=1)
    low, high = (ordered[(taken <= rank).sum(axis=1)] for rank in ((photos - 1) // 2, photos // 2))
    middle: Array = (low + high) / 2  # the mean of two infinities is one, too
    return middle


def share(numerator: Array, denominator: Array) -> float:
    """Return the sum of the one over the sum of the other, NaN where that is zero."""
    below = float(denominator.sum())
    return float(numerator.sum()) / below if below else float("nan")


def interval(value: float, draws: Array) -> Interval:
    """Return a figure with the 2.5th and 97.5th percentile of its resampled values.

    Args:
        value: The figure on all photos.
        draws: Its values on resampled sets, shape (r,); NaN (an empty group) is left out.
    """
    draws = draws[~np.isnan(draws)]
    if len(draws) == 0:
        return Interval(value, float("nan"), float("nan"))
    # Between two finite neighbours linear interpolation is right; next to an infinity it would give NaN.
    finite = bool(np.isfinite(draws).all())
    low, high = np.percentile(draws, (2.5, 97.5), method="linear" if finite else "nearest")
    return Interval(value, float(low), float(high))
