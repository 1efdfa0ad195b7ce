"""Photos: find them, read them safely, prepare them for an image tower, shrink them for a report.

Not here: anything that looks at what a photo shows.
"""

from whyhere.images._find import PHOTO_SUFFIXES, StdinPhoto, display_name, find_photos
from whyhere.images._limits import DECODE_MEMORY_MB, DECODE_SECONDS, MAX_BYTES, MAX_PIXELS, Room
from whyhere.images._photo import Photo, PhotoSource, open_photo, prepared_ahead, thumbnail
from whyhere.images._preprocess import PreprocessSpec, preprocess

__all__ = [
    "DECODE_MEMORY_MB",
    "DECODE_SECONDS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "PHOTO_SUFFIXES",
    "Photo",
    "PhotoSource",
    "PreprocessSpec",
    "Room",
    "StdinPhoto",
    "display_name",
    "find_photos",
    "open_photo",
    "prepared_ahead",
    "preprocess",
    "thumbnail",
]
