"""Where on Earth a concept is, by open maps: the part of a concept's direction that no photo has to teach.

Few photos show mosques and fewer glaciers. Open maps know where these are, and all places can be asked: a
ridge regression of a concept's reference on the location embeddings gives a direction in which the concept
grows. The names of concepts make this possible; directions without a meaning have no map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from whyhere.references._agreement import LEAST_CELLS, cell_table
from whyhere.references._reference import reference_for

Doubles = NDArray[np.float64]

PENALTY = 0.01
"""Ridge penalty, for each cell."""


class Places(Protocol):
    """Places with location embeddings, such as a gallery."""

    @property
    def lat(self) -> Doubles: ...
    @property
    def lon(self) -> Doubles: ...
    @property
    def embeddings(self) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class Grounding:
    """Places by cell, and what open maps say there.

    Attributes:
        embeddings: Mean location embedding of every cell, shape (m, 512).
        presence: For every concept with a usable reference how much of each cell has it, 0 to 1, NaN where
            unknown; shape (m,) each.
        blocks: Block of 10 degrees of every cell, shape (m,): cells that must be held out together.
    """

    embeddings: Doubles
    presence: Mapping[str, Doubles]
    blocks: NDArray[np.int64]

    @classmethod
    def build(
        cls, places: Places, concept_ids: Sequence[str], *, lookup: Callable[[str], Any] | None = None
    ) -> Grounding:
        """Look the concepts' references up at every place and average over cells.

        Args:
            places: The places.
            concept_ids: Ids of the concepts.
            lookup: Finds the reference of a concept; `reference_for` by default.
        """
        lookup = lookup or reference_for
        cells = cell_table(places.lat, places.lon)
        order = np.argsort(cells.cell, kind="stable")
        counts = np.bincount(cells.cell)
        starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
        sums = np.add.reduceat(places.embeddings[order].astype(np.float64), starts, axis=0)
        presence = {}
        for concept_id in concept_ids:
            reference = lookup(concept_id)
            if reference is None:
                continue
            share = cells.average(reference.present(reference.values(places.lat, places.lon)))
            if min(np.sum(share >= 0.5), np.sum(share < 0.5)) >= LEAST_CELLS:
                presence[concept_id] = share
        return cls(sums / counts[:, None], presence, cells.block)

    def directions(
        self,
        concept_ids: Sequence[str],
        location_mean: Doubles,
        *,
        among: NDArray[np.bool_] | None = None,
    ) -> Doubles:
        """Regress every reference on the centred embeddings of unit length.

        Args:
            concept_ids: Ids of the k concepts.
            location_mean: What embeddings are centred by, shape (512,).
            among: Cells that may be looked at, shape (m,); all by default.

        Returns:
            Unit directions, one a column, zeros for concepts without a reference or with none of its cells
            among those looked at; shape (512, k).
        """
        y = self.embeddings - location_mean
        y /= np.linalg.norm(y, axis=1, keepdims=True)
        columns = np.zeros((y.shape[1], len(concept_ids)))
        looked_at = np.ones(len(y), np.bool_) if among is None else among
        alike: dict[bytes, list[int]] = {}  # concepts known in the same cells share one Gram matrix
        for column, concept_id in enumerate(concept_ids):
            if concept_id in self.presence:
                known = np.isfinite(self.presence[concept_id]) & looked_at
                if known.any():
                    alike.setdefault(known.tobytes(), []).append(column)
        for mask, some in alike.items():
            known = np.frombuffer(mask, np.bool_)
            share = np.stack([self.presence[concept_ids[column]][known] for column in some], axis=1)
            rows = y[known] - y[known].mean(axis=0)
            gram = rows.T @ rows + PENALTY * len(rows) * np.eye(rows.shape[1])
            found = np.linalg.solve(gram, rows.T @ (share - share.mean(axis=0)))
            columns[:, some] = found / np.maximum(np.linalg.norm(found, axis=0), 1e-12)
        return columns
