"""Cells of nearly equal area that cover the Earth: H3. The only module that knows h3."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyhere.geo._sphere import LatLon, great_circle_km, wrap_lon
from whyhere.geo._tables import gazetteer, outlines


@cache
def _h3() -> Any:  # noqa: ANN401 - h3 publishes no types
    import h3.api.basic_int as api

    return api


def cells_of(lat: ArrayLike, lon: ArrayLike, resolution: int) -> NDArray[np.uint64]:
    """Find the cell of each position.

    h3 has no vectorised call since version 4; this is a plain loop over its C function.

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
        resolution: H3 resolution, 0 (4.4 million km2) to 15 (1 m2).

    Returns:
        Cell numbers, shape (n,).

    Raises:
        ValueError: The resolution is outside 0 to 15 or a coordinate is not finite.
    """
    lats, lons = np.asarray(lat, np.float64).ravel(), np.asarray(lon, np.float64).ravel()
    if not 0 <= resolution <= 15:
        raise ValueError(f"H3 resolution {resolution} lies outside 0 to 15")
    if not (np.isfinite(lats).all() and np.isfinite(lons).all()):
        raise ValueError("latitudes and longitudes must be finite numbers")
    cell = _h3().latlng_to_cell
    pairs = zip(lats.tolist(), lons.tolist(), strict=True)
    return np.fromiter((cell(y, x, resolution) for y, x in pairs), np.uint64, len(lats))


def all_cell_centres(resolution: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the latitudes and longitudes of the centres of all cells of the Earth.

    Args:
        resolution: H3 resolution, 0 (122 cells) to 5 (2 million).
    """
    if not 0 <= resolution <= 5:
        raise ValueError(f"H3 resolution {resolution} lies outside 0 to 5, the ones worth listing")
    api = _h3()
    roots = sorted(api.get_res0_cells())
    cells = [cell for root in roots for cell in api.cell_to_children(root, resolution)]
    lat, lon = np.array([api.cell_to_latlng(cell) for cell in cells], np.float64).T
    return lat, lon


def cell_area_km2(cells: ArrayLike) -> NDArray[np.float64]:
    """Areas of cells in km2, in the shape of `cells`."""
    numbers, area = np.asarray(cells, np.uint64), _h3().cell_area
    areas = [area(cell, unit="km^2") for cell in numbers.ravel().tolist()]
    return np.array(areas, np.float64).reshape(numbers.shape)


def cell_centre(cell: int) -> LatLon:
    """Centre of a cell."""
    return LatLon(*_h3().cell_to_latlng(int(cell)))


def cell_string(cell: int) -> str:
    """Hexadecimal name of a cell, as other H3 tools write it."""
    return str(_h3().int_to_str(int(cell)))


def cell_number(name: str) -> int:
    """Cell number of a hexadecimal name.

    Raises:
        ValueError: This is not the name of a cell.
    """
    number = int(name, 16)
    if not 0 <= number < 2**64 or not _h3().is_valid_cell(number):
        raise ValueError(f"{name!r} is not an H3 cell")
    return number


def cell_boundary(cell: int) -> list[tuple[float, float]]:
    """Corners of a cell for drawing on a flat map.

    Longitudes run on past 180 degrees instead of jumping, so the outline is one polygon; draw it a second
    time a turn away where it sticks out. A cell around a pole gets two more corners at the pole and covers
    360 degrees.

    Args:
        cell: Cell number.

    Returns:
        (latitude, longitude) pairs in degrees, not closed; longitudes lie in [-540, 540]. They are no
        `LatLon`, which would wrap them.
    """
    lat, lon = np.array(_h3().cell_to_boundary(int(cell))).T
    step = np.diff(np.append(lon, lon[0]))
    step -= 360.0 * np.round(step / 360.0)
    lon = lon[0] + np.concatenate(([0.0], np.cumsum(step)))
    corners = list(zip(lat.tolist(), lon[:-1].tolist(), strict=True))
    turn = float(lon[-1] - lon[0])
    if abs(turn) > 180.0:
        pole = float(np.copysign(90.0, lat[0]))
        corners += [(float(lat[0]), float(lon[-1])), (pole, float(lon[-1])), (pole, float(lon[0]))]
    return corners


