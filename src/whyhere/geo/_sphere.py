"""Distances and directions on the sphere of radius 6371.0088 km, for arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class LatLon:
    """A WGS84 position in degrees.

    Attributes:
        lat: Latitude, -90 to 90.
        lon: Longitude, wrapped into [-180, 180).

    Raises:
        ValueError: A coordinate is not finite, or the latitude lies outside -90 to 90.

    Example:
        >>> LatLon(-17.8, 180.5)
        LatLon(lat=-17.8, lon=-179.5)
    """

    lat: float
    lon: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lat) and math.isfinite(self.lon)):
            raise ValueError(f"latitude {self.lat} and longitude {self.lon} must be finite numbers")
        if not -90.0 <= self.lat <= 90.0:
            raise ValueError(
                f"latitude {self.lat} lies outside -90 to 90 degrees; are latitude and longitude swapped?"
            )
        if not -180.0 <= self.lon < 180.0:
            object.__setattr__(self, "lon", (self.lon + 180.0) % 360.0 - 180.0)

    def to_dict(self) -> dict[str, float]:
        """Return `{"lat": ..., "lon": ...}`."""
        return {"lat": self.lat, "lon": self.lon}


FULL_TURN = 360.0

EARTH_RADIUS_KM = 6371.0088
"""Mean Earth radius (IUGG). Great-circle distances differ from geodesic ones by less than 0.56 %."""


def unit_vectors(lat: ArrayLike, lon: ArrayLike) -> NDArray[np.float64]:
    """Turn degrees into unit vectors.

    Args:
        lat: Latitudes in degrees, shape (...).
        lon: Longitudes in degrees, shape (...).

    Returns:
        Unit vectors, shape (..., 3): x towards (0, 0), y towards (0, 90 E), z towards the north pole.
    """
    phi, lam = np.radians(np.asarray(lat, np.float64)), np.radians(np.asarray(lon, np.float64))
    return np.stack((np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)), axis=-1)


def lat_lon_of(vectors: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Turn vectors of any positive length into latitudes and longitudes in degrees.

    Args:
        vectors: Shape (..., 3).

    Returns:
        Latitudes and longitudes, each of shape (...); longitudes in [-180, 180).
    """
    x, y, z = np.moveaxis(np.asarray(vectors, np.float64), -1, 0)
    return np.degrees(np.arctan2(z, np.hypot(x, y))), wrap_lon(np.degrees(np.arctan2(y, x)))


def vector_distance_km(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Great-circle distance between unit vectors, from the chord, so that short distances stay exact.

    Args:
        a: Unit vectors, shape (..., 3).
        b: Unit vectors, shape (..., 3).

    Returns:
        Distances in km, in the shape the leading axes broadcast to.
    """
    half_chords = np.linalg.norm(np.asarray(a, np.float64) - np.asarray(b, np.float64), axis=-1) / 2
    km: NDArray[np.float64] = 2 * EARTH_RADIUS_KM * np.arcsin(np.clip(half_chords, 0.0, 1.0))
    return km


def wrap_lon(lon: ArrayLike) -> NDArray[np.float64]:
    """Wrap longitudes in degrees into [-180, 180)."""
    return (np.asarray(lon, np.float64) + 180.0) % 360.0 - 180.0


def great_circle_km(
    lat1: ArrayLike, lon1: ArrayLike, lat2: ArrayLike, lon2: ArrayLike
) -> NDArray[np.float64]:
    """Great-circle distance by the haversine formula.

    Args:
        lat1: Latitudes of the first points in degrees.
        lon1: Longitudes of the first points in degrees.
        lat2: Latitudes of the second points in degrees.
        lon2: Longitudes of the second points in degrees.

    Returns:
        Distances in km, in the shape the four arguments broadcast to.

    Example:
        >>> round(float(great_circle_km(0, 179.5, 0, -179.5)), 3)
        111.195
    """
    phi1, phi2 = np.radians(np.asarray(lat1, np.float64)), np.radians(np.asarray(lat2, np.float64))
    dlam = np.radians(np.asarray(lon2, np.float64) - np.asarray(lon1, np.float64))
    a = np.sin((phi2 - phi1) / 2) ** 2 + np.cos(phi1) * np.cos(phi2) * np.sin(dlam / 2) ** 2
    km: NDArray[np.float64] = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(a, 0.0, 1.0)))
    return km
