"""Maps for the canvas: coloured cells, pins and discs on the whole Earth or around a region."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyhere.geo import (
    EARTH_RADIUS_KM,
    cell_boundary,
    cell_number,
    lat_lon_of,
    unit_vectors,
    vector_distance_km,
)
from whyhere.prediction import SurfaceCell
from whyhere.report._canvas import INK, Dot, Item, Label, Shape, lines_of, moved, rectangle
from whyhere.report.geometry import (
    WORLD_HEIGHT,
    WORLD_WIDTH,
    azimuthal_km,
    globe_outline,
    local_land,
    split_ring,
    to_world_map,
    world_borders,
    world_land,
)

# Ten steps of viridis: rises evenly in lightness, and colour-blind readers see the same order.
SCALE = (
    "#440154", "#482878", "#3e4a89", "#31688e", "#26828e",
    "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725",
)  # fmt: skip
CLASSES = 6
"""Classes of density of a probability surface."""
AREA_KM2 = 10_000.0
"""Densities are given for a square of 100 by 100 km."""

_SEA, _LAND, _COAST, _RIM = "#eef3f7", "#dcd9d2", "#7d8589", "#b8c4cc"
_LEAST_REACH_KM, _MOST_REACH_KM = 150.0, 6000.0
_CAPTION, _LEGEND = 30.0, 34.0


@dataclass(frozen=True, slots=True)
class Surface:
    """The cells of a probability surface, sorted into classes of density.

    Attributes:
        limits: The `CLASSES` - 1 densities between the classes, rising, as probability per `AREA_KM2`.
        classes: Class of each cell, 0 for the thinnest, shape [n].
        centres: Latitude and longitude of each cell, shape [n, 2].
        rings: Latitudes and longitudes of the corners of each cell.
        probability: Mass of all cells together.
        reach_km: Largest distance from a centre to a corner.
    """

    limits: tuple[float, ...]
    classes: NDArray[np.int64]
    centres: NDArray[np.float64]
    rings: tuple[NDArray[np.float64], ...]
    probability: float
    reach_km: float


def classify(cells: Sequence[SurfaceCell]) -> Surface | None:
    """Sort cells into classes of probability density; None where there is nothing to draw.

    Limits are 1 and 3 times powers of ten, the highest the last one below the greatest density: classes a
    factor of about three apart, with numbers that can be said.
    """
    import h3

    cells = [cell for cell in cells if cell.probability > 0]
    if not cells:
        return None
    density = densities(cells)
    top = math.floor(2 * math.log10(density.max()) + 1e-9)
    # 10 ** 0.5 is 3.16; written as 3.
    limits = tuple(
        (3.0 if step % 2 else 1.0) * 10.0 ** (step // 2) for step in range(top - CLASSES + 2, top + 1)
    )
    return Surface(
        limits=limits,
        classes=np.searchsorted(np.array(limits), density, side="right"),
        centres=np.array([h3.cell_to_latlng(cell.cell) for cell in cells]),
        rings=tuple(np.array(h3.cell_to_boundary(cell.cell)) for cell in cells),
        probability=float(np.array([cell.probability for cell in cells]).sum()),
        reach_km=2 * math.sqrt(max(h3.cell_area(cell.cell, unit="km^2") for cell in cells) / math.pi),
    )


def densities(cells: Sequence[SurfaceCell]) -> NDArray[np.float64]:
    """Return the probability per `AREA_KM2` of each cell, shape [n]."""
    import h3

    area = np.array([h3.cell_area(cell.cell, unit="km^2") for cell in cells])
    found: NDArray[np.float64] = np.array([cell.probability for cell in cells]) / area * AREA_KM2
    return found


def density_text(limit: float) -> str:
    """Return a limit between classes in percent: "3 %", "0.01 %"."""
    points = limit * 100
    decimals = max(0, -math.floor(math.log10(points) + 1e-9))
    return f"{points:.{decimals}f} %"


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

    @property
    def km_per_unit(self) -> float:
        """Scale of a map around a point."""
        return 2 * (self.reach_km or 0.0) / WORLD_HEIGHT

    def project(self, lat: ArrayLike, lon: ArrayLike) -> NDArray[np.float64]:
        """Return positions on the map, shape [n, 2]."""
        if self.reach_km is None:
            return to_world_map(lat, lon)
        east, north = azimuthal_km(lat, lon, lat0=self.lat, lon0=self.lon)
        return np.column_stack((east, -north)) / self.km_per_unit + (WORLD_WIDTH / 2, WORLD_HEIGHT / 2)


@dataclass(frozen=True, slots=True)
class CellLayer:
    """Cells to colour.

    Attributes:
        cells: H3 names.
        classes: Index into `colours` of each cell, shape (n,).
        colours: The colours.
        rings: Boundaries; worked out once and shared by the panels of a picture.
    """

    cells: Sequence[str] = ()
    classes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    colours: Sequence[str] = SCALE
    rings: tuple[NDArray[np.float64], ...] = field(default=(), repr=False)


def boundaries(cells: Sequence[str]) -> tuple[NDArray[np.float64], ...]:
    """Return latitudes and longitudes of the corners of cells, each (m, 2); longitudes run on past 180."""
    return tuple(np.array(cell_boundary(cell_number(cell))) for cell in cells)


def panel_height(legend: bool = True) -> float:
    """Height of a panel with its caption."""
    return _CAPTION + WORLD_HEIGHT + (_LEGEND if legend else 8.0)


def map_panel(
    layer: CellLayer,
    frame: Frame,
    *,
    caption: str,
    legend: Sequence[tuple[str, str]] = (),
    pins: Sequence[tuple[str, float, float]] = (),
    discs: Sequence[tuple[float, float, float, str, str]] = (),
) -> list[Item]:
    """Draw one map with its caption above and its legend below, `WORLD_WIDTH` wide and `panel_height` high.

    Args:
        layer: The cells.
        frame: Where the map looks.
        caption: What it shows.
        legend: Colours and what they mean.
        pins: Label, latitude and longitude of points to mark.
        discs: Latitude, longitude, radius on the canvas, colour and words of discs; the first at the bottom.
    """
    ground = _world(layer, frame) if frame.reach_km is None else _around(layer, frame, frame.reach_km)
    for lat, lon, radius, colour, words in discs:
        x, y = frame.project(lat, lon)[0].tolist()
        ground.append(Dot(x, y, radius, colour, 0.8, "#ffffff", words=words))
    for label, lat, lon in pins:
        x, y = frame.project(lat, lon)[0].tolist()
        ground += [
            Dot(x, y, 8.5, "#1b2226" if label else "#b4323c", stroke="#ffffff", width=1.5),
            Label(x, y + 4.2, label, 12.0, "middle", "#ffffff", True),
        ]
    items: list[Item] = [Label(6.0, 20.0, caption, 16.0, bold=True), *moved(ground, 0.0, _CAPTION)]
    return items + moved(_legend(legend), 0.0, _CAPTION + WORLD_HEIGHT + 8.0)


def _world(layer: CellLayer, frame: Frame) -> list[Item]:
    globe, land = lines_of(globe_outline()), lines_of(world_land())
    rings = [[frame.project(*part.T) for part in split_ring(ring)] for ring in _rings(layer)]
    return [
        Shape(globe, fill=_SEA),
        Shape(land, fill=_LAND, holes=True),
        *_coloured(layer, rings),
        Shape(land, stroke=_COAST, width=0.5),
        Shape(lines_of(world_borders()), stroke=_COAST, width=0.4, closed=False),
        Shape(globe, stroke=_RIM),
    ]


def _around(layer: CellLayer, frame: Frame, reach_km: float) -> list[Item]:
    corner_km = math.hypot(WORLD_WIDTH, WORLD_HEIGHT) / 2 * frame.km_per_unit
    # Beyond three quarters of the way to the antipode this projection tears land apart.
    corner_km = min(corner_km, 0.75 * math.pi * EARTH_RADIUS_KM)
    data = local_land(frame.lat, frame.lon, reach_km=corner_km, km_per_unit=frame.km_per_unit)
    middle = np.array((WORLD_WIDTH / 2, WORLD_HEIGHT / 2))
    land = [line + middle for line in lines_of(data)]
    cells = _coloured(layer, [[frame.project(*ring.T)] for ring in _rings(layer)])
    shapes = [Shape(land, fill=_LAND), *cells, Shape(land, stroke=_COAST, width=0.8)]
    return [rectangle(0.0, 0.0, WORLD_WIDTH, WORLD_HEIGHT, _SEA), *map(_clipped, shapes)]


def _rings(layer: CellLayer) -> tuple[NDArray[np.float64], ...]:
    return layer.rings or boundaries(layer.cells)


def _coloured(layer: CellLayer, rings: Sequence[Sequence[NDArray[np.float64]]]) -> list[Shape]:
    """One shape for each colour; a thin line of the same colour closes the seams between cells."""
    shapes = []
    for index, colour in enumerate(layer.colours):
        lines = [part for row in np.flatnonzero(layer.classes == index).tolist() for part in rings[row]]
        if lines:
            shapes.append(Shape(lines, fill=colour, stroke=colour, width=0.3))
    return shapes


def _clipped(shape: Shape) -> Shape:
    """Cut a shape at the edge of the map."""
    import shapely

    lines: list[NDArray[np.float64]] = []
    for line in shape.lines:
        if len(line) < 3:
            continue
        ring = np.vstack((line, line[:1]))
        whole = shapely.make_valid(shapely.Polygon(ring)) if shape.fill else shapely.LineString(ring)
        for part in shapely.get_parts(shapely.clip_by_rect(whole, 0.0, 0.0, WORLD_WIDTH, WORLD_HEIGHT)):
            if shape.fill and part.geom_type == "Polygon":
                lines.append(np.asarray(part.exterior.coords)[:-1])
            elif not shape.fill and part.geom_type == "LineString":
                lines.append(np.asarray(part.coords))
    return Shape(lines, shape.fill, shape.stroke, shape.width, closed=bool(shape.fill))


def _legend(entries: Sequence[tuple[str, str]]) -> list[Item]:
    """Boxes side by side; an entry without words stands close to the next."""
    items: list[Item] = []
    x = 6.0
    for colour, words in entries:
        items.append(rectangle(x, 0.0, 22.0, 13.0, colour))
        x += 22.0
        if words:
            items.append(Label(x + 6.0, 11.0, words, 13.0, colour=INK))
            x += 24.0 + 7.2 * len(words)
    return items
