"""Cells that hold land, and a position on land in each: what must be reached to answer every land place."""

from __future__ import annotations

import hashlib
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from whyhere.geo._cells import all_cell_centres, cells_of
from whyhere.geo._gazetteer import gazetteer
from whyhere.geo._outlines import outlines
from whyhere.geo._sphere import wrap_lon

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
