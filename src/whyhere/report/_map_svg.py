"""The world map of a report: land, probability surface, radii, and numbered answers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from whyhere.geo import LatLon
from whyhere.report._canvas import number, path_data
from whyhere.report._geometry import (
    WORLD_HEIGHT,
    WORLD_WIDTH,
    circle_polygons,
    circle_ring,
    globe_outline,
    graticule,
    split_ring,
    to_world_map,
)
from whyhere.report._maps import CLASSES, Surface

DESKTOP_BADGE, PHONE_BADGE = 11.0, 25.0
"""Radii of the numbered badges: a phone shows the map at a third of its size, and must draw them larger."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A numbered point.

    Attributes:
        label: What its badge says; empty for a dot without a badge.
        lat: Latitude in degrees.
        lon: Longitude in degrees.
        radius_km: Radius to draw around it, or None.
    """

    label: str
    lat: float
    lon: float
    radius_km: float | None


def shared_definitions() -> str:
    """Return the hidden SVG that holds what every world map of a page uses: its land, once."""
    from whyhere.report._geometry import world_borders, world_land

    return (
        '<svg class="defs" width="0" height="0" aria-hidden="true" focusable="false"><defs>'
        f'<path id="globe" d="{globe_outline()}"/>'
        '<clipPath id="globe-clip"><use href="#globe"/></clipPath>'
        '<g id="world"><use href="#globe" class="sea"/>'
        f'<path class="graticule" d="{graticule()}"/>'
        '<use href="#coast" class="land"/></g>'
        f'<path id="coast" clip-path="url(#globe-clip)" fill-rule="evenodd" d="{world_land()}"/>'
        f'<path id="borders" d="{world_borders()}"/>'
        "</defs></svg>"
    )


def world_map(
    pins: Sequence[Pin],
    *,
    surface: Surface | None,
    exif: LatLon | None,
    id: str,
    title: str,
    description: str,
    emphasise: bool = True,
) -> str:
    """Return an inline SVG that needs `shared_definitions` on the same page.

    Args:
        pins: Points in the order of their importance.
        surface: Cells to shade below them.
        exif: Position from the photo's metadata, drawn as a diamond.
        id: Unique on the page.
        title: Name of the map for screen readers.
        description: What it shows, in words.
        emphasise: Whether the first pin stands out.
    """
    cells, radii = "".join(_cells(surface)), "".join(_radii(pins))
    size = (WORLD_WIDTH, WORLD_HEIGHT)
    points = [to_world_map(pin.lat, pin.lon)[0] for pin in pins]
    return (
        f'<svg class="map" role="img" viewBox="0 0 {number(WORLD_WIDTH)} {number(WORLD_HEIGHT)}" '
        f'aria-labelledby="{id}-t {id}-d"><title id="{id}-t">{escape(title)}</title>'
        f'<desc id="{id}-d">{escape(description)}</desc>'
        f'<g transform="scale(.1)"><use href="#world"/><g clip-path="url(#globe-clip)">{cells}</g>'
        f'<use href="#coast" class="coast"/><use href="#borders" class="coast"/>{radii}'
        '<use href="#globe" class="rim"/></g>'
        f"{_diamond(exif)}"
        f'<g class="wide">{badges(pins, points, DESKTOP_BADGE, size, emphasise=emphasise)}</g>'
        f'<g class="narrow">{badges(pins, points, PHONE_BADGE, size, emphasise=emphasise)}</g>'
        "</svg>"
    )


def badges(
    pins: Sequence[Pin],
    points: Sequence[NDArray[np.float64]],
    radius: float,
    size: tuple[float, float],
    *,
    emphasise: bool = True,
) -> str:
    """Return a dot at each point and, led off from it, a badge that hides no other point or badge.

    Args:
        pins: What the badges say.
        points: Where the pins lie on the map.
        radius: Radius of a badge in map units.
        size: Width and height of the map.
        emphasise: Whether the first pin stands out.
    """
    taken: list[tuple[float, float]] = []
    lines, dots, discs = [], [], []
    for index, (pin, (x, y)) in enumerate(zip(pins, points, strict=True)):
        mark = " first" if index == 0 and emphasise else ""
        dots.append(f'<circle class="dot{mark}" cx="{number(x)}" cy="{number(y)}" r="{number(radius / 5)}"/>')
        if not pin.label:
            continue
        bx, by = _free_spot(float(x), float(y), radius, size, taken, points)
        taken.append((bx, by))
        lines.append(
            f'<line class="leader{mark}" x1="{number(x)}" y1="{number(y)}" '
            f'x2="{number(bx)}" y2="{number(by)}"/>'
        )
        discs.append(
            f'<g class="badge{mark}"><circle cx="{number(bx)}" cy="{number(by)}" r="{number(radius)}"/>'
            f'<text x="{number(bx)}" y="{number(by)}" dy=".36em" font-size="{number(radius * 1.25)}">'
            f"{escape(pin.label)}</text></g>"
        )
    # The first answer is drawn last, on top.
    return "".join((*lines[::-1], *dots[::-1], *discs[::-1]))


def _free_spot(
    x: float,
    y: float,
    radius: float,
    size: tuple[float, float],
    taken: Sequence[tuple[float, float]],
    points: Sequence[NDArray[np.float64]],
) -> tuple[float, float]:
    """Return where a badge for (x, y) fits: the nearest of some spots around it that is still free."""
    spots = [
        (x + distance * radius * math.cos(angle), y - distance * radius * math.sin(angle))
        for distance in (2.0, 3.0, 4.2, 5.6)
        for angle in (math.pi / 4 + math.pi / 4 * turn for turn in (0, 2, -1, 3, -2, 4, 1, 5))
    ]
    for bx, by in spots:
        inside = radius < bx < size[0] - radius and radius < by < size[1] - radius
        clear = all(math.hypot(bx - tx, by - ty) > 2.15 * radius for tx, ty in taken)
        open_ = all(math.hypot(bx - px, by - py) > 1.35 * radius for px, py in points)
        if inside and clear and open_:
            return bx, by
    return x, y


def _cells(surface: Surface | None) -> Iterator[str]:
    if surface is None:
        return
    for level in range(CLASSES):
        rings = (
            to_world_map(*part.T)
            for index in np.flatnonzero(surface.classes == level)
            for part in split_ring(surface.rings[index])
        )
        if data := path_data(rings):
            yield f'<path class="cell c{level}" d="{data}"/>'


def _radii(pins: Sequence[Pin]) -> Iterator[str]:
    for index, pin in enumerate(pins):
        if pin.radius_km is None:
            continue
        polygons = circle_polygons(pin.lat, pin.lon, pin.radius_km)
        area = path_data(to_world_map(*ring.T) for rings in polygons for ring in rings)
        ring = circle_ring(pin.lat, pin.lon, pin.radius_km)
        line = path_data(_unbroken(np.vstack((ring, ring[:1]))), closed=False)
        mark = " first" if index == 0 else ""
        yield f'<path class="disc{mark}" fill-rule="evenodd" d="{area}"/>'
        yield f'<path class="radius{mark}" d="{line}"/>'


def _unbroken(line: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Yield the pieces of a line of positions between its jumps across the antimeridian, on the map."""
    jumps = np.flatnonzero(np.abs(np.diff(line[:, 1])) > 180.0) + 1
    for piece in np.split(line, jumps):
        if len(piece) > 1:
            yield to_world_map(*piece.T)


def _diamond(position: LatLon | None) -> str:
    if position is None:
        return ""
    x, y = to_world_map(position.lat, position.lon)[0]
    shapes = (
        f'<path class="exif {name}" d="M{number(x)} {number(y - r)}l{number(r)} {number(r)}-{number(r)} '
        f'{number(r)}-{number(r)}-{number(r)}z"/>'
        for name, r in (("wide", 6.0), ("narrow", 14.0))
    )
    return "".join(shapes)
