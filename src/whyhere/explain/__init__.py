"""Why here, why not there, and what if: explanations that are read off the score itself.

The score of a place is a sum over concepts plus a remainder, so an explanation is that sum (`Answer`), a
contrast is the difference of two such sums (`contrast`), and an intervention is the same sum after the
photo's concepts were changed (`plan`). No second model explains the first one. Image regions
(`photo_regions`) say which parts of the photo raise a concept, and `deletion_insertion` tests that.
Nothing here reads a file; `Locator.explain` joins it with the other stages.
"""

from whyhere.explain._compose import answer_of, concept_meanings, contrast
from whyhere.explain._deletion import DeletionInsertion, concept_score, deletion_insertion, random_region
from whyhere.explain._intervene import Intervened, Plan, intervene, plan, strengths
from whyhere.explain._regions import (
    RegionMap,
    draw_regions,
    heat_strength,
    photo_regions,
    region_box,
    region_maps,
    region_pictures,
    view_image,
    view_pixels,
)
from whyhere.explain._where import Where, parse_where
from whyhere.picture import Picture
from whyhere.prediction import Change, Contrast, Explanation, Intervention, RegionPicture

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
    "concept_meanings",
    "concept_score",
    "contrast",
    "deletion_insertion",
    "draw_regions",
    "heat_strength",
    "intervene",
    "parse_where",
    "photo_regions",
    "plan",
    "random_region",
    "region_box",
    "region_maps",
    "region_pictures",
    "strengths",
    "view_image",
    "view_pixels",
]
