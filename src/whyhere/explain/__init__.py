"""Why here, why not there, and what if: explanations that are read off the score itself.

The score of a place is a sum over concepts plus a remainder, so an explanation is that sum (`PlaceParts`), a
contrast is the difference of two such sums (`Contrast`), and an intervention is the same sum after the
photo's concepts were changed (`intervene`, `Intervention`). No second model explains the first one. Image
regions (`photo_regions`) say which parts of the photo raise a concept, and `deletion_insertion` tests that.
Nothing here reads a file; `Locator.explain` joins it with the other stages.
"""

from whyhere.explain._compose import contrast, place_parts, summands
from whyhere.explain._deletion import DeletionInsertion, concept_score, deletion_insertion
from whyhere.explain._explanation import (
    ConceptContrast,
    Contrast,
    Explanation,
    GroupContrast,
    GroupParts,
    Intervention,
    PlaceParts,
    RegionPicture,
)
from whyhere.explain._intervene import Change, Intervened, Plan, intervene, plan, strengths
from whyhere.explain._meaning import concept_meanings
from whyhere.explain._region_picture import draw_regions, region_pictures, regions_png
from whyhere.explain._regions import RegionMap, photo_regions, region_maps
from whyhere.explain._shift import best_points, surroundings
from whyhere.explain._where import Where, parse_where
from whyhere.picture import Picture
from whyhere.stats import total_variation

__all__ = [
    "Change",
    "ConceptContrast",
    "Contrast",
    "DeletionInsertion",
    "Explanation",
    "GroupContrast",
    "GroupParts",
    "Intervened",
    "Intervention",
    "Picture",
    "PlaceParts",
    "Plan",
    "RegionMap",
    "RegionPicture",
    "Where",
    "best_points",
    "concept_meanings",
    "concept_score",
    "contrast",
    "deletion_insertion",
    "draw_regions",
    "intervene",
    "parse_where",
    "photo_regions",
    "place_parts",
    "plan",
    "region_maps",
    "region_pictures",
    "regions_png",
    "strengths",
    "summands",
    "surroundings",
    "total_variation",
]
