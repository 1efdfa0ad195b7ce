"""The probability surface as classes of density, and its cells as rings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere.prediction import SurfaceCell
from whyhere.report._rings import split_ring

CLASSES = 6
AREA_KM2 = 10_000.0
"""Densities are given for a square of 100 by 100 km."""


@dataclass(frozen=True, slots=True)
class Surface:
    """Cells sorted into classes of density.

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
    area = np.array([h3.cell_area(cell.cell, unit="km^2") for cell in cells])
    mass = np.array([cell.probability for cell in cells])
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
        probability=float(mass.sum()),
        reach_km=2 * math.sqrt(float(area.max()) / math.pi),
    )


def densities(cells: Sequence[SurfaceCell]) -> NDArray[np.float64]:
    """Return the probability per `AREA_KM2` of each cell, shape [n]."""
    import h3

    area = np.array([h3.cell_area(cell.cell, unit="km^2") for cell in cells])
    found: NDArray[np.float64] = np.array([cell.probability for cell in cells]) / area * AREA_KM2
    return found


def cell_polygons(cell: str) -> list[NDArray[np.float64]]:
    """Return an H3 cell as rings within longitudes -180 to 180: two where it lies across the antimeridian."""
    import h3

    return split_ring(np.array(h3.cell_to_boundary(cell)))


def density_text(limit: float) -> str:
    """Return a limit between classes in percent: "3 %", "0.01 %"."""
    points = limit * 100
    decimals = max(0, -math.floor(math.log10(points) + 1e-9))
    return f"{points:.{decimals}f} %"
