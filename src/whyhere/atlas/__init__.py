"""What a release knows about places, without a photo: profiles, concept maps, comparisons.

`Atlas.from_release("base")` reads the embedded gallery and the concepts of a release, and no image tower.
Everything here comes from the location encoder's embedding of a place; it says what photos taken there tend
to show, as far as the release has learned that, and it is evidence of nothing about any single photo.
"""

from whyhere.atlas._atlas import Atlas, TextQuery, read_text
from whyhere.atlas._pages import (
    compare_page,
    compare_table,
    map_page,
    map_table,
    maps_page,
    place_page,
    place_table,
)
from whyhere.atlas._pictures import side_by_side
from whyhere.atlas._results import (
    ComparedConcept,
    ComparedSide,
    Comparison,
    ConceptMap,
    MapCell,
    MapReference,
    PlaceConcept,
    PlaceProfile,
    SimilarPlace,
)

__all__ = [
    "Atlas",
    "ComparedConcept",
    "ComparedSide",
    "Comparison",
    "ConceptMap",
    "MapCell",
    "MapReference",
    "PlaceConcept",
    "PlaceProfile",
    "SimilarPlace",
    "TextQuery",
    "compare_page",
    "compare_table",
    "map_page",
    "map_table",
    "maps_page",
    "place_page",
    "place_table",
    "read_text",
    "side_by_side",
]
