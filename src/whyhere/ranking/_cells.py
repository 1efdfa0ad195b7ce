"""From scores of gallery points to probability over cells of the Earth, countries and their units.

A gallery has many points where many photos are taken. A softmax over its points would therefore answer
"where are photos taken" as much as "where was this one taken"; here every cell counts by its area.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import UsageError
from whyhere.gallery import PlaceUnits
from whyhere.geo import cell_area_km2, cells_of, countries, unit_vectors
from whyhere.prediction import CountryShare, UnitShare
from whyhere.stats import mean_ranks

HINT_STRENGTH = 10.0
"""Largest factor by which a hint changes the odds between two places, unless asked otherwise."""
LISTED = 0.005
"""Least probability of a country or unit that is listed."""

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
        """Index gallery points at latitudes and longitudes in degrees, each of shape (n,).

        Cells of H3 `resolution` 3 have 12,400 km2, of 4 1,770 km2 on average. The last `added` points were
        added to cover the land; the area of cells that hold no other points weighs `added_weight`.
        """
        cells, cell_of_point = np.unique(cells_of(lat, lon, resolution), return_inverse=True)
        area_km2 = cell_area_km2(cells)
        own = np.bincount(cell_of_point[: len(lat) - added], minlength=len(cells)) > 0
        prior_km2 = np.where(own, area_km2, added_weight * area_km2)
        return cls(cells, cell_of_point, area_km2, unit_vectors(lat, lon), prior_km2)

    def mean(self, values: NDArray[Any], keep: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Average values of the points, (n,) or (n, d), over each cell: (m,) or (m, d).

        Args:
            values: The values.
            keep: Points that count, shape (n,); all by default. A cell without any has 0.
        """
        cell = self.cell_of_point if keep is None else self.cell_of_point[keep]
        chosen = values if keep is None else values[keep]
        count = len(self.cells)
        columns = chosen.reshape(len(chosen), -1).T
        sums = np.stack([np.bincount(cell, column, count) for column in columns], axis=1)
        means: NDArray[np.float64] = sums / np.maximum(np.bincount(cell, minlength=count), 1)[:, None]
        return means.reshape(count, *values.shape[1:])

    def centres(self) -> NDArray[np.float64]:
        """Return the mean direction of every cell's points: unit vectors, shape (m, 3)."""
        means = self.mean(self.directions)
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
    seen, unseen = (1 - background) * mass / mass.sum(), background * area / area.sum()
    if log_prior is None:
        return np.asarray(seen + unseen)
    if not np.isfinite(log_prior[keep]).all():
        raise ValueError("the prior has numbers that are not finite")
    # Mass is the photo's say and area what is known without it; the prior multiplies both, point by point,
    # so that it changes the odds of two places by the ratio of their priors and no more.
    prior = np.where(keep, np.exp(np.where(keep, log_prior - log_prior[keep].max(), 0.0)), 0.0)
    told = np.bincount(index.cell_of_point, weights * prior, len(index.cells)) / np.maximum(sums, _TINY)
    untold = np.bincount(index.cell_of_point, prior, len(index.cells)) / np.maximum(counts, 1)
    mixed = seen * told + unseen * untold
    return np.asarray(mixed / mixed.sum())


