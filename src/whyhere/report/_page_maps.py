"""The maps inside pages: where everything lies on them; `templates/maps.html.j2` writes them as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from whyhere.geo import LatLon, great_circle_km
from whyhere.report._canvas import path_data
from whyhere.report._maps import CLASSES, Surface
from whyhere.report.geometry import (
    WORLD_HEIGHT,
    WORLD_WIDTH,
    azimuthal_km,
    circle_polygons,
    circle_ring,
    globe_outline,
    graticule,
    local_land,
    split_ring,
    to_world_map,
    world_borders,
    world_land,
)

_BADGE, _PHONE_BADGE = 11.0, 25.0  # a phone shows the map at a third of its size, and must draw them larger
_INSET_WIDTH, _INSET_HEIGHT, _INSET_BADGE = 400.0, 430.0, 12.0
_LEAST_KM, _MOST_KM = 300.0, 6000.0
"""Half the height: enough to recognise a coast by, and not so much that the far side of the Earth appears."""

Point = tuple[float, float]


class Pin(NamedTuple):
    """A point with what its badge says, empty for a dot without one, and a radius to draw or None."""

    label: str
    lat: float
    lon: float
    radius_km: float | None


class Badge(NamedTuple):
    """A dot on a map and, led off from it, its badge; `first` is " first" where it stands out."""

    label: str
    x: float
    y: float
    bx: float
    by: float
    first: str


@dataclass(frozen=True, slots=True)
class WorldMap:
    """What the world map of a page shows, in map units; the last is drawn on top."""

    cells: list[tuple[int, str]]
    radii: list[tuple[str, str, str]]
    exif: Point | None
    badges: list[Badge]
    large_badges: list[Badge]
    width: float = WORLD_WIDTH
    height: float = WORLD_HEIGHT
    badge: float = _BADGE
    large_badge: float = _PHONE_BADGE


@dataclass(frozen=True, slots=True)
class InsetMap:
    """What the map around one answer shows; distances from its point are true, so its radius is a circle."""

    land: str
    cells: list[tuple[int, str]]
    radius: float
    exif: Point | None
    badges: list[Badge]
    bar: float
    bar_text: str
    width: float = _INSET_WIDTH
    height: float = _INSET_HEIGHT
    badge: float = _INSET_BADGE


@cache
def world_ground() -> dict[str, str]:
    """Return the path data of what every world map shows."""
    return {
        "globe": globe_outline(),
        "graticule": graticule(),
        "land": world_land(),
        "borders": world_borders(),
    }


def world_map(
    pins: Sequence[Pin], *, surface: Surface | None, exif: LatLon | None, emphasise: bool = True
) -> WorldMap:
    """Lay out a world map.

    Args:
        pins: Points in the order of their importance.
        surface: Cells to shade below them.
        exif: Position from the photo's metadata, drawn as a diamond.
        emphasise: Whether the first pin stands out.
    """
    size = (WORLD_WIDTH, WORLD_HEIGHT)
    points = [_point(to_world_map(pin.lat, pin.lon)) for pin in pins]
    rings = (
        [] if surface is None else [[to_world_map(*part.T) for part in split_ring(r)] for r in surface.rings]
    )
    return WorldMap(
        _cells(surface, rings),
        list(_radii(pins)),
        None if exif is None else _point(to_world_map(exif.lat, exif.lon)),
        _badges(pins, points, _BADGE, size, emphasise=emphasise),
        _badges(pins, points, _PHONE_BADGE, size, emphasise=emphasise),
    )


def inset_map(pins: Sequence[Pin], focus: int, *, surface: Surface | None, exif: LatLon | None) -> InsetMap:
    """Lay out the surroundings of one pin, with all else that lies there."""
    centre = pins[focus]
    half_height_km = min(max(2.0 * (centre.radius_km or 0.0), _LEAST_KM), _MOST_KM)
    scale = half_height_km / (_INSET_HEIGHT / 2)  # km a unit
    reach_km = math.hypot(_INSET_WIDTH, _INSET_HEIGHT) / 2 * scale

    def at(lat: float, lon: float) -> Point:
        x, y = azimuthal_km(lat, lon, lat0=centre.lat, lon0=centre.lon)
        return _INSET_WIDTH / 2 + float(x) / scale, _INSET_HEIGHT / 2 - float(y) / scale

    def in_view(point: Point) -> bool:
        return 6 < point[0] < _INSET_WIDTH - 6 and 6 < point[1] < _INSET_HEIGHT - 6

    shown = [(centre, at(centre.lat, centre.lon))]
    others = [(pin, at(pin.lat, pin.lon)) for index, pin in enumerate(pins) if index != focus]
    shown += [(pin, point) for pin, point in others if in_view(point)]
    rings: list[list[NDArray[np.float64]]] = []
    if surface is not None:
        km = great_circle_km(centre.lat, centre.lon, surface.centres[:, 0], surface.centres[:, 1])
        for ring, near in zip(surface.rings, km < reach_km + surface.reach_km, strict=True):
            x, y = azimuthal_km(*ring.T, lat0=centre.lat, lon0=centre.lon) if near else ((), ())
            rings.append([np.column_stack((x, -np.asarray(y))) / scale] if near else [])
    gps = None if exif is None else at(exif.lat, exif.lon)
    # A bar of a round length, at most a third of the width.
    most = _INSET_WIDTH / 3 * scale
    power = 10.0 ** math.floor(math.log10(most))
    bar_km = max(step * power for step in (1.0, 2.0, 5.0) if step * power <= most)
    return InsetMap(
        local_land(centre.lat, centre.lon, reach_km=1.1 * reach_km, km_per_unit=scale),
        _cells(surface, rings),
        (centre.radius_km or 0.0) / scale,
        gps if gps is not None and in_view(gps) else None,
        _badges(
            [pin for pin, _ in shown], [p for _, p in shown], _INSET_BADGE, (_INSET_WIDTH, _INSET_HEIGHT)
        ),
        bar_km / scale,
        f"{bar_km:,.0f} km",
    )


def _point(row: NDArray[np.float64]) -> Point:
    return float(row[0, 0]), float(row[0, 1])


def _cells(surface: Surface | None, rings: Sequence[Sequence[NDArray[np.float64]]]) -> list[tuple[int, str]]:
    """Return the path data of the cells of each class of density that has any."""
    if surface is None:
        return []
    by_class: list[list[NDArray[np.float64]]] = [[] for _ in range(CLASSES)]
    for level, parts in zip(surface.classes.tolist(), rings, strict=True):
        by_class[level] += parts
    return [(level, data) for level, parts in enumerate(by_class) if (data := path_data(parts))]


def _radii(pins: Sequence[Pin]) -> Iterator[tuple[str, str, str]]:
    """Yield of each radius its mark and the path data of its area and its line."""
    for index, pin in enumerate(pins):
        if pin.radius_km is None:
            continue
        polygons = circle_polygons(pin.lat, pin.lon, pin.radius_km)
        area = path_data(to_world_map(*ring.T) for rings in polygons for ring in rings)
        ring = circle_ring(pin.lat, pin.lon, pin.radius_km)
        line = np.vstack((ring, ring[:1]))
        jumps = np.flatnonzero(np.abs(np.diff(line[:, 1])) > 180.0) + 1  # across the antimeridian
        pieces = [to_world_map(*piece.T) for piece in np.split(line, jumps) if len(piece) > 1]
        yield " first" if index == 0 else "", area, path_data(pieces, closed=False)


def _badges(
    pins: Sequence[Pin], points: Sequence[Point], radius: float, size: Point, *, emphasise: bool = True
) -> list[Badge]:
    """Place badges so that they hide no other point or badge; the first pin comes last, on top."""
    taken: list[Point] = []
    badges = []
    for index, (pin, (x, y)) in enumerate(zip(pins, points, strict=True)):
        bx, by = _free_spot(x, y, radius, size, taken, points) if pin.label else (x, y)
        taken += [(bx, by)] if pin.label else []
        badges.append(Badge(pin.label, x, y, bx, by, " first" if index == 0 and emphasise else ""))
    return badges[::-1]


def _free_spot(
    x: float, y: float, radius: float, size: Point, taken: Sequence[Point], points: Sequence[Point]
) -> Point:
    """Return where a badge for (x, y) fits: the nearest of some spots around it that is still free."""
    for distance in (2.0, 3.0, 4.2, 5.6):
        for turn in (0, 2, -1, 3, -2, 4, 1, 5):
            angle = math.pi / 4 + math.pi / 4 * turn
            bx, by = x + distance * radius * math.cos(angle), y - distance * radius * math.sin(angle)
            inside = radius < bx < size[0] - radius and radius < by < size[1] - radius
            clear = all(math.hypot(bx - tx, by - ty) > 2.15 * radius for tx, ty in taken)
            open_ = all(math.hypot(bx - px, by - py) > 1.35 * radius for px, py in points)
            if inside and clear and open_:
                return bx, by
    return x, y
