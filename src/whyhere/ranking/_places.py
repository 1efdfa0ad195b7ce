"""From probability over cells to a few different places, and how a release does that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import MissingFileError
from whyhere.gallery import Gallery
from whyhere.geo import vector_distance_km
from whyhere.ranking._cells import CellIndex

COVERAGE = 0.9
"""Part of a merged place's probability that its reported radius holds."""

_SPARE_MODES = 25  # modes looked at beyond those asked for: a broad place may outweigh a sharper one
_EDGE_KM = 5.0  # smallest radius that is reported: a gallery point stands for its surroundings


@dataclass(frozen=True, slots=True)
class RankingConfig:
    """The `ranking` section of a release's `config.json`.

    Attributes:
        temperature: Divides scores before the softmax; fitted by cross-validation.
        cell_resolution: H3 resolution of the probability surface.
        radius_km: Default merging radius.
        abstain_below: No place stands out where the best answer is less probable than this.
        background: Probability that the photo tells nothing, spread by area; fitted by cross-validation.
        added_weight: How much a square kilometre weighs, before the photo is looked at, of cells that hold
            only points added to cover the land: photos are rare there. 1 weighs all land alike; fitted by
            cross-validation.
    """

    temperature: float
    cell_resolution: int
    radius_km: float
    abstain_below: float
    background: float = 0.0
    added_weight: float = 1.0

    @classmethod
    def from_dict(cls, section: Mapping[str, Any], *, where: str) -> RankingConfig:
        """Read the section.

        Args:
            section: The section.
            where: File it stands in, for messages.

        Raises:
            MissingFileError: A value is missing, unknown, not a number or out of range.
        """
        names = {field.name for field in fields(cls)}
        odd = sorted((section.keys() ^ names) - ({"background", "added_weight"} - section.keys()))
        if odd:
            raise MissingFileError(f"{where}: in `ranking`, {', '.join(odd)} is missing or unknown")
        for name, value in section.items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            if not number or value < 0:
                raise MissingFileError(
                    f"{where}: ranking.{name} must be a number of at least 0, not {value!r}"
                )
        config = cls(**section)
        if not (config.temperature > 0 and config.radius_km > 0 and config.cell_resolution in range(8)):
            raise MissingFileError(
                f"{where}: ranking needs temperature and radius_km above 0 "
                "and a whole cell_resolution of 0 to 7"
            )
        if not 0 < config.added_weight <= 1:
            raise MissingFileError(f"{where}: ranking.added_weight must lie above 0 and be at most 1")
        if config.background >= 1:
            raise MissingFileError(f"{where}: ranking.background is a probability below 1")
        return config

    def cells_of(self, gallery: Gallery) -> CellIndex:
        """Return the cells of a gallery as they are ranked."""
        return CellIndex.build(
            gallery.lat,
            gallery.lon,
            resolution=self.cell_resolution,
            added=gallery.added,
            added_weight=self.added_weight,
        )


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


def rank_places(
    probabilities: NDArray[np.float64],
    scores: NDArray[np.float32],
    index: CellIndex,
    *,
    top: int,
    radius_km: float,
    allowed: NDArray[np.bool_] | None = None,
    best: NDArray[np.intp] | None = None,
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
        best: `best_points`, where they are known.

    Returns:
        At most `top` places; their centres are farther apart than `radius_km`.
    """
    best = best_points(scores, index, allowed=allowed) if best is None else best
    rows = np.flatnonzero(best >= 0)
    points, mass = best[rows], probabilities[rows]
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
