"""The few statistics that maps, profiles and comparisons share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whyhere.ranking import CellIndex
from whyhere.stats import auroc, mean_ranks

Array = NDArray[np.float64]


def percentiles(values: Array) -> Array:
    """Place each value among all, shape (n,): the percentage below it, counting half of its equals."""
    shares: Array = 100 * (mean_ranks(values) - 0.5) / max(len(values), 1)
    return shares


def weighted_percentiles(values: Array, population: NDArray[np.floating], weights: Array) -> Array:
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


def cell_means(
    values: NDArray[np.floating], index: CellIndex, keep: NDArray[np.bool_] | None = None
) -> tuple[Array, NDArray[np.int64]]:
    """Average points in their cells.

    Args:
        values: One row a point, shape (n, k).
        index: The cells of the points.
        keep: Points that count, shape (n,); all by default.

    Returns:
        Means, float64, shape (m, k), NaN for a cell without a point, and how many points count in each cell.
    """
    cell = index.cell_of_point if keep is None else index.cell_of_point[keep]
    rows = values if keep is None else values[keep]
    size = len(index.cells)
    count = np.bincount(cell, minlength=size)
    sums = np.stack([np.bincount(cell, column, size) for column in rows.T], axis=1)
    with np.errstate(invalid="ignore"):
        means: Array = np.where(count[:, None] > 0, sums / np.maximum(count, 1)[:, None], np.nan)
    return means, count


def column_aurocs(above: Array, below: Array) -> Array:
    """Return the AUROC of the rows of `above`, (m, k), over those of `below`, (n, k), a column each: (k,)."""
    both = np.vstack((above, below))
    positive = np.arange(len(both)) < len(above)
    return np.array([auroc(column, positive) for column in both.T], np.float64)


def weighted_mean_and_error(
    values: Array, weights: Array, blocks: NDArray[np.integer]
) -> tuple[Array, Array]:
    """Average cells by weight; the standard error takes blocks of cells, not cells, as independent.

    The error is that of a ratio of sums, linearised, with blocks as the units (Cochran 1977, section 6.5):
    sqrt(g / (g - 1) * sum over blocks of (sum of w (x - mean))^2) / sum of w.

    Args:
        values: One row a cell, shape (m, k).
        weights: Weight of each cell, positive, shape (m,).
        blocks: Which block each cell lies in, shape (m,).

    Returns:
        Means and standard errors, both of shape (k,); errors are NaN where there is only one block.
    """
    total = float(weights.sum())
    mean: Array = weights @ values / total
    _, block = np.unique(blocks, return_inverse=True)
    count = int(block.max()) + 1
    if count < 2:
        return mean, np.full(values.shape[1], np.nan)
    residual = weights[:, None] * (values - mean)
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, block, residual)
    error: Array = np.sqrt(count / (count - 1) * (sums**2).sum(axis=0)) / total
    return mean, error
