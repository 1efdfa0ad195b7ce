"""The open reference of a concept, in the cells of a map, and how well the map agrees with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.atlas._statistics import Array, cell_means
from whyhere.ranking import CellIndex

IN_SAMPLE = "part of the concept's direction was fitted to this reference: no test"
"""Said wherever an agreement is shown that the release was fitted to."""


@dataclass(frozen=True, slots=True)
class MapReference:
    """Open data that show the same thing as a map, or hint at it.

    Agreement is measured by `whyhere.references.agreement` over all places of the map: means over H3 cells of
    resolution 3, and 95 % intervals from a bootstrap of blocks of ten degrees.

    Attributes:
        name: What the reference shows.
        kind: "binary" or "continuous".
        unit: Unit of a continuous reference.
        directness: "direct" where it measures the concept, "proxy" where it says only where to expect it.
        learned: Whether part of the concept's direction was fitted to this reference: then the agreement is
            in-sample, and no test of the map.
        higher_means_more: False where a low value means more of the concept, such as a distance.
        source: Where it comes from.
        licence: Under which licence.
        auroc: Probability that a cell that has the concept by the reference has the higher value on the map;
            None, as are the other five, where too few cells have or lack it, or they lie in too few blocks.
        auroc_low: Lower end of its interval.
        auroc_high: Upper end.
        spearman: Rank correlation of map and reference, positive where they go together.
        spearman_low: Lower end of its interval.
        spearman_high: Upper end.
        cells: Cells that the agreement rests on.
    """

    name: str
    kind: str
    unit: str
    directness: str
    learned: bool
    higher_means_more: bool
    source: str
    licence: str
    auroc: float | None
    auroc_low: float | None
    auroc_high: float | None
    spearman: float | None
    spearman_low: float | None
    spearman_high: float | None
    cells: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return asdict(self)

    @property
    def agreement_text(self) -> str:
        """Return "AUROC 0.87 (0.81 to 0.92) over 3,012 cells", or why there is no such number, or no test."""
        if self.auroc is None or self.spearman is None:
            return "too few cells or blocks to measure how map and reference agree"
        binary = self.kind == "binary"
        measure, value, low, high = (
            ("AUROC", self.auroc, self.auroc_low, self.auroc_high)
            if binary
            else ("Spearman", self.spearman, self.spearman_low, self.spearman_high)
        )
        words = f"{measure} {value:.2f} ({low:.2f} to {high:.2f}) over {self.cells:,} cells"
        return f"{words}; {IN_SAMPLE}" if self.learned else words


def look_up(
    concept_id: str | None,
    values: NDArray[np.float32],
    index: CellIndex,
    *,
    learned: bool,
    lat: Array,
    lon: Array,
    inside: NDArray[np.bool_] | None,
) -> tuple[Array | None, MapReference | None]:
    """Find the reference of a concept and compare a map with it.

    Args:
        concept_id: The concept; None for a text, which has no reference.
        values: Cosine of every place with the concept, float32, shape (n,).
        index: The cells of the places.
        learned: Whether the release has learned the concept from its reference.
        lat: Latitudes of the places, shape (n,).
        lon: Longitudes of them.
        inside: Places that the agreement is measured over, shape (n,); all by default.

    Returns:
        What the reference says in each cell (mean over its places), NaN where it is unknown, shape (m,), and
        the agreement; None and None where there is no reference.
    """
    if concept_id is None:
        return None, None
    from whyhere.references import agreement, reference_for

    reference = reference_for(concept_id)
    if reference is None:
        return None, None
    there = reference.values(lat, lon)
    known = ~np.isnan(there)
    means, _ = cell_means(there[:, None], index, known)
    chosen = np.ones(len(lat), bool) if inside is None else inside
    found = agreement(values[chosen], reference, lat=lat[chosen], lon=lon[chosen])
    return means[:, 0], MapReference(
        name=reference.name,
        kind=reference.kind,
        unit=reference.unit,
        directness=reference.directness,
        learned=learned,
        higher_means_more=reference.higher_means_more,
        source=reference.source,
        licence=reference.licence,
        auroc=found.auroc if found else None,
        auroc_low=found.auroc_low if found else None,
        auroc_high=found.auroc_high if found else None,
        spearman=found.spearman if found else None,
        spearman_low=found.spearman_low if found else None,
        spearman_high=found.spearman_high if found else None,
        cells=found.cells if found else 0,
    )
