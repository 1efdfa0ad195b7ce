"""Accuracy as the field reports it, with its uncertainty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

THRESHOLDS_KM = (1.0, 25.0, 200.0, 750.0, 2500.0)
"""Street, city, region, country and continent, as in the field since Im2GPS."""

_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % bootstrap interval.

    Attributes:
        value: The figure on all photos.
        low: 2.5th percentile over resampled sets of photos.
        high: 97.5th percentile.
    """

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return the fields as a plain dictionary."""
        return {"value": self.value, "low": self.low, "high": self.high}


def bootstrap_interval(
    values: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Estimate a figure's uncertainty by resampling photos with replacement.

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
    low, high = np.percentile(np.concatenate(figures), (2.5, 97.5))
    return Interval(float(statistic(values)), float(low), float(high))


def accuracy_table(errors_km: NDArray[np.float64]) -> dict[str, Interval]:
    """Summarise errors.

    Args:
        errors_km: Great-circle distance from the first answer to the truth for every photo, shape (n,).

    Returns:
        Percentage of photos within each of `THRESHOLDS_KM` ("1 km" ... "2500 km") and "median km".
    """
    table = {
        f"{threshold:g} km": bootstrap_interval(
            np.where(errors_km <= threshold, 100.0, 0.0), lambda hits: hits.mean(axis=-1)
        )
        for threshold in THRESHOLDS_KM
    }
    table["median km"] = bootstrap_interval(errors_km, lambda errors: np.median(errors, axis=-1))
    return table
