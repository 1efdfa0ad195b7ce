"""From probability over cells to a few different places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere.geo import vector_distance_km
from whyhere.ranking._surface import CellIndex

COVERAGE = 0.9
"""Part of a merged place's probability that its reported radius holds."""

_SPARE_MODES = 25  # modes looked at beyond those asked for: a broad place may outweigh a sharper one
_EDGE_KM = 5.0  # smallest radius that is reported: a gallery point stands for its surroundings


@dataclass(frozen=True, slots=True)
class RankedPlace:
    """One place, named by the gallery point at its centre.

    Attributes:
        point: Row of the gallery.
        radius_km: Great-circle radius around the point.
        probability: Probability within that radius, less what denser places already count.
    """

    point: int
    radius_km: float
    probability: float


def rank_places(
    probabilities: NDArray[np.float64],
    scores: NDArray[np.float32],
    index: CellIndex,
    *,
    top: int,
    radius_km: float,
    allowed: NDArray[np.bool_] | None = None,
) -> tuple[RankedPlace, ...]:
    """Merge cells into different places, the most probable first.

    The cell with the most probability per area becomes a place, centred on its best-scoring point; all
    cells within `radius_km` of that point are merged into it; then the densest cell that is left becomes
    the next place, and so on. The reported radius is the smallest that holds 90 % of what was merged, and
    the reported probability is what lies within that radius.

    Args:
        probabilities: Probability of every cell, shape (m,).
        scores: Score of every gallery point, shape (n,).
        index: The cells of the points.
        top: How many places at most.
        radius_km: Cells nearer than this to a centre belong to the same place.
        allowed: Points that may be answered, shape (n,); all by default.

    Returns:
        At most `top` places; their centres are farther apart than `radius_km`.
    """
    best_points = _best_point_of_cells(scores, index, allowed)
    rows = np.flatnonzero(best_points >= 0)
    points, mass = best_points[rows], probabilities[rows]
    directions, density = index.directions[points], mass / index.area_km2[rows]
    free = mass > 0
    places: list[RankedPlace] = []
    while len(places) < top + _SPARE_MODES and free.any():
        centre = int(np.where(free, density, -1.0).argmax())
        distances = vector_distance_km(directions[centre], directions)
        members = np.flatnonzero(free & (distances <= radius_km))
        members = members[np.argsort(distances[members], kind="stable")]
        cumulative = np.cumsum(mass[members])
        last = int(np.searchsorted(cumulative, COVERAGE * cumulative[-1]))
        places.append(
            RankedPlace(
                point=int(points[centre]),
                radius_km=min(max(float(distances[members[last]]), _EDGE_KM), radius_km),
                probability=float(cumulative[last]),
            )
        )
        free[members] = False
    return tuple(sorted(places, key=lambda place: -place.probability)[:top])


def _best_point_of_cells(
    scores: NDArray[np.float32], index: CellIndex, allowed: NDArray[np.bool_] | None
) -> NDArray[np.intp]:
    """Return the best-scoring allowed point of every cell, the first of equals, -1 where there is none."""
    points = np.arange(len(scores)) if allowed is None else np.flatnonzero(allowed)
    worst_first = points[np.lexsort((-points, scores[points]))]
    best = np.full(len(index.cells), -1, np.intp)
    best[index.cell_of_point[worst_first]] = worst_first  # the last assignment of a cell wins
    return best
