"""How well a concept's map goes with its reference: AUROC and Spearman over cells, with blocked intervals.

Neighbouring cells are alike, so the intervals resample whole blocks of 10 degrees (a spatially blocked
bootstrap) instead of cells. Resampling gives every cell a weight; both scores are computed with weights,
which equals computing them on the repeated cells.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from whyhere.references._cells import CellTable, cell_table
from whyhere.references._layers import Floats
from whyhere.references._reference import Directness, Reference

LEAST_CELLS = 10
"""With fewer cells on either side there is nothing to compare."""

LEAST_BLOCKS = 10
"""Resampling fewer blocks gives intervals that mean nothing, down to a single point for one block."""

_DRAWS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well one concept's map goes with its reference.

    Attributes:
        concept_id: The concept.
        reference: What it was compared with, as `Reference.described` has it.
        kind: Kind of the reference.
        directness: Whether the reference measures the concept itself.
        auroc: Probability that a cell with the concept, by the reference, scores above one without.
        auroc_low: Lower end of its 95 % interval.
        auroc_high: Upper end of its 95 % interval.
        spearman: Rank correlation with the reference's numbers, positive where map and reference agree.
        spearman_low: Lower end of its 95 % interval.
        spearman_high: Upper end of its 95 % interval.
        cells: Cells compared.
        present_cells: Cells that have the concept by the reference.
        blocks: Blocks resampled.
    """

    concept_id: str
    reference: str
    kind: Literal["binary", "continuous"]
    directness: Directness
    auroc: float
    auroc_low: float
    auroc_high: float
    spearman: float
    spearman_low: float
    spearman_high: float
    cells: int
    present_cells: int
    blocks: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return asdict(self)


def agreement(
    scores: NDArray[np.floating],
    reference: Reference,
    *,
    lat: Floats,
    lon: Floats,
    cells: CellTable | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Agreement | None:
    """Compare one concept's values with its reference.

    Args:
        scores: What the location side says at every position, higher for more, shape (n,).
        reference: The concept's reference.
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
        cells: `cell_table(lat, lon)`, where many concepts are compared at the same positions.
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Returns:
        The agreement, or None where fewer than 10 cells have the concept by the reference, or lack it, or
        where all cells lie in fewer than 10 blocks.

    Raises:
        ValueError: The arrays differ in length or a score is not finite.
    """
    if not (len(scores) == len(lat) == len(lon)):
        raise ValueError(f"{len(scores)} scores at {len(lat)} latitudes and {len(lon)} longitudes")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    table = cells or cell_table(lat, lon)
    truth = table.average(reference.values(lat, lon))
    known = np.isfinite(truth)
    value, block = table.average(scores)[known], table.block[known]
    truth, present = truth[known], reference.present(truth[known]) > 0.5
    if min(int(present.sum()), int((~present).sum())) < LEAST_CELLS:
        return None
    truth = truth if reference.higher_means_more else -truth
    _, block = np.unique(block, return_inverse=True)
    count = int(block.max()) + 1
    if count < LEAST_BLOCKS:
        return None
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, np.full(count, 1.0 / count), size=draws).astype(np.float64)
    aurocs, spearmans = [], []
    for start in range(0, draws, _DRAWS_AT_ONCE):
        weights = drawn[start : start + _DRAWS_AT_ONCE][:, block]
        aurocs.append(weighted_auroc(value, present, weights))
        spearmans.append(weighted_spearman(value, truth, weights))
    once = np.ones((1, len(value)))
    low, high = _interval(np.concatenate(aurocs))
    rank_low, rank_high = _interval(np.concatenate(spearmans))
    return Agreement(
        concept_id=reference.concept_id,
        reference=reference.described,
        kind=reference.kind,
        directness=reference.directness,
        auroc=float(weighted_auroc(value, present, once)[0]),
        auroc_low=low,
        auroc_high=high,
        spearman=float(weighted_spearman(value, truth, once)[0]),
        spearman_low=rank_low,
        spearman_high=rank_high,
        cells=len(value),
        present_cells=int(present.sum()),
        blocks=count,
    )


def _interval(found: Floats) -> tuple[float, float]:
    """Return the middle 95 % of draws; one without a cell on either side says nothing."""
    low, high = np.nanquantile(found, [0.025, 0.975])
    return float(low), float(high)


def weighted_auroc(scores: Floats, present: NDArray[np.bool_], weights: Floats) -> Floats:
    """Compute the area under the ROC curve with weights; ties count half.

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


def weighted_spearman(a: Floats, b: Floats, weights: Floats) -> Floats:
    """Compute Spearman's rank correlation with weights; ties share their mean rank.

    Args:
        a: Shape (m,).
        b: Shape (m,).
        weights: One row per resample, shape (d, m).

    Returns:
        Shape (d,); NaN where one side has a single value.
    """
    x, y = _weighted_ranks(a, weights), _weighted_ranks(b, weights)
    total = weights.sum(axis=1, keepdims=True)
    x -= (weights * x).sum(axis=1, keepdims=True) / total
    y -= (weights * y).sum(axis=1, keepdims=True) / total
    shared, square = (
        (weights * x * y).sum(axis=1),
        (weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1),
    )
    return np.where(square > 0, shared / np.sqrt(np.where(square > 0, square, 1.0)), np.nan)


def _weighted_ranks(values: Floats, weights: Floats) -> Floats:
    """Return mean ranks less one half, of each value among the weighted ones, shape (d, m)."""
    order, starts, group = _ties(values)
    tied = np.add.reduceat(weights[:, order], starts, axis=1)
    middle: Floats = (np.cumsum(tied, axis=1) - tied / 2)[:, group]
    return middle


def _ties(values: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the rising order, where each run of equal values starts in it, and the run of each value."""
    _, first, group = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(values, kind="stable")
    counts = np.bincount(group.ravel(), minlength=len(first))
    return order, np.cumsum(counts) - counts, group.ravel()
