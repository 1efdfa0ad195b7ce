"""Two map projections: one for the whole Earth, one for the surroundings of a place."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyhere.geo import EARTH_RADIUS_KM, unit_vectors

Array = NDArray[np.float64]

_A1, _A2, _A3, _A4 = 1.340264, -0.081106, 0.000893, 0.003796


def equal_earth(lat: ArrayLike, lon: ArrayLike) -> tuple[Array, Array]:
    """Project onto the Equal Earth map (Šavrič, Patterson and Jenny 2018, equations 1 to 3).

    Areas on the map are true, so that a shaded area shows as much of the Earth as it covers.

    Args:
        lat: Latitudes in degrees, shape (...).
        lon: Longitudes in degrees, -180 to 180, shape (...).

    Returns:
        x (east) and y (north) in Earth radii, shape (...): at most `EQUAL_EARTH_X` and `EQUAL_EARTH_Y`.
    """
    t = np.arcsin(math.sqrt(3) / 2 * np.sin(np.radians(np.asarray(lat, np.float64))))
    t2 = t * t
    t6 = t2**3
    slope = 9 * _A4 * t6 * t2 + 7 * _A3 * t6 + 3 * _A2 * t2 + _A1
    x = 2 * math.sqrt(3) * np.radians(np.asarray(lon, np.float64)) * np.cos(t) / (3 * slope)
    return x, t * (_A4 * t6 * t2 + _A3 * t6 + _A2 * t2 + _A1)


EQUAL_EARTH_X = float(equal_earth(0.0, 180.0)[0])
EQUAL_EARTH_Y = float(equal_earth(90.0, 0.0)[1])


def azimuthal_km(lat: ArrayLike, lon: ArrayLike, *, lat0: float, lon0: float) -> tuple[Array, Array]:
    """Project onto the azimuthal equidistant map around a point: distances and directions from it are true.

    Args:
        lat: Latitudes in degrees, shape (...).
        lon: Longitudes in degrees, shape (...).
        lat0: Latitude of the centre in degrees.
        lon0: Longitude of the centre in degrees.

    Returns:
        x (east) and y (north) of the centre in km, shape (...). The antipode lands somewhere on the rim.
    """
    lam0 = math.radians(lon0)
    centre = unit_vectors(lat0, lon0)
    east = np.array((-math.sin(lam0), math.cos(lam0), 0.0))
    north = np.cross(centre, east)
    vectors = unit_vectors(lat, lon)
    sideways, upward, towards = vectors @ east, vectors @ north, vectors @ centre
    across = np.hypot(sideways, upward)
    with np.errstate(invalid="ignore", divide="ignore"):
        stretch = np.where(
            across > 0, EARTH_RADIUS_KM * np.arctan2(across, towards) / across, EARTH_RADIUS_KM
        )
    return sideways * stretch, upward * stretch
