"""What a person writes for a place: an answer's number, a position, a country, a box, an area, a town."""

from __future__ import annotations

import re
import string
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import UsageError
from whyhere.geo import (
    LatLon,
    Region,
    countries,
    find_country,
    parse_region,
    place_name,
    unit_vectors,
    vector_distance_km,
)

if TYPE_CHECKING:
    from whyhere.geo._gazetteer import Gazetteer

ACCEPTED = (
    "a place is the number of an answer (2), LAT,LON in degrees (48.86,2.35), a country, a box "
    "SOUTH,WEST,NORTH,EAST, a GeoJSON file, or a town (Paris or Springfield, Illinois)"
)
_NUMBER = r"[-+\u2212]?(?:\d+\.?\d*|\.\d+)"
_POSITION = re.compile(rf"({_NUMBER})(?:\s*,\s*|\s+)({_NUMBER})", re.ASCII)
_FIRST_LOOK = 512
_PLAIN_INITIALS = (string.ascii_letters + string.digits).encode()
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
        where: Number of an answer, a position (`LatLon`, a pair of latitude and longitude, or such text),
            a `Region` or what `parse_region` understands, or the name of a town, with its region or country
            after a comma where there are several; the largest town of that name is meant.

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
    if found := _POSITION.fullmatch(text):
        lat, lon = (float(number.replace("\u2212", "-")) for number in found.groups())
        return Where(f"{lat:g}, {lon:g}", position=_position(lat, lon))
    try:
        region = parse_region(text)
    except UsageError:
        if not text or _AREA.match(text):
            raise
    else:
        return Where(region.name, region=region)
    town = _town(text)
    if town is None:
        raise UsageError(f"no country or town is called {text[:60]!r}; {ACCEPTED}")
    return Where(str(place_name(town.lat, town.lon)), position=town)


def _position(lat: float, lon: float) -> LatLon:
    try:
        return LatLon(lat, lon)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _town(text: str) -> LatLon | None:
    """Return the most populous town of that name, else of a name that begins with it."""
    from whyhere.geo._gazetteer import gazetteer

    name, *within = (_plain(part) for part in text.split(","))
    if not name:
        return None
    table = gazetteer()
    names = {row: _plain(table.name(row)) for row in _may_begin(table, name[0])}
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
    from whyhere.geo._gazetteer import gazetteer

    table = gazetteer()
    admin1 = table.admin1(row) or ""
    initials = "".join(word[0] for word in admin1.split() if word[0].isupper())  # D.C., NY, BC
    if part == _plain(admin1) or (len(initials) > 1 and part.replace(" ", "") == _plain(initials)):
        return True
    try:
        return find_country(part).code == countries()[str(table.country[row])].code
    except UsageError:
        return False


def _plain(text: str) -> str:
    """Fold case, accents and punctuation away."""
    if text.isascii() and text.isalpha():  # nine names in ten: folding all of them must not take a second
        return text.lower()
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())
