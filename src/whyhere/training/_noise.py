"""GPS noise: positions moved by metres, right at any latitude and across the date line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whyhere.geo import EARTH_RADIUS_KM, lat_lon_of, unit_vectors

Doubles = NDArray[np.float64]


def jitter(
    lat: Doubles, lon: Doubles, *, sigma_m: float, rng: np.random.Generator
) -> tuple[Doubles, Doubles]:
    """Move positions by normal noise.

    Metres become degrees by latitude; the step is taken on the tangent plane and back onto the sphere, which
    is the same for metres and needs no special case where a degree of longitude shrinks to nothing.

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
        sigma_m: Standard deviation northwards and eastwards, in metres.
        rng: Source of the noise.

    Returns:
        Latitudes in -90 to 90 and longitudes in [-180, 180), shape (n,) each. The generator advances by the
        same amount for any `sigma_m`.
    """
    steps = rng.standard_normal((2, len(lat)))
    if sigma_m == 0:
        return lat.copy(), lon.copy()
    north_m, east_m = steps * (sigma_m / (EARTH_RADIUS_KM * 1000))
    phi, lam = np.radians(lat), np.radians(lon)
    north = np.stack((-np.sin(phi) * np.cos(lam), -np.sin(phi) * np.sin(lam), np.cos(phi)), axis=1)
    east = np.stack((-np.sin(lam), np.cos(lam), np.zeros_like(lam)), axis=1)
    # lat_lon_of takes vectors of any length: no need to scale back to the sphere.
    return lat_lon_of(unit_vectors(lat, lon) + north_m[:, None] * north + east_m[:, None] * east)
