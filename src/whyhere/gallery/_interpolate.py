"""Embeddings of positions between the places of a gallery."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whyhere.gallery._gallery import Gallery
from whyhere.geo import great_circle_km

Floats = NDArray[np.float32]

_NEIGHBOURS = 8
_AS_NEAR_AS_CAN_BE_KM = 0.001


def interpolate(gallery: Gallery, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> Floats:
    """Embed positions between the places of a gallery whose embeddings are those of neighbourhoods.

    Such embeddings change slowly from place to place, so that the nearest eight, weighted by the inverse
    square of their distance (Shepard 1968), stand for what lies between them; a place of the gallery has its
    own. The exact average would need every single place of the gallery embedded anew.

    Args:
        gallery: The gallery.
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).

    Returns:
        Unit embeddings, float32, shape (n, 512).
    """
    result = np.empty((len(lat), gallery.embeddings.shape[1]), np.float32)
    count = min(_NEIGHBOURS, len(gallery))
    for row, (y, x) in enumerate(zip(lat, lon, strict=True)):
        km = great_circle_km(y, x, gallery.lat, gallery.lon)
        nearest = np.sort(np.argpartition(km, count - 1)[:count])
        mean = np.maximum(km[nearest], _AS_NEAR_AS_CAN_BE_KM) ** -2.0 @ gallery.embeddings[nearest]
        result[row] = mean / np.linalg.norm(mean)
    return result
