"""The concept bank and its directions.

The bank (`load_bank`) says which geographic concepts whyhere can name and how each is described. The
directions (`load_directions`) say where those concepts lie in the embedding space of one image tower, and
where each direction came from. The vocabulary (`open_vocabulary`) turns free text of known words into such a
direction. `read_own_bank` and `build_own_directions` are for a bank of a user's own. Nothing here opens a
photo, a place or a score.
"""

from whyhere.concepts._bank import (
    GROUPS,
    Concept,
    ConceptBank,
    OwnBank,
    load_bank,
    read_own_bank,
)
from whyhere.concepts._directions import (
    SOURCES,
    ConceptDirection,
    Directions,
    load_directions,
    save_directions,
)
from whyhere.concepts._labels import (
    EVIDENCE,
    LANDMARK_GROUP,
    ConceptLabel,
    LandmarkLabel,
    PhotoCredit,
    find_concept,
    read_labels,
    read_landmarks,
    unknown_concept,
)
from whyhere.concepts._own_directions import (
    BuildRule,
    Encode,
    OwnMaterial,
    build_own_directions,
    pair_separation,
)
from whyhere.concepts._vocabulary import (
    NEGATIONS,
    SILENT,
    VOCABULARY,
    TextDirection,
    Vocabulary,
    match_words,
    open_vocabulary,
    tokens_of,
    word_key,
)

__all__ = [
    "EVIDENCE",
    "GROUPS",
    "LANDMARK_GROUP",
    "NEGATIONS",
    "SILENT",
    "SOURCES",
    "VOCABULARY",
    "BuildRule",
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
    "TextDirection",
    "Vocabulary",
    "build_own_directions",
    "find_concept",
    "load_bank",
    "load_directions",
    "match_words",
    "open_vocabulary",
    "pair_separation",
    "read_labels",
    "read_landmarks",
    "read_own_bank",
    "save_directions",
    "tokens_of",
    "unknown_concept",
    "word_key",
]
