"""The packed table of GeoNames places and exact nearest-place search in it.

Places are sorted by latitude. A great circle is never shorter than the difference in latitude, so a band
of latitudes holds every place up to its half width away: the search widens the band until nothing outside
can win. Distances come from unit vectors, so the date line and the poles are ordinary points.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.geo._packed import LAT_LON_SCALE, arrays, slices
from whyhere.geo._sphere import EARTH_RADIUS_KM, unit_vectors

_KM_PER_DEGREE = np.pi * EARTH_RADIUS_KM / 180
_PULL = 0.15  # how far a larger place reaches: distance counts divided by (population + 100) ** _PULL
_STRAY_KM = 2.0  # nine in ten places on the wrong side of a rounded border lie this near to it
_STRAY_FACTOR = 3.0
_STRAY_REACH_KM = 25.0


class Gazetteer:
    """Places with positions, populations and names.

    Attributes:
        lat: Latitudes in degrees, rising, shape (n,).
        lon: Longitudes in degrees, shape (n,).
        population: Inhabitants, 0 where unknown, shape (n,).
        country: ISO alpha-2 code of each place, shape (n,), dtype "<U2".
        city: Number of the city that holds the place, its own number where it stands alone, shape (n,).
        stray: True where the place lies in the rounded outline of another country, shape (n,).
    """

    def __init__(self, table: dict[str, NDArray[Any]]) -> None:
        self.lat = np.cumsum(table["lat_step"], dtype=np.int64) / LAT_LON_SCALE
        self.lon = table["lon"] / LAT_LON_SCALE
        self.population: NDArray[np.uint32] = table["population"]
        units = [line.split("\t") for line in table["units"].tobytes().decode().split("\n")]
        self._admin1: list[str | None] = [name or None for _, name in units]
        self._unit: NDArray[np.uint16] = table["unit"]
        self.country = np.array([code for code, _ in units], "<U2")[self._unit]
        n = len(self.lat)
        self.city = np.arange(n) + table["city_offset"]
        self.stray = np.unpackbits(table["stray"], count=n).astype(bool)
        self._name_at = slices(table["name_length"])
        self._names = table["names"].tobytes()
        self._unit_reach: dict[int, float] = {}
        self._vectors = unit_vectors(self.lat, self.lon)
        self._weight = ((self.population + 100.0) / 100.0) ** _PULL

    def name(self, place: int) -> str:
        """Name of a place; empty for one that is part of a city."""
        return self._names[self._name_at[place] : self._name_at[place + 1]].decode()

    def admin1(self, place: int) -> str | None:
        """First-level unit of a place."""
        return self._admin1[int(self._unit[place])]

    def unit_reach_km(self, place: int) -> float:
        """Radius that holds nine in ten places of the first-level unit of a place."""
        unit = int(self._unit[place])
        if unit not in self._unit_reach:
            vectors = self._vectors[self._unit == unit]
            middle = vectors.mean(axis=0)
            middle /= np.linalg.norm(middle)
            chord = np.linalg.norm(vectors - middle, axis=1)
            km = 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord / 2, 1.0))
            self._unit_reach[unit] = float(np.quantile(km, 0.9))
        return self._unit_reach[unit]

    def _band(self, lat: float, lon: float, half_width: float) -> tuple[int, NDArray[np.float64]]:
        """Distances in km to the places of a band of latitudes, and the number of its first place."""
        low, high = np.searchsorted(self.lat, (lat - half_width, lat + half_width))
        chord = np.linalg.norm(self._vectors[low:high] - unit_vectors(lat, lon), axis=1)
        return int(low), 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord / 2, 1.0))

    def within(self, lat: float, lon: float, *, radius_km: float) -> int:
        """Number of the nearest place not farther than `radius_km`, or -1; population does not count."""
        first, km = self._band(lat, lon, radius_km / _KM_PER_DEGREE)
        best = int(np.argmin(km)) if len(km) else -1
        return first + best if best >= 0 and km[best] <= radius_km else -1

    def nearest_of(self, vectors: NDArray[np.float64], places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find which of some places each position is called after, by the rule of `nearest`.

        Args:
            vectors: Unit vectors of the positions, shape (n, 3).
            places: Numbers of the places, shape (m,); at least one.

        Returns:
            Numbers of places, shape (n,).
        """
        cosines = vectors @ self._vectors[places].T
        # The chord instead of the arc: of places a few degrees off the order is the same to 0.1 %.
        cost = np.sqrt(np.maximum(2.0 - 2.0 * cosines, 0.0)) / self._weight[places]
        best: NDArray[np.int64] = places[cost.argmin(axis=1)]
        return best

    def nearest(self, lat: float, lon: float, *, country: str | None = None) -> tuple[int, float]:
        """Find the place that a point is called after.

        The least km / ((population + 100) / 100) ** 0.15 wins. With a country, only its places count, and
        strays of others: up to 2 km away like its own, up to 25 km as if three times as far.

        Args:
            lat: Latitude in degrees.
            lon: Longitude in degrees.
            country: ISO alpha-2 code of the country to stay in.

        Returns:
            Number of the place and its distance in km, or -1 and infinity where the country has none.
        """
        heaviest = float(self._weight.max())
        half_width = 1.0
        while True:
            first, km = self._band(lat, lon, half_width)
            band = slice(first, first + len(km))
            cost = km / self._weight[band]
            if country is not None:
                foreign, strays = self.country[band] != country, self.stray[band]
                cost = np.where(foreign & strays & (km > _STRAY_KM), cost * _STRAY_FACTOR, cost)
                cost = np.where(foreign & (~strays | (km > _STRAY_REACH_KM)), np.inf, cost)
            best = int(np.argmin(cost)) if len(cost) else -1
            if best >= 0 and cost[best] <= half_width * _KM_PER_DEGREE / heaviest:
                return first + best, float(km[best])
            if half_width >= 180.0:
                found = best >= 0 and np.isfinite(cost[best])
                return (first + best, float(km[best])) if found else (-1, np.inf)
            half_width = min(half_width * 3, 180.0)


@cache
def gazetteer() -> Gazetteer:
    """Load the places, once."""
    return Gazetteer(arrays("places.npz"))
