"""Whether explanations can be believed: seven tests, each beside a control that explains nothing.

A `Study` holds photos of known places with the alignment that answers each (held out or not);
`run_scorecard` measures the lines and gives a `Scorecard`, which turns into JSON (`to_dict`), Markdown
(`markdown`) and plots (`plots`). Nothing here is needed to locate a photo.
"""

from whyhere.evaluation.faithfulness._banks import NeedsTraining, random_directions, with_bank
from whyhere.evaluation.faithfulness._evidence import evidence
from whyhere.evaluation.faithfulness._gather import maps_study, photo_study, protocol
from whyhere.evaluation.faithfulness._look import CachedLook, tower_fingerprint
from whyhere.evaluation.faithfulness._markdown import markdown
from whyhere.evaluation.faithfulness._pictures import Embeddings, embeddings
from whyhere.evaluation.faithfulness._plots import plots
from whyhere.evaluation.faithfulness._references import CellReferences
from whyhere.evaluation.faithfulness._regions_line import AREAS, RegionTest
from whyhere.evaluation.faithfulness._run import LINES, WITHOUT_PHOTOS, run_lines, run_scorecard
from whyhere.evaluation.faithfulness._scorecard import Figure, Line, Scorecard, Table
from whyhere.evaluation.faithfulness._study import Settings, Study
from whyhere.evaluation.faithfulness._trained_on import trained_on
from whyhere.evaluation.faithfulness._write import scorecard_json, write_scorecard

__all__ = [
    "AREAS",
    "LINES",
    "WITHOUT_PHOTOS",
    "CachedLook",
    "CellReferences",
    "Embeddings",
    "Figure",
    "Line",
    "NeedsTraining",
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
    "protocol",
    "random_directions",
    "run_lines",
    "run_scorecard",
    "scorecard_json",
    "tower_fingerprint",
    "trained_on",
    "with_bank",
    "write_scorecard",
]
