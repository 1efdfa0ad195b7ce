"""Reads areas from GeoJSON (RFC 7946), strictly enough that a slip is an error and not an empty region."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere._printable import printable
from whyhere.errors import UsageError

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
