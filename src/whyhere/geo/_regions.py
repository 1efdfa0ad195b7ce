"""Regions that answers can be restricted to: countries, areas of them, their units, a box, GeoJSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyhere._text import printable
from whyhere.errors import UsageError
from whyhere.geo._countries import (
    _by_name,
    _plain,
    checked_positions,
    country_codes,
    find_area,
    find_country,
    in_area,
)
from whyhere.geo._sphere import FULL_TURN
from whyhere.geo._units import Unit, find_unit, in_unit, is_constituent

Ring = NDArray[np.float64]
"""Closed ring, shape (n, 2), longitude and latitude in degrees as the file has them."""

_CHILDREN = {"FeatureCollection": "features", "GeometryCollection": "geometries"}
_MAX_LON = 540.0
_MAX_DEPTH = 32
MAX_CHARACTERS = 250_000_000
"""Longest GeoJSON text read: about six million positions."""


def read_polygons(text: str, *, source: str) -> tuple[str | None, list[list[Ring]]]:
    """Read all polygons of a GeoJSON text.

    Args:
        text: The GeoJSON.
        source: What to call it in messages.

    Returns:
        The name that the outermost object carries, and polygons, each its outer ring and then its holes.

    Raises:
        UsageError: It is no GeoJSON, or holds anything but areas in WGS84 longitude and latitude.
    """
    if len(text) > MAX_CHARACTERS:
        raise UsageError(
            f"{source} has {len(text):,} characters, more than the {MAX_CHARACTERS:,} allowed for a region; "
            "simplify its outline"
        )
    try:
        root = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{source} is not JSON: {error}") from error
    try:
        polygons = list(_polygons(root, depth=0))
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from error
    if not polygons:
        raise UsageError(f"{source} holds no Polygon or MultiPolygon")
    return _name(root), polygons


def _name(root: dict[str, Any]) -> str | None:
    properties = root.get("properties")
    name = properties.get("name") if isinstance(properties, dict) else root.get("name")
    return printable(name) if isinstance(name, str) and name.strip() else None


def _polygons(node: Any, *, depth: int) -> Iterator[list[Ring]]:  # noqa: ANN401 - any JSON
    """Walk through collections and features to polygons."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"collections nested deeper than {_MAX_DEPTH}")
    if not isinstance(node, dict):
        raise ValueError(f"expected a GeoJSON object, found {_short(node)}")
    _check_crs(node)
    kind = node.get("type")
    if kind == "Feature":
        if node.get("geometry") is not None:
            yield from _polygons(node["geometry"], depth=depth + 1)
    elif isinstance(kind, str) and kind in _CHILDREN:
        for child in _list(node.get(_CHILDREN[kind]), f'"{_CHILDREN[kind]}" of a {kind}'):
            yield from _polygons(child, depth=depth + 1)
    elif kind == "Polygon":
        yield from _polygon(node.get("coordinates"))
    elif kind == "MultiPolygon":
        for polygon in _list(node.get("coordinates"), "the coordinates of a MultiPolygon"):
            yield from _polygon(polygon)
    else:
        raise ValueError(f"a region needs Polygon or MultiPolygon, found type {_short(kind)}")


def _polygon(coordinates: Any) -> Iterator[list[Ring]]:  # noqa: ANN401 - any JSON
    rings = [_ring(ring) for ring in _list(coordinates, "the coordinates of a Polygon")]
    if rings:  # RFC 7946 allows empty coordinates: nothing there
        yield rings


def _ring(positions: Any) -> Ring:  # noqa: ANN401 - any JSON
    plain = _plain_ring(positions)
    if plain is not None:
        return plain
    rows = [_position(position) for position in _list(positions, "a ring")]
    if rows and rows[0] != rows[-1]:
        rows.append(rows[0])
    if len(set(rows)) < 3:
        raise ValueError(f"a ring needs at least three different positions, this has {len(set(rows))}")
    return np.array(rows, np.float64)


def _plain_ring(positions: Any) -> Ring | None:  # noqa: ANN401 - any JSON
    """Return a ring without any fault at all, ten times as fast; None where something must be said of it."""
    try:
        if len(positions) < 4 or set(map(type, positions)) != {list} or set(map(len, positions)) != {2}:
            return None
        numbers = list(chain.from_iterable(positions))
        if not set(map(type, numbers)) <= {int, float} or positions[0] != positions[-1]:
            return None
        ring = np.array(numbers, np.float64).reshape(-1, 2)
        if not math.isfinite(sum(numbers)):
            return None
    except (TypeError, OverflowError):
        return None
    lons, lats = numbers[0::2], numbers[1::2]
    within = min(lons) >= -_MAX_LON and max(lons) <= _MAX_LON and min(lats) >= -90.0 and max(lats) <= 90.0
    return ring if within and positions[0] != positions[1] != positions[2] != positions[0] else None


