"""The map around one answer: distances from its point are true, so its radius is a circle."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from whyhere.geo import LatLon, great_circle_km
from whyhere.report._canvas import number, path_data
from whyhere.report._geometry import azimuthal_km
from whyhere.report._map_svg import Pin, badges
from whyhere.report._maps import CLASSES, Surface

WIDTH, HEIGHT = 400.0, 430.0
BADGE = 12.0
_LEAST_KM, _MOST_KM = 300.0, 6000.0
"""Half the height: enough to recognise a coast by, and not so much that the far side of the Earth appears."""


def inset_map(
    pins: Sequence[Pin], focus: int, *, surface: Surface | None, exif: LatLon | None, id: str, title: str
) -> str:
    """Return an inline SVG of the surroundings of one pin.

    Args:
        pins: All answers; those on this map are drawn.
        focus: Index of the pin in the middle.
        surface: Cells to shade.
        exif: Position from the photo's metadata.
        id: Unique on the page.
        title: Name of the map for screen readers.
    """
    from whyhere.report._geometry import local_land

    centre = pins[focus]
    half_height_km = min(max(2.0 * (centre.radius_km or 0.0), _LEAST_KM), _MOST_KM)
    km_per_unit = half_height_km / (HEIGHT / 2)
    reach_km = math.hypot(WIDTH, HEIGHT) / 2 * km_per_unit
    land = local_land(centre.lat, centre.lon, reach_km=1.1 * reach_km, km_per_unit=km_per_unit)
    cells = "".join(_cells(surface, centre, reach_km, km_per_unit))
    radius = (centre.radius_km or 0.0) / km_per_unit
    shown = [pin for index, pin in enumerate(pins) if index != focus and _in_view(pin, centre, km_per_unit)]
    shown = [centre, *shown]
    points = [
        np.array((WIDTH / 2 + x, HEIGHT / 2 - y))
        for x, y in (_units(pin.lat, pin.lon, centre, km_per_unit) for pin in shown)
    ]
    return (
        f'<svg class="inset" role="img" viewBox="0 0 {number(WIDTH)} {number(HEIGHT)}" '
        f'aria-labelledby="{id}-t"><title id="{id}-t">{escape(title)}</title>'
        f'<rect class="sea" width="{number(WIDTH)}" height="{number(HEIGHT)}"/>'
        f'<g transform="translate({number(WIDTH / 2)} {number(HEIGHT / 2)})"><g transform="scale(.1)">'
        f'<defs><path id="{id}-land" d="{land}"/></defs><use href="#{id}-land" class="land"/>{cells}'
        f'<use href="#{id}-land" class="coast"/></g>'
        f'<circle class="disc first" r="{number(radius)}"/>'
        f'<circle class="radius first" r="{number(radius)}"/></g>'
        f"{_exif(exif, centre, km_per_unit)}"
        f"{badges(shown, points, BADGE, (WIDTH, HEIGHT))}"
        f"{_scale_bar(km_per_unit)}"
        "</svg>"
    )


def _units(lat: float, lon: float, centre: Pin, km_per_unit: float) -> tuple[float, float]:
    x, y = azimuthal_km(lat, lon, lat0=centre.lat, lon0=centre.lon)
    return float(x) / km_per_unit, float(y) / km_per_unit


def _in_view(pin: Pin | LatLon, centre: Pin, km_per_unit: float) -> bool:
    x, y = _units(pin.lat, pin.lon, centre, km_per_unit)
    return abs(x) < WIDTH / 2 - 6 and abs(y) < HEIGHT / 2 - 6


def _cells(surface: Surface | None, centre: Pin, reach_km: float, km_per_unit: float) -> Iterator[str]:
    if surface is None:
        return
    km = great_circle_km(centre.lat, centre.lon, surface.centres[:, 0], surface.centres[:, 1])
    near = km < reach_km + surface.reach_km
    for level in range(CLASSES):
        rings = []
        for index in np.flatnonzero(near & (surface.classes == level)):
            x, y = azimuthal_km(*surface.rings[index].T, lat0=centre.lat, lon0=centre.lon)
            rings.append(np.column_stack((x, -y)) / km_per_unit)
        if data := path_data(rings):
            yield f'<path class="cell c{level}" d="{data}"/>'


def _exif(position: LatLon | None, centre: Pin, km_per_unit: float) -> str:
    if position is None or not _in_view(position, centre, km_per_unit):
        return ""
    x, y = _units(position.lat, position.lon, centre, km_per_unit)
    return f'<path class="exif" d="M{number(WIDTH / 2 + x)} {number(HEIGHT / 2 - y - 7)}l7 7-7 7-7-7z"/>'


def _scale_bar(km_per_unit: float) -> str:
    """Return a bar of a round length, at most a third of the width."""
    most = WIDTH / 3 * km_per_unit
    power = 10.0 ** math.floor(math.log10(most))
    length = max(step * power for step in (1.0, 2.0, 5.0) if step * power <= most)
    width, y = length / km_per_unit, HEIGHT - 12
    return (
        f'<g class="scale"><path d="M12 {number(y - 5)}v5h{number(width)}v-5"/>'
        f'<text x="{number(12 + width / 2)}" y="{number(y - 7)}">{length:,.0f} km</text></g>'
    )
