"""Accuracy as the field reports it, with its uncertainty."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whyhere.stats import Interval, bootstrap_interval

THRESHOLDS_KM = (1.0, 25.0, 200.0, 750.0, 2500.0)
"""Street, city, region, country and continent, as in the field since Im2GPS."""


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
