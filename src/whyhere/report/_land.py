"""Natural Earth as path data: coarse for the world map, finer and cut out for the map around a place."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whyhere.geo import EARTH_RADIUS_KM
from whyhere.report._projection import azimuthal_km
from whyhere.report._svg import path_data
from whyhere.report._world import to_world_map

if TYPE_CHECKING:
    import shapely

_WORLD_TOLERANCE = 0.15
_LOCAL_TOLERANCE = 0.7
_LOCAL_SPECK = 1.5
"""Islands smaller than this, in map units, are not drawn."""
_STRAIGHT_DEG = 2.0
"""Longest edge that is projected as a straight line."""


def world_land() -> str:
    """Return the path data of all land on the world map; lakes and seas within it are holes (even-odd)."""
    from whyhere.geo._basemap import basemap

    return path_data([_on_world_map(ring) for ring in basemap().land])


@cache
def world_borders() -> str:
    """Return the path data of the borders between countries on the world map."""
    from whyhere.geo._basemap import basemap

    return path_data([_on_world_map(line) for line in basemap().borders], closed=False)


def local_land(lat0: float, lon0: float, *, reach_km: float, km_per_unit: float) -> str:
    """Return the path data of the land around a point, x east and y south of it.

    Args:
        lat0: Latitude of the point in degrees.
        lon0: Longitude of the point in degrees.
        reach_km: How far from the point the map reaches.
        km_per_unit: Scale of the map.
    """
    import shapely

    lines = []
    for west, east, south, north in _windows(lat0, lon0, reach_km):
        near = _tree().query(shapely.box(west, south, east, north))
        # A degree is at most 111.2 km: what is too small in degrees need not be projected to be left out.
        large = _extent_deg()[near] * 111.2 >= _LOCAL_SPECK * km_per_unit
        for country in near[large]:
            piece = shapely.clip_by_rect(_countries()[country], west, south, east, north)
            for ring in _rings(shapely.segmentize(piece, _STRAIGHT_DEG)):
                x, y = azimuthal_km(ring[:, 1], ring[:, 0], lat0=lat0, lon0=lon0)
                points = np.column_stack((x, -y)) / km_per_unit
                if np.ptp(points, axis=0).max() >= _LOCAL_SPECK:
                    flat = shapely.linestrings(points).simplify(_LOCAL_TOLERANCE)
                    lines.append(shapely.get_coordinates(flat))
    return path_data(lines)


def _on_world_map(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project a line of latitudes and longitudes, shape [n, 2], and drop what the map cannot show."""
    import shapely

    lon_lat = shapely.get_coordinates(shapely.segmentize(shapely.linestrings(line[:, ::-1]), _STRAIGHT_DEG))
    flat = shapely.linestrings(to_world_map(lon_lat[:, 1], lon_lat[:, 0]))
    points: NDArray[np.float64] = shapely.get_coordinates(flat.simplify(_WORLD_TOLERANCE))
    return points


def _windows(lat0: float, lon0: float, reach_km: float) -> list[tuple[float, float, float, float]]:
    """Return (west, east, south, north) boxes within longitudes -180 to 180 that hold all within reach."""
    angle = math.degrees(reach_km / EARTH_RADIUS_KM)
    south, north = max(lat0 - angle, -90.0), min(lat0 + angle, 90.0)
    if north >= 89.0 or south <= -89.0 or angle >= 89.0:
        return [(-180.0, 180.0, south, north)]
    width = math.degrees(math.asin(min(1.0, math.sin(math.radians(angle)) / math.cos(math.radians(lat0)))))
    boxes = []
    for turn in (-360.0, 0.0, 360.0):
        west, east = max(lon0 - width + turn, -180.0), min(lon0 + width + turn, 180.0)
        if west < east:
            boxes.append((west, east, south, north))
    return boxes


def _rings(geometry: shapely.Geometry) -> list[NDArray[np.float64]]:
    """Return all rings of the polygons in a geometry, as x, y; points and lines are dropped."""
    import shapely

    rings = []
    for part in shapely.get_parts(geometry):
        if isinstance(part, shapely.Polygon) and not part.is_empty:
            rings += [np.asarray(ring.coords) for ring in (part.exterior, *part.interiors)]
    return rings


@cache
def _tree() -> shapely.STRtree:
    import shapely

    return shapely.STRtree(_countries())


@cache
def _extent_deg() -> NDArray[np.float64]:
    """Return the larger side of the box around each polygon of `_countries`, in degrees."""
    import shapely

    west, south, east, north = shapely.bounds(_countries()).T
    extent: NDArray[np.float64] = np.maximum(east - west, north - south)
    return extent


@cache
def _countries() -> list[shapely.Geometry]:
    """Return the country polygons, x longitude and y latitude, cut at 180 degrees."""
    import shapely

    from whyhere.geo._outlines import outlines

    shapes = outlines()
    polygons = []
    for part in range(len(shapes.codes)):
        outer, *holes = shapes.rings(part)
        polygons.append(shapely.Polygon(outer, holes))
    return polygons
