"""What to call an area: a name that is never more precise than the radius it stands for.

A point has names of growing reach: the town, the first-level unit, a part of the country, the country, and
beyond. The first whose reach is no smaller than the radius is the one that fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whyhere.geo._countries import Country, checked_positions, countries, country_codes
from whyhere.geo._gazetteer import gazetteer
from whyhere.geo._outlines import outlines
from whyhere.geo._places import OFFSHORE_KM, place_name
from whyhere.geo._sphere import EARTH_RADIUS_KM, wrap_lon

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
