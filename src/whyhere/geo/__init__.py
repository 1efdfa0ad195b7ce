"""Earth: positions, distances, cells, names of places and countries, regions.

Imports nothing else of whyhere but `errors`.
"""

from whyhere.geo._latlon import LatLon
from whyhere.geo._place_name import PlaceName
from whyhere.geo._sphere import EARTH_RADIUS_KM, great_circle_km, lat_lon_of, unit_vectors, wrap_lon

__all__ = [
    "EARTH_RADIUS_KM",
    "LatLon",
    "PlaceName",
    "great_circle_km",
    "lat_lon_of",
    "unit_vectors",
    "wrap_lon",
]