def _position(position: Any) -> tuple[float, float]:  # noqa: ANN401 - any JSON
    values = _list(position, "a position")
    if len(values) < 2 or not all(_is_number(value) for value in values):
        raise ValueError(f"a position is [longitude, latitude], found {_short(position)}")
    lon, lat = float(values[0]), float(values[1])
    if abs(lat) > 90.0 or abs(lon) > _MAX_LON:
        raise ValueError(
            f"position {_short(position)} lies outside longitude -540 to 540, latitude -90 to 90; "
            "GeoJSON has longitude first, in degrees"
        )
    return lon, lat


def _is_number(value: Any) -> bool:  # noqa: ANN401 - any JSON
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float
        return False


def _list(value: Any, what: str) -> list[Any]:  # noqa: ANN401 - any JSON
    if not isinstance(value, list):
        raise ValueError(f"{what} must be a list, found {_short(value)}")
    return value


def _check_crs(node: dict[str, Any]) -> None:
    """GeoJSON before RFC 7946 could name a coordinate system; anything but WGS84 would be misread."""
    crs = node.get("crs")
    if crs is not None and not any(known in json.dumps(crs) for known in ("CRS84", "4326")):
        raise ValueError(f"coordinate system {_short(crs)} is not supported; convert to WGS84 (EPSG:4326)")


def _short(value: Any) -> str:  # noqa: ANN401 - any JSON
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


ACCEPTED = (
    "a region is a country (FR, FRA or France), a continent or area (Europe, Balkans), a state or province "
    "(Bavaria; Georgia, US), several of these (FR,DE or Bavaria; Saxony), a box SOUTH,WEST,NORTH,EAST in "
    "degrees (latitude first; -20,175,-12,-178 crosses the date line), a GeoJSON file, or GeoJSON text"
)
_LONGEST_LIST = 2000  # characters
_SLACK_DEG = 1e-9  # wrapping moves a longitude by rounding errors; a box keeps its own edge
_NUMBER = r"\s*[-+\u2212]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?\s*"
_BOX = re.compile(rf"{_NUMBER}(?:,{_NUMBER}){{3}}", re.ASCII)


