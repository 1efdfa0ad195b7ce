"""From scores of gallery points to probability over the Earth's surface.

A gallery has many points where many photos are taken. A softmax over its points would therefore answer
"where are photos taken" as much as "where was this one taken"; here every cell counts by its area.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from whyhere.geo import unit_vectors

_TINY = 1e-300  # a cell without mass divides by this instead of zero


@dataclass(frozen=True, slots=True)
class CellIndex:
    """Which H3 cell every gallery point lies in.

    Attributes:
        cells: H3 indices of the m occupied cells, uint64, ascending, shape (m,).
        cell_of_point: Row of `cells` for every gallery point, shape (n,).
        area_km2: Area of every cell, shape (m,).
        directions: Unit vectors of the points, float64, shape (n, 3).
        prior_km2: What every cell weighs before the photo is looked at, shape (m,): its area, less where the
            gallery was only filled; the area by default.
    """

    cells: NDArray[np.uint64]
    cell_of_point: NDArray[np.intp]
    area_km2: NDArray[np.float64]
    directions: NDArray[np.float64]
    prior_km2: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if len(self.prior_km2) != len(self.area_km2):
            object.__setattr__(self, "prior_km2", self.area_km2)

    @classmethod
    def build(
        cls,
        lat: NDArray[np.float64],
        lon: NDArray[np.float64],
        *,
        resolution: int,
        added: int = 0,
        added_weight: float = 1.0,
    ) -> CellIndex:
        """Index gallery points.

        Args:
            lat: Latitudes in degrees, shape (n,).
            lon: Longitudes in degrees, shape (n,).
            resolution: H3 resolution; 3 has cells of 12,400 km2, 4 of 1,770 km2 on average.
            added: How many of the points, the last ones, were added to cover the land.
            added_weight: Weight of the area of cells that hold no other points.
        """
        from whyhere.geo import cell_area_km2, cells_of

        cells, cell_of_point = np.unique(cells_of(lat, lon, resolution), return_inverse=True)
        area_km2 = cell_area_km2(cells)
        own = np.bincount(cell_of_point[: len(lat) - added], minlength=len(cells)) > 0
        prior_km2 = np.where(own, area_km2, added_weight * area_km2)
        return cls(cells, cell_of_point, area_km2, unit_vectors(lat, lon), prior_km2)

    def centres(self) -> NDArray[np.float64]:
        """Return the mean direction of every cell's points: unit vectors, shape (m, 3)."""
        count = len(self.cells)
        sums = [np.bincount(self.cell_of_point, axis, count) for axis in self.directions.T]
        means = np.stack(sums, axis=1)
        unit: NDArray[np.float64] = means / np.linalg.norm(means, axis=1, keepdims=True)
        return unit


def cell_probabilities(
    scores: NDArray[np.float32],
    index: CellIndex,
    *,
    temperature: float,
    background: float = 0.0,
    allowed: NDArray[np.bool_] | None = None,
    log_prior: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Spread probability over the occupied cells.

    A cell weighs its area times the mean of exp(score / temperature) over its points, so that a city with a
    thousand gallery points counts no more than the empty land beside it before the photo is looked at. Cells
    that were only filled to cover the land weigh less where the release says so (`CellIndex.prior_km2`).

    Args:
        scores: Score of every gallery point, shape (n,).
        index: The cells of the points.
        temperature: Divides the scores; fitted by cross-validation.
        background: Probability that the photo tells nothing: this much is spread by area alone.
        allowed: Points that may be answered, shape (n,); all by default.
        log_prior: What is believed about the points beside the photo, such as `hint_log_prior`, shape (n,).
            The probability of every point, its share of the background included, is multiplied by the
            exponential of it; then all are normalised. None and a constant change nothing.

    Returns:
        Probabilities, float64, shape (m,), summing to 1.

    Raises:
        ValueError: No point is allowed, or the prior is not finite.
    """
    logits = scores.astype(np.float64) / temperature
    keep = np.ones(len(logits), np.bool_) if allowed is None else allowed
    if not keep.any():
        raise ValueError("no gallery point is allowed")
    weights = np.where(keep, np.exp(logits - logits[keep].max(), where=keep, out=np.zeros_like(logits)), 0.0)
    sums = np.bincount(index.cell_of_point, weights, len(index.cells))
    counts = np.bincount(index.cell_of_point, keep, len(index.cells))
    mass = index.prior_km2 * sums / np.maximum(counts, 1)
    area = np.where(counts > 0, index.prior_km2, 0.0)
    probabilities: NDArray[np.float64] = (1 - background) * mass / mass.sum() + background * area / area.sum()
    if log_prior is None:
        return probabilities
    if not np.isfinite(log_prior[keep]).all():
        raise ValueError("the prior has numbers that are not finite")
    # Mass is the photo's say and area what is known without it; the prior multiplies both, point by point,
    # so that it changes the odds of two places by the ratio of their priors and no more.
    prior = np.where(keep, np.exp(np.where(keep, log_prior - log_prior[keep].max(), 0.0)), 0.0)
    told = np.bincount(index.cell_of_point, weights * prior, len(index.cells)) / np.maximum(sums, _TINY)
    untold = np.bincount(index.cell_of_point, prior, len(index.cells)) / np.maximum(counts, 1)
    mixed = (1 - background) * mass / mass.sum() * told + background * area / area.sum() * untold
    updated: NDArray[np.float64] = mixed / mixed.sum()
    return updated
