"""What a position is called: the town or city, the first-level unit, the country. Offline, from GeoNames."""

from __future__ import annotations

import string
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyhere._text import folded
from whyhere.errors import UsageError
from whyhere.geo._countries import Country, checked_positions, countries, country_codes, find_country
from whyhere.geo._sphere import EARTH_RADIUS_KM, LatLon, great_circle_km, wrap_lon
from whyhere.geo._tables import Gazetteer, gazetteer, outlines


@dataclass(frozen=True, slots=True)
class PlaceName:
    """Name of a place, from GeoNames.

    Attributes:
        name: Town or city, or words such as "Open sea, 320 km from Suva".
        admin1: First-level administrative unit (state, province, region), or None.
        country: English country name, or None on the open sea.
        country_code: ISO 3166-1 alpha-2 code, or None on the open sea.
        distance_km: How far the position lies from the town or city, or None where the name says it or there
            is none.
    """

    name: str
    admin1: str | None
    country: str | None
    country_code: str | None
    distance_km: float | None = None

    def to_dict(self) -> dict[str, str | float | None]:
        """Return the fields as a plain dictionary."""
        return asdict(self)

    def __str__(self) -> str:
        return ", ".join(dict.fromkeys(part for part in (self.name, self.admin1, self.country) if part))


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


_PLAIN_INITIALS = (string.ascii_letters + string.digits).encode()


def find_town(text: str) -> LatLon | None:
    """Return the most populous town of a name, else of a name that begins with it; None where there is none.

    Args:
        text: The name, where there are several with region or country after a comma: "Springfield, Illinois".
    """
    name, *within = (folded(part) for part in text.split(","))
    if not name:
        return None
    table = gazetteer()
    names = {row: folded(table.name(row)) for row in _may_begin(table, name[0])}
    equal = [row for row, known in names.items() if known == name]
    longer = [row for row, known in names.items() if known.startswith(f"{name} ")]
    for rows in (equal, longer):
        there = [row for row in rows if all(_lies_in(row, part) for part in within if part != name)]
        if there:
            best = max(there, key=lambda row: int(table.population[row]))
            return LatLon(float(table.lat[best]), float(table.lon[best]))
    return None


def _may_begin(table: Gazetteer, letter: str) -> list[int]:
    """Return the places whose name may begin with a letter: folding all names takes a third of a second."""
    initials = np.frombuffer(table._names + b"\0", np.uint8)[table._name_at[:-1]]
    # What is no ASCII letter or digit may be an accented letter, or punctuation before the letter.
    other = ~np.isin(initials, np.frombuffer(_PLAIN_INITIALS, np.uint8))
    wanted = (initials == ord(letter)) | (initials == ord(letter.upper())) if letter.isascii() else other
    return np.flatnonzero(wanted | other).tolist()


def _lies_in(row: int, part: str) -> bool:
    """Tell whether a town lies in the region or country of that name."""
    table = gazetteer()
    admin1 = table.admin1(row) or ""
    initials = "".join(word[0] for word in admin1.split() if word[0].isupper())  # D.C., NY, BC
    if part == folded(admin1) or (len(initials) > 1 and part.replace(" ", "") == folded(initials)):
        return True
    try:
        return find_country(part).code == countries()[str(table.country[row])].code
    except UsageError:
        return False


Kind = Literal["town", "unit", "part", "country", "around", "continent", "sea", "earth"]

TOWN_KM = 25.0
"""Largest radius that is called after a town, and largest distance to a town that lends its name."""

_KM_PER_DEGREE = np.pi * EARTH_RADIUS_KM / 180
_UNIT_KM = 100.0  # a point farther than this from every place of its country has no known unit
_HALVES = 4.0  # a direction names a third of a country; its disc may span half of it at most
_SMALL_KM = 400.0  # a country narrower than this has no directions
_ISLAND_KM = 300.0  # what lies farther off than this is no part of the body of a country
_OFF_KM = 1000.0  # farther from any place the sea is off no country
_SEA_KM = 1500.0
_CONTINENT_KM = 4000.0
_MOST_KM = np.pi * EARTH_RADIUS_KM


@dataclass(frozen=True, slots=True)
class AreaName:
    """The name of an area around a point.

    Attributes:
        name: Such as "southern Norway", "Rogaland, Norway" or "Slovenia and around".
        kind: What the name is: a "town", a first-level "unit", a "part" of a country, a "country", a country
            and what lies "around" it, a "continent", the open "sea", or the "earth".
        reach_km: Largest radius that the name fits.
    """

    name: str
    kind: Kind
    reach_km: float

    def to_dict(self) -> dict[str, str]:
        """Return name and kind as a plain dictionary."""
        return {"name": self.name, "kind": self.kind}

    def __str__(self) -> str:
        return self.name