class _Shape(Protocol):
    """What lies behind a region."""

    def contains(self, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> NDArray[np.bool_]: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the Earth.

    Attributes:
        name: What to call it in messages and reports.
    """

    name: str
    _shape: _Shape = field(repr=False)

    def contains(self, lat: ArrayLike, lon: ArrayLike) -> NDArray[np.bool_]:
        """Tell which positions lie in the region; its edge belongs to it.

        Args:
            lat: Latitudes in degrees, shape (n,) or a number.
            lon: Longitudes in degrees, any turn, shape (n,) or a number.

        Returns:
            Shape (n,). A pole lies in every box or polygon that reaches it, at whatever longitude.

        Raises:
            ValueError: A coordinate is not finite or a latitude lies outside -90 to 90.
        """
        return self._shape.contains(*checked_positions(lat, lon))

    def to_dict(self) -> dict[str, Any]:
        """Return name and shape as JSON: `country_code`, `area`, `unit`, `regions`, `box` or `geometry`."""
        return {"name": self.name, **self._shape.to_dict()}


@dataclass(frozen=True, slots=True)
class _CountryShape:
    code: str

    def contains(self, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.array([code == self.code for code in country_codes(lat, lon)], bool)

    def to_dict(self) -> dict[str, Any]:
        return {"country_code": self.code}


@dataclass(frozen=True, slots=True)
class _NamedAreaShape:
    name: str

    def contains(self, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> NDArray[np.bool_]:
        return in_area(self.name, _codes(lat, lon), lon)

    def to_dict(self) -> dict[str, Any]:
        return {"area": self.name}


@dataclass(frozen=True, slots=True)
class _UnitShape:
    unit: Unit

    def contains(self, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> NDArray[np.bool_]:
        return in_unit(self.unit, lat, lon, _codes(lat, lon))

    def to_dict(self) -> dict[str, Any]:
        return {"unit": {"name": self.unit.name, "country_code": self.unit.country_code}}


@dataclass(frozen=True, slots=True)
class _SeveralShape:
    regions: tuple[Region, ...]

    def contains(self, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> NDArray[np.bool_]:
        inside = np.zeros(len(lat), bool)
        for region in self.regions:
            inside |= region.contains(lat, lon)
        return inside

    def to_dict(self) -> dict[str, Any]:
        return {"regions": [region.to_dict() for region in self.regions]}


def _codes(lat: NDArray[np.float64], lon: NDArray[np.float64]) -> NDArray[np.object_]:
    codes = np.empty(len(lat), object)
    codes[:] = country_codes(lat, lon)
    return codes


@dataclass(frozen=True, slots=True)
class _BoxShape:
    south: float
    west: float
    north: float
    width: float

    def contains(self, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> NDArray[np.bool_]:
        east_of_west = (lon - self.west + _SLACK_DEG) % FULL_TURN
        across = (east_of_west <= self.width + 2 * _SLACK_DEG) | (np.abs(lat) == 90.0)
        inside: NDArray[np.bool_] = (self.south <= lat) & (lat <= self.north) & across
        return inside

    def to_dict(self) -> dict[str, Any]:
        box = {"south": self.south, "west": self.west, "north": self.north, "east": self.west + self.width}
        return {"box": box}


def parse_region(text: str) -> Region:
    """Understand what a user writes for `--region`.

    Args:
        text: Alpha-2 or alpha-3 code or English name of a country; a continent or an area such as "Balkans";
            a first-level unit such as "Bavaria", with its country after a comma where several have one of
            that name; several countries and areas with commas between them, and units with semicolons;
            `SOUTH,WEST,NORTH,EAST` in degrees; the path of a GeoJSON file; or GeoJSON text. A country wins
            over an area, and both over a unit of that name; England, Scotland, Wales and Northern Ireland
            are units.

    Returns:
        The region.

    Raises:
        UsageError: It is none of these, or not well formed; the message says what is accepted.

    Example:
        >>> parse_region("-20,175,-12,-178").contains([-17.8, -17.8], [179.99, 170.0]).tolist()
        [True, False]
    """
    text = text.strip()
    if text.startswith(("{", "[")):
        return _area(text, source="the GeoJSON given", name="area")
    if _BOX.fullmatch(text):
        return _box(text)
    if region := _named(text):
        return region
    path = _file(text)
    if path is None:
        raise _unknown(text)
    try:
        if path.exists() and not path.is_file():
            raise UsageError(
                f"cannot read the region file {text}: it is no file, but a folder, a pipe or a device"
            )
        if path.stat().st_size > 2 * MAX_CHARACTERS:
            raise UsageError(f"cannot read the region file {text}: it has over {2 * MAX_CHARACTERS:,} bytes")
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the region file {text}: {error}") from error
    return _area(content, source=text, name=path.stem)


def _named(text: str) -> Region | None:
    """The country, area, unit, or several of them that are called so, or None."""
    if len(text) > _LONGEST_LIST:
        return None
    if ";" not in text and (region := _one(text)) is not None:
        return region
    parts = [part.strip() for part in re.split(r";" if ";" in text else r",", text)]
    if len(parts) < 2:
        return None
    found = [_one(part) for part in parts if part]
    regions = tuple(region for region in found if region is not None)
    if ";" not in text and any("unit" in region.to_dict() for region in regions):
        return None  # "Victoria, Seychelles" is a town, not a state of Australia and a country
    if len(regions) < len(found) or not found:
        return None
    names = [region.name for region in regions]
    between = "; " if any("," in name for name in names) else ", "
    return Region(between.join(names), _SeveralShape(regions))


def _one(text: str) -> Region | None:
    if is_constituent(text) and (unit := find_unit(text)) is not None:
        return Region(str(unit), _UnitShape(unit))
    if _plain(text) in _by_name():  # find_country looks for near spellings, which takes long
        country = find_country(text)
        return Region(country.name, _CountryShape(country.code))
    if (area := find_area(text)) is not None:
        return Region(area, _NamedAreaShape(area))
    unit = find_unit(text)
    return None if unit is None else Region(str(unit), _UnitShape(unit))


def _unknown(text: str) -> UsageError:
    """Say what is not known: the part of a list that is not, or the whole."""
    parts = [part.strip() for part in re.split(r"[;,]", text[:_LONGEST_LIST])]
    missing = [part for part in parts if part and _one(part) is None]
    try:
        find_country(missing[0] if missing and len(missing) < len(parts) else text)
    except UsageError as error:
        return UsageError(f"{error}; {ACCEPTED}")
    return UsageError(f"no region is called {text[:60]!r}; {ACCEPTED}")


def _file(text: str) -> Path | None:
    """The file of that name, if there is one or the name can only mean a file."""
    try:
        path = Path(text).expanduser()
        if path.is_file() or path.suffix.lower() in (".json", ".geojson"):
            return path
    except (OSError, ValueError, RuntimeError):  # too long, a zero byte, no such user
        pass
    return None


def _box(text: str) -> Region:
    south, west, north, east = (float(number.replace("\u2212", "-")) for number in text.split(","))
    if not -90 <= south < north <= 90:
        raise UsageError(
            f"box {text!r}: latitudes must satisfy -90 <= SOUTH < NORTH <= 90, "
            f"found {south:g} and {north:g}; {ACCEPTED}"
        )
    if max(abs(west), abs(east)) > FULL_TURN or not 0 < abs(east - west) <= FULL_TURN:
        raise UsageError(
            f"box {text!r}: longitudes must lie in -360 to 360, differ, and span at most 360 degrees, "
            f"found {west:g} and {east:g}; {ACCEPTED}"
        )
    width = east - west if east > west else (east - west) % FULL_TURN
    if not width:
        raise UsageError(f"box {text!r} has no width; {ACCEPTED}")
    return Region(f"box {south:g},{west:g},{north:g},{east:g}", _BoxShape(south, west, north, width))


def _area(text: str, *, source: str, name: str) -> Region:
    from whyhere.geo._polygons import PolygonsShape

    own_name, polygons = read_polygons(text, source=source)
    try:
        shape = PolygonsShape.build(polygons)
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from error
    return Region(own_name or name, shape)
