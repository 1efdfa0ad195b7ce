"""Real spherical harmonics, orthonormal on the unit sphere."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def spherical_harmonics(lat: ArrayLike, lon: ArrayLike, *, degree: int) -> NDArray[np.float64]:
    """Evaluate all real spherical harmonics up to a degree.

    The associated Legendre functions come from the fully normalised recursion in degree (Holmes and
    Featherstone 2002, Eq. 11), which does not overflow; without the Condon-Shortley phase.

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
        degree: Highest degree L, 0 or more.

    Returns:
        Shape (n, (L + 1) ** 2); column l * l + l + m has degree l and order m, with sines for m < 0.
        Their integral over the sphere of products is 1 for equal columns and 0 for others.
    """
    phi, lam = np.radians(np.asarray(lat, np.float64)), np.radians(np.asarray(lon, np.float64))
    sine, cosine = np.sin(phi), np.cos(phi)
    out = np.empty((len(phi), (degree + 1) ** 2))
    sectoral = np.full(len(phi), np.sqrt(1 / (4 * np.pi)))  # P(m, m)
    for m in range(degree + 1):
        if m > 0:
            sectoral = sectoral * cosine * np.sqrt((2 * m + 1) / (2 * m))
        before, current = np.zeros_like(sine), sectoral
        for n in range(m, degree + 1):
            if n > m:
                a = np.sqrt((4 * n * n - 1) / (n * n - m * m))
                b = np.sqrt(((n - 1) ** 2 - m * m) / (4 * (n - 1) ** 2 - 1)) if n > m + 1 else 0.0
                before, current = current, a * (sine * current - b * before)
            if m == 0:
                out[:, n * n + n] = current
            else:
                out[:, n * n + n + m] = np.sqrt(2) * current * np.cos(m * lam)
                out[:, n * n + n - m] = np.sqrt(2) * current * np.sin(m * lam)
    return out
