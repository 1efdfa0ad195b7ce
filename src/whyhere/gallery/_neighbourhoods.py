"""Location embeddings averaged around a place: what can be told from a photo, without what cannot.

GeoCLIP's finest Fourier features tell streets apart. A head trained on few photos cannot predict them: in its
scores they are noise, and the best of a hundred thousand places is then often the luckiest one. Averaged over
the neighbourhood they cancel out. A head that was trained towards such averages is asked for such averages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from whyhere.geo import EARTH_RADIUS_KM, cell_area_km2, cells_of, unit_vectors

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

CELL_RESOLUTION = 3
"""H3 resolution of the cells that are averaged first, so that crowded places do not outweigh empty ones."""

ALGORITHM = f"cells of resolution {CELL_RESOLUTION}, weighted by area and exp(-km / scale), version 1"
"""Changes whenever the embeddings would."""

_GROUP_RESOLUTION = 0  # positions of one such cell share the cells that are near enough to count
_REACH = 20.0  # scales beyond the nearest cell: all that lies farther weighs 4e-8, less than float32 resolves
_BLOCK = 2048  # places at a time: 65 MB of weights against 4,000 cells
_CHUNK = 8192


class Encoder(Protocol):
    """What embeds positions: `LocationEncoder`, or a `Neighbourhoods`."""

    def embed(
        self,
        lat: Float64Array,
        lon: Float64Array,
        *,
        progress: Callable[[int], None] | None = None,
    ) -> Float32Array:
        """Embed positions in degrees, shape (n,), into shape (n, 512)."""
        ...


@dataclass(frozen=True, slots=True)
class Neighbourhoods:
    """Cells of a gallery, from which the embedding of a neighbourhood is averaged.

    Attributes:
        directions: Unit vectors of the mean positions of the cells' places, shape (m, 3).
        area_km2: Areas, shape (m,).
        embeddings: Mean unit location embeddings, shape (m, 512).
        scale_km: Scale of the exponential kernel.
    """

    directions: Float64Array
    area_km2: Float64Array
    embeddings: Float64Array
    scale_km: float

    @classmethod
    def build(
        cls,
        encoder: Encoder,
        lat: Float64Array,
        lon: Float64Array,
        *,
        scale_km: float,
        progress: Callable[[int, int], None] | None = None,
    ) -> Neighbourhoods:
        """Embed every place of a gallery and average over cells.

        Args:
            encoder: Embeds single places.
            lat: Latitudes of the gallery in degrees, shape (n,).
            lon: Longitudes, shape (n,).
            scale_km: Scale of the exponential kernel, above 0.
            progress: Called with places done and places in all.
        """
        cells, cell_of_place = np.unique(cells_of(lat, lon, CELL_RESOLUTION), return_inverse=True)
        counts = np.bincount(cell_of_place, minlength=len(cells))
        sums = np.zeros((len(cells), 512))
        for start in range(0, len(lat), _CHUNK):
            part = slice(start, start + _CHUNK)
            raw = encoder.embed(lat[part], lon[part]).astype(np.float64)
            np.add.at(sums, cell_of_place[part], raw / np.linalg.norm(raw, axis=1, keepdims=True))
            if progress is not None:
                progress(min(start + _CHUNK, len(lat)), len(lat))
        axes = [np.bincount(cell_of_place, axis, len(cells)) for axis in unit_vectors(lat, lon).T]
        means = np.stack(axes, axis=1)
        return cls(
            directions=means / np.linalg.norm(means, axis=1, keepdims=True),
            area_km2=cell_area_km2(cells),
            embeddings=sums / counts[:, None],
            scale_km=scale_km,
        )

    def embed(
        self,
        lat: Float64Array,
        lon: Float64Array,
        *,
        progress: Callable[[int], None] | None = None,
    ) -> Float32Array:
        """Average the embeddings of the cells around positions, by area and exp(-distance / scale).

        Args:
            lat: Latitudes in degrees, shape (n,).
            lon: Longitudes in degrees, shape (n,).
            progress: Called with positions done.

        Returns:
            Unit embeddings, float32, shape (n, 512). A position far from every cell gets the nearest ones.
        """
        positions = unit_vectors(lat, lon)
        result = np.empty((len(positions), self.embeddings.shape[1]), np.float32)
        groups = cells_of(lat, lon, _GROUP_RESOLUTION)
        order = np.argsort(groups, kind="stable")
        starts = np.flatnonzero(np.append(True, groups[order][1:] != groups[order][:-1]))
        done = 0
        for members in np.split(order, starts[1:]):
            near = self._near(positions[members])
            directions, area_km2, embeddings = (
                array[near] for array in (self.directions, self.area_km2, self.embeddings)
            )
            for start in range(0, len(members), _BLOCK):
                part = members[start : start + _BLOCK]
                km = _distances_km(positions[part], directions)
                km -= km.min(axis=1, keepdims=True)  # the same averages, and no underflow far out at sea
                means = (np.exp(-km / self.scale_km) * area_km2) @ embeddings
                result[part] = means / np.linalg.norm(means, axis=1, keepdims=True)
                done += len(part)
                if progress is not None:
                    progress(done)
        return result

    def _near(self, positions: Float64Array) -> NDArray[np.intp]:
        """Return the cells that count for any of these positions, which lie near each other."""
        middle = positions.mean(axis=0)
        middle /= max(float(np.linalg.norm(middle)), 1e-9)
        radius_km = float(_distances_km(middle[None], positions).max())
        km = _distances_km(middle[None], self.directions)[0]
        # The nearest cell of a position lies within km.min() + radius of it, and it of the middle by radius.
        return np.flatnonzero(km <= km.min() + 2 * radius_km + _REACH * self.scale_km)


def _distances_km(a: Float64Array, b: Float64Array) -> Float64Array:
    """Return distances between unit vectors (n, 3) and (m, 3), shape (n, m).

    The cosine loses digits below a kilometre, far under the size of a cell.
    """
    km: Float64Array = EARTH_RADIUS_KM * np.arccos(np.clip(a @ b.T, -1.0, 1.0))
    return km
