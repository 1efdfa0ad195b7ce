"""Whether explanations can be believed: seven tests, each beside a control that explains nothing.

A `Study` holds photos of known places with the alignment that answers each (held out or not); `run_scorecard`
runs the tests and gives a `Scorecard`, which turns into JSON (`to_dict`), Markdown (`markdown`) and plots
(`plots`). Nothing here is needed to locate a photo.
"""

from whyhere.evaluation.faithfulness._concept_tests import CellReferences, evidence
from whyhere.evaluation.faithfulness._controls import NeedsTraining, random_directions, with_bank
from whyhere.evaluation.faithfulness._photo_tests import AREAS, RegionTest, region_test
from whyhere.evaluation.faithfulness._score_tests import region
from whyhere.evaluation.faithfulness._scorecard import (
    TESTS,
    WITHOUT_PHOTOS,
    Embeddings,
    Scorecard,
    embeddings,
    markdown,
    plots,
    run_scorecard,
    run_tests,
    scorecard_json,
    write_scorecard,
)
from whyhere.evaluation.faithfulness._study import (
    Figure,
    Outcome,
    Settings,
    Study,
    Table,
    maps_study,
    photo_study,
    trained_on,
)

__all__ = [
    "AREAS",
    "TESTS",
    "WITHOUT_PHOTOS",
    "CellReferences",
    "Embeddings",
    "Figure",
    "NeedsTraining",
    "Outcome",
    "RegionTest",
    "Scorecard",
    "Settings",
    "Study",
    "Table",
    "embeddings",
    "evidence",
    "maps_study",
    "markdown",
    "photo_study",
    "plots",
    "random_directions",
    "region",
    "region_test",
    "run_scorecard",
    "run_tests",
    "scorecard_json",
    "trained_on",
    "with_bank",
    "write_scorecard",
]
