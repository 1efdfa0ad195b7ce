"""The places that can be answered: coordinates, and their embeddings on disk.

A gallery is embedded once and then memory-mapped, so that opening it costs nothing and processes share it.
"""

from whyhere.gallery._bank import bank_problem, gallery_fingerprint, open_gallery
from whyhere.gallery._gallery import Gallery, PlaceUnits, empty_land, interpolate, open_units
from whyhere.gallery._neighbourhoods import Neighbourhoods

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
