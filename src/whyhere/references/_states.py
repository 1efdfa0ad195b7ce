"""The paper's exhibit (arXiv 2509.01910, Fig. 5): forest over the states of the USA, map against survey."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere._ranks import mean_ranks
from whyhere.geo import place_names
from whyhere.references._countries import codes_at
from whyhere.references._layers import Floats
from whyhere.references._packed import rows

SOURCE = "USDA Forest Service, Forest Inventory and Analysis 2016: forest, percent of a state's land"
LEAST_POSITIONS = 5
"""A state with fewer positions is left out."""

NOT_CONTIGUOUS = ("Alaska", "Hawaii")
"""Left out, as the paper's 49 units imply: the 48 contiguous states and the District of Columbia."""


@dataclass(frozen=True, slots=True)
class StateAgreement:
    """How well a map goes with the share of forest over the contiguous states of the USA.

    Attributes:
        pearson: Correlation over states.
        pearson_low: Lower end of its 95 % interval, states resampled.
        pearson_high: Upper end of its 95 % interval.
        spearman: Rank correlation over states.
        states: Name, percent of forest and mean score of every state compared.
        source: Where the percents come from.
    """

    pearson: float
    pearson_low: float
    pearson_high: float
    spearman: float
    states: tuple[tuple[str, float, float], ...]
    source: str = SOURCE

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return asdict(self)


def forest_by_state(
    scores: NDArray[np.floating], *, lat: Floats, lon: Floats, draws: int = 1000, seed: int = 0
) -> StateAgreement:
    """Compare a map's mean over the positions of each state with the state's share of forest.

    A position belongs to the state of the place it is called after (`whyhere.geo.place_names`).

    Args:
        scores: What the location side says at every position, shape (n,).
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Returns:
        The agreement over the states with at least five positions.

    Raises:
        ValueError: The positions lie in fewer than three states.
    """
    inside = np.flatnonzero(codes_at(lat, lon) == "US")
    state = np.array([name.admin1 or "" for name in place_names(lat[inside], lon[inside])])
    table = []
    for row in rows("us_forest.csv"):
        here = inside[state == row["state"]]
        if len(here) >= LEAST_POSITIONS and row["state"] not in NOT_CONTIGUOUS:
            table.append((row["state"], float(row["forest_percent"]), float(np.mean(scores[here]))))
    if len(table) < 3:
        raise ValueError(f"positions lie in {len(table)} states of the USA, too few to correlate")
    percent, mean = np.array([[row[1], row[2]] for row in table]).T
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(table), size=(draws, len(table)))
    found = [float(np.corrcoef(percent[pick], mean[pick])[0, 1]) for pick in picks]
    low, high = np.quantile(found, [0.025, 0.975])
    return StateAgreement(
        pearson=float(np.corrcoef(percent, mean)[0, 1]),
        pearson_low=float(low),
        pearson_high=float(high),
        spearman=float(np.corrcoef(mean_ranks(percent), mean_ranks(mean))[0, 1]),
        states=tuple(table),
    )
