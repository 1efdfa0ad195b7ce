"""Open references of a release's concepts, read at the cells of a gallery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from whyhere.concepts import ConceptLabel
from whyhere.geo import lat_lon_of
from whyhere.ranking import CellIndex
from whyhere.stats import mean_ranks

Doubles = NDArray[np.float64]


class OpenReference(Protocol):
    """What this package uses of a `whyhere.references.Reference`."""

    @property
    def name(self) -> str:
        """Such as "share of forest"."""
        ...

    @property
    def kind(self) -> str:
        """Either "binary" or "continuous"."""
        ...

    @property
    def higher_means_more(self) -> bool:
        """Whether the concept is more common where the values are higher."""
        ...

    def values(self, lat: Doubles, lon: Doubles) -> Doubles:
        """Return values at positions; NaN where unknown."""
        ...


Lookup = Callable[[str], Any]
"""From a concept id to its reference, or None."""


def shipped_reference(concept_id: str) -> OpenReference | None:
    """Return the open reference that whyhere has for a concept, or None."""
    from whyhere.references import reference_for

    return reference_for(concept_id)


@dataclass(frozen=True, slots=True)
class CellReferences:
    """References at the occupied cells of a gallery.

    Attributes:
        columns: Concepts that have one, as columns of the alignment, shape (c,).
        names: Names of the references.
        values: 0 to 1 at every cell, more where the concept is more common, NaN where unknown, shape (c, m).
    """

    columns: tuple[int, ...]
    names: tuple[str, ...]
    values: Doubles

    @classmethod
    def read(
        cls, labels: Sequence[ConceptLabel], cells: CellIndex, lookup: Lookup = shipped_reference
    ) -> CellReferences:
        """Read every reference there is at the mean position of each cell's gallery points."""
        lat, lon = lat_lon_of(cells.centres())
        columns, names, rows = [], [], []
        for column, label in enumerate(labels):
            reference = lookup(label.id)
            if reference is None:
                continue
            values = unit_values(reference, lat, lon)
            if np.unique(values[~np.isnan(values)]).size < 2:
                continue
            columns.append(column)
            names.append(reference.name)
            rows.append(values)
        return cls(tuple(columns), tuple(names), np.array(rows).reshape(len(rows), len(lat)))

    def means(self, probabilities: Doubles) -> Doubles:
        """Return the mean of every reference under distributions over cells, (r, m) to (r, c).

        Cells without a value are left out of the mean.
        """
        known = ~np.isnan(self.values)
        above = probabilities @ np.where(known, self.values, 0.0).T
        means: Doubles = above / np.maximum(probabilities @ known.T.astype(np.float64), 1e-300)
        return means


def unit_values(reference: OpenReference, lat: Doubles, lon: Doubles) -> Doubles:
    """Return a reference from 0 to 1: shares as they are, anything else by its rank among these places."""
    values = np.asarray(reference.values(lat, lon), np.float64)
    if reference.kind == "binary":
        return values
    known = ~np.isnan(values)
    ranks = np.full(len(values), np.nan)
    if known.any():
        ranks[known] = (mean_ranks(values[known]) - 0.5) / known.sum()
    return ranks if reference.higher_means_more else 1.0 - ranks
