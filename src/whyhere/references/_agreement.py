"""How well a concept's map goes with its reference: AUROC and Spearman over cells, with blocked intervals.

Cells count, not positions, so that cities with many photos do not dominate. Neighbouring cells are alike, so
the intervals resample whole blocks of 10 degrees (a spatially blocked bootstrap). Resampling gives every cell
a weight; both scores are computed with weights, which equals computing them on the repeated cells.
`forest_by_state` repeats the paper's exhibit (arXiv 2509.01910, Fig. 5) against a forest survey.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere._record import Record
from whyhere.geo import cell_centre, cells_of, place_names
from whyhere.references._layers import Floats, codes_at, rows
from whyhere.references._reference import Directness, Kind, Reference
from whyhere.stats import interval, spearman, times_drawn, weighted_auroc, weighted_spearman

CELL_RESOLUTION = 3
"""H3 resolution of the cells: 12,400 km2, about 110 km across."""

BLOCK_DEG = 10.0
"""Height of the blocks that are resampled together, and their width at the equator."""

LEAST_CELLS = 10
"""With fewer cells on either side there is nothing to compare."""

LEAST_BLOCKS = 10
"""Resampling fewer blocks gives intervals that mean nothing, down to a single point for one block."""

_DRAWS_AT_ONCE = 50

SURVEY = "USDA Forest Service, Forest Inventory and Analysis 2016: forest, percent of a state's land"
LEAST_POSITIONS = 5
"""A state with fewer positions is left out."""
NOT_CONTIGUOUS = ("Alaska", "Hawaii")
"""Left out, as the paper's 49 units imply: the 48 contiguous states and the District of Columbia."""


@dataclass(frozen=True, slots=True, eq=False)
class CellTable:
    """Positions sorted into cells, and cells into blocks.

    Attributes:
        cell: Number of every position's cell, 0 to m - 1, shape (n,).
        cells: H3 cells, shape (m,).
        block: Number of every cell's block, shape (m,).
    """

    cell: NDArray[np.int64]
    cells: NDArray[np.uint64]
    block: NDArray[np.int64]

    def average(self, values: NDArray[np.floating]) -> Floats:
        """Average over the positions of every cell.

        Args:
            values: One per position, shape (n,); NaN is left out.

        Returns:
            Means, NaN where no position has a value, float64, shape (m,).
        """
        known = np.isfinite(values)
        size = len(self.cells)
        total = np.bincount(self.cell[known], weights=values[known].astype(np.float64), minlength=size)
        count = np.bincount(self.cell[known], minlength=size)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def cell_table(lat: Floats, lon: Floats) -> CellTable:
    """Sort positions into cells and blocks.

    Blocks are bands of 10 degrees of latitude cut into pieces of nearly the same width in km, so that what
    is resampled has nearly the same area everywhere.

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
    """
    cells, cell = np.unique(cells_of(lat, lon, CELL_RESOLUTION), return_inverse=True)
    centres = [cell_centre(int(number)) for number in cells]
    y = np.array([centre.lat for centre in centres])
    x = np.array([centre.lon for centre in centres])
    band = np.floor((y + 90.0) / BLOCK_DEG).clip(0, 180.0 / BLOCK_DEG - 1)
    pieces = np.rint(360.0 / BLOCK_DEG * np.cos(np.radians((band + 0.5) * BLOCK_DEG - 90.0))).clip(1)
    piece = np.floor((x + 180.0) / 360.0 * pieces).clip(0, pieces - 1)
    _, block = np.unique(band * 1000 + piece, return_inverse=True)
    return CellTable(cell.ravel(), cells, block.ravel())


class Agreement(Record, frozen=True):
    """How well one concept's map goes with its reference.

    Attributes:
        concept_id: The concept.
        reference: What it was compared with, as `Reference.described` has it.
        kind: Kind of the reference.
        directness: Whether the reference measures the concept itself.
        auroc: Probability that a cell with the concept, by the reference, scores above one without.
        auroc_low: Lower end of its 95 % interval.
        auroc_high: Upper end of its 95 % interval.
        spearman: Rank correlation with the reference's numbers, positive where map and reference agree.
        spearman_low: Lower end of its 95 % interval.
        spearman_high: Upper end of its 95 % interval.
        cells: Cells compared.
        present_cells: Cells that have the concept by the reference.
        blocks: Blocks resampled.
    """

    concept_id: str
    reference: str
    kind: Kind
    directness: Directness
    auroc: float
    auroc_low: float
    auroc_high: float
    spearman: float
    spearman_low: float
    spearman_high: float
    cells: int
    present_cells: int
    blocks: int


def agreement(
    scores: NDArray[np.floating],
    reference: Reference,
    *,
    lat: Floats,
    lon: Floats,
    cells: CellTable | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Agreement | None:
    """Compare one concept's values with its reference.

    Args:
        scores: What the location side says at every position, higher for more, shape (n,).
        reference: The concept's reference.
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
        cells: `cell_table(lat, lon)`, where many concepts are compared at the same positions.
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Returns:
        The agreement, or None where fewer than 10 cells have the concept by the reference, or lack it, or
        where all cells lie in fewer than 10 blocks.

    Raises:
        ValueError: The arrays differ in length or a score is not finite.
    """
    if not (len(scores) == len(lat) == len(lon)):
        raise ValueError(f"{len(scores)} scores at {len(lat)} latitudes and {len(lon)} longitudes")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    table = cells or cell_table(lat, lon)
    truth = table.average(reference.values(lat, lon))
    known = np.isfinite(truth)
    value, block = table.average(scores)[known], table.block[known]
    truth, present = truth[known], reference.present(truth[known]) > 0.5
    if min(int(present.sum()), int((~present).sum())) < LEAST_CELLS:
        return None
    truth = truth if reference.higher_means_more else -truth
    _, block = np.unique(block, return_inverse=True)
    count = int(block.max()) + 1
    if count < LEAST_BLOCKS:
        return None
    drawn = times_drawn(count, draws, np.random.default_rng(seed))
    aurocs, spearmans = [], []
    for start in range(0, draws, _DRAWS_AT_ONCE):
        weights = drawn[start : start + _DRAWS_AT_ONCE][:, block]
        aurocs.append(weighted_auroc(value, present, weights))
        spearmans.append(weighted_spearman(value, truth, weights))
    once = np.ones((1, len(value)))
    area = interval(float(weighted_auroc(value, present, once)[0]), np.concatenate(aurocs))
    rank = interval(float(weighted_spearman(value, truth, once)[0]), np.concatenate(spearmans))
    return Agreement(
        concept_id=reference.concept_id,
        reference=reference.described,
        kind=reference.kind,
        directness=reference.directness,
        auroc=area.value,
        auroc_low=area.low,
        auroc_high=area.high,
        spearman=rank.value,
        spearman_low=rank.low,
        spearman_high=rank.high,
        cells=len(value),
        present_cells=int(present.sum()),
        blocks=count,
    )


class StateAgreement(Record, frozen=True):
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
    source: str = SURVEY


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
    draws_found = np.array([np.corrcoef(percent[pick], mean[pick])[0, 1] for pick in picks])
    pearson = interval(float(np.corrcoef(percent, mean)[0, 1]), draws_found)
    return StateAgreement(
        pearson=pearson.value,
        pearson_low=pearson.low,
        pearson_high=pearson.high,
        spearman=spearman(percent, mean),
        states=tuple(table),
    )
