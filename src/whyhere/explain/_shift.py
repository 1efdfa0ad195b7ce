"""How far answers move: the area around a point, and the distance between two probability surfaces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whyhere.geo import vector_distance_km
from whyhere.ranking import CellIndex


def best_points(
    scores: NDArray[np.float32], index: CellIndex, *, allowed: NDArray[np.bool_] | None = None
) -> NDArray[np.intp]:
    """Find the best-scoring point of every cell.

    Args:
        scores: Score of every gallery point, shape (n,).
        index: The cells of the points.
        allowed: Points that may be answered, shape (n,); all by default.

    Returns:
        Rows of the gallery, the first of equals, shape (m,); -1 where no point of the cell is allowed.
    """
    rows = np.arange(len(scores)) if allowed is None else np.flatnonzero(allowed)
    worst_first = rows[np.argsort(-scores[rows], kind="stable")][::-1]
    best = np.full(len(index.cells), -1, np.intp)
    best[index.cell_of_point[worst_first]] = worst_first  # the last assignment of a cell wins
    return best


def surroundings(point: int, radius_km: float, best: NDArray[np.intp], index: CellIndex) -> NDArray[np.bool_]:
    """Tell which cells belong to the area around a point, as `rank_places` sees it.

    A cell lies where its best-scoring point lies, so that the probability of the surroundings of an answer
    is the probability of the answer (and what better answers nearby have already counted).

    Args:
        point: Row of the gallery.
        radius_km: Great-circle radius.
        best: Best-scoring point of every cell, as `best_points` gives it.
        index: The cells of the points.

    Returns:
        Shape (m,); the cell of the point itself always belongs to it.
    """
    occupied = np.flatnonzero(best >= 0)
    near = np.zeros(len(index.cells), np.bool_)
    # A tenth of a metre makes up for the rounding of the radius that an answer reports.
    distances = vector_distance_km(index.directions[point], index.directions[best[occupied]])
    near[occupied] = distances <= radius_km + 1e-4
    near[index.cell_of_point[point]] = True
    return near
