"""A small map of the world for drawing: Natural Earth 1:110m, land and borders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from whyhere.geo._packed import arrays, slices


@dataclass(frozen=True, slots=True)
class Basemap:
    """Outlines in degrees, rounded to 0.01, nowhere crossing 180 degrees.

    Attributes:
        land: Closed rings to fill, each (m, 2), latitude and longitude, float64. Lakes are rings of their
            own: fill all rings together by the even-odd rule.
        borders: Lines between countries to stroke, each (m, 2), latitude and longitude, float64.
    """

    land: tuple[NDArray[np.float64], ...]
    borders: tuple[NDArray[np.float64], ...]


@cache
def basemap() -> Basemap:
    """Load the map, once. Treat its arrays as read-only."""
    table = arrays("basemap.npz")
    points = np.column_stack((table["lat"], table["lon"])) / 100.0
    points.flags.writeable = False
    lines = tuple(np.split(points, slices(table["length"])[1:-1]))
    rings = int(table["rings"])
    return Basemap(lines[:rings], lines[rings:])