def cell_radius_km(cell: int) -> float:
    """Great-circle distance from the centre of a cell to its farthest corner."""
    centre, corners = cell_centre(cell), np.array(_h3().cell_to_boundary(int(cell)))
    return float(great_circle_km(centre.lat, centre.lon, corners[:, 0], corners[:, 1]).max())


Floats = NDArray[np.float64]

_STEP_DEG = 0.01  # along coasts, between two looks at which cell this is


def land_cells(resolution: int) -> tuple[NDArray[np.uint64], Floats, Floats]:
    """Find every cell that holds land, islands and Antarctica included.

    Land is what Natural Earth's outlines enclose and where GeoNames has a place, which also knows atolls that
    the outlines leave out.

    Args:
        resolution: H3 resolution, 0 to 5.

    Returns:
        Cell numbers, ascending, shape (m,), and latitudes and longitudes in degrees of a position in each:
        its most populous place, else its centre where that is land, else a point of its coast.
    """
    towns, town_lat, town_lon = populated_cells(resolution)
    lat, lon = all_cell_centres(resolution)
    shapes = outlines()
    inside = shapes.containing(lat, lon) >= 0
    lat, lon = lat[inside], lon[inside]
    edge_lon, edge_lat = _along_edges(shapes.edges(), resolution)
    cells = np.concatenate((towns, cells_of(lat, lon, resolution), cells_of(edge_lat, edge_lon, resolution)))
    found, first = np.unique(cells, return_index=True)
    lats = np.concatenate((town_lat, lat, edge_lat))[first]
    lons = np.concatenate((town_lon, lon, edge_lon))[first]
    return found, lats, wrap_lon(lons)


def populated_cells(resolution: int) -> tuple[NDArray[np.uint64], Floats, Floats]:
    """Find every cell that holds a place of GeoNames.

    Args:
        resolution: H3 resolution, 0 to 15.

    Returns:
        Cell numbers, ascending, shape (m,), and the position of the most populous place of each, in degrees.
    """
    places = gazetteer()
    order = np.argsort(-places.population.astype(np.int64), kind="stable")
    lat, lon = places.lat[order], places.lon[order]
    cells, first = np.unique(cells_of(lat, lon, resolution), return_index=True)
    return cells, lat[first], lon[first]


def land_fingerprint() -> str:
    """Return what tells these tables of land and places from others: a SHA-256."""
    digest = hashlib.sha256()
    for name in ("outlines.npz", "places.npz"):
        digest.update((resources.files("whyhere.geo") / "data" / name).read_bytes())
    return digest.hexdigest()


def _along_edges(edges: NDArray[np.float64], resolution: int) -> tuple[Floats, Floats]:
    """Return longitudes and latitudes that meet every cell an outline runs through.

    An edge whose ends share a cell stays in it, for a cell bulges nowhere inwards; the others are walked
    along in steps of a kilometre.

    Args:
        edges: Longitude and latitude of both ends of each edge, shape (n, 2, 2).
        resolution: H3 resolution.
    """
    start, end = edges[:, 0], edges[:, 1]
    crossing = cells_of(start[:, 1], start[:, 0], resolution) != cells_of(end[:, 1], end[:, 0], resolution)
    start_x, step = start[crossing], (end - start)[crossing]
    counts = np.ceil(np.abs(step).max(axis=1, initial=0.0) / _STEP_DEG).astype(np.int64)
    edge = np.repeat(np.arange(len(counts)), counts)
    share = (np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)) / counts[edge]
    walked = start_x[edge] + step[edge] * share[:, None]
    lon, lat = np.concatenate((start, walked)).T
    return lon, lat