def gallery_softmax(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probabilities that the `geoclip` package reports for the points of its gallery, shape (n,).

    They say how the points compare, not how probable a place on Earth is: dense parts of the gallery count
    by their points. `cell_probabilities` corrects that; this is here to compare with GeoCLIP.

    >>> gallery_softmax(np.array([0.0, np.log(3)], np.float32)).round(6).tolist()
    [0.25, 0.75]
    """
    logits = scores.astype(np.float64)
    weights = np.exp(logits - logits.max())
    probabilities: NDArray[np.float64] = weights / weights.sum()
    return probabilities


def hint_log_prior(cosines: NDArray[np.floating], *, strength: float = HINT_STRENGTH) -> NDArray[np.float64]:
    """Turn how well every place fits a text into a bounded log prior: a nudge of stated size, no verdict.

    Only the order of the cosines counts, because their size differs from text to text and means nothing by
    itself: with r the rank of a place, 0 for the worst fit and 1 for the best (places of equal cosine share
    their mean rank), the log prior is log(strength) * r^2. The square spends the nudge where a hint speaks,
    among the places that fit well: the median place gets strength^(1/4) times the worst one's odds, the best
    strength^(3/4) times the median's. The default of 10 was set beforehand, not fitted to any photos.
    However well a place fits, the hint alone changes the odds between two places by at most `strength`, also
    where the photo tells nothing (see `cell_probabilities`).

    Args:
        cosines: How well every gallery point fits the text, as `Alignment.location_cosines` gives it for
            `location_direction` of a text, shape (n,).
        strength: Largest factor on the odds between two places, 1 (no effect) or more.

    Returns:
        Log prior of every point, from 0 to log(strength), float64, shape (n,); rises with the cosine.

    Raises:
        UsageError: The strength is below 1 or not finite.
        ValueError: There is no cosine, or one is not finite.

    >>> np.exp(hint_log_prior(np.array([0.1, 0.3, 0.2]), strength=16.0)).round(3).tolist()
    [1.0, 16.0, 2.0]
    """
    if not (math.isfinite(strength) and strength >= 1):
        raise UsageError(f"the strength of a hint is a factor on odds of 1 or more, not {strength}")
    if cosines.size == 0 or not np.isfinite(cosines).all():
        raise ValueError("a hint needs one finite cosine for every gallery point")
    share = (mean_ranks(cosines) - 1) / max(len(cosines) - 1, 1)
    log_prior: NDArray[np.float64] = math.log(strength) * share**2
    return log_prior


@dataclass(frozen=True, slots=True, eq=False)
class UnitIndex:
    """How the cells of a gallery are shared by countries and first-level units.

    A cell on a border counts by the places in it, as everywhere in the ranking.

    Attributes:
        places: The units.
        cell: Row of the cell of every pair of a cell and a unit that share a place, shape (p,).
        unit: Row of the unit of every pair, shape (p,).
        share: Part of the cell's places that lie in the unit, shape (p,).
    """

    places: PlaceUnits
    cell: NDArray[np.intp]
    unit: NDArray[np.intp]
    share: NDArray[np.float64]

    @classmethod
    def build(
        cls, places: PlaceUnits, cells: CellIndex, *, allowed: NDArray[np.bool_] | None = None
    ) -> UnitIndex:
        """Count the places, those `allowed` of shape (n,) or all, by cell and unit."""
        keep = slice(None) if allowed is None else allowed
        cell_of_place, unit_of_place = cells.cell_of_point[keep], places.of_place[keep]
        width = max(len(places.units), 1)
        pairs, counts = np.unique(cell_of_place * width + unit_of_place, return_counts=True)
        cell, unit = np.divmod(pairs, width)
        in_cell = np.bincount(cell_of_place, minlength=len(cells.cells))
        return cls(places, cell, unit, counts / in_cell[cell])


def country_shares(probabilities: NDArray[np.float64], index: UnitIndex) -> tuple[CountryShare, ...]:
    """Add probability up by country, and in each by first-level unit.

    Args:
        probabilities: Probability of every cell, shape (m,), summing to 1.
        index: How the cells are shared.

    Returns:
        Countries, and the open sea, of at least `LISTED`, in falling order; with all that is not listed
        they add up to 1.
    """
    mass = np.bincount(index.unit, probabilities[index.cell] * index.share, len(index.places.units))
    by_country: dict[str | None, list[tuple[str | None, float]]] = {}
    for (code, name), probability in zip(index.places.units, mass.tolist(), strict=True):
        by_country.setdefault(code, []).append((name, probability))
    found = []
    for code, units in by_country.items():
        total = float(sum(probability for _, probability in units))
        if total >= LISTED:
            listed = (UnitShare(name, value) for name, value in units if name is not None and value >= LISTED)
            name = "open sea" if code is None else countries()[code].name
            found.append(CountryShare(code, name, total, tuple(sorted(listed, key=_falling))))
    return tuple(sorted(found, key=_falling))


def _falling(share: CountryShare | UnitShare) -> float:
    return -share.probability
