"""From scores to answers: probability by area, different places, and when to say nothing.

`cell_probabilities` spreads probability over H3 cells, `rank_places` merges cells into places that differ.
"""

from whyhere.ranking._config import RankingConfig
from whyhere.ranking._countries import UnitIndex, country_shares
from whyhere.ranking._gallery_softmax import gallery_softmax
from whyhere.ranking._hint import HINT_STRENGTH, hint_log_prior
from whyhere.ranking._places import COVERAGE, RankedPlace, rank_places
from whyhere.ranking._surface import CellIndex, cell_probabilities

__all__ = [
    "COVERAGE",
    "HINT_STRENGTH",
    "CellIndex",
    "RankedPlace",
    "RankingConfig",
    "UnitIndex",
    "cell_probabilities",
    "country_shares",
    "gallery_softmax",
    "hint_log_prior",
    "rank_places",
]