def area_name(lat: float, lon: float, radius_km: float) -> AreaName:
    """Name the area within a radius of a point, no more precisely than the radius allows.

    Args:
        lat: Latitude in degrees.
        lon: Longitude in degrees, any turn.
        radius_km: Great-circle radius.

    Returns:
        The most precise name whose reach is at least the radius; the wider the radius, the less precise.

    Raises:
        ValueError: A number is not finite, the radius is below 0 or a latitude lies outside -90 to 90.

    Example:
        >>> [str(area_name(58.97, 5.73, km)) for km in (10, 60, 262, 600)]
        ['Stavanger, Rogaland, Norway', 'Rogaland, Norway', 'southern Norway', 'Norway']
    """
    lats, lons = checked_positions(lat, lon)
    if not (np.isfinite(radius_km) and radius_km >= 0):
        raise ValueError(f"a radius is a finite number of at least 0, not {radius_km}")
    names = _names(float(lats[0]), float(lons[0]))
    return next((name for name in names if name.reach_km >= radius_km), names[-1])


@lru_cache(maxsize=1024)
def _names(lat: float, lon: float) -> tuple[AreaName, ...]:
    """Names of a point in growing reach; the last one fits everything."""
    found: list[AreaName] = []
    for name in (*_local_names(lat, lon), AreaName("much of the Earth", "earth", _MOST_KM)):
        if not found or name.reach_km > found[-1].reach_km:
            found.append(name)
    return tuple(found)


def _local_names(lat: float, lon: float) -> list[AreaName]:
    place = place_name(lat, lon)
    (code,) = country_codes(lat, lon)
    if code is None:
        (coast,) = country_codes(lat, lon, coast_km=OFFSHORE_KM)
        row, km = gazetteer().nearest(lat, lon, country=coast)
        shore = countries()[coast or str(gazetteer().country[row])].name
        wide = f"sea off {shore}" if km <= _OFF_KM else "open sea"
        return [AreaName(str(place), "sea", TOWN_KM), AreaName(wide, "sea", _SEA_KM)]
    country, found = countries()[code], []
    if place.distance_km is not None and place.distance_km <= TOWN_KM:
        found.append(AreaName(str(place), "town", TOWN_KM))
    row, km = gazetteer().nearest(lat, lon, country=code)
    unit = gazetteer().admin1(row) if row >= 0 and km <= _UNIT_KM else None
    outlying = unit
    if unit is not None:
        reach, owner = gazetteer().unit_reach_km(row), countries()[str(gazetteer().country[row])].name
        unit = ", ".join(dict.fromkeys((unit, owner)))
        found.append(AreaName(unit, "unit", reach))
    part, _ = _nearest_part(lat, lon)
    body = _body(code)
    if body is not None and part in body.parts:
        return [*found, *_names_in_body(lat, lon, country, body)]
    # An island far from its country: "Hawaii and around" rather than a part of the United States.
    reach = max((name.reach_km for name in found), default=TOWN_KM)
    return [*found, AreaName(f"{outlying or country.name} and around", "around", max(3 * reach, 1000.0))]


def _names_in_body(lat: float, lon: float, country: Country, body: _Body) -> list[AreaName]:
    found = [AreaName(f"{word} {country.name}", "part", km) for word, km in body.directions(lat, lon)]
    reach = body.reach_km
    return [
        *found,
        AreaName(country.name, "country", reach),
        AreaName(f"{country.name} and around", "around", min(max(3 * reach, 500.0), _CONTINENT_KM)),
        AreaName(country.continent, "continent", _CONTINENT_KM),
    ]


def _nearest_part(lat: float, lon: float) -> tuple[int, float]:
    """Return the polygon that holds a point, else the nearest one."""
    (part,) = outlines().containing(*checked_positions(lat, lon)).tolist()
    return (part, 0.0) if part >= 0 else outlines().nearest(lat, lon, within_km=OFFSHORE_KM)


