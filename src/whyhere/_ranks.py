"""Ranks and what is counted by them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mean_ranks(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Rank values, shape (n,), from 1 for the smallest; equal values share the mean of their ranks."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[group]
    return ranks


def auroc(scores: NDArray[np.floating[Any]], positive: NDArray[np.bool_]) -> float | None:
    """Probability that a positive has the higher score, half for equals; None where one kind is missing."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    rank_sum = float(mean_ranks(scores)[positive].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)
