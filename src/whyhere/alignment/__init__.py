"""The Concept-Aware Alignment Module at inference, in NumPy.

Image and location embeddings meet in one score, and every explanation is read off the summands of that
same score (arXiv 2509.01910, Eq. 1 to 3). What a release uses is an `Alignment`; `load_alignment` reads it
from the release's `model.safetensors`.
"""

from whyhere.alignment._alignment import Alignment, Contributions, ImageCode, Similar, load_alignment
from whyhere.alignment._caam import ConceptAlignment, Head
from whyhere.alignment._geoclip import GeoClipAlignment, GeoClipHead
from whyhere.alignment._landmarks import Landmarks, no_landmarks
from whyhere.alignment._linear import LinearAlignment
from whyhere.alignment._photo_code import PhotoCodeAlignment
from whyhere.alignment._sparse_code import sparse_codes

__all__ = [
    "Alignment",
    "ConceptAlignment",
    "Contributions",
    "GeoClipAlignment",
    "GeoClipHead",
    "Head",
    "ImageCode",
    "Landmarks",
    "LinearAlignment",
    "PhotoCodeAlignment",
    "Similar",
    "load_alignment",
    "no_landmarks",
    "sparse_codes",
]
