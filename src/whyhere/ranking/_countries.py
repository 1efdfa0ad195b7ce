"""From probability over cells to probability by country and first-level unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere.gallery import PlaceUnits
from whyhere.geo import countries
from whyhere.prediction import CountryShare, UnitShare
from whyhere.ranking._surface import CellIndex

LISTED = 0.005
"""Least probability of a country or unit that is listed."""

_SEA = "open sea"


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
        """Count places.

        Args:
            places: The unit of every place of the gallery.
            cells: The cell of every place.
            allowed: Places that may be answered, shape (n,); all by default.
        """
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
            listed = sorted(
                (UnitShare(name, value) for name, value in units if name is not None and value >= LISTED),
                key=lambda unit: -unit.probability,
            )
            found.append(
                CountryShare(code, _SEA if code is None else countries()[code].name, total, tuple(listed))
            )
    return tuple(sorted(found, key=lambda country: -country.probability))
