"""Whether explanations can be believed: seven tests, each beside a control that explains nothing.

A `Study` holds photos of known places with the alignment that answers each (held out or not);
`run_scorecard` measures the lines and gives a `Scorecard`, which turns into JSON (`to_dict`), Markdown
(`markdown`) and plots (`plots`). Nothing here is needed to locate a photo.
"""

from whyhere.faithfulness._banks import NeedsTraining, random_directions, with_bank
from whyhere.faithfulness._evidence import evidence
from whyhere.faithfulness._gather import maps_study, photo_study, protocol
from whyhere.faithfulness._look import CachedLook, tower_fingerprint
from whyhere.faithfulness._markdown import markdown
from whyhere.faithfulness._pictures import Embeddings, embeddings
from whyhere.faithfulness._plots import plots
from whyhere.faithfulness._references import CellReferences
from whyhere.faithfulness._regions_line import AREAS, RegionTest
from whyhere.faithfulness._run import LINES, WITHOUT_PHOTOS, run_lines, run_scorecard
from whyhere.faithfulness._scorecard import Figure, Line, Scorecard, Table
from whyhere.faithfulness._study import Settings, Study
from whyhere.faithfulness._trained_on import trained_on
from whyhere.faithfulness._write import scorecard_json, write_scorecard

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
