"""First-level units of countries: states, provinces, regions. Finding one by name, and what lies in it.

There are no outlines of units: a position belongs to the unit of the nearest GeoNames place of its country.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import UsageError
from whyhere.geo._countries import _plain, countries, find_country
from whyhere.geo._gazetteer import gazetteer
from whyhere.geo._sphere import unit_vectors

_KIND = (
    "state", "province", "region", "department", "district", "county", "governorate", "oblast", "prefecture",
    "parish", "city", "of", "the",
)  # fmt: skip
_CONSTITUENT = ("england", "northern ireland", "scotland", "wales")
_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Unit:
    """A first-level unit.

    Attributes:
        name: Name by GeoNames.
        country_code: ISO 3166-1 alpha-2 code of its country.
    """

    name: str
    country_code: str

    def __str__(self) -> str:
        return f"{self.name}, {countries()[self.country_code].name}"


def find_unit(text: str) -> Unit | None:
    """Find a first-level unit by name.

    Args:
        text: "Bavaria", or "Georgia, US" with the country where several have a unit of that name, or where a
            country is called so.

    Returns:
        The unit, or None where no unit is called that.

    Raises:
        UsageError: Units of several countries are called that; the message names them.
    """
    name, _, country = text.rpartition(",") if "," in text else (text, "", "")
    if not _plain(name):
        return None
    found = _by_name().get(_plain(name)) or _by_name().get(_bare(name)) or ()
    if country:
        try:
            code = find_country(country).code
        except UsageError:
            return None
        found = tuple(unit for unit in found if unit.country_code == code)
    if len({unit.country_code for unit in found}) > 1:
        meant = "; ".join(f"{name.strip()}, {countries()[unit.country_code].name}" for unit in found)
        raise UsageError(f"several countries have a unit called {name.strip()[:60]}; say which: {meant}")
    return found[0] if found else None


def is_constituent(text: str) -> bool:
    """Tell whether a name is that of a part of the United Kingdom, which other lists count as a country."""
    return _plain(text) in _CONSTITUENT


def in_unit(
    unit: Unit, lat: NDArray[np.float64], lon: NDArray[np.float64], codes: NDArray[np.object_]
) -> NDArray[np.bool_]:
    """Tell which positions lie in a unit.

    Args:
        unit: The unit.
        lat: Latitudes, shape (n,).
        lon: Longitudes, shape (n,).
        codes: Country code of every position, None at sea, shape (n,).
    """
    inside = np.asarray(codes == unit.country_code, bool)
    rows = np.flatnonzero(inside)
    inside[rows] = nearest_units(lat[rows], lon[rows], unit.country_code) == unit.name
    return inside


def nearest_units(
    lat: NDArray[np.float64], lon: NDArray[np.float64], country_code: str
) -> NDArray[np.object_]:
    """Name the unit of the nearest place of one country for every position, None where it is unknown."""
    table = gazetteer()
    places = np.flatnonzero(table.country == country_code)
    names = np.empty(len(lat), object)
    if not len(places):
        return names
    known = unit_vectors(table.lat[places], table.lon[places])
    wanted = unit_vectors(lat, lon)
    block = max(1, _AT_ONCE // len(places))
    for start in range(0, len(lat), block):
        nearest = (wanted[start : start + block] @ known.T).argmax(axis=1)
        names[start : start + block] = [table.admin1(int(places[row])) for row in nearest]
    return names


@cache
def _by_name() -> dict[str, tuple[Unit, ...]]:
    """Every unit by its plain name, and by that without words such as "state of"; the full name wins."""
    table = gazetteer()
    _, rows = np.unique(table._unit, return_index=True)
    units = {Unit(name, str(table.country[row])) for row in rows.tolist() if (name := table.admin1(row))}
    full: dict[str, tuple[Unit, ...]] = {}
    bare: dict[str, tuple[Unit, ...]] = {}
    for unit in sorted(units, key=lambda unit: (unit.name, unit.country_code)):
        full[_plain(unit.name)] = (*full.get(_plain(unit.name), ()), unit)
        bare[_bare(unit.name)] = (*bare.get(_bare(unit.name), ()), unit)
    bare.pop("", None)
    return bare | full


def _bare(text: str) -> str:
    return re.sub(r"\s+", " ", " ".join(word for word in _plain(text).split() if word not in _KIND))
