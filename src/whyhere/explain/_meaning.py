"""What a concept means to a release: where on Earth it has it, by its own map, in two or three names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whyhere.geo import countries
from whyhere.ranking import CellIndex, UnitIndex

MOSTLY = 0.5
"""As few names as hold this much of a concept are its places, where three are enough."""
NOTABLE = 0.15
"""Two names that hold at least this much of it are named all the same."""

_NAMED = 3
_BY_UNIT = frozenset(("AR", "AU", "BR", "CA", "CN", "IN", "KZ", "RU", "US"))  # large: a name says too little
_TINY = 1e-12


def concept_meanings(values: NDArray[np.float32], cells: CellIndex, index: UnitIndex) -> tuple[str, ...]:
    """Name the places where a release has its concepts.

    What counts is how far the map of a concept rises above its mean over the Earth by more than one standard
    deviation, summed over the cells of each country, of the largest countries over each state, by area, which
    counts less where the gallery was only filled: few photos tell what is there.

    Args:
        values: Concepts of every cell, as `Alignment.location_concepts` gives them, float32, shape (m, k).
        cells: The m cells.
        index: How they are shared by countries and units.

    Returns:
        For each concept "mostly Norway and Alaska" where at most three names hold half of it; "most in Chile
        and Peru" where two hold a notable part; else "in many places"; "" for a concept with no map.
    """
    share = cells.prior_km2 / cells.prior_km2.sum()
    rise = values - share @ values
    spread = np.sqrt(share @ rise**2)
    mass = share[:, None] * np.maximum(rise - spread, 0.0)
    names, row_of_unit = _names(index.places.units)
    by_name = np.zeros((len(names), values.shape[1]))
    np.add.at(by_name, row_of_unit[index.unit], index.share[:, None] * mass[index.cell])
    totals = by_name.sum(axis=0)
    by_name /= np.maximum(totals, _TINY)
    return tuple(
        _told(by_name[:, column], names) if spread[column] > _TINY else ""
        for column in range(values.shape[1])
    )


def _names(units: Sequence[tuple[str | None, str | None]]) -> tuple[list[str], NDArray[np.intp]]:
    """Return what units are called here, and which of these names each has."""
    called = []
    for code, unit in units:
        if code is None:
            called.append("the open sea")
        elif code in _BY_UNIT and unit is not None:
            ambiguous = any(country.name == unit for country in countries().values())
            called.append(f"{unit} ({code})" if ambiguous else unit)
        else:
            called.append(countries()[code].name)
    names = list(dict.fromkeys(called))
    row_of = {name: row for row, name in enumerate(names)}
    return names, np.array([row_of[name] for name in called], np.intp)


def _told(shares: NDArray[np.float64], names: Sequence[str]) -> str:
    order = np.argsort(-shares, kind="stable")[:_NAMED]
    for count in range(1, len(order) + 1):
        if shares[order[:count]].sum() >= MOSTLY:
            return f"mostly {_listed([names[row] for row in order[:count]])}"
    if shares[order[:2]].sum() >= NOTABLE:
        return f"most in {_listed([names[row] for row in order[:2]])}"
    return "in many places"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
