"""First-level units of countries: states, provinces, regions. Finding one by name, and what lies in it.

There are no outlines of units: a position belongs to the unit of the nearest GeoNames place of its country.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyhere.errors import UsageError
from whyhere.geo._countries import _plain, checked_positions, countries, country_codes, find_country
from whyhere.geo._sphere import unit_vectors
from whyhere.geo._tables import gazetteer

_KIND = (
    "state", "province", "region", "department", "district", "county", "governorate", "oblast", "prefecture",
    "parish", "city", "of", "the",
)  # fmt: skip
_CONSTITUENT = ("england", "northern ireland", "scotland", "wales")
_BLOCK = 256  # positions at a time, of like latitude
_BAND_DEG = 2.0


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
    """Name the unit of the nearest place of one country for every position, None where it is unknown.

    A larger place counts as nearer, as for `place_names`. Places more than two degrees of latitude away are
    looked at only where the country has none nearer.
    """
    table = gazetteer()
    places = np.flatnonzero(table.country == country_code)  # rising in latitude, as the table is
    names = np.empty(len(lat), object)
    if not len(places):
        return names
    order = np.argsort(lat, kind="stable")
    for start in range(0, len(lat), _BLOCK):
        rows = order[start : start + _BLOCK]
        band = (lat[rows[0]] - _BAND_DEG, lat[rows[-1]] + _BAND_DEG)
        first, last = np.searchsorted(table.lat[places], band)
        best = table.nearest_of(
            unit_vectors(lat[rows], lon[rows]), places[first:last] if last > first else places
        )
        names[rows] = [table.admin1(int(place)) for place in best]
    return names


def country_units(lat: ArrayLike, lon: ArrayLike) -> list[tuple[str | None, str | None]]:
    """Find the country and the first-level unit of each of many positions, at 0.1 ms each.

    Args:
        lat: Latitudes in degrees, shape (n,) or a number.
        lon: Longitudes in degrees, any turn, shape (n,) or a number.

    Returns:
        ISO alpha-2 code by `country_codes` and name of the unit by GeoNames, each None where there is none.

    Raises:
        ValueError: A coordinate is not finite or a latitude lies outside -90 to 90.

    Example:
        >>> country_units([48.8584, 0.0], [2.2945, -30.0])
        [('FR', 'Île-de-France'), (None, None)]
    """
    lats, lons = checked_positions(lat, lon)
    codes = country_codes(lats, lons)
    by_code = np.array([code or "" for code in codes])
    units = np.empty(len(codes), object)
    for code in sorted(set(by_code.tolist()) - {""}):
        rows = np.flatnonzero(by_code == code)
        units[rows] = nearest_units(lats[rows], lons[rows], code)
    return list(zip(codes, units.tolist(), strict=True))


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
