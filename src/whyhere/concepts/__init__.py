"""The concept bank and its directions.

The bank (`load_bank`) says which geographic concepts whyhere can name and how each is described. The
directions (`load_directions`) say where those concepts lie in the embedding space of one image tower, and
where each direction came from. Nothing here reads a photo, a place or a score.
"""

from whyhere.concepts._bank import GROUPS, Concept, ConceptBank, RemovedTerm
from whyhere.concepts._directions import (
    SOURCES,
    ConceptDirection,
    Directions,
    load_directions,
    save_directions,
)
from whyhere.concepts._labels import ConceptLabel, read_labels
from whyhere.concepts._read_bank import load_bank, load_removed

__all__ = [
    "GROUPS",
    "SOURCES",
    "Concept",
    "ConceptBank",
    "ConceptDirection",
    "ConceptLabel",
    "Directions",
    "RemovedTerm",
    "load_bank",
    "load_directions",
    "load_removed",
    "read_labels",
    "save_directions",
]
