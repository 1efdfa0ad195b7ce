"""What a person writes for a place: an answer's number, a position, a country, a box, an area, a town."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import UsageError
from whyhere.geo import (
    LatLon,
    Region,
    country_codes,
    find_town,
    parse_region,
    place_name,
    read_position,
    unit_vectors,
    vector_distance_km,
)

ACCEPTED = (
    "a place is the number of an answer (2), a position as maps write it (48.86,2.35), a country, a box "
    "SOUTH,WEST,NORTH,EAST, a GeoJSON file, or a town (Paris or Springfield, Illinois)"
)
_FIRST_LOOK = 512
_RANK = re.compile(r"\d{1,3}", re.ASCII)
_AREA = re.compile(r"[\[{]|.*\.(geo)?json$|[-+\u2212.\d\s,]+$", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Where:
    """A place that was asked for; one of `rank`, `position` and `region` is set.

    Attributes:
        asked: What was asked for, in words.
        rank: Number of an answer.
        position: A position.
        region: A part of the Earth.
    """

    asked: str
    rank: int | None = None
    position: LatLon | None = None
    region: Region | None = None

    def point(
        self, lat: NDArray[np.float64], lon: NDArray[np.float64], scores: NDArray[np.float32]
    ) -> tuple[int, float | None]:
        """Find the gallery point that is meant.

        Args:
            lat: Latitudes of the gallery in degrees, shape (n,).
            lon: Longitudes in degrees, shape (n,).
            scores: Scores of the points, shape (n,).

        Returns:
            Row of the nearest point and its distance in km for a position; row of the best-scoring point
            and None for a region.

        Raises:
            UsageError: No point lies in the region.
            ValueError: A rank was asked for, which only the answers know.
        """
        if self.position is not None:
            here = unit_vectors(self.position.lat, self.position.lon)
            km = vector_distance_km(here, unit_vectors(lat, lon))
            nearest = int(km.argmin())
            return nearest, float(km[nearest])
        if self.region is None:
            raise ValueError("a rank is looked up among the answers")
        # Naming the country of every point takes a second; the best-scoring ones come first.
        order, start, count = np.argsort(-scores, kind="stable"), 0, _FIRST_LOOK
        while start < len(order):
            rows = order[start : start + count]
            inside = self.region.contains(lat[rows], lon[rows])
            if inside.any():
                return int(rows[inside.argmax()]), None
            start, count = start + count, 2 * count
        raise UsageError(f"none of the {len(lat)} places that can be answered lies in {self.asked}")


def parse_where(where: str | int | LatLon | tuple[float, float] | Region | Where) -> Where:
    """Understand a place.

    Args:
        where: Number of an answer, a position (`LatLon`, a pair of latitude and longitude, or what
            `read_position` understands), a `Region` or what `parse_region` understands, or the name of a
            town, with its region or country after a comma where there are several; the largest town of that
            name is meant.

    Raises:
        UsageError: It is none of these.

    Example:
        >>> parse_where("48.8584, 2.2945").position
        LatLon(lat=48.8584, lon=2.2945)
    """
    if isinstance(where, Where):
        return where
    if isinstance(where, Region):
        return Where(where.name, region=where)
    if isinstance(where, LatLon):
        return Where(f"{where.lat:.4g}, {where.lon:.4g}", position=where)
    if isinstance(where, int):
        where = str(where)
    if isinstance(where, tuple):
        return Where(f"{where[0]:g}, {where[1]:g}", position=_position(*where))
    text = where.strip()
    if _RANK.fullmatch(text):
        if int(text) < 1:
            raise UsageError("answers are numbered from 1")
        return Where(f"answer {int(text)}", rank=int(text))
    if (position := read_position(text)) is not None:
        return Where(f"{position.lat:g}, {position.lon:g}", position=position)
    try:
        region = parse_region(text)
    except UsageError:
        if not text or _AREA.match(text):
            raise
    else:
        if (town := _town_rather_than(region, text)) is None:
            return Where(region.name, region=region)
        return Where(str(place_name(town.lat, town.lon)), position=town)
    town = find_town(text)
    if town is None:
        raise UsageError(f"no country or town is called {text[:60]!r}; {ACCEPTED}")
    return Where(str(place_name(town.lat, town.lon)), position=town)


def _town_rather_than(region: Region, text: str) -> LatLon | None:
    """Return the town that is meant where a state or province of its country has the same name: Berlin."""
    unit = region.to_dict().get("unit")
    town = find_town(text) if unit and "," not in text else None
    if unit is None or town is None or country_codes(town.lat, town.lon) != [unit["country_code"]]:
        return None
    return town


def _position(lat: float, lon: float) -> LatLon:
    try:
        return LatLon(lat, lon)
    except ValueError as error:
        raise UsageError(str(error)) from error
