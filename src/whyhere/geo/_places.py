"""What a position is called: the town or city, the first-level unit, the country. Offline, from GeoNames."""

from __future__ import annotations

from numpy.typing import ArrayLike

from whyhere.geo._countries import checked_positions, countries, country_codes
from whyhere.geo._gazetteer import Gazetteer, gazetteer
from whyhere.geo._place_name import PlaceName
from whyhere.geo._sphere import great_circle_km

FAR_KM = 50.0
"""Beyond this a point is not called after its nearest place but by its distance from it."""


OFFSHORE_KM = 100.0
"""Beyond this from land the sea belongs to nobody."""


def place_names(lat: ArrayLike, lon: ArrayLike) -> list[PlaceName]:
    """Name positions.

    The country is that of `country_codes`. Within it the nearest place wins, where a larger place counts as
    nearer; a place inside the core of a city of its own unit is called after the city. Further than 50 km
    from any place of the country the name says how far it is to the one it names, and so it does from 25 km
    off the coast: "At sea, 79 km from Levuka" in Fiji, and from 100 km "Open sea, ..." in no country.

    Args:
        lat: Latitudes in degrees, shape (n,) or a number.
        lon: Longitudes in degrees, any turn, shape (n,) or a number.

    Returns:
        One name for each position.

    Raises:
        ValueError: A coordinate is not finite or a latitude lies outside -90 to 90.
    """
    lats, lons = checked_positions(lat, lon)
    table, codes = gazetteer(), country_codes(lats, lons)
    named = []
    for y, x, code in zip(lats.tolist(), lons.tolist(), codes, strict=True):
        named.append(_at_sea(table, y, x) if code is None else _on_land(table, y, x, code))
    return named


def place_name(lat: float, lon: float) -> PlaceName:
    """Name one position; see `place_names`.

    Example:
        >>> str(place_name(48.8584, 2.2945))
        'Paris, Île-de-France, France'
    """
    return place_names(lat, lon)[0]


def _at_sea(table: Gazetteer, lat: float, lon: float) -> PlaceName:
    (code,) = country_codes(lat, lon, coast_km=OFFSHORE_KM)
    place, km = table.nearest(lat, lon, country=code)
    if code is None:
        return PlaceName(f"Open sea, {km:,.0f} km from {_called(table, place)}", None, None, None)
    country = countries()[code]
    near = f"{km:,.0f} km from {_called(table, place)}" if place >= 0 else f"near {country.name}"
    return PlaceName(f"At sea, {near}", None, country.name, code)


def _on_land(table: Gazetteer, lat: float, lon: float, code: str) -> PlaceName:
    place, km = table.nearest(lat, lon, country=code)
    country = countries()[code]
    if place < 0:  # Antarctica and islands without a settlement in GeoNames
        return PlaceName(country.name, None, country.name, code)
    if km > FAR_KM:
        return PlaceName(f"{km:,.0f} km from {_called(table, place)}", None, country.name, code)
    city = int(table.city[place])
    own = countries()[str(table.country[city])]  # differs from the outline's for a stray across the border
    away = float(great_circle_km(lat, lon, table.lat[city], table.lon[city]))
    return PlaceName(table.name(city), table.admin1(city), own.name, own.code, round(away, 1))


def _called(table: Gazetteer, place: int) -> str:
    return table.name(int(table.city[place]))
