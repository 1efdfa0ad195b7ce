"""What a release knows about places, without a photo: profiles, concept maps, comparisons.

`Atlas.from_release("base")` reads the embedded gallery and the concepts of a release, and no image tower.
Everything here comes from the location encoder's embedding of a place; it says what photos taken there tend
to show, as far as the release has learned that, and it is evidence of nothing about any single photo.
"""

from whyhere.atlas._atlas import Atlas
from whyhere.atlas._compare import ComparedConcept, ComparedSide, Comparison
from whyhere.atlas._map import ConceptMap, MapCell
from whyhere.atlas._map_picture import side_by_side
from whyhere.atlas._pages import compare_page, map_page, maps_page, place_page
from whyhere.atlas._parts import AtlasParts, TextQuery, assemble_atlas
from whyhere.atlas._place import PlaceConcept, PlaceProfile, SimilarPlace
from whyhere.atlas._reference import MapReference
from whyhere.atlas._tables import compare_table, map_table, place_table

__all__ = [
    "Atlas",
    "AtlasParts",
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
    "assemble_atlas",
    "compare_page",
    "compare_table",
    "map_page",
    "map_table",
    "maps_page",
    "place_page",
    "place_table",
    "side_by_side",
]
