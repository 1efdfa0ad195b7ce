"""The concept bank and its directions.

The bank (`load_bank`) says which geographic concepts whyhere can name and how each is described. The
directions (`load_directions`) say where those concepts lie in the embedding space of one image tower, and
where each direction came from. The vocabulary (`open_vocabulary`) turns free text of known words into such a
direction. `read_own_bank` and `build_own_directions` are for a bank of a user's own. Nothing here opens a
photo, a place or a score.
"""

from whyhere.concepts._bank import GROUPS, Concept, ConceptBank, RemovedTerm
from whyhere.concepts._directions import (
    SOURCES,
    ConceptDirection,
    Directions,
    load_directions,
    save_directions,
)
from whyhere.concepts._find import find_concept, unknown_concept
from whyhere.concepts._labels import EVIDENCE, ConceptLabel, read_labels
from whyhere.concepts._landmark_labels import LANDMARK_GROUP, LandmarkLabel, PhotoCredit, read_landmarks
from whyhere.concepts._own_bank import OwnBank, read_own_bank
from whyhere.concepts._own_build import OwnMaterial, build_own_directions
from whyhere.concepts._own_text import Encode
from whyhere.concepts._read_bank import load_bank, load_removed
from whyhere.concepts._vocabulary import TextDirection, Vocabulary, open_vocabulary

__all__ = [
    "EVIDENCE",
    "GROUPS",
    "LANDMARK_GROUP",
    "SOURCES",
    "Concept",
    "ConceptBank",
    "ConceptDirection",
    "ConceptLabel",
    "Directions",
    "Encode",
    "LandmarkLabel",
    "OwnBank",
    "OwnMaterial",
    "PhotoCredit",
    "RemovedTerm",
    "TextDirection",
    "Vocabulary",
    "build_own_directions",
    "find_concept",
    "load_bank",
    "load_directions",
    "load_removed",
    "open_vocabulary",
    "read_labels",
    "read_landmarks",
    "read_own_bank",
    "save_directions",
    "unknown_concept",
]
