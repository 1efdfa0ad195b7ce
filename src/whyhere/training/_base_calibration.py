"""Making the probabilities of `base` right on photos that it did not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whyhere.gallery import Gallery
from whyhere.geo import great_circle_km
from whyhere.ranking import CellIndex, RankedPlace, best_points, cell_probabilities, rank_places
from whyhere.training._forecast import forecast_loss

Doubles = NDArray[np.float64]
Rows = NDArray[np.intp]

RADIUS_KM = 300.0
"""Cells nearer than this to an answer belong to it."""

TOLERANCE = 0.01
"""Claims this much farther off are as good: less can be told from a few hundred photos."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns scores into probabilities; see `RankingConfig`."""

    temperature: float
    background: float


CALIBRATIONS = tuple(
    Calibration(float(temperature), background)
    for temperature in np.geomspace(0.03, 0.16, 11)
    for background in (0.0, 0.1, 0.2)
)
"""What a calibration is chosen from."""


@dataclass(frozen=True, slots=True)
class RankedAnswers:
    """Five answers to a photo.

    Attributes:
        places: The answers.
        km: Their distances to the truth, shape (5,).
        surface: Probability of every cell, shape (m,).
    """

    places: tuple[RankedPlace, ...]
    km: Doubles
    surface: Doubles


def rank_answers(
    scores: NDArray[np.float32],
    lat: float,
    lon: float,
    gallery: Gallery,
    cells: CellIndex,
    calibration: Calibration,
) -> RankedAnswers:
    """Rank five places as `whyhere locate` does, and say how far each is from the truth."""
    surface = cell_probabilities(
        scores, cells, temperature=calibration.temperature, background=calibration.background
    )
    places = rank_places(surface, scores, cells, top=5, radius_km=RADIUS_KM)
    points = [place.point for place in places]
    km = great_circle_km(lat, lon, gallery.lat[points], gallery.lon[points])
    return RankedAnswers(places, np.asarray(km, np.float64), surface)


def forecasts(
    scores: NDArray[np.float32], lat: Doubles, lon: Doubles, gallery: Gallery, cells: CellIndex
) -> Doubles:
    """Say of photos how five answers would fare under each of `CALIBRATIONS`.

    Args:
        scores: Scores of the gallery by alignments that did not learn from the photos, shape (m, n).
        lat: True latitudes in degrees, shape (m,).
        lon: True longitudes, shape (m,).
        gallery: The gallery.
        cells: Its cells.

    Returns:
        Forecast loss, probability of the five answers together, whether one of them holds the truth, and the
        latter two for the first answer alone: shape (5, m, calibrations).
    """
    found = np.empty((5, len(scores), len(CALIBRATIONS)))
    for row, photo in enumerate(scores):
        # Only the best point of a cell can be answered, whatever the calibration: the others are left out.
        best = best_points(photo, cells)
        few = replace(cells, cell_of_point=np.arange(len(best)), directions=cells.directions[best])
        km = great_circle_km(lat[row], lon[row], gallery.lat[best], gallery.lon[best])
        for column, calibration in enumerate(CALIBRATIONS):
            surface = cell_probabilities(
                photo, cells, temperature=calibration.temperature, background=calibration.background
            )
            places = rank_places(surface, photo[best], few, top=5, radius_km=RADIUS_KM)
            off = km[[place.point for place in places]]
            inside = off <= [place.radius_km for place in places]
            claimed = [place.probability for place in places]
            found[:, row, column] = (
                forecast_loss(places, off),
                sum(claimed),
                inside.any(),
                claimed[0],
                inside[0],
            )
    return found


def best_calibration(found: Doubles) -> Calibration:
    """Choose, from `forecasts`, the least loss among those whose claims are nearest to what they hold."""
    loss, five, five_held, first, first_held = found.mean(axis=1)
    gap = np.maximum(np.abs(five - five_held), np.abs(first - first_held))
    right = np.flatnonzero(gap <= gap.min() + TOLERANCE)
    return CALIBRATIONS[int(right[loss[right].argmin()])]


def threshold_to_abstain(probability: Sequence[float], error_km: Sequence[float]) -> float:
    """Return the probability of the first answer below which no place stands out.

    The most probable answers are trusted first; abstaining begins where the next tenth of the photos, in
    falling probability, is on the wrong continent (more than 2,500 km off) more often than not.
    """
    claimed, km = np.asarray(probability), np.asarray(error_km)
    order = np.argsort(-claimed, kind="stable")
    tenth = max(len(order) // 10, 1)
    for start in range(0, len(order) - tenth + 1, tenth):
        if np.median(km[order[start : start + tenth]]) > 2500.0:
            return float(claimed[order[start]])
    return 0.0
