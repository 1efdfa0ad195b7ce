"""The places that can be answered: coordinates, their embeddings on disk, and exact search.

A gallery is embedded once and then memory-mapped, so that opening it costs nothing and processes share it.
"""

from whyhere.gallery._bank import bank_problem, gallery_fingerprint, open_gallery
from whyhere.gallery._gallery import Gallery
from whyhere.gallery._interpolate import interpolate
from whyhere.gallery._land import empty_land
from whyhere.gallery._neighbourhoods import Neighbourhoods
from whyhere.gallery._units import PlaceUnits, open_units

__all__ = [
    "Gallery",
    "Neighbourhoods",
    "PlaceUnits",
    "bank_problem",
    "empty_land",
    "gallery_fingerprint",
    "interpolate",
    "open_gallery",
    "open_units",
]
