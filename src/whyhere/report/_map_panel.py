"""A map with coloured cells as shapes for the canvas: the whole Earth, or the surroundings of a region."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from whyhere.geo import (
    EARTH_RADIUS_KM,
    cell_boundary,
    cell_number,
    lat_lon_of,
    unit_vectors,
    vector_distance_km,
)
from whyhere.report._canvas import Item, Label, Shape, lines_of, moved, rectangle
from whyhere.report._projection import azimuthal_km
from whyhere.report._rings import split_ring
from whyhere.report._world import HEIGHT, WIDTH, globe_outline, to_world_map

# Ten steps of viridis: rises evenly in lightness, and colour-blind readers see the same order.
SCALE = (
    "#440154", "#482878", "#3e4a89", "#31688e", "#26828e",
    "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725",
)  # fmt: skip
_SEA, _LAND, _COAST, _RIM, _INK = "#eef3f7", "#dcd9d2", "#7d8589", "#b8c4cc", "#222222"
_LEAST_REACH_KM, _MOST_REACH_KM = 150.0, 6000.0
_CAPTION, _LEGEND = 30.0, 34.0


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a map looks: at the whole Earth, or around a point, where distances from the point are true.

    Attributes:
        lat: Latitude of the point.
        lon: Longitude of the point.
        reach_km: Half the height of the map; None for the whole Earth.
    """

    lat: float = 0.0
    lon: float = 0.0
    reach_km: float | None = None

    @classmethod
    def around(cls, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> Frame:
        """Return the frame that holds some positions; the whole Earth where they span too much of it."""
        vectors = unit_vectors(lat, lon)
        # The middle of the box around them, not their mean, which the densest part would pull to itself.
        centre = (vectors.min(axis=0) + vectors.max(axis=0)) / 2
        if np.linalg.norm(centre) < 1e-6:
            return cls()
        centre /= np.linalg.norm(centre)
        reach = 1.12 * float(vector_distance_km(vectors, centre).max()) + 60.0
        if reach > _MOST_REACH_KM:
            return cls()
        lat0, lon0 = lat_lon_of(centre)
        return cls(float(lat0), float(lon0), max(reach, _LEAST_REACH_KM))


@dataclass(frozen=True, slots=True)
class CellLayer:
    """Cells to colour.

    Attributes:
        cells: H3 names.
        classes: Index into `colours` of each cell, shape (n,).
        colours: The colours.
        rings: Boundaries; worked out once and shared by the panels of a picture.
    """

    cells: Sequence[str]
    classes: NDArray[np.int64]
    colours: Sequence[str] = SCALE
    rings: tuple[NDArray[np.float64], ...] = field(default=(), repr=False)


def boundaries(cells: Sequence[str]) -> tuple[NDArray[np.float64], ...]:
    """Return latitudes and longitudes of the corners of cells, each (m, 2); longitudes run on past 180."""
    return tuple(np.array(cell_boundary(cell_number(cell))) for cell in cells)


def panel_height(legend: bool = True) -> float:
    """Height of a panel with its caption."""
    return _CAPTION + HEIGHT + (_LEGEND if legend else 8.0)


def map_panel(
    layer: CellLayer,
    frame: Frame,
    *,
    caption: str,
    legend: Sequence[tuple[str, str]] = (),
    pins: Sequence[tuple[str, float, float]] = (),
) -> list[Item]:
    """Draw one map with its caption above and its legend below, `WIDTH` wide and `panel_height` high.

    Args:
        layer: The cells.
        frame: Where the map looks.
        caption: What it shows.
        legend: Colours and what they mean.
        pins: Label, latitude and longitude of points to mark.
    """
    ground = _world(layer) if frame.reach_km is None else _around(layer, frame, frame.reach_km)
    marks = [item for pin in pins for item in _pin(pin, frame)]
    items: list[Item] = [Label(6.0, 20.0, caption, 16.0, bold=True)]
    items += moved([*ground, *marks], 0.0, _CAPTION)
    return items + moved(_legend(legend), 0.0, _CAPTION + HEIGHT + 8.0)


def _world(layer: CellLayer) -> list[Item]:
    from whyhere.report._land import world_borders, world_land

    globe, land = lines_of(globe_outline()), lines_of(world_land())
    items: list[Item] = [Shape(globe, fill=_SEA), Shape(land, fill=_LAND, holes=True)]
    rings = [[to_world_map(*part.T) for part in split_ring(ring)] for ring in _rings(layer)]
    items += _coloured(layer, rings)
    items += [
        Shape(land, stroke=_COAST, width=0.5),
        Shape(lines_of(world_borders()), stroke=_COAST, width=0.4, closed=False),
        Shape(globe, stroke=_RIM),
    ]
    return items


def _around(layer: CellLayer, frame: Frame, reach_km: float) -> list[Item]:
    from whyhere.report._land import local_land

    scale = 2 * reach_km / HEIGHT
    corner_km = math.hypot(WIDTH, HEIGHT) / 2 * scale
    # Beyond three quarters of the way to the antipode this projection tears land apart.
    corner_km = min(corner_km, 0.75 * math.pi * EARTH_RADIUS_KM)
    land = lines_of(local_land(frame.lat, frame.lon, reach_km=corner_km, km_per_unit=scale))
    rings = []
    for ring in _rings(layer):
        x, y = azimuthal_km(ring[:, 0], ring[:, 1], lat0=frame.lat, lon0=frame.lon)
        rings.append([np.column_stack((x, -y)) / scale])
    items: list[Item] = [
        Shape(land, fill=_LAND),
        *_coloured(layer, rings),
        Shape(land, stroke=_COAST, width=0.8),
    ]
    middle = _clipped(moved(items, WIDTH / 2, HEIGHT / 2))
    return [rectangle(0.0, 0.0, WIDTH, HEIGHT, _SEA), *middle]


def _rings(layer: CellLayer) -> tuple[NDArray[np.float64], ...]:
    return layer.rings or boundaries(layer.cells)


def _coloured(layer: CellLayer, rings: Sequence[Sequence[NDArray[np.float64]]]) -> list[Item]:
    """One shape for each colour; a thin line of the same colour closes the seams between cells."""
    items: list[Item] = []
    for index, colour in enumerate(layer.colours):
        lines = [part for row in np.flatnonzero(layer.classes == index).tolist() for part in rings[row]]
        if lines:
            items.append(Shape(lines, fill=colour, stroke=colour, width=0.3))
    return items


def _clipped(items: Sequence[Item]) -> list[Item]:
    """Cut shapes at the edge of the map."""
    import shapely

    edge = (0.0, 0.0, WIDTH, HEIGHT)
    clipped: list[Item] = []
    for item in items:
        if isinstance(item, Label):
            clipped.append(item)
            continue
        lines: list[NDArray[np.float64]] = []
        for line in item.lines:
            if len(line) < 3:
                continue
            ring = np.vstack((line, line[:1]))
            whole = shapely.make_valid(shapely.Polygon(ring)) if item.fill else shapely.LineString(ring)
            piece = shapely.clip_by_rect(whole, *edge)
            for part in shapely.get_parts(piece):
                if item.fill and part.geom_type == "Polygon":
                    lines += [np.asarray(part.exterior.coords)[:-1]]
                elif not item.fill and part.geom_type == "LineString":
                    lines.append(np.asarray(part.coords))
        clipped.append(
            Shape(lines, item.fill, item.stroke, item.width, item.opacity, bool(item.fill), item.holes)
        )
    return clipped


def _pin(pin: tuple[str, float, float], frame: Frame) -> list[Item]:
    label, lat, lon = pin
    if frame.reach_km is None:
        x, y = to_world_map(lat, lon)[0].tolist()
    else:
        east, north = azimuthal_km(lat, lon, lat0=frame.lat, lon0=frame.lon)
        scale = 2 * frame.reach_km / HEIGHT
        x, y = WIDTH / 2 + float(east) / scale, HEIGHT / 2 - float(north) / scale
    angle = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
    disc = np.column_stack((x + 8.5 * np.cos(angle), y + 8.5 * np.sin(angle)))
    dark = "#b4323c" if not label else "#1b2226"
    return [
        Shape([disc], fill=dark, stroke="#ffffff", width=1.5),
        Label(x, y + 4.2, label, 12.0, "middle", "#ffffff", True),
    ]


def _legend(entries: Sequence[tuple[str, str]]) -> list[Item]:
    """Boxes side by side; an entry without words stands close to the next."""
    items: list[Item] = []
    x = 6.0
    for colour, words in entries:
        items.append(rectangle(x, 0.0, 22.0, 13.0, colour))
        x += 22.0
        if words:
            items.append(Label(x + 6.0, 11.0, words, 13.0, colour=_INK))
            x += 24.0 + 7.2 * len(words)
    return items
