"""From scores to answers: probability by area, different places, and when to say nothing.

`cell_probabilities` spreads probability over H3 cells, `rank_places` merges cells into places that differ.
"""

from whyhere.ranking._cells import (
    HINT_STRENGTH,
    CellIndex,
    UnitIndex,
    cell_probabilities,
    country_shares,
    gallery_softmax,
    hint_log_prior,
)
from whyhere.ranking._places import (
    COVERAGE,
    RankedPlace,
    RankingConfig,
    best_points,
    rank_places,
    surroundings,
)

__all__ = [
    "COVERAGE",
    "HINT_STRENGTH",
    "CellIndex",
    "RankedPlace",
    "RankingConfig",
    "UnitIndex",
    "best_points",
    "cell_probabilities",
    "country_shares",
    "gallery_softmax",
    "hint_log_prior",
    "rank_places",
    "surroundings",
]
