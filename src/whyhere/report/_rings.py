"""Rings of positions made fit for a flat map: split at the antimeridian, closed over the poles.

Follows RFC 7946, sections 3.1.6 (orientation) and 3.1.9 (antimeridian).
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyhere.geo import EARTH_RADIUS_KM, wrap_lon

Ring: TypeAlias = NDArray[np.float64]
"""Positions of one ring, shape [n, 2], latitude before longitude, in degrees, not repeated at the end."""


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