@dataclass(frozen=True, slots=True)
class _Body:
    """The largest polygon of a country, and what lies near it.

    Attributes:
        parts: Numbers of the polygons.
        starts: Longitude (unwrapped) and latitude of the start of every edge, shape (n, 2).
        ends: The same of the ends.
    """

    parts: frozenset[int]
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]

    @property
    def reach_km(self) -> float:
        """Half of its longer side."""
        (west, south), (east, north) = self.starts.min(axis=0), self.starts.max(axis=0)
        wide = (east - west) * np.cos(np.radians(np.clip((south + north) / 2, -80, 80)))
        return float(min(max(north - south, wide) * _KM_PER_DEGREE / 2, _MOST_KM / 4))

    def directions(self, lat: float, lon: float) -> list[tuple[str, float]]:
        """Return what part of it a point lies in, each with its reach in km, the more precise first."""
        (west, south), (east, north) = self.starts.min(axis=0), self.starts.max(axis=0)
        if max(abs(south), abs(north)) > 85:  # around a pole north and east mean little
            return []
        tall = (north - south) * _KM_PER_DEGREE
        across = self._crossings(float(np.clip(lat, south + 0.01, north - 0.01)))
        left, right = (across.min(), across.max()) if across.size else (west, east)
        middle = (left + right) / 2
        wide = (right - left) * np.cos(np.radians(lat)) * _KM_PER_DEGREE
        up = _third((lat - south) / (north - south), ("southern", "", "northern"))
        along = 0.5 + float(wrap_lon(lon - middle)) / max(right - left, 1e-9)
        side = _third(along, ("western", "", "eastern"))
        by_up, by_side = (extent / _HALVES if extent >= _SMALL_KM else 0.0 for extent in (tall, wide))
        if not up and not side:
            return [("central", min(filter(None, (by_up, by_side)), default=0.0))]
        if not up:  # a country too narrow for west and east still has a middle
            return [(side, by_side) if by_side else ("central", by_up)]
        if not side:
            return [(up, by_up)]
        wider = max((by_up, up), (by_side, side))
        return [(f"{up.removesuffix('ern')}{side}", min(by_up, by_side)), (wider[1], wider[0])]

    def _crossings(self, lat: float) -> NDArray[np.float64]:
        """Longitudes at which outlines cross a parallel or one a degree away."""
        (x1, y1), (x2, y2) = self.starts.T, self.ends.T
        found = []
        for level in (lat - 1.0, lat, lat + 1.0):
            crossing = (y1 - level) * (y2 - level) < 0
            share = (level - y1[crossing]) / (y2[crossing] - y1[crossing])
            found.append(x1[crossing] + share * (x2[crossing] - x1[crossing]))
        return np.concatenate(found)


def _third(share: float, words: tuple[str, str, str]) -> str:
    return words[int(np.clip(np.floor(3 * share), 0, 2))]


@cache
def _body(code: str) -> _Body | None:
    """Return the body of a country, or None where the map has no outline of it."""
    shapes = outlines()
    mine = np.flatnonzero(shapes.codes == code)
    if not mine.size:
        return None
    boxes = np.array([_box(shapes.rings(part)[0]) for part in mine.tolist()])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    inside = np.zeros(len(mine), bool)
    fresh = [int(areas.argmax())]
    inside[fresh] = True
    while fresh:
        near = np.array([_gap_km(boxes[one], boxes) for one in fresh]).min(axis=0) <= _ISLAND_KM
        fresh = np.flatnonzero(near & ~inside).tolist()
        inside[fresh] = True
    largest = boxes[areas.argmax()]
    middle = (largest[0] + largest[2]) / 2
    starts, ends = [], []
    for part in mine[inside].tolist():
        ring = shapes.rings(part)[0].copy()
        # A whole ring moves together, so that one that ends at 180 degrees is not torn.
        ring[:, 0] += 360.0 * np.round((middle - ring[:, 0].mean()) / 360.0)
        starts.append(ring[:-1])
        ends.append(ring[1:])
    return _Body(frozenset(mine[inside].tolist()), np.concatenate(starts), np.concatenate(ends))


def _box(ring: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return west, south, east and north of a ring."""
    (west, south), (east, north) = ring.min(axis=0), ring.max(axis=0)
    return west, south, east, north


def _gap_km(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return about how far a box lies from others; 180 degrees is no border."""
    halves = (box[2] - box[0] + boxes[:, 2] - boxes[:, 0]) / 2
    apart = np.abs(wrap_lon((box[0] + box[2]) / 2 - (boxes[:, 0] + boxes[:, 2]) / 2))
    up = np.maximum(np.maximum(boxes[:, 1] - box[3], box[1] - boxes[:, 3]), 0.0)
    flat = np.cos(np.radians((box[1] + box[3]) / 2))
    gap: NDArray[np.float64] = np.hypot(np.maximum(apart - halves, 0.0) * flat, up) * _KM_PER_DEGREE
    return gap
