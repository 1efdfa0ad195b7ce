"""Why here, why not there, and what if: explanations that are read off the score itself.

The score of a place is a sum over concepts plus a remainder, so an explanation is that sum (`Answer`), a
contrast is the difference of two such sums (`Contrast`), and an intervention is the same sum after the
photo's concepts were changed (`intervene`, `Intervention`). No second model explains the first one. Image
regions (`photo_regions`) say which parts of the photo raise a concept, and `deletion_insertion` tests that.
Nothing here reads a file; `Locator.explain` joins it with the other stages.
"""

from whyhere.explain._compose import answer_of, contrast
from whyhere.explain._deletion import DeletionInsertion, concept_score, deletion_insertion
from whyhere.explain._intervene import Intervened, Plan, intervene, plan, strengths
from whyhere.explain._meaning import concept_meanings
from whyhere.explain._region_picture import draw_regions, region_pictures, regions_png
from whyhere.explain._regions import RegionMap, photo_regions, region_maps
from whyhere.explain._shift import best_points, surroundings
from whyhere.explain._where import Where, parse_where
from whyhere.picture import Picture
from whyhere.prediction import Change, Contrast, Explanation, Intervention, RegionPicture
from whyhere.stats import total_variation

__all__ = [
    "Change",
    "Contrast",
    "DeletionInsertion",
    "Explanation",
    "Intervened",
    "Intervention",
    "Picture",
    "Plan",
    "RegionMap",
    "RegionPicture",
    "Where",
    "answer_of",
    "best_points",
    "concept_meanings",
    "concept_score",
    "contrast",
    "deletion_insertion",
    "draw_regions",
    "intervene",
    "parse_where",
    "photo_regions",
    "plan",
    "region_maps",
    "region_pictures",
    "regions_png",
    "strengths",
    "surroundings",
    "total_variation",
]
