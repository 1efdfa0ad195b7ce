"""From positions to flat maps: projections, rings cut at the antimeridian, Natural Earth as path data.

Two projections: Equal Earth for the whole Earth, scaled to a box of fixed size, and azimuthal equidistant for
the surroundings of a place. Rings follow RFC 7946, sections 3.1.6 (orientation) and 3.1.9 (antimeridian).
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyhere.geo import EARTH_RADIUS_KM, basemap, unit_vectors, wrap_lon
from whyhere.report._canvas import path_data

if TYPE_CHECKING:
    import shapely

Array: TypeAlias = NDArray[np.float64]
Ring: TypeAlias = NDArray[np.float64]
"""Positions of one ring, shape [n, 2], latitude before longitude, in degrees, not repeated at the end."""

_A1, _A2, _A3, _A4 = 1.340264, -0.081106, 0.000893, 0.003796
_WORLD_TOLERANCE, _LOCAL_TOLERANCE = 0.15, 0.7
_LOCAL_SPECK = 1.5  # islands smaller than this, in map units, are not drawn
_STRAIGHT_DEG = 2.0  # longest edge that is projected as a straight line


def equal_earth(lat: ArrayLike, lon: ArrayLike) -> tuple[Array, Array]:
    """Project onto the Equal Earth map (Šavrič, Patterson and Jenny 2018, equations 1 to 3).

    Areas on the map are true, so that a shaded area shows as much of the Earth as it covers.

    Args:
        lat: Latitudes in degrees, shape (...).
        lon: Longitudes in degrees, -180 to 180, shape (...).

    Returns:
        x (east) and y (north) in Earth radii, shape (...): at most `EQUAL_EARTH_X` and `EQUAL_EARTH_Y`.
    """
    t = np.arcsin(math.sqrt(3) / 2 * np.sin(np.radians(np.asarray(lat, np.float64))))
    t2 = t * t
    t6 = t2**3
    slope = 9 * _A4 * t6 * t2 + 7 * _A3 * t6 + 3 * _A2 * t2 + _A1
    x = 2 * math.sqrt(3) * np.radians(np.asarray(lon, np.float64)) * np.cos(t) / (3 * slope)
    return x, t * (_A4 * t6 * t2 + _A3 * t6 + _A2 * t2 + _A1)


EQUAL_EARTH_X = float(equal_earth(0.0, 180.0)[0])
EQUAL_EARTH_Y = float(equal_earth(90.0, 0.0)[1])


def azimuthal_km(lat: ArrayLike, lon: ArrayLike, *, lat0: float, lon0: float) -> tuple[Array, Array]:
    """Project onto the azimuthal equidistant map around a point: distances and directions from it are true.

    Args:
        lat: Latitudes in degrees, shape (...).
        lon: Longitudes in degrees, shape (...).
        lat0: Latitude of the centre in degrees.
        lon0: Longitude of the centre in degrees.

    Returns:
        x (east) and y (north) of the centre in km, shape (...). The antipode lands somewhere on the rim.
    """
    lam0 = math.radians(lon0)
    centre = unit_vectors(lat0, lon0)
    east = np.array((-math.sin(lam0), math.cos(lam0), 0.0))
    north = np.cross(centre, east)
    vectors = unit_vectors(lat, lon)
    sideways, upward, towards = vectors @ east, vectors @ north, vectors @ centre
    across = np.hypot(sideways, upward)
    with np.errstate(invalid="ignore", divide="ignore"):
        stretch = np.where(
            across > 0, EARTH_RADIUS_KM * np.arctan2(across, towards) / across, EARTH_RADIUS_KM
        )
    return sideways * stretch, upward * stretch


_MARGIN = 6.0
_SCALE = 500.0 / EQUAL_EARTH_X
WORLD_WIDTH = 1000.0 + 2 * _MARGIN
WORLD_HEIGHT = 2 * (EQUAL_EARTH_Y * _SCALE + _MARGIN)


def to_world_map(lat: ArrayLike, lon: ArrayLike) -> NDArray[np.float64]:
    """Return positions on the world map, shape [n, 2]: x to the right, y downwards."""
    x, y = equal_earth(lat, lon)
    return np.column_stack((WORLD_WIDTH / 2 + x * _SCALE, WORLD_HEIGHT / 2 - y * _SCALE))


def globe_outline() -> str:
    """Return the path data of the edge of the map."""
    lat = np.linspace(-90.0, 90.0, 61)
    edge = np.vstack((to_world_map(lat, np.full(61, -180.0)), to_world_map(lat[::-1], np.full(61, 180.0))))
    return path_data([edge])


def graticule() -> str:
    """Return the path data of meridians and parallels, every 30 degrees."""
    lat, lon = np.linspace(-90.0, 90.0, 61), np.linspace(-180.0, 180.0, 3)
    meridians = [to_world_map(lat, np.full(61, float(degree))) for degree in range(-150, 180, 30)]
    # Parallels are straight on this map.
    parallels = [to_world_map(np.full(3, float(degree)), lon) for degree in range(-60, 90, 30)]
    return path_data([*meridians, *parallels], closed=False)


def circle_ring(lat: float, lon: float, radius_km: float, *, points: int = 96) -> Ring:
    """Return the positions at great-circle distance `radius_km` from a point.

    Args:
        lat: Latitude of the centre in degrees.
        lon: Longitude of the centre in degrees.
        radius_km: Radius; at most half the circumference of the Earth makes sense.
        points: Number of positions; even, so that those due north and south of the centre are among them.

    Returns:
        Shape [points, 2]; longitudes in [-180, 180).
    """
    phi, angle = math.radians(lat), radius_km / EARTH_RADIUS_KM
    azimuth = np.linspace(0.0, 2 * np.pi, points, endpoint=False)
    east = np.sin(azimuth) * math.sin(angle)
    outward = math.cos(phi) * math.cos(angle) - math.sin(phi) * np.cos(azimuth) * math.sin(angle)
    up = math.sin(phi) * math.cos(angle) + math.cos(phi) * np.cos(azimuth) * math.sin(angle)
    lats = np.degrees(np.arctan2(up, np.hypot(east, outward)))
    return np.column_stack((lats, wrap_lon(lon + np.degrees(np.arctan2(east, outward)))))


def circle_polygons(lat: float, lon: float, radius_km: float, *, points: int = 96) -> list[list[Ring]]:
    """Return a great-circle disc as polygons that lie within longitudes -180 to 180.

    Args:
        lat: Latitude of the centre in degrees.
        lon: Longitude of the centre in degrees.
        radius_km: Radius of the disc.
        points: Number of positions on its edge.

    Returns:
        Polygons, each an outer ring (counterclockwise) and its holes (clockwise).
    """
    quarter_km = EARTH_RADIUS_KM * math.pi / 2
    if radius_km > quarter_km:
        return _all_but(
            circle_polygons(-lat, lon + 180.0, max(2 * quarter_km - radius_km, 0.0), points=points)
        )
    angle = math.degrees(radius_km / EARTH_RADIUS_KM)
    pole = 90.0 if lat + angle > 90.0 else -90.0 if lat - angle < -90.0 else None
    return [[ring] for ring in split_ring(circle_ring(lat, lon, radius_km, points=points), pole=pole)]


def split_ring(ring: ArrayLike, *, pole: float | None = None) -> list[Ring]:
    """Split a ring at the antimeridian; close one that goes around a pole along the edge of the map.

    Args:
        ring: Shape [n, 2], latitude before longitude, neighbours less than 180 degrees of longitude apart.
        pole: 90 or -90: the pole inside a ring that goes around the Earth; None takes the nearer one.

    Returns:
        Counterclockwise rings within longitudes -180 to 180; none where the ring has no area.
    """
    lat, lon = np.asarray(ring, np.float64).T
    steps = wrap_lon(np.diff(lon, append=lon[:1]))
    if round(float(steps.sum()) / 360.0) != 0:
        nearer = 90.0 if lat.mean() >= 0 else -90.0
        return [_counterclockwise(_around_pole(lat, wrap_lon(lon), nearer if pole is None else pole))]
    unwrapped = np.column_stack((lat, lon[0] + np.concatenate(([0.0], np.cumsum(steps[:-1])))))
    first = math.floor((unwrapped[:, 1].min() + 180.0) / 360.0)
    last = math.ceil((unwrapped[:, 1].max() + 180.0) / 360.0)
    parts = []
    for turn in range(first, max(last, first + 1)):
        shifted = unwrapped - (0.0, 360.0 * turn)
        part = _cut(_cut(shifted, -180.0, keep=1), 180.0, keep=-1)
        if len(part) >= 3 and abs(_area(part)) > 0:
            parts.append(_counterclockwise(part))
    return parts


def _around_pole(lat: NDArray[np.float64], lon: NDArray[np.float64], pole: float) -> Ring:
    order = np.argsort(lon)
    lat, lon = lat[order], lon[order]
    # Latitude where the ring crosses the antimeridian, between its last and its first position.
    gap = lon[0] + 360.0 - lon[-1]
    edge = lat[-1] + (lat[0] - lat[-1]) * (180.0 - lon[-1]) / gap if gap > 0 else lat[0]
    start, end = [(edge, -180.0)] if lon[0] > -180.0 else [], [(edge, 180.0)]
    return np.array([*start, *zip(lat, lon, strict=True), *end, (pole, 180.0), (pole, -180.0)])


def _cut(ring: Ring, limit: float, *, keep: int) -> Ring:
    """Keep what lies east (`keep` 1) or west (-1) of a meridian; Sutherland and Hodgman 1974, one edge."""
    kept: list[tuple[float, float]] = []
    for (lat1, lon1), (lat2, lon2) in zip(np.roll(ring, 1, axis=0), ring, strict=True):
        before, after = keep * (lon1 - limit), keep * (lon2 - limit)
        if before * after < 0:
            kept.append((lat1 + (lat2 - lat1) * (limit - lon1) / (lon2 - lon1), limit))
        if after >= 0:
            kept.append((lat2, lon2))
    return np.array(kept, np.float64).reshape(-1, 2)


def _area(ring: Ring) -> float:
    """Signed area in square degrees: positive for counterclockwise with east to the right."""
    lat, lon = ring.T
    return float(np.sum(lon * np.roll(lat, -1) - np.roll(lon, -1) * lat)) / 2


def _counterclockwise(ring: Ring) -> Ring:
    return ring if _area(ring) >= 0 else ring[::-1]


def _all_but(polygons: list[list[Ring]]) -> list[list[Ring]]:
    """Return the whole map less some polygons."""
    import shapely

    world = shapely.box(-180.0, -90.0, 180.0, 90.0)
    for rings in polygons:
        world = world.difference(shapely.Polygon(rings[0][:, ::-1]))
    result = []
    for part in shapely.get_parts(world):
        oriented = shapely.orient_polygons(part)
        outlines = (oriented.exterior, *oriented.interiors)
        result.append([np.asarray(outline.coords)[:-1, ::-1] for outline in outlines])
    return result


@cache
def world_land() -> str:
    """Return the path data of all land on the world map; lakes and seas within it are holes (even-odd)."""
    return path_data([_on_world_map(ring) for ring in basemap().land])


@cache
def world_borders() -> str:
    """Return the path data of the borders between countries on the world map."""
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
    countries, extent_deg = _countries()
    for west, east, south, north in _windows(lat0, lon0, reach_km):
        near = countries.query(shapely.box(west, south, east, north))
        # A degree is at most 111.2 km: what is too small in degrees need not be projected to be left out.
        large = extent_deg[near] * 111.2 >= _LOCAL_SPECK * km_per_unit
        for country in near[large]:
            piece = shapely.clip_by_rect(countries.geometries[country], west, south, east, north)
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
def _countries() -> tuple[shapely.STRtree, NDArray[np.float64]]:
    """Return the country polygons, cut at 180 degrees, and the larger side of the box around each."""
    import shapely

    from whyhere.geo import outlines

    shapes = outlines()
    rings = (shapes.rings(part) for part in range(len(shapes.codes)))
    polygons = [shapely.Polygon(outer, holes) for outer, *holes in rings]
    west, south, east, north = shapely.bounds(polygons).T
    return shapely.STRtree(polygons), np.maximum(east - west, north - south)


def cell_polygons(cell: str) -> list[Ring]:
    """Return an H3 cell as rings within longitudes -180 to 180: two where it lies across the antimeridian."""
    import h3

    return split_ring(np.array(h3.cell_to_boundary(cell)))
