"""One value per cell instead of one per position, so that cities with many photos do not dominate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere.geo import cell_centre, cells_of
from whyhere.references._layers import Floats

CELL_RESOLUTION = 3
"""H3 resolution of the cells: 12,400 km2, about 110 km across."""

BLOCK_DEG = 10.0
"""Height of the blocks that are resampled together, and their width at the equator."""


@dataclass(frozen=True, slots=True, eq=False)
class CellTable:
    """Positions sorted into cells, and cells into blocks.

    Attributes:
        cell: Number of every position's cell, 0 to m - 1, shape (n,).
        cells: H3 cells, shape (m,).
        block: Number of every cell's block, shape (m,).
    """

    cell: NDArray[np.int64]
    cells: NDArray[np.uint64]
    block: NDArray[np.int64]

    def average(self, values: NDArray[np.floating]) -> Floats:
        """Average over the positions of every cell.

        Args:
            values: One per position, shape (n,); NaN is left out.

        Returns:
            Means, NaN where no position has a value, float64, shape (m,).
        """
        known = np.isfinite(values)
        size = len(self.cells)
        total = np.bincount(self.cell[known], weights=values[known].astype(np.float64), minlength=size)
        count = np.bincount(self.cell[known], minlength=size)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def cell_table(lat: Floats, lon: Floats) -> CellTable:
    """Sort positions into cells and blocks.

    Blocks are bands of 10 degrees of latitude cut into pieces of nearly the same width in km, so that what
    is resampled has nearly the same area everywhere.

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
    """
    cells, cell = np.unique(cells_of(lat, lon, CELL_RESOLUTION), return_inverse=True)
    centres = [cell_centre(int(number)) for number in cells]
    y = np.array([centre.lat for centre in centres])
    x = np.array([centre.lon for centre in centres])
    band = np.floor((y + 90.0) / BLOCK_DEG).clip(0, 180.0 / BLOCK_DEG - 1)
    pieces = np.rint(360.0 / BLOCK_DEG * np.cos(np.radians((band + 0.5) * BLOCK_DEG - 90.0))).clip(1)
    piece = np.floor((x + 180.0) / 360.0 * pieces).clip(0, pieces - 1)
    _, block = np.unique(band * 1000 + piece, return_inverse=True)
    return CellTable(cell.ravel(), cells, block.ravel())
