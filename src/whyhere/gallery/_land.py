"""Land that a gallery leaves empty: coordinates for it, so that every land place can be answered.

GeoCLIP's 100,000 points are where photos are shared: three quarters of the land have none within a hundred
kilometres. Cells of resolution 3 (some 60 km from their middle to their edge) are filled wherever there is
land, and cells of resolution 4 (23 km) wherever GeoNames has a place, which is where photos are taken.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whyhere.geo import cells_of, land_cells, land_fingerprint, populated_cells

LAND_RESOLUTION = 3
TOWN_RESOLUTION = 4

_ALGORITHM = (
    f"land cells of resolution {LAND_RESOLUTION}, town cells of resolution {TOWN_RESOLUTION}, version 1"
)

Floats = NDArray[np.float64]


def empty_land(lat: Floats, lon: Floats) -> tuple[Floats, Floats]:
    """Return positions that fill the land on which a gallery has no point.

    Args:
        lat: Latitudes of the gallery in degrees, shape (n,).
        lon: Longitudes, shape (n,).

    Returns:
        Latitudes and longitudes of one position in every land cell of `LAND_RESOLUTION` that is empty, then
        in every cell of `TOWN_RESOLUTION` that still is empty and holds a place; always in the same order.
    """
    own = len(lat)
    for resolution, cells_with in ((LAND_RESOLUTION, land_cells), (TOWN_RESOLUTION, populated_cells)):
        cells, cell_lat, cell_lon = cells_with(resolution)
        empty = ~np.isin(cells, cells_of(lat, lon, resolution))
        lat, lon = np.concatenate((lat, cell_lat[empty])), np.concatenate((lon, cell_lon[empty]))
    return lat[own:], lon[own:]


def empty_land_fingerprint() -> str:
    """Return what the filled positions depend on beside the gallery's own."""
    return f"{_ALGORITHM}: {land_fingerprint()}"
