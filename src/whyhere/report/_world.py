"""The frame of the world map: Equal Earth, scaled to a box of fixed size."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyhere.report._projection import EQUAL_EARTH_X, EQUAL_EARTH_Y, equal_earth
from whyhere.report._svg import path_data

MARGIN = 6.0
SCALE = 500.0 / EQUAL_EARTH_X
WIDTH = 1000.0 + 2 * MARGIN
HEIGHT = 2 * (EQUAL_EARTH_Y * SCALE + MARGIN)


def to_world_map(lat: ArrayLike, lon: ArrayLike) -> NDArray[np.float64]:
    """Return positions on the world map, shape [n, 2]: x to the right, y downwards."""
    x, y = equal_earth(lat, lon)
    return np.column_stack((WIDTH / 2 + x * SCALE, HEIGHT / 2 - y * SCALE))


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
