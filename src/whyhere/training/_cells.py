"""The gallery, one row a cell: small enough to be scored thousands of times while a head is chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whyhere.gallery import Gallery, Neighbourhoods
from whyhere.geo import EARTH_RADIUS_KM, lat_lon_of, unit_vectors
from whyhere.ranking import CellIndex

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CellTable:
    """Occupied cells with the mean of their points.

    Attributes:
        directions: Unit vectors of the mean positions, shape (m, 3).
        area_km2: Areas, shape (m,).
        embeddings: Mean unit location embeddings, shape (m, 512).
    """

    directions: Doubles
    area_km2: Doubles
    embeddings: Doubles

    @classmethod
    def build(cls, gallery: Gallery, index: CellIndex) -> CellTable:
        """Average the points of every cell."""
        order = np.argsort(index.cell_of_point, kind="stable")
        counts = np.bincount(index.cell_of_point, minlength=len(index.cells))
        starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
        embeddings = np.add.reduceat(gallery.embeddings[order].astype(np.float64), starts, axis=0)
        return cls(index.centres(), index.area_km2, embeddings / counts[:, None])

    def distances_km(self, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> Doubles:
        """Return great-circle distances from positions in degrees, shape (n,), to the cells: (n, m)."""
        # The cosine loses digits below a kilometre, far under the size of a cell.
        cosines = unit_vectors(lat, lon) @ self.directions.T
        km: Doubles = EARTH_RADIUS_KM * np.arccos(np.clip(cosines, -1.0, 1.0))
        return km

    def neighbourhood_embeddings(
        self, lat: NDArray[np.float64], lon: NDArray[np.float64], *, scale_km: float
    ) -> Doubles:
        """Average location embeddings around positions; see `Neighbourhoods`.

        Args:
            lat: Latitudes in degrees, shape (n,).
            lon: Longitudes in degrees, shape (n,).
            scale_km: Scale of the exponential kernel.

        Returns:
            Unit embeddings, shape (n, 512).
        """
        around = Neighbourhoods(self.directions, self.area_km2, self.embeddings, scale_km)
        return around.embed(lat, lon).astype(np.float64)

    def smoothed(self, scale_km: float) -> CellTable:
        """Return the same cells with the embeddings of the neighbourhoods of their centres."""
        lat, lon = lat_lon_of(self.directions)
        return replace(self, embeddings=self.neighbourhood_embeddings(lat, lon, scale_km=scale_km))
